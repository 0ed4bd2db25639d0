import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Engine } from '../../src/engine/engine.js'
import { hashKey } from '../../src/engine/probe.js'
import { bucketCountMin, entriesPerBucket, linkWordInBucket } from '../../src/format/bucket.js'
import * as layout from '../../src/format/control-layout.js'
import { type HashIndex, wordOf } from '../../src/index/hash-index.js'
import { open } from '../../src/store/index.js'
import { engineOf } from '../support/engine-of.js'

const options = { encoding: 'utf8', segmentSizeBytes: 2 ** 26 } as const

function entriesIn(words: Int32Array, bucket: number): readonly (readonly [number, number])[] {
  const entries: (readonly [number, number])[] = []
  for (let entry = 0; entry < entriesPerBucket; entry++) {
    const at = wordOf(bucket) + entry * 2
    if (words[at] !== 0 || words[at + 1] !== 0) entries.push([words[at], words[at + 1]])
  }
  return entries
}

/** The overflow buckets of a home bucket's chain, in order. */
function overflowChain(index: HashIndex, home: number): number[] {
  const chain: number[] = []
  let link = index.wordsOf(home)[wordOf(home) + linkWordInBucket]
  while (link !== 0) {
    chain.push(link)
    link = index.overflowWordsOf(link)[wordOf(link) + linkWordInBucket]
  }
  return chain
}

/** Every entry lies in the chain of its home bucket, once; every overflow bucket is in one place. */
function checkIndex(engine: Engine): { readonly entries: number; readonly longestChain: number } {
  const { control, index } = engine
  const bucketCount = control.get(layout.bucketCount)
  const overflowEnd = control.get(layout.overflowEnd)
  assert.equal(index.bucketCount, bucketCount)
  const places = new Map<number, string>()
  const locations = new Set<string>()
  let entries = 0
  let longestChain = 0
  const check = (words: Int32Array, bucket: number, home: number): void => {
    for (const [low, high] of entriesIn(words, bucket)) {
      entries++
      const location = `${low & 0xff}/${high}`
      assert.ok(!locations.has(location), 'a record has one entry')
      locations.add(location)
      // Of the hash an entry has the bits from 8 on; they lead to its home as far as they go.
      const half = 2 ** (31 - Math.clz32(bucketCount - 1))
      const mask = (home >= half || home < bucketCount - half ? 2 * half : half) - 1
      assert.equal(low & mask & ~0xff, home & mask & ~0xff, 'an entry lies in its home')
    }
  }
  for (let home = 0; home < bucketCount; home++) {
    check(index.wordsOf(home), home, home)
    const chain = overflowChain(index, home)
    longestChain = Math.max(longestChain, chain.length)
    for (const bucket of chain) {
      assert.ok(bucket > 0 && bucket < overflowEnd)
      assert.ok(!places.has(bucket), `overflow bucket ${bucket} is in one chain`)
      places.set(bucket, `home ${home}`)
      check(index.overflowWordsOf(bucket), bucket, home)
    }
  }
  let free = control.get(layout.overflowFree)
  while (free !== 0) {
    assert.ok(!places.has(free), `free overflow bucket ${free} is in no chain`)
    places.set(free, 'free')
    free = index.overflowWordsOf(free)[wordOf(free) + linkWordInBucket]
  }
  assert.equal(places.size, overflowEnd - 1, 'no overflow bucket is lost')
  assert.equal(entries, control.get(layout.records))
  return { entries, longestChain }
}

/** Keys whose hashes agree in so many of their lowest bits. */
function keysOfOneHome(engine: Engine, count: number, bits: number): string[] {
  const keys: string[] = []
  for (let index = 0; keys.length < count; index++) {
    engine.key.setText(`same-${index}`)
    if ((hashKey(engine, 0) & (2 ** bits - 1)) === 5) keys.push(`same-${index}`)
  }
  return keys
}

describe('the hash index', () => {
  test('keeps every entry in its home while it grows to 100,000 keys', async () => {
    const store = open<string>(':memory:', options)
    const engine = engineOf(store)
    const checkpoints = new Set([1, 7, 1279, 1280, 1281, 1285, 2559, 2561, 10_000, 99_999])
    for (let count = 0; count < 100_000; count++) {
      store.put(`key-${count}`, `${count}`)
      if (checkpoints.has(count)) checkIndex(engine)
    }
    checkIndex(engine)
    assert.ok(engine.index.bucketCount >= 100_000 / 5)
    assert.ok(store.stats().indexBytes <= 16 * 100_000 + 131_072, '16 bytes a key')
    for (let count = 0; count < 100_000; count++)
      assert.equal(store.get(`key-${count}`), `${count}`)
    assert.equal(store.get('key-100000'), undefined)
    await store.close()
  })

  test('keeps the entries of one bucket in a chain, and divides it when its turn comes', async () => {
    const store = open<string>(':memory:', options)
    const engine = engineOf(store)
    const stuck = keysOfOneHome(engine, 40, 13)
    const movable = keysOfOneHome(engine, 300, 8)
    const all = [...new Set([...stuck, ...movable])]
    for (const key of all) store.put(key, key)
    assert.ok(checkIndex(engine).longestChain >= 40, 'some 300 keys, 7 in a bucket')
    for (let index = 0; index < 20_000; index++) store.put(`more-${index}`, '')
    const { longestChain } = checkIndex(engine)
    assert.ok(longestChain >= 5 && longestChain < 12, `the 40 stay together: ${longestChain}`)
    for (const key of all) assert.equal(store.get(key), key)
    for (const key of all) assert.equal(store.delete(key), true)
    for (const key of all) assert.equal(store.has(key), false)
    checkIndex(engine)
    await store.close()
  })

  test('uses freed places and overflow buckets again', async () => {
    const store = open<string>(':memory:', options)
    const engine = engineOf(store)
    const keys = keysOfOneHome(engine, 100, 8)
    for (const key of keys) store.put(key, key)
    const overflowEnd = engine.control.get(layout.overflowEnd)
    for (let round = 0; round < 20; round++) {
      for (const key of keys) store.delete(key)
      for (const key of keys) store.put(key, key)
    }
    assert.equal(engine.control.get(layout.overflowEnd), overflowEnd, 'the chain did not grow')
    for (let index = 0; index < 5000; index++) store.put(`grow-${index}`, '')
    assert.ok(engine.index.bucketCount > bucketCountMin)
    checkIndex(engine)
    const free = engine.control.get(layout.overflowFree)
    assert.notEqual(free, 0, 'dividing the chain set overflow buckets free')
    await store.close()
  })

  test('is left whole by keyspaces that come and go', async () => {
    const store = open<string>(':memory:', options)
    for (let round = 0; round < 5; round++) {
      const keyspace = store.keyspace<string>(`space-${round}`, { encoding: 'utf8' })
      for (let index = 0; index < 3000; index++) keyspace.put(`key-${index}`, '')
      if (round > 0) store.dropKeyspace(`space-${round - 1}`)
      checkIndex(engineOf(store))
    }
    assert.equal(store.stats().records, 3000)
    await store.close()
  })
})
