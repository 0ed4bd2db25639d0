/**
 * Goal: I9 and the promise of `sync`: a file that holds synced records is durable by its name, too.
 * Method: the back end's files and directories note when they are made and flushed.
 * Properties checked: when a sync resolves, every segment file that holds something was flushed
 *   after its last change, and the directory after the file was made; nothing else says `durable`.
 * Kept by: `isNewFile` and `flush` in sync.ts.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Engine } from '../../src/engine/engine.js'
import type { Platform } from '../../src/platform/platform.js'
import { open, type Store } from '../../src/store/index.js'
import { segmentNames, temporaryDirectory } from '../support/directory.js'
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
