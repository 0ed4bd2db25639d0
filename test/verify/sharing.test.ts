/**
 * Goal: what others change while a store is verified is never taken for damage.
 * Method: threads update few keys in place, delete and insert others, write batches and large values,
 *   while a writer, and a reader that may not write, verify again and again.
 * Properties checked: no problem, and none afterwards.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { open } from '../../src/store/index.js'
import { temporaryDirectory } from '../support/directory.js'
import { seed } from '../support/seed.js'

test('a store is whole to those who verify it while threads write to it', async (t) => {
  const path = temporaryDirectory(t)
  const store = open<Buffer>(path, { encoding: 'binary', segmentSizeBytes: 2 ** 20 })
  for (let index = 0; index < 3000; index++) store.put(`key ${index}`, Buffer.alloc(200, index))
  store.count({ gte: 'a' })
  const end = new Int32Array(new SharedArrayBuffer(8))
  const workers = [1, 2].map(
    (number) =>
      new Worker(new URL('./update-worker.js', import.meta.url), {
        workerData: { path, end, seed: seed + number },
      }),
  )
  const exits = workers.map((worker) => once(worker, 'exit'))
  const reader = open<Buffer>(path, { readOnly: true })
  for (let round = 0; round < 6 || Atomics.load(end, 1) < 100; round++) {
    const reports = await Promise.all([store.verify(), reader.verify()])
    for (const { problems } of reports) assert.deepEqual(problems, [], `VARVE_SEED=${seed}`)
  }
  Atomics.store(end, 0, 1)
  for (const [exitCode] of await Promise.all(exits)) assert.equal(exitCode, 0)
  const { problems, records } = await store.verify()
  assert.deepEqual(problems, [])
  assert.equal(records, store.count())
  await reader.close()
  await store.close()
})
