/**
 * Goal: I3, the full key decides identity; a hash never does.
 * Method: keys with equal 32-bit hashes, found by search with the store's own seed, are stored side
 *   by side; keys are looked up by the hash of another.
 * Properties checked: each has its own value, through updates, deletes, batches and reopening.
 * Kept by: the comparison of keyspace, key size and key words in probe.ts.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Engine } from '../../src/engine/engine.js'
import { hashKey, probe } from '../../src/engine/probe.js'
import { open } from '../../src/store/index.js'
import { temporaryDirectory } from '../support/directory.js'
import { engineOf } from '../support/engine-of.js'

const options = { segmentSizeBytes: 2 ** 20, encoding: 'utf8' } as const

/** Pairs of keys with one hash: among 200,000 keys there are about four. */
function collidingPairs(
  engine: Engine,
  keyspaceIds: readonly [number, number],
): [string, string][] {
  const [a, b] = keyspaceIds
  const keyByHash = new Map<number, string>()
  const pairs: [string, string][] = []
  for (let index = 0; pairs.length < 3; index++) {
    const first = `first-${index}`
    engine.key.setText(first)
    keyByHash.set(hashKey(engine, a), first)
    const second = `other-${index}`
    engine.key.setText(second)
    const found = keyByHash.get(hashKey(engine, b))
    if (found !== undefined) pairs.push([found, second])
  }
  return pairs
}

describe('I3: keys of one hash', () => {
  test('are told apart by put, get, delete and batch, and after reopening', async (t) => {
    const directory = temporaryDirectory(t)
    let store = open<string>(directory, options)
    const pairs = collidingPairs(engineOf(store), [0, 0])
    for (const [a, b] of pairs) {
      assert.equal(store.put(a, 'a'), true)
      assert.equal(store.get(b), undefined)
      assert.equal(store.has(b), false)
      assert.equal(store.delete(b), false)
      assert.equal(store.put(b, 'b', { ifAbsent: true }), true)
      assert.equal(store.get(a), 'a')
      store.put(a, 'A')
      assert.equal(store.get(b), 'b')
      store.write([
        { type: 'put', key: b, value: 'B' },
        { type: 'delete', key: a },
      ])
      assert.equal(store.get(a), undefined)
      assert.equal(store.get(b), 'B')
      store.put(a, 'a again')
    }
    assert.equal(store.count(), pairs.length * 2)
    await store.close()
    store = open<string>(directory)
    for (const [a, b] of pairs) {
      assert.equal(store.get(a), 'a again')
      assert.equal(store.get(b), 'B')
    }
    await store.close()
  })

  test('are told apart in two keyspaces', async () => {
    const store = open<string>(':memory:', options)
    const other = store.keyspace<string>('other', { encoding: 'utf8' })
    other.put('x', 'x')
    const pairs = collidingPairs(engineOf(store), [0, 2])
    for (const [a, b] of pairs) {
      store.put(a, 'here')
      assert.equal(other.get(a), undefined)
      assert.equal(other.get(b), undefined)
      other.put(b, 'there')
      assert.equal(store.get(b), undefined)
      assert.equal(store.delete(a), true)
      assert.equal(other.get(b), 'there')
    }
    await store.close()
  })

  // Equal hashes of such keys are too rare to search for: the lookup is given the other's.
  test('are told apart by size where they differ in zero bytes, and by keyspace alone', async () => {
    const store = open<string>(':memory:', options)
    const engine = engineOf(store)
    store.put('ab', 'short')
    engine.key.setText('ab')
    const hash = hashKey(engine, 0)
    assert.equal(probe(engine, hash, 0), true)
    for (const key of ['ab\0', 'ab\0\0', 'a', 'ac', 'ab\0\0\0\0\0\0']) {
      engine.key.setText(key)
      assert.equal(probe(engine, hash, 0), false, JSON.stringify(key))
    }
    engine.key.setText('ab')
    for (const keyspaceId of [1, 2, 65_535]) assert.equal(probe(engine, hash, keyspaceId), false)
    await store.close()
  })
})
