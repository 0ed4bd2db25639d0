/**
 * Goal: a proper close leaves in the manifest how far syncs have come, so that damage in the last
 *   records is told from a sync that never ended (I5), and no crash within it loses anything (I9).
 * Method: the back end's operations are noted, or made to fail, while a store is closed.
 * Properties checked: the order of flushes and rename; what the manifest names; that a close which
 *   cannot name it leaves a store that opens with all that was synced.
 * Kept by: `nameDurable` in close.ts, `replaceFile` in whole-file.ts.
 */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import { describe, test } from 'node:test'
import { StoreError } from '../../src/base/errors.js'
import * as layout from '../../src/format/control-layout.js'
import { volatileFileNames } from '../../src/format/file-names.js'
import { decodeManifest, type Manifest } from '../../src/format/manifest.js'
import type { Platform, PlatformFile } from '../../src/platform/platform.js'
import { open, type Store } from '../../src/store/index.js'
import { contentsOf, copyStore, overwrite, temporaryDirectory } from '../support/directory.js'
import { engineOf } from '../support/engine-of.js'
import { asStoreError, storeErrorOf } from '../support/store-error.js'

const options = { segmentSizeBytes: 2 ** 20, encoding: 'utf8', syncIntervalMs: 0 } as const

function manifestOf(directory: string): Manifest {
  const path = join(directory, 'manifest')
  return decodeManifest(readFileSync(path), path)
}

type Changeable<T> = { -readonly [K in keyof T]: T[K] }

/** Calls `onStep` before every change and flush that closing makes. */
function watchSteps(store: Store<string>, onStep: (step: string) => void): void {
  const { log } = engineOf(store)
  const platform = engineOf(store).platform as Changeable<Platform>
  const watched = (opened: PlatformFile): PlatformFile => {
    const file = opened as Changeable<PlatformFile>
    const { reserve, sync, syncNow, write } = opened
    const name = basename(file.path)
    file.reserve = (size) => {
      onStep(`reserve ${name}`)
      reserve.call(file, size)
    }
    file.write = (source, position) => {
      onStep(`write ${name}`)
      write.call(file, source, position)
    }
    file.sync = () => {
      onStep(`sync ${name}`)
      return sync.call(file)
    }
    file.syncNow = () => {
      onStep(`sync ${name}`)
      syncNow.call(file)
    }
    return file
  }
  watched(log.fileOf(log.tailSlot))
  const { openFile, rename, syncDirectory } = platform
  platform.openFile = (path, mode) => watched(openFile(path, mode))
  platform.rename = (from, to) => {
    onStep(`rename ${basename(from)} to ${basename(to)}`)
    rename(from, to)
  }
  platform.syncDirectory = (path) => {
    onStep('sync directory')
    syncDirectory(path)
  }
}

async function closedStore(directory: string, mapping: 'mmap' | 'file'): Promise<void> {
  const store = open<string>(directory, { ...options, mapping })
  store.put('a', 'first')
  await store.close()
}

for (const mapping of ['mmap', 'file'] as const) {
  describe(`closing a store (${mapping})`, () => {
    test('names what the last sync covered, when it is covered, in a file that is whole', async (t) => {
      const directory = temporaryDirectory(t)
      const store = open<string>(directory, { ...options, mapping })
      store.put('a', 'first')
      await store.sync()
      store.put('a', 'last')
      const before = manifestOf(directory)
      const steps: string[] = []
      watchSteps(store, (step) => steps.push(step))
      await store.close()
      const { durable, isClosed, ...rest } = manifestOf(directory)
      assert.deepEqual({ ...rest, durable: before.durable, isClosed: false }, before)
      assert.ok(isClosed)
      const named = steps.indexOf('reserve manifest.next')
      assert.deepEqual(steps.slice(named), [
        'reserve manifest.next',
        'write manifest.next',
        'sync manifest.next',
        'rename manifest.next to manifest',
        'sync directory',
      ])
      const [segment] = readdirSync(directory).filter((name) => name.startsWith('segment-'))
      assert.ok(steps.slice(0, named).includes(`sync ${segment}`))
      const again = open<string>(directory, { ...options, mapping, readOnly: true })
      assert.equal(again.stats().durable, durable)
      assert.equal(engineOf(again).control.get(layout.durable), durable)
      assert.equal(again.get('a'), 'last')
      await again.close()
    })

    test('changes nothing where nothing was written, but that it was closed', async (t) => {
      const directory = temporaryDirectory(t)
      for (let session = 0; session < 2; session++) {
        const store = open<string>(directory, { ...options, mapping })
        const path = join(directory, 'manifest')
        const before = manifestOf(directory)
        await store.close()
        assert.deepEqual(manifestOf(directory), { ...before, isClosed: true })
        // It is made again only where it does not say so yet: without a mapping, each opening writes one.
        const { ino } = statSync(path)
        const again = open<string>(directory, { ...options, mapping })
        await again.close()
        if (mapping === 'mmap') assert.equal(statSync(path).ino, ino)
        // An empty segment behind the log must not be missed as something that was synced.
        await open<string>(directory, { ...options, mapping, readOnly: true }).close()
        await closedStore(directory, mapping)
      }
    })

    test('makes a loss of the last records and all markers known, on another boot', async (t) => {
      const parent = temporaryDirectory(t)
      const directory = join(parent, 'live')
      const store = open<string>(directory, { ...options, mapping })
      const start = engineOf(store).log.tailOffset * 8
      store.put('a', 'first')
      await store.sync()
      store.put('b', 'second')
      await store.close()
      const copy = join(parent, 'copy')
      copyStore(directory, copy)
      for (const name of volatileFileNames) rmSync(join(copy, name), { force: true })
      const [segment] = readdirSync(copy).filter((name) => name.startsWith('segment-'))
      const bytes = readFileSync(join(copy, segment))
      const end = bytes.findLastIndex((byte) => byte !== 0) + 1
      for (const from of [start, Math.ceil((start + 1) / 512) * 512]) {
        overwrite(join(copy, segment), from, new Uint8Array(end - from))
        const contents = contentsOf(copy)
        const again = { ...options, mapping, readOnly: true }
        storeErrorOf(() => open(copy, again), 'STORE_CORRUPT')
        assert.deepEqual({ ...contentsOf(copy), lock: '' }, { ...contents, lock: '' })
        overwrite(join(copy, segment), 0, bytes)
      }
    })

    const failures = ['reserve manifest.next', 'write manifest.next', 'sync manifest.next']
    for (const failing of [...failures, 'rename manifest.next to manifest', 'sync directory']) {
      test(`reports that "${failing}" fails; the next to open finds everything`, async (t) => {
        const directory = temporaryDirectory(t)
        await closedStore(directory, mapping)
        const store = open<string>(directory, { ...options, mapping })
        store.put('b', 'second')
        // So that the only flush of the directory is that of the manifest.
        await store.sync()
        const failure = Object.assign(new Error('EIO: i/o error'), { code: 'EIO' })
        watchSteps(store, (step) => {
          if (step === failing) throw failure
        })
        await assert.rejects(store.close(), failure)
        const again = open<string>(directory, { ...options, mapping })
        assert.equal(again.get('a'), 'first')
        assert.equal(again.get('b'), 'second')
        await again.close()
        assert.ok(!readdirSync(directory).includes('manifest.next'))
      })
    }

    test('succeeds on a full disk: what was written is synced', async (t) => {
      const directory = temporaryDirectory(t)
      await closedStore(directory, mapping)
      const store = open<string>(directory, { ...options, mapping })
      store.put('b', 'second')
      const before = readFileSync(join(directory, 'manifest'))
      watchSteps(store, (step) => {
        if (step === 'reserve manifest.next') throw new StoreError('STORE_FULL', 'no space left')
      })
      await store.close()
      assert.deepEqual(readFileSync(join(directory, 'manifest')), before)
      assert.ok(!readdirSync(directory).includes('manifest.next'))
      const again = open<string>(directory, { ...options, mapping, readOnly: true })
      assert.equal(again.get('b'), 'second')
      await again.close()
    })

    test('writes nothing into another store that took its place, nor where it is gone', async (t) => {
      const parent = temporaryDirectory(t)
      const directory = join(parent, 'live')
      for (const isReplaced of [true, false]) {
        const store = open<string>(directory, { ...options, mapping })
        // Not as long a log as that of the other store.
        store.put('a', 'moved'.repeat(50))
        await store.sync()
        renameSync(directory, join(parent, `moved-${isReplaced}`))
        if (isReplaced) await closedStore(directory, mapping)
        const contents = contentsOf(directory)
        await store.close()
        assert.deepEqual(contentsOf(directory), contents)
      }
    })

    test('reports a manifest that was damaged meanwhile, and leaves it as it is', async (t) => {
      const directory = temporaryDirectory(t)
      const store = open<string>(directory, { ...options, mapping })
      store.put('a', 'first')
      overwrite(join(directory, 'manifest'), 40, Uint8Array.of(1))
      const damaged = readFileSync(join(directory, 'manifest'))
      await assert.rejects(store.close(), (error) => asStoreError(error, 'STORE_CORRUPT') !== null)
      assert.deepEqual(readFileSync(join(directory, 'manifest')), damaged)
    })
  })
}
