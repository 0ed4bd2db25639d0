/**
 * Goal: no two writers are ever in one store, and a holder's death frees it.
 * Method: the same path is opened twice in a thread, from a worker and from another process; the
 *   holder closes, is killed or terminated.
 * Properties checked: STORE_LOCKED that names the holder; the store opens afterwards and has
 *   everything that the holder wrote.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { threadId, Worker } from 'node:worker_threads'
import { open } from '../../src/store/index.js'
import { temporaryDirectory } from '../support/directory.js'
import { storeErrorOf } from '../support/store-error.js'
import { holdElsewhere, killAndWait, openElsewhere } from './child.js'

const options = { segmentSizeBytes: 2 ** 20 } as const

for (const mapping of ['mmap', 'file'] as const) {
  describe(`a store that is open already (${mapping})`, () => {
    test('is refused in the same thread, naming process and thread', async (t) => {
      const directory = temporaryDirectory(t)
      const store = open(directory, { ...options, mapping })
      for (const second of ['mmap', 'file'] as const) {
        for (const readOnly of [false, true]) {
          const error = storeErrorOf(
            () => open(directory, { mapping: second, readOnly }),
            'STORE_LOCKED',
          )
          assert.equal(error.details.holder?.processId, process.pid)
          assert.equal(error.details.holder?.threadId, threadId)
          assert.ok(error.message.includes(String(process.pid)))
        }
      }
      store.put('a', 1)
      assert.equal(store.get('a'), 1, 'the first one goes on')
      await store.close()
      const again = open(directory)
      assert.equal(again.get('a'), 1)
      await again.close()
    })

    test('is refused through another path to the same directory', async (t) => {
      const parent = temporaryDirectory(t)
      mkdirSync(join(parent, 'real'))
      symlinkSync(join(parent, 'real'), join(parent, 'link'))
      const store = open(join(parent, 'real'), { ...options, mapping })
      storeErrorOf(() => open(join(parent, 'link')), 'STORE_LOCKED')
      await store.close()
    })

    test('is refused to another process, naming this one', async (t) => {
      const path = temporaryDirectory(t)
      const store = open(path, { ...options, mapping })
      for (const readOnly of [false, true]) {
        const answer = openElsewhere({ path, options: { readOnly } })
        assert.equal(answer.code, 'STORE_LOCKED', answer.message)
        assert.equal(answer.holder?.processId, process.pid)
      }
      await store.close()
      assert.equal(openElsewhere({ path, options: {} }).opened, true)
    })

    test('is free as soon as the process that held it was killed, with all it wrote', async (t) => {
      const path = temporaryDirectory(t)
      const held = await holdElsewhere({ path, options: { ...options, mapping }, put: 'a' })
      assert.equal(held.answer.opened, true)
      const error = storeErrorOf(() => open(path), 'STORE_LOCKED')
      assert.equal(error.details.holder?.processId, held.process.pid)
      await killAndWait(held.process)
      const store = open(path, { mapping })
      assert.equal(store.get('a'), 'a')
      await store.close()
    })

    test('is free when the worker that held it was terminated, with all it wrote', async (t) => {
      const path = temporaryDirectory(t)
      const worker = new Worker(new URL('./holder-worker.js', import.meta.url), {
        workerData: { path, options: { ...options, mapping } },
      })
      await once(worker, 'message')
      const error = storeErrorOf(() => open(path), 'STORE_LOCKED')
      assert.equal(error.details.holder?.processId, process.pid)
      assert.equal(error.details.holder?.threadId, worker.threadId)
      await worker.terminate()
      const store = open(path, { mapping })
      assert.equal(store.get('a'), 'from the worker')
      await store.close()
    })
  })
}

describe('stores that are open to be read', () => {
  test('may be any number; a writer is refused and not told of somebody who is gone', async (t) => {
    const path = temporaryDirectory(t)
    const former = openElsewhere({ path, options, put: 'a' })
    assert.equal(former.opened, true)
    const readers = [open(path, { readOnly: true }), open(path, { readOnly: true })]
    assert.equal(openElsewhere({ path, options: { readOnly: true }, get: 'a' }).value, 'a')
    const error = storeErrorOf(() => open(path), 'STORE_LOCKED')
    const { holder } = error.details
    assert.ok(
      holder === undefined || holder.processId === process.pid,
      `process ${holder?.processId} closed the store long ago`,
    )
    for (const reader of readers) {
      assert.equal(reader.get('a'), 'a')
      await reader.close()
    }
    await open(path).close()
  })

  test('a killed mapped store is opened once with a mapping before it is opened without', async (t) => {
    const path = temporaryDirectory(t)
    const held = await holdElsewhere({ path, options: { ...options, mapping: 'mmap' }, put: 'a' })
    await killAndWait(held.process)
    const error = storeErrorOf(() => open(path, { mapping: 'file' }), 'STORE_IN_USE')
    assert.ok(error.message.includes('mmap'))
    await open(path, { mapping: 'mmap' }).close()
    const store = open(path, { mapping: 'file' })
    assert.equal(store.get('a'), 'a')
    await store.close()
  })
})
