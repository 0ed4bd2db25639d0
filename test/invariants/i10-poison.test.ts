/**
 * Goal: I10, a failed write or sync is never retried and never ignored.
 * Method: the flush of a segment file fails once, as a device would; the store is used, closed and
 *   opened again.
 * Properties checked: STORE_POISONED with the failure as its cause, for the sync and for every write
 *   after it; reads go on; `durable` stays; the next opening does not trust memory, and rewrites.
 * Kept by: `flush` in sync.ts, `requireWritable` in engine.ts, `settle` in recover-by-replay.ts.
 */
import assert from 'node:assert/strict'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { PlatformFile } from '../../src/platform/platform.js'
import { open, type StoreError } from '../../src/store/index.js'
import { segmentNames, temporaryDirectory } from '../support/directory.js'
import { engineOf } from '../support/engine-of.js'
import { asStoreError, storeErrorOf } from '../support/store-error.js'

describe('I10: after a flush that failed', () => {
  for (const mapping of ['mmap', 'file'] as const) {
    test(`reads go on and every write is refused, until the store is opened again (${mapping})`, async (t) => {
      const directory = temporaryDirectory(t)
      const options = { segmentSizeBytes: 2 ** 20, encoding: 'utf8', mapping } as const
      const store = open<string>(directory, { ...options, syncIntervalMs: 0 })
      store.put('synced', 'yes')
      await store.sync()
      const { durable } = store.stats()
      store.put('later', 'yes')
      const failure = Object.assign(new Error('EIO: i/o error, fdatasync'), { code: 'EIO' })
      const { log } = engineOf(store)
      const file = log.fileOf(log.tailSlot) as {
        -readonly [K in keyof PlatformFile]: PlatformFile[K]
      }
      let flushes = 0
      file.sync = () => {
        flushes++
        return Promise.reject(failure)
      }
      const isPoisoned = (error: unknown): boolean =>
        asStoreError(error, 'STORE_POISONED').cause === failure
      const together = [store.sync(), store.sync()]
      for (const flush of together) await assert.rejects(flush, isPoisoned)
      await assert.rejects(store.sync(), isPoisoned)
      assert.equal(flushes, 1, 'a failed flush is not tried again')
      for (const write of [
        () => store.put('a', '1'),
        () => store.delete('synced'),
        () => store.write([{ type: 'put', key: 'a', value: '1' }]),
        () => store.keyspace('new'),
        () => store.dropKeyspace('new'),
      ]) {
        assert.ok(isPoisoned(storeErrorOf(write, 'STORE_POISONED')))
      }
      assert.equal(store.get('later'), 'yes')
      assert.equal(store.stats().poisoned, true)
      assert.equal(store.stats().durable, durable)
      await assert.rejects(
        store.close(),
        (error) => (error as StoreError).code === 'STORE_POISONED',
      )
      const inodes = segmentNames(directory).map((name) => statSync(join(directory, name)).ino)

      const again = open<string>(directory, options)
      assert.equal(again.stats().lastRecovery.kind, 'replay', 'memory proves nothing any more')
      assert.equal(again.stats().poisoned, false)
      assert.equal(again.get('synced'), 'yes')
      assert.equal(again.get('later'), 'yes')
      if (mapping === 'mmap') {
        const now = segmentNames(directory).map((name) => statSync(join(directory, name)).ino)
        assert.ok(!now.includes(inodes[0]), 'what was kept was written again')
      }
      again.put('a', '1')
      await again.close()
    })
  }
})
