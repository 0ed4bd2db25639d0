/**
 * Goal: a batch in which keys come again leaves what its operations leave one by one.
 * Method: batches of puts and deletes of few keys, in one bucket some of them, so that an entry that one
 *   operation frees is taken by another; with and without an ordered index and a snapshot.
 * Properties checked: all values against a Map; counts, and both indexes by `verify`; the snapshot.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { open } from '../../src/store/index.js'
import { temporaryDirectory } from '../support/directory.js'
import { Random } from '../support/random.js'
import { seed } from '../support/seed.js'

const keyCount = 400
const batchCount = 150

describe(`batches in which keys come again (seed ${seed})`, () => {
  for (const kept of ['nothing', 'an ordered index', 'a snapshot'] as const) {
    test(`leave what their operations leave one by one, beside ${kept}`, async (t) => {
      const random = new Random(seed)
      const store = open<string>(temporaryDirectory(t), { syncIntervalMs: 0, encoding: 'utf8' })
      const expected = new Map<string, string>()
      const name = (): string => `key ${random.below(keyCount)}`
      for (let index = 0; index < keyCount; index++) {
        store.put(`key ${index}`, 'first')
        expected.set(`key ${index}`, 'first')
      }
      if (kept === 'an ordered index') store.count({ gte: '' })
      const snapshot = kept === 'a snapshot' ? store.snapshot() : undefined
      const before = snapshot?.range().toArray()
      for (let batch = 0; batch < batchCount; batch++) {
        const few = Array.from({ length: 12 }, name)
        const operations = Array.from({ length: 30 }, (_, place) => {
          const key = few[random.below(few.length)]
          if (random.chance(0.5)) return { type: 'delete', key } as const
          return { type: 'put', key, value: `${batch} ${place}` } as const
        })
        store.write(operations)
        for (const operation of operations) {
          if (operation.type === 'delete') expected.delete(operation.key)
          else expected.set(operation.key, operation.value)
        }
        for (const key of few) assert.equal(store.get(key), expected.get(key))
      }
      for (let index = 0; index < keyCount; index++) {
        assert.equal(store.get(`key ${index}`), expected.get(`key ${index}`))
      }
      assert.equal(store.count(), expected.size)
      assert.deepEqual((await store.verify()).problems, [])
      if (snapshot !== undefined) assert.deepEqual(snapshot.range().toArray(), before)
      snapshot?.close()
      await store.close()
    })
  }
})
