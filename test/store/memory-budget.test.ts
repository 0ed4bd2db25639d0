/**
 * Goal: `memoryBudgetBytes` keeps what is in memory of the log near it, and nothing else changes.
 * Method: stores of many segments whose pages the system is asked about (mincore), with budgets of a part of
 *   their size.
 * Properties checked: residency against the budget; that what is read again and again stays; that a cold get brings
 *   in its page and no others; values out of cold segments; several attachments with different budgets; what
 *   `stats()` says of it; the option's values.
 */
import assert from 'node:assert/strict'
import { statfsSync } from 'node:fs'
import { describe, type TestContext, test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { open, type Store, type StoreOptions } from '../../src/store/index.js'
import { temporaryDirectory } from '../support/directory.js'
import { refused } from '../support/store-error.js'

const mebibyte = 2 ** 20
const options = { encoding: 'binary', segmentSizeBytes: mebibyte, autoCompact: false } as const
const budgetBytes = 2 * mebibyte
/** A stretch more than the hand advises, and the tail, where nothing is advised. */
const slackBytes = 6 * mebibyte
const pageSizeBytes = 4096
const tmpfsType = 0x01021994

type Bytes = Store<Uint8Array>

const bytesAt = (index: number): Buffer => Buffer.alloc(1000, index % 251)
const recordCount = 12_000

async function fill(store: Bytes): Promise<void> {
  for (let index = 0; index < recordCount; index++) store.put(`${index}`, bytesAt(index))
  await store.sync()
}

/** Resolves when it holds; false after ten seconds. */
async function comesTrue(isTrue: () => boolean): Promise<boolean> {
  for (let waited = 0; waited < 200; waited++) {
    if (isTrue()) return true
    await setTimeout(50)
  }
  return false
}

/** A filled store within its budget; undefined where the system drops nothing, with the test skipped. */
async function cold(t: TestContext, memoryBudgetBytes: number): Promise<Bytes | undefined> {
  const directory = temporaryDirectory(t)
  const store: Bytes = open(directory, { ...options, memoryBudgetBytes })
  await fill(store)
  if (await comesTrue(() => store.stats().residentBytes <= memoryBudgetBytes + slackBytes)) {
    return store
  }
  const { mapping } = store.stats()
  await store.close()
  const isInMemory = statfsSync(directory).type === tmpfsType
  assert.ok(mapping !== 'mmap' || isInMemory, 'the budget is kept')
  t.skip(isInMemory ? 'the file system keeps everything in memory' : 'nothing is mapped')
  return undefined
}

describe('a budget of memory', () => {
  test('is kept near, and every value is right afterwards, as it was before', async (t) => {
    const store = await cold(t, budgetBytes)
    if (store === undefined) return
    const { coldBytes, fileBytes, mutableBytes, readOnlyBytes, residentBytes } = store.stats()
    assert.ok(residentBytes + coldBytes >= mutableBytes + readOnlyBytes)
    assert.ok(residentBytes + coldBytes <= fileBytes)
    assert.ok(coldBytes > 4 * mebibyte)
    for (let index = 0; index < recordCount; index++) {
      assert.deepEqual(store.get(`${index}`), bytesAt(index))
    }
    assert.ok(await comesTrue(() => store.stats().residentBytes <= budgetBytes + slackBytes))
    await store.close()
  })

  test('a cold get brings in the page of its record, and no others', async (t) => {
    const store = await cold(t, 0)
    if (store === undefined) return
    assert.ok(await comesTrue(() => store.stats().residentBytes <= mebibyte))
    const keys = Array.from({ length: 20 }, (_, index) => `${index * 500}`)
    let coldCount = 0
    for (const key of keys) {
      const before = store.stats().residentBytes
      assert.deepEqual(store.get(key), bytesAt(Number(key)))
      const broughtIn = store.stats().residentBytes - before
      if (broughtIn > 0) coldCount++
      assert.ok(broughtIn <= 2 * pageSizeBytes, `${broughtIn} bytes were read`)
    }
    assert.ok(coldCount > keys.length / 2, 'they were cold')
    await store.prefetch(keys)
    assert.deepEqual(
      store.getMany(keys),
      keys.map((key) => bytesAt(Number(key))),
    )
    await store.close()
  })

  test('of several that have a store open each keeps its own, and all read the same', async (t) => {
    const directory = temporaryDirectory(t)
    const stores = [{}, { memoryBudgetBytes: budgetBytes }, { memoryBudgetBytes: mebibyte }].map(
      (more): Bytes => open(directory, { ...options, ...more }),
    )
    await fill(stores[0])
    for (let round = 0; round < 4; round++) {
      await setTimeout(250)
      for (let index = round; index < recordCount; index += 7) {
        const store = stores[index % stores.length]
        if (index % 11 === round) store.put(`${index}`, bytesAt(index))
        else assert.deepEqual(store.get(`${index}`), bytesAt(index))
      }
    }
    for (const store of stores) await store.close()
    const again: Bytes = open(directory, options)
    assert.equal(again.count(), recordCount)
    assert.ok((await again.verify()).ok)
    await again.close()
  })

  test('a store that is not mapped, or in memory, or only read, takes it and answers as ever', async (t) => {
    const directory = temporaryDirectory(t)
    for (const more of [{}, { mapping: 'file' }, { readOnly: true }] as const) {
      const store: Bytes = open(directory, { ...options, ...more, memoryBudgetBytes: 0 })
      if (store.count() === 0) await fill(store)
      await setTimeout(250)
      for (let index = 0; index < recordCount; index += 101) {
        assert.deepEqual(store.get(`${index}`), bytesAt(index))
      }
      const { coldBytes, residentBytes } = store.stats()
      assert.ok(coldBytes >= 0 && residentBytes > 0)
      await store.close()
    }
    const store: Bytes = open(':memory:', { ...options, memoryBudgetBytes: 0 })
    await fill(store)
    assert.equal(store.stats().coldBytes, 0)
    assert.deepEqual(store.get('7'), bytesAt(7))
    await store.close()
  })

  test('is a whole number of bytes', () => {
    for (const memoryBudgetBytes of [-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      refused(() => open(':memory:', { memoryBudgetBytes }), RangeError, 'memoryBudgetBytes')
    }
    for (const memoryBudgetBytes of ['1', null, true, 1n]) {
      const wrong = { memoryBudgetBytes } as unknown as StoreOptions<unknown>
      refused(() => open(':memory:', wrong), TypeError, 'memoryBudgetBytes')
    }
  })
})
