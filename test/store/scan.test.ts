/**
 * Goal: scan gives every live record once in log order, lastEntry the one written last, and clear
 *   removes what a range has, whatever is written meanwhile.
 * Method: stores with updates, deletes, batches, large values and several segments; iterations held
 *   across writes; random writes against a list.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { open, type ScanOptions, type Store, type StoreEntry } from '../../src/store/index.js'
import { temporaryDirectory } from '../support/directory.js'
import { engineOf } from '../support/engine-of.js'
import { Random } from '../support/random.js'
import { seed } from '../support/seed.js'
import { refused, storeErrorOf } from '../support/store-error.js'

const segmentSizeBytes = 2 ** 20
const options = { encoding: 'utf8', segmentSizeBytes, syncIntervalMs: 0 } as const

const keysOf = (entries: Iterable<StoreEntry<string, string>>): string[] =>
  Array.from(entries, ({ key }) => key)

describe('a scan', () => {
  test('gives entries in log order, as getEntry has them, forwards and backwards', async () => {
    await using store = open<string>(':memory:', options)
    for (const key of ['d', 'a', 'c', 'b']) store.put(key, `first ${key}`)
    store.put('a', 'again')
    store.delete('d')
    store.put('c', 'a value that does not fit the place of the one before')
    store.keyspace<string>('other').put('x', 'x')
    store.write([
      { type: 'put', key: 'e', value: 'e' },
      { type: 'put', key: 'd', value: 'new' },
    ])
    const expected = ['a', 'b', 'c', 'e', 'd']
    assert.deepEqual(keysOf(store.scan()), expected)
    assert.deepEqual(keysOf(store.scan({ reverse: true })), [...expected].reverse())
    for (const entry of store.scan()) assert.deepEqual(entry, store.getEntry(entry.key))
    const other = store.keyspace<string>('other')
    assert.deepEqual(other.scan().toArray(), [other.getEntry('x')])
    assert.deepEqual(store.keyspace('empty').scan().toArray(), [])
    assert.equal(store.stats().snapshots, 0)
  })

  for (const mapping of ['mmap', 'file'] as const) {
    test(`shows none of the writes behind its beginning (${mapping})`, async (t) => {
      await using store = open<string>(temporaryDirectory(t), { ...options, mapping })
      const key = (index: number): string => `key ${index}`
      for (let index = 0; index < 5000; index++) store.put(key(index), 'x'.repeat(300))
      for (let index = 0; index < 5000; index += 3) store.put(key(index), 'y'.repeat(400))
      store.put('large', 'z'.repeat(segmentSizeBytes))
      const batch = Array.from({ length: 4000 }, (_, index) => `batch ${index}`)
      store.write(batch.map((one) => ({ type: 'put', key: one, value: 'v'.repeat(300) })))
      const before = store.scan().toArray()
      assert.equal(before.length, 9001)
      const forward = store.scan()[Symbol.iterator]()
      const backward = store.scan({ reverse: true })[Symbol.iterator]()
      const begun = [forward.next().value, forward.next().value] as typeof before
      for (let index = 0; index < 5000; index += 2) store.put(key(index), 'w'.repeat(400))
      for (let index = 0; index < 5000; index += 5) store.delete(key(index))
      for (let index = 0; index < 500; index++) store.put(`new ${index}`, '')
      store.delete('large')
      assert.deepEqual([...begun, ...forward], before)
      assert.deepEqual([...backward].reverse(), before)
      assert.equal(store.scan().toArray().length, store.count())
      assert.equal(store.stats().snapshots, 0)
    })
  }

  test('gives its snapshot back when it is left, or fails', async () => {
    let isBroken = false
    const encoding = {
      encode: (value: Buffer) => value,
      decode: (bytes: Buffer) => {
        if (isBroken) throw new Error('not now')
        return bytes
      },
    }
    await using store = open<Buffer>(':memory:', { encoding })
    for (const key of ['a', 'b', 'c']) store.put(key, Buffer.from(key))
    for (const _ of store.scan()) break
    assert.equal(store.scan().take(2).toArray().length, 2)
    isBroken = true
    storeErrorOf(() => store.scan().toArray(), 'STORE_CORRUPT')
    assert.equal(store.stats().snapshots, 0)
  })

  test('is refused with options that are none, and where the store is closed', async () => {
    const store = open(':memory:')
    store.put('a', 1)
    store.put('b', 1)
    const scan = (given: object) => () => store.scan(given as ScanOptions).toArray()
    refused(scan({ limit: 1 }), TypeError, 'limit', 'reverse')
    refused(scan({ reverse: 1 }), TypeError, 'reverse', '1')
    const iterator = store.scan()[Symbol.iterator]()
    iterator.next()
    await store.close()
    storeErrorOf(scan({}), 'STORE_CLOSED')
    storeErrorOf(() => [...iterator], 'STORE_CLOSED')
  })
})

describe('lastEntry', () => {
  test('is the record written last, also in place, in a batch, and where the last write was a delete', async () => {
    await using store = open<string>(':memory:', options)
    assert.equal(store.lastEntry(), undefined)
    store.put('a', '1')
    assert.deepEqual(store.lastEntry(), store.getEntry('a'))
    store.put('b', '2')
    store.put('a', '3')
    assert.equal(store.lastEntry()?.key, 'a')
    store.write([
      { type: 'put', key: 'c', value: '4' },
      { type: 'put', key: 'd', value: '5' },
    ])
    assert.equal(store.lastEntry()?.key, 'd')
    await store.sync()
    assert.equal(store.lastEntry()?.key, 'd')
    store.put('b', '6')
    assert.equal(store.lastEntry()?.value, '6')
    store.delete('b')
    assert.deepEqual(store.lastEntry(), store.getEntry('d'))
    for (const key of ['d', 'c']) store.delete(key)
    assert.equal(store.lastEntry()?.key, 'a')
    store.delete('a')
    assert.equal(store.lastEntry(), undefined)
  })

  test('is each keyspace’s own', async () => {
    await using store = open<string>(':memory:', options)
    const other = store.keyspace<string>('other', { encoding: 'utf8' })
    store.put('a', '1')
    other.put('b', '2')
    assert.equal(store.lastEntry()?.key, 'a')
    assert.equal(other.lastEntry()?.key, 'b')
    assert.equal(store.keyspace('empty').lastEntry(), undefined)
  })

  test('after random writes, syncs and snapshots is the newest of all', async (t) => {
    const random = new Random(seed)
    await using store = open<string>(temporaryDirectory(t), options)
    // The last key is the one written last.
    const written = new Set<string>()
    for (let round = 0; round < 3000; round++) {
      const key = `key ${random.below(40)}`
      written.delete(key)
      if (random.chance(0.4)) {
        store.delete(key)
      } else {
        store.put(key, 'v'.repeat(random.below(2000)))
        written.add(key)
      }
      if (random.chance(0.02)) await store.sync()
      if (random.chance(0.02)) store.snapshot().close()
      assert.equal(store.lastEntry()?.key, [...written].at(-1), `VARVE_SEED=${seed}`)
    }
  })
})

describe('clear', () => {
  const filled = (): Store<string> => {
    const store = open<string>(':memory:', options)
    for (let index = 0; index < 2000; index++) store.put(String(index).padStart(4, '0'), 'v')
    return store
  }

  test('removes the keys of a range, in this keyspace only', async () => {
    await using store = filled()
    const other = store.keyspace<string>('other', { encoding: 'utf8' })
    for (let index = 0; index < 700; index++) other.put(String(index).padStart(4, '0'), 'v')
    using before = store.snapshot()
    store.clear({ gte: '0500', lt: '1500' })
    assert.equal(store.count(), 1000)
    assert.equal(store.count({ gte: '0400', lt: '0600' }), 100)
    store.clear({ reverse: true, limit: 10 })
    assert.equal(store.keys({ reverse: true, limit: 1 }).toArray()[0], '1989')
    store.clear({ prefix: '19' })
    assert.equal(store.count({ gte: '1900' }), 0)
    assert.equal(other.count(), 700)
    other.clear()
    assert.deepEqual([other.count(), other.count({})], [0, 0])
    assert.deepEqual(store.keyspaces(), ['other'])
    other.put('a', 'a')
    store.clear()
    assert.deepEqual([store.count(), store.count({}), other.count()], [0, 0, 1])
    assert.equal(before.count(), 2000)
  })

  test('of nothing does nothing', async () => {
    await using store = open<string>(':memory:', options)
    store.clear()
    store.put('a', 'a')
    const { sequence } = store.stats()
    store.clear({ gt: 'a' })
    assert.equal(store.stats().sequence, sequence)
    assert.equal(store.stats().snapshots, 0)
  })

  test('removes keys of any length', async (t) => {
    await using store = open<string>(temporaryDirectory(t), options)
    for (let index = 0; index < 300; index++) store.put(`${'k'.repeat(65_000)}${index}`, '')
    store.clear()
    assert.equal(store.count(), 0)
    assert.equal(store.count({}), 0)
  })

  test('is refused where nothing may be written, and with wrong ranges', async (t) => {
    const path = temporaryDirectory(t)
    const store = open<string>(path, options)
    store.put('a', 'a')
    refused(() => store.clear({ start: 'a' } as never), TypeError, 'start')
    const reader = open<string>(path, { ...options, readOnly: true })
    storeErrorOf(() => reader.clear(), 'STORE_READ_ONLY')
    await reader.close()
    store.dropKeyspace('none')
    const gone = store.keyspace<string>('gone')
    gone.put('a', 'a')
    store.dropKeyspace('gone')
    storeErrorOf(() => gone.clear(), 'STORE_NOT_FOUND')
    engineOf(store).control.poison('test')
    storeErrorOf(() => store.clear(), 'STORE_POISONED')
    await store.close().catch(() => undefined)
    storeErrorOf(() => store.clear(), 'STORE_CLOSED')
  })
})
