import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { pageSizeBytes } from '../../src/format/ordered-page.js'
import { KeyList } from '../../src/index/key-list.js'
import { OrderedCursor, seek, seekFound, seekNext } from '../../src/index/ordered-cursor.js'
import { OrderedKey } from '../../src/index/ordered-key.js'
import { countRange, setBehind, trimCursor } from '../../src/index/ordered-range.js'
import {
  checkTree,
  compare,
  createTree,
  insert,
  type Key,
  keysIn,
  remove,
  wordsOfBytes,
} from '../support/ordered-tree.js'
import { Random } from '../support/random.js'

function fewBytes(random: Random): Buffer {
  const size = random.chance(0.01) ? 380 + random.below(3000) : random.below(6)
  return Buffer.from(Array.from({ length: size }, () => random.pick([0, 1, 0xfe, 0xff])))
}

function randomKey(random: Random): Key {
  return { keyspaceId: random.pick([3, 4, 5]), bytes: fewBytes(random) }
}

function orderedKey({ keyspaceId, bytes }: Key): OrderedKey {
  const key = new OrderedKey()
  key.set(keyspaceId, wordsOfBytes(bytes), 0, bytes.byteLength)
  return key
}

function createFilled(random: Random): { tree: ReturnType<typeof createTree>; keys: Key[] } {
  const tree = createTree()
  for (let count = 0; count < 4000; count++) insert(tree, randomKey(random))
  return { tree, keys: checkTree(tree).keys }
}

describe('ranges of the ordered index', () => {
  test('count the keys between any two', () => {
    const random = new Random(1)
    const { tree, keys } = createFilled(random)
    const cursor = new OrderedCursor()
    for (let round = 0; round < 500; round++) {
      const low = random.chance(0.5) ? random.pick(keys) : randomKey(random)
      const high = random.chance(0.5) ? random.pick(keys) : randomKey(random)
      const expected = keys.filter((key) => compare(low, key) <= 0 && compare(key, high) < 0)
      assert.equal(countRange(tree, cursor, orderedKey(low), orderedKey(high)), expected.length)
    }
  })

  test('of a prefix end behind its last key, also where that is all ones', () => {
    const random = new Random(2)
    const { tree, keys } = createFilled(random)
    const cursor = new OrderedCursor()
    for (let round = 0; round < 500; round++) {
      const prefix = randomKey(random)
      const low = orderedKey(prefix)
      const high = new OrderedKey()
      setBehind(high, low)
      const expected = keys.filter(
        ({ keyspaceId, bytes }) =>
          keyspaceId === prefix.keyspaceId &&
          bytes.subarray(0, prefix.bytes.byteLength).equals(prefix.bytes),
      )
      assert.equal(countRange(tree, cursor, low, high), expected.length)
    }
  })

  test('leave in a cursor the keys before their end, in both directions', () => {
    const random = new Random(3)
    const { tree, keys } = createFilled(random)
    const cursor = new OrderedCursor()
    for (let round = 0; round < 300; round++) {
      const isReverse = random.chance(0.5)
      const from = random.pick(keys)
      const to = random.chance(0.5) ? random.pick(keys) : randomKey(random)
      const { keyspaceId, bytes } = from
      const size = bytes.byteLength
      let found = seek(tree, cursor, keyspaceId, wordsOfBytes(bytes), 0, size, true, isReverse)
      const seen: Buffer[] = []
      while (found === seekFound) {
        trimCursor(cursor, orderedKey(to))
        seen.push(...keysIn(cursor))
        found = seekNext(tree, cursor)
      }
      const expected = keys.filter(
        (key) =>
          key.keyspaceId === keyspaceId &&
          (isReverse
            ? compare(key, from) <= 0 && compare(key, to) >= 0
            : compare(key, from) >= 0 && compare(key, to) < 0),
      )
      const bytesOf = expected.map((key) => key.bytes)
      assert.deepEqual(seen, isReverse ? bytesOf.reverse() : bytesOf)
    }
  })
})

describe('the memory of the ordered index', () => {
  test('is at most 24 bytes for a key of 16 random ones beyond these, and goes back with them', () => {
    const random = new Random(4)
    const tree = createTree()
    const keys = Array.from({ length: 100_000 }, () => ({
      keyspaceId: 0,
      bytes: random.bytes(16),
    }))
    for (const key of keys) insert(tree, key)
    const beyond = (tree.pageEnd * pageSizeBytes) / keys.length - 16
    assert.ok(beyond <= 24, `${beyond} bytes`)
    const full = tree.pageEnd
    for (const key of keys) if (!random.chance(0.1)) remove(tree, key)
    const { pages, freePages } = checkTree(tree)
    assert.equal(pages, full, 'pages were used again')
    assert.ok(pages - freePages < pages / 3, `${pages - freePages} of ${pages} pages are in use`)
  })
})

describe('a list of keys', () => {
  test('is sorted as memcmp does, the shorter first, with keyspaces in order of their numbers', () => {
    const random = new Random(5)
    for (const count of [0, 1, 2, 13, 500, 5000]) {
      const list = new KeyList()
      const keys = Array.from({ length: count }, () => ({
        keyspaceId: random.pick([0, 1, 255, 256, 65_535]),
        bytes: random.chance(0.5) ? fewBytes(random) : random.bytes(random.below(20)),
      }))
      for (const { keyspaceId, bytes } of keys) {
        list.add(keyspaceId, wordsOfBytes(bytes), 0, bytes.byteLength)
      }
      list.sort()
      assert.deepEqual(
        Array.from(list.order, (index) => keys[index]),
        keys.toSorted(compare),
      )
    }
  })
})
