/**
 * Goal: the ordered index is built while others write, and has what the hash index has.
 * Method: threads put and delete keys while the first range builds it, and after it; two build at once.
 * Properties checked: the range goes on under the writers, in order; when they have stopped, ranges in
 *   both directions have exactly the keys that gets find; a second attachment finds it built.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { open } from '../../src/store/index.js'
import { temporaryDirectory } from '../support/directory.js'
import { seed } from '../support/seed.js'

const keyCount = 60_000

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
    await new Promise((done) => setTimeout(done, 300))
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
})
