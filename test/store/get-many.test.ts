/**
 * Goal: getMany gives what as many gets give.
 * Method: the same keys both ways: many, repeated, missing, deleted, of all sizes and encodings; code of the
 *   caller's that runs in between and reads many itself; a thread that updates what is read in place.
 * Properties checked: values and their order; no value is half an old one; the error of a wrong key.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { open, type Store } from '../../src/store/index.js'
import { temporaryDirectory } from '../support/directory.js'
import { Random } from '../support/random.js'
import { seed } from '../support/seed.js'
import { refused, storeErrorOf } from '../support/store-error.js'

const options = { segmentSizeBytes: 2 ** 20, syncIntervalMs: 0 } as const

describe(`getMany (seed ${seed})`, () => {
  test('it gives what as many gets give', async (t) => {
    const random = new Random(seed)
    for (const encoding of ['binary', 'utf8', 'json', 'msgpack'] as const) {
      const store: Store<unknown> = open(temporaryDirectory(t), { ...options, encoding })
      const key = (): string => `${'k'.repeat(random.below(100))}${random.below(500)}`
      for (let index = 0; index < 1500; index++) {
        const text = 'v'.repeat(random.below(random.chance(0.02) ? 300_000 : 200))
        store.put(key(), encoding === 'binary' ? Buffer.from(text) : text)
        if (random.chance(0.2)) store.delete(key())
      }
      for (const count of [0, 1, 2, 63, 64, 65, 1000]) {
        const keys = Array.from({ length: count }, key)
        const expected = keys.map((name) => store.get(name))
        assert.deepEqual(store.getMany(keys), expected)
        assert.deepEqual(store.getMany(new Set(keys)), store.getMany([...new Set(keys)]))
      }
      assert.ok(store.getMany(Array.from({ length: 300 }, key)).includes(undefined))
      await store.close()
    }
  })

  test("code of the caller's that reads many in between changes nothing", async (t) => {
    const inner = (): unknown => store.getMany(['c', 'b', 'a'])
    const store: Store<string> = open(temporaryDirectory(t), {
      ...options,
      encoding: {
        encode: (text: string) => Buffer.from(text),
        decode(bytes) {
          if (bytes.toString() === 'calls') inner()
          return bytes.toString()
        },
      },
    })
    store.put('a', 'one')
    store.put('b', 'two')
    store.put('calls', 'calls')
    const keys = function* (): Generator<string> {
      for (const key of ['a', 'calls', 'b', 'none', 'a']) {
        yield key
        store.getMany(['b'])
      }
    }
    assert.deepEqual(store.getMany(keys()), ['one', 'calls', 'two', undefined, 'one'])
    refused(() => store.getMany(['a', 5 as never]), TypeError, 'key', '5')
    assert.deepEqual(store.getMany(['a']), ['one'])
    await store.close()
    storeErrorOf(() => store.getMany(['a']), 'STORE_CLOSED')
  })

  test('no value is half an old one while another thread updates it in place', async (t) => {
    const path = temporaryDirectory(t)
    const store = open<Buffer>(path, { ...options, encoding: 'binary' })
    const end = new Int32Array(new SharedArrayBuffer(8))
    const worker = new Worker(new URL('./in-place-worker.js', import.meta.url), {
      workerData: { path, end },
    })
    const exit = once(worker, 'exit')
    try {
      const keys = Array.from({ length: 64 }, (_, index) => `key ${index}`)
      for (let reads = 0; reads < 2000 || Atomics.load(end, 1) < 200; reads++) {
        store.getMany(keys).forEach((value, key) => {
          if (value === undefined) return
          assert.equal(value[0], key)
          assert.equal(value.length, 8000)
          const [, byte] = value
          assert.ok(value.subarray(1).every((other) => other === byte))
        })
        if (reads % 100 === 0) await new Promise(setImmediate)
      }
      assert.ok(store.getMany(keys).every((value) => value !== undefined))
    } finally {
      Atomics.store(end, 0, 1)
      const [exitCode] = await exit
      assert.equal(exitCode, 0)
      await store.close()
    }
  })
})
