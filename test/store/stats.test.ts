import assert from 'node:assert/strict'
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { sequencesPerLoss } from '../../src/format/control-layout.js'
import { open, type StoreStats } from '../../src/store/index.js'
import { copyStore, temporaryDirectory } from '../support/directory.js'
import { engineOf } from '../support/engine-of.js'

const options = { segmentSizeBytes: 2 ** 20, encoding: 'binary', syncIntervalMs: 0 } as const

/** What must not depend on how the store was opened. */
function lasting(stats: StoreStats): Partial<StoreStats> {
  const { records, keyBytes, valueBytes, liveBytes, tombstoneBytes } = stats
  const { begin, sequence, version, segments } = stats
  const counts = { records, keyBytes, valueBytes, liveBytes, tombstoneBytes }
  return { ...counts, begin, sequence, version, segments }
}

describe('the numbers of a store', () => {
  test('count live records, their bytes, garbage and segments', async (t) => {
    const store = open<Buffer>(temporaryDirectory(t), options)
    store.put('a', Buffer.alloc(10))
    const one = store.stats()
    assert.equal(one.records, 1)
    assert.equal(one.keyBytes, 1)
    assert.equal(one.valueBytes, 10)
    assert.equal(one.segments, 1)
    assert.ok(one.fileBytes >= 2 ** 20 && one.indexBytes > 0)
    await store.sync()
    store.put('a', Buffer.alloc(20))
    const updated = store.stats()
    assert.equal(updated.valueBytes, 20)
    // The old record of 48 + 8 + 16 bytes, and the marker of the sync.
    assert.equal(updated.garbageBytes - one.garbageBytes, 72 + 88)
    assert.equal(updated.syncs, 1)
    store.delete('a')
    const empty = store.stats()
    assert.equal(empty.records, 0)
    assert.equal(empty.keyBytes, 0)
    assert.equal(empty.valueBytes, 0)
    store.put('large', Buffer.alloc(300_000))
    const large = store.stats()
    assert.equal(large.segments, 2)
    assert.ok(large.liveBytes - empty.liveBytes >= 300_000)
    await store.close()
  })

  test('tombstoneBytes is what deletes left, in the tail and in sealed segments, until compaction takes it', async (t) => {
    const parent = temporaryDirectory(t)
    const directory = join(parent, 'store')
    const store = open<Buffer>(directory, { ...options, autoCompact: false })
    const names = Array.from({ length: 1000 }, (_, index) => `key ${1000 + index}`)
    for (const name of names) store.put(name, Buffer.alloc(10))
    assert.equal(store.stats().tombstoneBytes, 0)
    for (const name of names.slice(0, 999)) store.delete(name)
    // A header of 48 bytes, and a key of 8.
    assert.equal(store.stats().tombstoneBytes, 999 * 56)
    for (let index = 0; index < 40; index++) store.put('filler', Buffer.alloc(100_000 + index))
    store.delete('filler')
    assert.equal(store.stats().tombstoneBytes, 1000 * 56)
    await store.sync()
    copyStore(directory, join(parent, 'copy'))
    const replayed = open<Buffer>(join(parent, 'copy'), options)
    assert.equal(replayed.stats().lastRecovery.kind, 'replay')
    assert.equal(replayed.stats().tombstoneBytes, 1000 * 56)
    await replayed.close()
    await store.compact({ minGarbageRatio: 0.01 })
    // That of the filler lies in the segment that is being written to.
    assert.equal(store.stats().tombstoneBytes, 56)
    await store.close()
  })

  test('fileBytes is what the files have, and the same in an estimate', async (t) => {
    const directory = temporaryDirectory(t)
    const store = open<Buffer>(directory, { ...options, autoCompact: false })
    const isPrepared = (): boolean => engineOf(store).log.prepared !== undefined
    // The prepared one gets its blocks by and by.
    const onDisk = (): number =>
      readdirSync(directory)
        .filter((name) => /^(segment|value)-/.test(name))
        .reduce((sum, name) => sum + statSync(join(directory, name)).size, 0) +
      (isPrepared() ? options.segmentSizeBytes : 0)
    let withPrepared = 0
    for (let index = 0; index < 40; index++) {
      store.put(`key-${index % 10}`, Buffer.alloc(100_000))
      if (index % 10 === 9) store.put('large', Buffer.alloc(300_000 + index))
      if (isPrepared()) withPrepared++
      const { fileBytes } = store.stats()
      assert.equal(store.compactionEstimate().fileBytes, fileBytes)
      assert.equal(fileBytes, onDisk(), `after ${index} puts`)
    }
    assert.ok(withPrepared > 0 && withPrepared < 40)
    await store.sync()
    await store.compact({ minGarbageRatio: 0.01 })
    assert.equal(store.compactionEstimate().fileBytes, store.stats().fileBytes)
    assert.equal(store.stats().fileBytes, onDisk())
    await store.close()
  })

  test('are the same after a close, and after the log was read again', async (t) => {
    const parent = temporaryDirectory(t)
    const store = open<Buffer>(join(parent, '1'), options)
    store.keyspace('gone', { encoding: 'binary' }).put('x', Buffer.alloc(5) as never)
    store.dropKeyspace('gone')
    for (let index = 0; index < 50; index++) {
      store.put(`key-${index % 20}`, Buffer.alloc(30_000 + index))
      if (index % 9 === 0) store.delete(`key-${index % 7}`)
    }
    store.put('large', Buffer.alloc(300_000))
    await store.sync()
    const before = lasting(store.stats())
    copyStore(join(parent, '1'), join(parent, '2'))
    await store.close()
    const again = open<Buffer>(join(parent, '1'))
    assert.deepEqual(lasting(again.stats()), before)
    await again.close()
    const reader = open<Buffer>(join(parent, '2'), { readOnly: true })
    assert.equal(reader.stats().lastRecovery.kind, 'replay')
    assert.deepEqual(lasting(reader.stats()), before)
    await reader.close()
    const replayed = open<Buffer>(join(parent, '2'))
    assert.equal(replayed.stats().lastRecovery.kind, 'replay')
    // The segment that every recovery begins is one more.
    // Changes may have been lost, so the sequences go on higher.
    const { segments, sequence } = replayed.stats()
    assert.deepEqual(
      {
        ...lasting(replayed.stats()),
        segments: segments - 1,
        sequence: sequence - sequencesPerLoss,
      },
      before,
    )
    await replayed.close()
  })
})
