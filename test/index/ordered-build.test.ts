import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { KeyList } from '../../src/index/key-list.js'
import { applyOrderedChange } from '../../src/index/ordered-apply.js'
import { planBuild } from '../../src/index/ordered-build.js'
import type { OrderedIndex } from '../../src/index/ordered-index.js'
import {
  checkTree,
  compare,
  createTree,
  insert,
  type Key,
  redoSizeWords,
  remove,
  wordsOfBytes,
} from '../support/ordered-tree.js'
import { Random } from '../support/random.js'

function build(keys: readonly Key[]): OrderedIndex {
  const tree = createTree()
  const list = new KeyList()
  for (const { keyspaceId, bytes } of keys) {
    list.add(keyspaceId, wordsOfBytes(bytes), 0, bytes.byteLength)
  }
  list.sort()
  const redo = new Int32Array(redoSizeWords)
  planBuild(tree, list, redo)
  applyOrderedChange(tree, redo)
  return tree
}

function sorted(keys: readonly Key[]): Key[] {
  return keys
    .toSorted(compare)
    .filter((key, at, all) => at === 0 || compare(all[at - 1], key) !== 0)
}

function keysOf(count: number, makeBytes: (random: Random, index: number) => Buffer): Key[] {
  const random = new Random(count)
  return Array.from({ length: count }, (_, index) => ({
    keyspaceId: random.chance(0.9) ? 0 : random.below(65_536),
    bytes: makeBytes(random, index),
  }))
}

const sets: Record<string, Key[]> = {
  'no keys': [],
  'one key': keysOf(1, () => Buffer.alloc(0)),
  '50,000 keys in order': keysOf(50_000, (_, index) =>
    Buffer.from(`user${String(index).padStart(12, '0')}`),
  ),
  '50,000 random keys': keysOf(50_000, (random) => random.bytes(16)),
  '20,000 keys of 0 to 9 bytes from two': keysOf(20_000, (random) =>
    Buffer.from(Array.from({ length: random.below(10) }, () => random.pick([0, 0xff]))),
  ),
  '5,000 keys, many of them there twice': keysOf(5000, (random) =>
    Buffer.from(`${random.below(1000)}`),
  ),
  '3,000 keys of up to 600 bytes that share much': keysOf(3000, (random) => {
    const bytes = Buffer.alloc(random.below(600), 0x61)
    if (bytes.length > 0) bytes[random.below(bytes.length)] = random.below(256)
    return bytes
  }),
  '100 keys of up to 65,535 bytes that share nearly all': keysOf(100, (random) => {
    const bytes = Buffer.alloc(65_535 - random.below(3), 0xff)
    bytes[65_500 + random.below(30)] = random.below(256)
    return bytes
  }),
}

describe('an ordered index built at once', () => {
  for (const [name, keys] of Object.entries(sets)) {
    test(`from ${name} has each of them once, and takes changes`, () => {
      const tree = build(keys)
      const expected = sorted(keys)
      assert.deepEqual(checkTree(tree).keys, expected)
      for (const key of expected) assert.equal(insert(tree, key), false)
      const random = new Random(1)
      const removed = new Set(expected.filter(() => random.chance(0.5)))
      for (const key of removed) assert.equal(remove(tree, key), true)
      const left = expected.filter((key) => !removed.has(key))
      assert.deepEqual(checkTree(tree).keys, left)
      for (const key of removed) assert.equal(insert(tree, key), true)
      assert.deepEqual(checkTree(tree).keys, expected)
    })
  }

  test('has pages with a little room, and fills the next ones in order', () => {
    const keyOf = (index: number): Key => ({
      keyspaceId: 7,
      bytes: Buffer.from(`user${String(index).padStart(12, '0')}`),
    })
    const tree = build(Array.from({ length: 100_000 }, (_, index) => keyOf(index)))
    assert.ok(tree.pageEnd <= 100_000 / 190, `${tree.pageEnd} pages`)
    for (let index = 100_000; index < 200_000; index++) insert(tree, keyOf(index))
    const { pages, freePages } = checkTree(tree)
    assert.ok(pages - freePages <= 200_000 / 200, `${pages - freePages} pages`)
  })
})
