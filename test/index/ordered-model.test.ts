import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  contains,
  OrderedCursor,
  seek,
  seekBusy,
  seekEdge,
  seekEnd,
  seekFound,
  seekNext,
} from '../../src/index/ordered-cursor.js'
import type { OrderedIndex } from '../../src/index/ordered-index.js'
import {
  checkTree,
  compare,
  createTree,
  insert,
  type Key,
  keysIn,
  remove,
  scan,
  wordsOfBytes,
} from '../support/ordered-tree.js'
import { Random } from '../support/random.js'
import { isThorough } from '../support/thorough.js'

type MakeKey = (random: Random) => Key

const inDefault = (bytes: Buffer): Key => ({ keyspaceId: 0, bytes })

/** A few bytes from a small alphabet, with those at the ends of the order among them. */
function fewBytes(random: Random, sizeBytes: number): Buffer {
  return Buffer.from(
    Array.from({ length: sizeBytes }, () => random.pick([0, 0, 1, 0x7f, 0x80, 0xff])),
  )
}

/** Long keys that differ late, early, or only in their size. */
function longBytes(random: Random): Buffer {
  const size = random.pick([
    380, 381, 383, 384, 385, 388, 500, 2412, 2416, 2417, 5000, 65_534, 65_535,
  ])
  const bytes = Buffer.alloc(size, random.pick([0, 0xff, 0x61]))
  if (random.chance(0.7)) bytes[size - 1 - random.below(Math.min(size, 6))] = random.below(256)
  if (random.chance(0.3)) bytes[random.below(size)] = random.below(256)
  return bytes
}

const shapes: Record<string, MakeKey> = {
  'of 0 to 6 bytes from few': (random) => inDefault(fewBytes(random, random.below(7))),
  'of 8 bytes, in big-endian order': (random) => {
    const bytes = Buffer.alloc(8)
    bytes.writeUInt32BE(random.below(5000), 4)
    return inDefault(bytes)
  },
  'of 16 random bytes': (random) => inDefault(new Random(random.below(4000)).bytes(16)),
  'like paths': (random) =>
    inDefault(
      Buffer.from(
        `/srv/${random.pick(['www', 'data', 'users'])}/site-${random.below(12)}/` +
          `${'deep/'.repeat(random.below(4))}file-${random.below(40)}.html`,
      ),
    ),
  'of up to 300 bytes that share much': (random) => {
    const bytes = Buffer.alloc(random.below(300), random.pick([0x61, 0xff]))
    if (bytes.length > 0) bytes[random.below(bytes.length)] = random.below(256)
    return inDefault(bytes)
  },
  'of all lengths to 65,535': (random) => inDefault(longBytes(random)),
  'in several keyspaces': (random) => ({
    keyspaceId: random.pick([0, 1, 2, 255, 256, 511, 512, 65_534, 65_535]),
    bytes: random.chance(0.02) ? longBytes(random) : fewBytes(random, random.below(5)),
  }),
}

/** A sorted array with the operations of the index. */
class Model {
  readonly keys: Key[] = []

  place(key: Key): { readonly at: number; readonly isThere: boolean } {
    let low = 0
    let high = this.keys.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (compare(this.keys[middle], key) < 0) low = middle + 1
      else high = middle
    }
    return { at: low, isThere: low < this.keys.length && compare(this.keys[low], key) === 0 }
  }

  insert(key: Key): boolean {
    const { at, isThere } = this.place(key)
    if (!isThere) this.keys.splice(at, 0, key)
    return !isThere
  }

  remove(key: Key): boolean {
    const { at, isThere } = this.place(key)
    if (isThere) this.keys.splice(at, 1)
    return isThere
  }

  from(key: Key, isInclusive: boolean, isReverse: boolean): Buffer[] {
    const { at, isThere } = this.place(key)
    const inKeyspace = (other: Key): boolean => other.keyspaceId === key.keyspaceId
    const kept = isReverse
      ? this.keys.slice(0, at + (isThere && isInclusive ? 1 : 0)).reverse()
      : this.keys.slice(at + (isThere && !isInclusive ? 1 : 0))
    return kept.filter(inKeyspace).map(({ bytes }) => bytes)
  }
}

function found(tree: OrderedIndex, key: Key, isInclusive: boolean, isReverse: boolean): Buffer[] {
  const cursor = new OrderedCursor()
  const keys: Buffer[] = []
  const words = wordsOfBytes(key.bytes)
  const { byteLength } = key.bytes
  let state = seek(tree, cursor, key.keyspaceId, words, 0, byteLength, isInclusive, isReverse)
  while (state === seekFound) {
    assert.ok(cursor.count > 0)
    keys.push(...keysIn(cursor))
    state = seekNext(tree, cursor)
  }
  assert.equal(state, seekEnd)
  return keys
}

function has(tree: OrderedIndex, key: Key): boolean {
  const words = wordsOfBytes(key.bytes)
  const state = contains(tree, new OrderedCursor(), key.keyspaceId, words, 0, key.bytes.byteLength)
  assert.notEqual(state, seekBusy)
  return state === seekFound
}

/** Inserts and removes at random, more of one and then more of the other, and asks everything. */
function runModel(makeKey: MakeKey, seed: number, stepCount: number): void {
  const random = new Random(seed)
  const tree = createTree()
  const model = new Model()
  for (let step = 0; step < stepCount; step++) {
    const isGrowing = Math.floor((step * 4) / stepCount) % 2 === 0
    const key = makeKey(random)
    const isInsert = random.chance(isGrowing ? 0.8 : 0.2)
    if (isInsert) {
      assert.equal(insert(tree, key), model.insert(key))
    } else {
      const other = random.chance(0.6) && model.keys.length > 0 ? random.pick(model.keys) : key
      assert.equal(remove(tree, other), model.remove(other))
    }
    if (step % Math.ceil(stepCount / 25) === 0) assert.deepEqual(checkTree(tree).keys, model.keys)
    if (step % Math.ceil(stepCount / 60) !== 0) continue
    const probe =
      random.chance(0.5) && model.keys.length > 0 ? random.pick(model.keys) : makeKey(random)
    assert.equal(has(tree, probe), model.place(probe).isThere)
    for (const isInclusive of [false, true]) {
      for (const isReverse of [false, true]) {
        assert.deepEqual(
          found(tree, probe, isInclusive, isReverse),
          model.from(probe, isInclusive, isReverse),
        )
      }
    }
  }
  while (model.keys.length > 0) {
    const key = random.pick(model.keys)
    assert.equal(remove(tree, key), model.remove(key))
  }
  const { pages, freePages } = checkTree(tree)
  assert.equal(pages - freePages, 2, 'an empty tree is a header and a root')
}

describe('the ordered index', () => {
  for (const [name, makeKey] of Object.entries(shapes)) {
    const isLong = name.includes('65,535')
    const stepCount = (isLong ? 800 : 6000) * (isThorough ? 10 : 1)
    for (const seed of [1, 2, 3]) {
      test(`holds keys ${name} as a sorted array does (seed ${seed})`, () => {
        runModel(makeKey, seed, stepCount)
      })
    }
  }

  test('keeps keyspaces apart, the first and the last too', () => {
    const tree = createTree()
    const ids = [0, 1, 255, 256, 65_534, 65_535]
    for (const keyspaceId of ids) {
      for (let index = 0; index < 300; index++) {
        insert(tree, { keyspaceId, bytes: Buffer.from(`${keyspaceId}-${index}`) })
      }
      insert(tree, { keyspaceId, bytes: Buffer.alloc(0) })
      insert(tree, { keyspaceId, bytes: Buffer.alloc(9, 0xff) })
    }
    checkTree(tree)
    for (const keyspaceId of ids) {
      const forward = scan(tree, keyspaceId, false)
      assert.equal(forward.length, 302)
      assert.equal(forward[0].length, 0)
      assert.deepEqual(forward[301], Buffer.alloc(9, 0xff))
      assert.deepEqual(scan(tree, keyspaceId, true), forward.toReversed())
    }
    const cursor = new OrderedCursor()
    for (const keyspaceId of [2, 254, 257, 65_533]) {
      assert.equal(seekEdge(tree, cursor, keyspaceId, false), seekEnd)
      assert.equal(seekEdge(tree, cursor, keyspaceId, true), seekEnd)
    }
  })
})
