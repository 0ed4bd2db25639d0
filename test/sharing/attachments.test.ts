/**
 * Goal: store.attachments() names everybody who has a store open, and nobody else.
 * Method: the same store is opened in this thread, in a worker and in another process, which close it,
 *   are terminated, or are killed.
 * Properties checked: process, thread, time, access and Node of each; who is gone is not in the list,
 *   however that came about; the entries are given again; a store that is not shared has no list.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, test } from 'node:test'
import { threadId, Worker } from 'node:worker_threads'
import { open } from '../../src/store/index.js'
import { temporaryDirectory } from '../support/directory.js'
import { storeErrorOf } from '../support/store-error.js'
import { openSession } from './session.js'

const options = { segmentSizeBytes: 2 ** 20 } as const
const nodeVersion = Number(process.versions.node.split('.')[0])

describe('store.attachments()', () => {
  test('has an entry for each time that a store was opened', async (t) => {
    const path = temporaryDirectory(t)
    const beforeMs = Date.now()
    await using store = open(path, options)
    const reader = open(path, { readOnly: true })
    const other = await openSession(t, path, options)
    const list = store.attachments()
    assert.deepEqual(reader.attachments(), list)
    assert.deepEqual((await other.do({ do: 'attachments' })).attachments, list)
    assert.deepEqual(
      list.map((attachment) => ({ ...attachment, sinceMs: 0 })),
      [
        { processId: process.pid, threadId, sinceMs: 0, isReadOnly: false, nodeVersion },
        { processId: process.pid, threadId, sinceMs: 0, isReadOnly: true, nodeVersion },
        { processId: other.process.pid, threadId: 0, sinceMs: 0, isReadOnly: false, nodeVersion },
      ],
    )
    for (const { sinceMs } of list) assert.ok(sinceMs >= beforeMs && sinceMs <= Date.now())
    assert.equal(store.stats().attachments, 3)
    await reader.close()
    await other.do({ do: 'close' })
    assert.deepEqual(store.attachments(), [list[0]])
  })

  test('does not have who was killed or terminated', async (t) => {
    const path = temporaryDirectory(t)
    await using store = open(path, options)
    const killed = await openSession(t, path, options)
    const worker = new Worker(new URL('../store/holder-worker.js', import.meta.url), {
      workerData: { path, options },
    })
    await once(worker, 'message')
    const [, process, thread] = store.attachments()
    assert.equal(process.processId, killed.process.pid)
    assert.equal(thread.threadId, worker.threadId)
    await killed.kill()
    assert.deepEqual(
      store.attachments().map((attachment) => attachment.threadId),
      [threadId, worker.threadId],
    )
    await worker.terminate()
    assert.equal(store.attachments().length, 1)
    await using again = open(path)
    assert.equal(again.attachments().length, 2, 'an entry was given again')
  })

  test('has everybody again after all have gone', async (t) => {
    const path = temporaryDirectory(t)
    const killed = await openSession(t, path, options)
    await killed.kill()
    await using store = open(path)
    assert.deepEqual(
      store.attachments().map(({ processId }) => processId),
      [process.pid],
    )
  })

  test('is empty where nothing is shared, and refused when the store is closed', async (t) => {
    const memory = open(':memory:', { mapping: 'file' })
    assert.deepEqual(memory.attachments(), [])
    await memory.close()
    storeErrorOf(() => memory.attachments(), 'STORE_CLOSED')
    await using file = open(temporaryDirectory(t), { ...options, mapping: 'file' })
    assert.deepEqual(file.attachments(), [])
  })
})
