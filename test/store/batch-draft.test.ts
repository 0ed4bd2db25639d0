/**
 * Goal: a batch takes keys and values as they are when they are given, whatever the caller's code
 *   does between two of them.
 * Kept by: `BatchDraft` (engine/batch-draft.ts), `Store.write`.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { open, type WriteOperation } from '../../src/store/index.js'

const options = { encoding: 'binary', segmentSizeBytes: 2 ** 22 } as const
const sizes = [0, 1, 3, 4, 5, 7, 8, 9, 100, 1023, 1024, 1025, 70_000]

function bytesOf(size: number): Buffer {
  return Buffer.alloc(size, `value of ${size} `)
}

describe('a batch', () => {
  test('keeps keys and values of all sizes although their memory is used again', async () => {
    const store = open<Uint8Array, Uint8Array>(':memory:', { ...options, keyEncoding: 'binary' })
    const memory = Buffer.alloc(70_000)
    const key = Buffer.alloc(40)
    function* operations(): Generator<WriteOperation<Uint8Array, Uint8Array>> {
      for (const [index, size] of sizes.entries()) {
        key.fill(index)
        bytesOf(size).copy(memory)
        yield { type: 'put', key: key.subarray(0, index), value: memory.subarray(0, size) }
        memory.fill(255)
        key.fill(255)
      }
    }
    store.write(operations())
    for (const [index, size] of sizes.entries()) {
      assert.deepEqual(store.get(Buffer.alloc(index, index)), bytesOf(size))
    }
    assert.equal(store.count(), sizes.length)
    await store.close()
  })

  test('may be made of code that writes batches itself', async () => {
    const store = open<Buffer>(':memory:', options)
    function* operations(name: string, depth: number): Generator<WriteOperation<Buffer, string>> {
      for (let index = 0; index < 50; index++) {
        yield { type: 'put', key: `${name}-${index}`, value: Buffer.from(`${name} ${index}`) }
        if (depth > 0 && index === 25) store.write(operations(`${name}/inner`, depth - 1))
      }
    }
    for (const name of ['first', 'second']) {
      store.write(operations(name, 2))
      for (const path of [name, `${name}/inner`, `${name}/inner/inner`]) {
        for (let index = 0; index < 50; index++) {
          assert.equal(store.get(`${path}-${index}`)?.toString(), `${path} ${index}`)
        }
      }
    }
    assert.equal(store.count(), 300)
    await store.close()
  })
})
