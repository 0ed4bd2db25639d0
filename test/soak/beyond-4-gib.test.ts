/**
 * Goal: nothing of an address is cut to 32 bits.
 * Method: more than 4 GiB of records, large and small by turns, in one store, which is closed and opened
 *   with what it had in memory, and as another boot finds it.
 * Properties checked: every value, and the counts.
 */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { open, type Store } from '../../src/store/index.js'
import { temporaryDirectory } from '../support/directory.js'

const largeSizeBytes = 12 * 2 ** 20
const count = 400
const options = { encoding: 'binary', segmentSizeBytes: 2 ** 26 } as const

function check(store: Store<Buffer>): void {
  assert.equal(store.count(), 2 * count)
  assert.ok(store.stats().valueBytes > 2 ** 32)
  for (let index = 0; index < count; index++) {
    assert.deepEqual(store.get(`small ${index}`), Buffer.from(`value ${index}`))
    const large = store.view(`large ${index}`, Buffer)
    assert.equal(large?.byteLength, largeSizeBytes)
    for (const at of [0, largeSizeBytes / 2, largeSizeBytes - 1]) {
      assert.equal(large?.[at], index % 251, `byte ${at} of large ${index}`)
    }
  }
}

test('a store of more than 4 GiB has every value where it was put', async (t) => {
  const path = join(temporaryDirectory(t), 'store')
  const store = open<Buffer>(path, options)
  for (let index = 0; index < count; index++) {
    store.put(`large ${index}`, Buffer.alloc(largeSizeBytes, index % 251))
    store.put(`small ${index}`, Buffer.from(`value ${index}`))
  }
  check(store)
  assert.ok(store.stats().tail * 8 > 2 ** 32)
  await store.close()
  const again = open<Buffer>(path, options)
  check(again)
  await again.close()
})
