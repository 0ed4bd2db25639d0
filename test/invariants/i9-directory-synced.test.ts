/**
 * Goal: I9 and the promise of `sync`: a file that holds synced records is durable by its name, too,
 *   and nothing is removed before what replaces it is durable.
 * Method: the back end's files and directories, or the calls of the file system, note when files are
 *   made, flushed, renamed and removed.
 * Properties checked: when a sync resolves, every segment file that holds something was flushed
 *   after its last change, and the directory after the file was made; nothing else says `durable`.
 *   A recovery flushes what its manifest is about to name, then the manifest, then its directory,
 *   and removes files only after that.
 * Kept by: `isNewFile` and `flush` in sync.ts; the order in `recoverByReplay`, and `replaceFile` in
 *   whole-file.ts. (test/store/close.test.ts has the order of a close.)
 */
import assert from 'node:assert/strict'
import fs, { rmSync } from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { basename, join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import type { Engine } from '../../src/engine/engine.js'
import type { Platform } from '../../src/platform/platform.js'
import { open, type Store } from '../../src/store/index.js'
import { copyStore, segmentNames, temporaryDirectory } from '../support/directory.js'
import { atEnd } from '../support/ending.js'
import { engineOf } from '../support/engine-of.js'

const options = { segmentSizeBytes: 2 ** 20, encoding: 'binary', syncIntervalMs: 0 } as const

/** Which segment files were there when their directory was flushed last. */
function watchDirectory(engine: Engine, directory: string): Set<string> {
  const durableNames = new Set<string>()
  const platform = engine.log.platform as { -readonly [K in keyof Platform]: Platform[K] }
  const flushNow = platform.syncDirectory
  const flush = platform.syncDirectoryAsync
  const note = (): void => {
    for (const name of segmentNames(directory)) durableNames.add(name)
  }
  platform.syncDirectory = (path) => {
    flushNow(path)
    note()
  }
  platform.syncDirectoryAsync = async (path) => {
    const there = segmentNames(directory)
    await flush(path)
    for (const name of there) durableNames.add(name)
  }
  return durableNames
}

async function requireDurableNames(
  store: Store<Buffer>,
  directory: string,
  durableNames: ReadonlySet<string>,
): Promise<void> {
  await store.sync()
  const missing = segmentNames(directory).filter((name) => !durableNames.has(name))
  assert.deepEqual(missing, [], 'their directory was not flushed since they were made')
}

describe('I9: when a sync has resolved', () => {
  for (const mapping of ['mmap', 'file'] as const) {
    test(`the first segment of a store is durable by name (${mapping})`, async (t) => {
      const directory = temporaryDirectory(t)
      const store = open<Buffer>(directory, { ...options, mapping })
      const durableNames = watchDirectory(engineOf(store), directory)
      store.put('a', Buffer.alloc(10))
      await requireDurableNames(store, directory, durableNames)
      await store.close()
    })

    test(`segments that were begun since, and those of large values, are, too (${mapping})`, async (t) => {
      const directory = temporaryDirectory(t)
      const store = open<Buffer>(directory, { ...options, mapping })
      const durableNames = watchDirectory(engineOf(store), directory)
      for (let round = 0; round < 8; round++) {
        for (let index = 0; index < 13; index++)
          store.put(`${round}-${index}`, Buffer.alloc(60_000))
        if (round % 3 === 0) store.put('large', Buffer.alloc(300_000))
        await requireDurableNames(store, directory, durableNames)
      }
      assert.ok(segmentNames(directory).length > 8)
      await store.close()
    })
  }
})

test('I9: the directory of a new store is durable by name, and those above it that were made', async (t) => {
  const directory = temporaryDirectory(t)
  const steps = watchFiles(t)
  const store = open<Buffer>(join(directory, 'above', 'store'), options)
  for (const name of [basename(directory), 'above']) assert.ok(steps.includes(`sync ${name}`), name)
  await store.close()
})

/** Notes every flush, rename and removal that is made in turn, by the names of the files. */
function watchFiles(t: TestContext): string[] {
  const steps: string[] = []
  const names = new Map<number, string>()
  const { fdatasyncSync, fsyncSync, openSync, renameSync, unlinkSync } = fs
  const replace = (functions: Partial<typeof fs>): void => {
    Object.assign(fs, functions)
    syncBuiltinESMExports()
  }
  atEnd(t, () => replace({ fdatasyncSync, fsyncSync, openSync, renameSync, unlinkSync }))
  replace({
    openSync: (path, flags, mode) => {
      const fd = openSync(path, flags, mode)
      names.set(fd, basename(String(path)))
      return fd
    },
    fdatasyncSync: (fd) => {
      fdatasyncSync(fd)
      steps.push(`sync ${names.get(fd)}`)
    },
    fsyncSync: (fd) => {
      fsyncSync(fd)
      steps.push(`sync ${names.get(fd)}`)
    },
    renameSync: (from, to) => {
      renameSync(from, to)
      steps.push(`rename ${basename(String(from))} to ${basename(String(to))}`)
    },
    unlinkSync: (path) => {
      unlinkSync(path)
      steps.push(`remove ${basename(String(path))}`)
    },
  })
  return steps
}

describe('I9: a recovery on another boot', () => {
  for (const mapping of ['mmap', 'file'] as const) {
    test(`flushes, names, and only then removes (${mapping})`, async (t) => {
      const parent = temporaryDirectory(t)
      const store = open<Buffer>(join(parent, 'live'), { ...options, mapping: 'mmap' })
      for (let index = 0; index < 20; index++) store.put(`kept-${index}`, Buffer.alloc(100_000))
      store.put('large', Buffer.alloc(300_000))
      await store.sync()
      const kept = segmentNames(join(parent, 'live'))
      for (let index = 0; index < 20; index++) store.put(`lost-${index}`, Buffer.alloc(100_000))
      // The control file did not arrive: what no marker covers is cut.
      copyStore(join(parent, 'live'), join(parent, 'copied'))
      rmSync(join(parent, 'copied', 'control'))
      const lost = segmentNames(join(parent, 'copied')).filter((name) => !kept.includes(name))
      assert.ok(kept.length > 2 && lost.length > 0)
      const steps = watchFiles(t)
      const again = open<Buffer>(join(parent, 'copied'), { ...options, mapping })
      const renamed = steps.indexOf('rename manifest.next to manifest')
      const named = steps.indexOf('sync copied', renamed)
      assert.ok(renamed > 0 && named > renamed, 'the name of the manifest is flushed')
      const before = steps.slice(0, renamed)
      const synced = (name: string): boolean => before.includes(`sync ${name}`)
      assert.ok(synced('manifest.next'))
      // Without the control file nothing tells whether a sync failed on this boot: it is copied then.
      for (const name of kept) assert.ok(synced(name) || synced(`${name}.copy`), name)
      const names = before.lastIndexOf('sync copied')
      for (const name of kept) {
        assert.ok(names > before.indexOf(`rename ${name}.copy to ${name}`), 'their names are, too')
      }
      assert.ok(names >= 0)
      for (const name of lost) {
        assert.ok(steps.indexOf(`remove ${name}`) > named, `${name} is removed last`)
      }
      assert.equal(again.count(), 21)
      await again.close()
      await store.close()
    })
  }
})
