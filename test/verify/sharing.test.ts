/**
 * Goal: what others change while a store is verified is never taken for damage.
 * Method: threads update few keys in place, delete and insert others, write batches and large values,
 *   while a writer, and a reader that may not write, verify again and again.
 * Properties checked: no problem, and none afterwards.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { join } from 'node:path'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { open } from '../../src/store/index.js'
import { openOnReadOnlyMount } from '../sharing/session.js'
import { noMountNamespaces } from '../store/child.js'
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

test('who may not write there verifies a live store, and backs it up', {
  skip: noMountNamespaces,
}, async (t) => {
  const path = temporaryDirectory(t)
  const target = join(temporaryDirectory(t), 'backup')
  // Who may not write cannot hold compaction off, and is told where it went too far.
  const options = { segmentSizeBytes: 2 ** 20, syncIntervalMs: 0, autoCompact: false }
  const store = open<Buffer>(path, options)
  for (let index = 0; index < 3000; index++) store.put(`key ${index}`, Buffer.alloc(200, index))
  await store.sync()
  const reader = await openOnReadOnlyMount(t, path)
  let isDone = false
  const write = (): void => {
    if (isDone) return
    for (let count = 0; count < 50; count++) {
      store.put(`key ${count}`, Buffer.alloc(count, 1))
      store.delete(`key ${100 + count}`)
      store.put(`key ${100 + count}`, Buffer.alloc(20, 2))
    }
    setImmediate(write)
  }
  write()
  for (let round = 0; round < 5; round++) {
    assert.deepEqual((await reader.do({ do: 'verify' })).value, [])
    await reader.do({ do: 'backup', target })
  }
  isDone = true
  const copy = open(target, { readOnly: true })
  assert.equal(copy.count(), 3000)
  assert.deepEqual((await copy.verify()).problems, [])
  await copy.close()
  await store.close()
})
