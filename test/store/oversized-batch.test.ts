/**
 * Goal: a batch that no segment could hold is a batch like any other.
 * Method: batches of three times a segment, single records behind them in the same oversized
 * segment, over its inner boundaries, then closing and opening on this boot and as a copy.
 * Properties checked: every value reads right at once and after each opening.
 */
import assert from 'node:assert/strict'
import { cpSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { open, type Store } from '../../src/store/index.js'
import { removeDirectory } from '../support/directory.js'

const segmentSizeBytes = 2 ** 20
const batchCount = 3
const recordsInBatch = 30
const singleCount = 9000

function valueInBatch(index: number): string {
  return 'x'.repeat(100_000 + index)
}

function singleValue(index: number): string {
  return 'v'.repeat(index % 300)
}

function check(store: Store<string>): void {
  for (let batch = 0; batch < batchCount; batch++) {
    for (let index = 0; index < recordsInBatch; index++) {
      assert.equal(store.get(`batch-${batch}-${index}`), valueInBatch(index))
    }
  }
  for (let index = 0; index < singleCount; index++) {
    assert.equal(store.get(`single-${index}`), singleValue(index))
  }
  assert.equal(store.count(), batchCount * recordsInBatch + singleCount)
}

for (const mapping of ['mmap', 'file'] as const) {
  test(`a batch larger than a segment, and what follows it, is kept (${mapping})`, async () => {
    const directory = mkdtempSync(join(tmpdir(), 'varve-oversized-'))
    const path = join(directory, 'store')
    try {
      const store = open<string>(path, { encoding: 'utf8', segmentSizeBytes, mapping })
      for (let batch = 0; batch < batchCount; batch++) {
        const indexes = Array.from({ length: recordsInBatch }, (_, index) => index)
        store.write(
          indexes.map((index) => ({
            type: 'put',
            key: `batch-${batch}-${index}`,
            value: valueInBatch(index),
          })),
        )
      }
      for (let index = 0; index < singleCount; index++) {
        store.put(`single-${index}`, singleValue(index))
      }
      check(store)
      await store.close()

      const reopened = open<string>(path, { mapping })
      check(reopened)
      await reopened.close()

      cpSync(path, join(directory, 'copy'), { recursive: true })
      const copy = open<string>(join(directory, 'copy'), { mapping })
      assert.equal(copy.stats().lastRecovery.kind, 'replay')
      check(copy)
      await copy.close()
    } finally {
      removeDirectory(directory)
    }
  })
}

test('a record that begins with a part of an oversized segment is found', async () => {
  const store = open<string>(':memory:', { encoding: 'utf8', segmentSizeBytes })
  const indexes = Array.from({ length: 10_000 }, (_, index) => index)
  store.write(
    indexes.map((index) => ({ type: 'put', key: `key-${index}`, value: 'x'.repeat(100) })),
  )
  for (const index of indexes) assert.ok(store.has(`key-${index}`), `key-${index}`)
  await store.close()
})
