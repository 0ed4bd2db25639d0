/**
 * Goal: the ordered index is built while others write, and has what the hash index has.
 * Method: threads put and delete keys while the first range builds it, and after it; two build at once.
 * Properties checked: the range goes on under the writers, in order; when they have stopped, ranges in
 *   both directions have exactly the keys that gets find; a second attachment finds it built.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import * as layout from '../../src/format/control-layout.js'
import { open } from '../../src/store/index.js'
import { temporaryDirectory } from '../support/directory.js'
import { engineOf } from '../support/engine-of.js'
import { seed } from '../support/seed.js'

const keyCount = 60_000
const options = { encoding: 'utf8', segmentSizeBytes: 2 ** 20, syncIntervalMs: 0 } as const

function startWriter(path: string, workerSeed: number, stop: SharedArrayBuffer): Worker {
  return new Worker(new URL('./build-order-worker.js', import.meta.url), {
    workerData: { path, seed: workerSeed, stop },
  })
}

describe('the ordered index', () => {
  test('is built while threads put and delete keys, and has what gets find', async (t) => {
    t.diagnostic(`VARVE_SEED=${seed}`)
    const path = temporaryDirectory(t)
    const store = open<string>(path, { encoding: 'utf8', segmentSizeBytes: 2 ** 20 })
    for (let index = 0; index < keyCount; index += 2) store.put(`key-${index}`, 'first')
    const stop = new SharedArrayBuffer(4)
    const writers = [1, 2].map((index) => startWriter(path, seed + index, stop))
    await Promise.all(writers.map((writer) => once(writer, 'message')))
    const during = store.keys().toArray()
    assert.deepEqual(during, [...during].sort(), 'in order, while others write')
    assert.equal(new Set(during).size, during.length)
    // What comes and goes afterwards is followed.
    await setTimeout(300)
    const ended = writers.map((writer) => once(writer, 'message'))
    Atomics.store(new Int32Array(stop), 0, 1)
    for (const [count] of await Promise.all(ended)) assert.ok((count as number) > 100)
    await Promise.all(writers.map((writer) => writer.terminate()))

    const expected: string[] = []
    for (let index = 0; index < keyCount; index++) {
      if (store.has(`key-${index}`)) expected.push(`key-${index}`)
    }
    expected.sort()
    assert.deepEqual(store.keys().toArray(), expected)
    assert.deepEqual(store.keys({ reverse: true }).toArray(), expected.reverse())
    assert.equal(store.count(), expected.length)
    const other = open<string>(path, { encoding: 'utf8' })
    assert.deepEqual(other.keys({ reverse: true }).toArray(), expected)
    await other.close()
    await store.close()
  })

  test('has no key that is swept while it is built', async (t) => {
    const path = temporaryDirectory(t)
    const [builder, other] = [open<string>(path, options), open<string>(path, options)]
    const dropped = other.keyspace('dropped', { encoding: 'utf8' })
    for (const key of ['a', 'b', 'c']) other.put(key, key)
    dropped.put('d', 'd')
    const older = other.snapshot()
    other.delete('b')
    other.dropKeyspace('dropped')
    const snapshot = builder.snapshot()
    const { control, order } = engineOf(builder)
    const { initialize } = order
    let isSwept = false
    Object.assign(order, {
      initialize: () => {
        // The keys are collected, and nobody has the writer's word.
        older.close()
        isSwept = true
        initialize.call(order)
      },
    })
    assert.deepEqual(snapshot.keys().toArray(), ['a', 'c'])
    assert.ok(isSwept)
    assert.deepEqual(builder.keys().toArray(), ['a', 'c'])
    assert.equal(builder.keyspace('dropped', { encoding: 'utf8' }).count(), 0)
    // Whoever has the duty sweeps behind it.
    snapshot.close()
    const isDone = (): boolean =>
      control.read(layout.tombstones) === 0 && order.keyCount === control.read(layout.records)
    for (let tries = 0; tries < 1000 && !isDone(); tries++) await setTimeout(10)
    assert.ok(isDone(), `${order.keyCount} keys of ${control.read(layout.records)} records`)
    assert.deepEqual(builder.keys().toArray(), ['a', 'c'])
    assert.deepEqual((await builder.verify()).problems, [])
    await other.close()
    await builder.close()
  })
})
