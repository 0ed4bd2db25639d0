/**
 * Goal: all that map a store share it; one that does not map it has it alone, whoever came first,
 *   and a holder's death frees it.
 * Method: the same path is opened twice in a thread, from a worker and from another process, with
 *   and without a mapping; the holder closes, is killed or terminated.
 * Properties checked: a second mapped opener is attached and sees what the first wrote; otherwise
 *   STORE_LOCKED that names the holder; the store opens afterwards and has all that was written.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdirSync, readdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { threadId, Worker } from 'node:worker_threads'
import { open } from '../../src/store/index.js'
import { copyStore, temporaryDirectory } from '../support/directory.js'
import { storeErrorOf } from '../support/store-error.js'
import { holdElsewhere, killAndWait, openElsewhere } from './child.js'

const options = { segmentSizeBytes: 2 ** 20 } as const

const pairs = [
  ['mmap', 'file'],
  ['file', 'mmap'],
  ['file', 'file'],
] as const

for (const [mapping, second] of pairs) {
  describe(`a store that is open (${mapping}) and opened again (${second})`, () => {
    test('is refused in the same thread, naming process and thread', async (t) => {
      const directory = temporaryDirectory(t)
      const store = open(directory, { ...options, mapping })
      for (const readOnly of [false, true]) {
        const error = storeErrorOf(
          () => open(directory, { mapping: second, readOnly }),
          'STORE_LOCKED',
        )
        assert.equal(error.details.holder?.processId, process.pid)
        assert.equal(error.details.holder?.threadId, threadId)
        assert.ok(error.message.includes(String(process.pid)))
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
      storeErrorOf(() => open(join(parent, 'link'), { mapping: second }), 'STORE_LOCKED')
      await store.close()
    })

    test('is refused to another process, naming this one', async (t) => {
      const path = temporaryDirectory(t)
      const store = open(path, { ...options, mapping })
      for (const readOnly of [false, true]) {
        const answer = openElsewhere({ path, options: { readOnly, mapping: second } })
        assert.equal(answer.code, 'STORE_LOCKED', answer.message)
        assert.equal(answer.holder?.processId, process.pid)
      }
      await store.close()
      assert.equal(openElsewhere({ path, options: { mapping: second } }).opened, true)
    })

    test('is free as soon as the process that held it was killed, with all it wrote', async (t) => {
      const path = temporaryDirectory(t)
      const held = await holdElsewhere({ path, options: { ...options, mapping }, put: 'a' })
      assert.equal(held.answer.opened, true)
      const error = storeErrorOf(() => open(path, { mapping: second }), 'STORE_LOCKED')
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
      const error = storeErrorOf(() => open(path, { mapping: second }), 'STORE_LOCKED')
      assert.equal(error.details.holder?.processId, process.pid)
      assert.equal(error.details.holder?.threadId, worker.threadId)
      await worker.terminate()
      const store = open(path, { mapping })
      assert.equal(store.get('a'), 'from the worker')
      await store.close()
    })
  })
}

describe('a mapped store that is open and opened again', () => {
  test('is one store in one thread', async (t) => {
    const path = temporaryDirectory(t)
    const first = open<number>(path, options)
    const second = open<number>(path)
    assert.equal(second.stats().lastRecovery.kind, 'attached')
    assert.equal(first.stats().attachments, 2)
    first.put('a', 1)
    assert.equal(second.get('a'), 1)
    second.put('a', 2)
    assert.equal(first.get('a'), 2)
    await first.close()
    assert.equal(second.stats().attachments, 1)
    second.put('b', 3)
    await second.close()
    const again = open<number>(path)
    assert.equal(again.stats().lastRecovery.kind, 'clean')
    assert.deepEqual([again.get('a'), again.get('b'), again.count()], [2, 3, 2])
    await again.close()
  })

  test('is one store for a worker that is terminated', async (t) => {
    const path = temporaryDirectory(t)
    const store = open(path, options)
    const worker = new Worker(new URL('./holder-worker.js', import.meta.url), {
      workerData: { path, options },
    })
    await once(worker, 'message')
    assert.equal(store.get('a'), 'from the worker')
    assert.equal(store.stats().attachments, 2)
    await worker.terminate()
    assert.equal(store.stats().attachments, 1)
    store.put('a', 'from here')
    assert.equal(store.get('a'), 'from here')
    await store.close()
  })

  test('is one store for a process that is killed', async (t) => {
    const path = temporaryDirectory(t)
    const store = open(path, options)
    const held = await holdElsewhere({ path, options, put: 'a' })
    assert.equal(held.answer.kind, 'attached')
    assert.equal(store.get('a'), 'a')
    await killAndWait(held.process)
    assert.equal(store.stats().attachments, 1)
    store.put('b', 'b')
    await store.close()
    const again = open(path, options)
    assert.deepEqual([again.get('a'), again.get('b')], ['a', 'b'])
    await again.close()
  })

  test('keeps its segment size, its encodings and errorIfExists', async (t) => {
    const path = temporaryDirectory(t)
    const store = open(path, { ...options, encoding: 'json' })
    store.put('a', 1)
    assert.throws(() => open(path, { segmentSizeBytes: 2 ** 21 }), RangeError)
    assert.throws(() => open(path, { encoding: 'utf8' }), TypeError)
    storeErrorOf(() => open(path, { errorIfExists: true }), 'STORE_EXISTS')
    assert.equal(store.stats().attachments, 1, 'who was refused is not attached')
    await store.close()
  })
})

describe('stores that are open to be read', () => {
  test('may be any number, and see what a writer writes', async (t) => {
    const path = temporaryDirectory(t)
    const former = openElsewhere({ path, options, put: 'a' })
    assert.equal(former.opened, true)
    const readers = [open(path, { readOnly: true }), open(path, { readOnly: true })]
    assert.equal(openElsewhere({ path, options: { readOnly: true }, get: 'a' }).value, 'a')
    const writer = open(path)
    writer.put('a', 'new')
    for (const reader of readers) {
      assert.equal(reader.get('a'), 'new')
      storeErrorOf(() => reader.put('a', 1), 'STORE_READ_ONLY')
      await reader.close()
    }
    await writer.close()
  })

  test('follow a writer that comes after they recovered for themselves', async (t) => {
    const parent = temporaryDirectory(t)
    const path = join(parent, 'copy')
    const store = open(join(parent, 'store'), options)
    store.put('a', 1)
    await store.sync()
    copyStore(join(parent, 'store'), path)
    await store.close()
    const before = readdirSync(path).filter((name) => name !== 'lifecycle')
    const reader = open(path, { readOnly: true })
    assert.equal(reader.stats().lastRecovery.kind, 'replay')
    assert.equal(reader.get('a'), 1)
    const during = readdirSync(path).filter((name) => name !== 'lifecycle')
    assert.deepEqual(during, before, 'a reader that recovers leaves the files as they are')
    const writer = open(path)
    writer.put('a', 2)
    assert.equal(reader.get('a'), 2)
    writer.put('b', 3)
    assert.equal(reader.get('b'), 3)
    await writer.close()
    assert.equal(reader.get('b'), 3)
    await reader.close()
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
