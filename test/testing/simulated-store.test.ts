/**
 * Goal: a store on a simulated disk can do what a store in a directory can.
 * Method: the operations that keep bytes aside for a while, and expiry, on simulated disks, mapped and not,
 *   with segments of every size that they may have.
 * Properties checked: what was streamed or imported is there, also after a crash behind a sync; what has
 *   expired does not count.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openOn, SimulatedDisk } from '../../src/testing/index.js'
import { exportOf } from '../conformance/stores.js'

const binary = { encoding: 'binary' } as const

for (const mapping of ['mmap', 'file'] as const) {
  test(`streams and imports find room on a simulated disk (${mapping})`, async () => {
    const disk = new SimulatedDisk({ mapping })
    const store = openOn<Buffer>(disk, binary)
    const pieces = Array.from({ length: 20 }, (_, index) => Buffer.alloc(10_000, index))
    await store.writeStream('streamed', pieces)
    await store.sync()
    assert.deepEqual(store.get('streamed'), Buffer.concat(pieces))
    const chunks: Buffer[] = []
    for await (const chunk of store.readStream('streamed') ?? []) chunks.push(chunk as Buffer)
    assert.deepEqual(Buffer.concat(chunks), Buffer.concat(pieces))
    using snapshot = store.snapshot()
    const stream = await exportOf(snapshot as never)
    const otherDisk = new SimulatedDisk({ mapping })
    const other = openOn<Buffer>(otherDisk, binary)
    await other.import([stream])
    assert.deepEqual(other.get('streamed'), Buffer.concat(pieces))
    const after = openOn<Buffer>(
      disk.crash(() => 0),
      binary,
    )
    assert.deepEqual(after.get('streamed'), Buffer.concat(pieces))
  })
}

for (const segmentSizeBytes of [2 ** 14, 2 ** 15, 2 ** 16, 2 ** 17]) {
  test(`what has expired does not count, in segments of ${segmentSizeBytes} bytes`, async () => {
    const disk = new SimulatedDisk()
    const store = openOn<Buffer>(disk, { ...binary, segmentSizeBytes })
    for (let index = 0; index < 300; index++) {
      const value = Buffer.alloc(1000, index)
      if (index % 3 === 0) store.put(`past ${index}`, value, { expiresAtMs: 1 })
      else if (index % 3 === 1) store.put(`later ${index}`, value, { ttlMs: 86_400_000 })
      else store.put(`never ${index}`, value)
      assert.equal(store.count(), index + 1 - Math.floor(index / 3) - 1)
    }
    await store.sync()
    const after = openOn<Buffer>(
      disk.crash(() => 0),
      { ...binary, segmentSizeBytes },
    )
    for (const one of [store, after]) {
      assert.equal(one.count(), 200)
      assert.equal(one.keys().toArray().length, 200)
      assert.equal(one.stats().records, 200)
    }
  })
}
