import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { pageWords, versionWord } from '../../src/format/ordered-page.js'
import { KeyList } from '../../src/index/key-list.js'
import { applyOrderedChange } from '../../src/index/ordered-apply.js'
import { planBuild } from '../../src/index/ordered-build.js'
import {
  contains,
  OrderedCursor,
  seekBusy,
  seekEdge,
  seekFound,
  seekNext,
} from '../../src/index/ordered-cursor.js'
import type { OrderedIndex } from '../../src/index/ordered-index.js'
import { planInsert } from '../../src/index/ordered-insert.js'
import { planRemove } from '../../src/index/ordered-remove.js'
import {
  checkTree,
  compare,
  createTree,
  insert,
  type Key,
  keysIn,
  redoSizeWords,
  remove,
  wordsOfBytes,
} from '../support/ordered-tree.js'
import { Random } from '../support/random.js'
import { isThorough } from '../support/thorough.js'

class Killed extends Error {}

/** Runs `action`; the store of the index's memory that comes after `storeCount` others throws. */
function runUntilStore(tree: OrderedIndex, storeCount: number, action: () => void): boolean {
  const [words] = tree.words
  const { store } = Atomics
  let stores = 0
  const count = (): void => {
    if (stores++ === storeCount) throw new Killed()
  }
  tree.words[0] = new Proxy(words, {
    get(target, property): unknown {
      const value: unknown = Reflect.get(target, property, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
    set(target, property, value): boolean {
      count()
      return Reflect.set(target, property, value, target)
    },
  })
  // Where order needs them, versions are stored by `Atomics`, which refuses proxies.
  Object.assign(Atomics, {
    store: (numbers: Int32Array, index: number, value: number) => {
      const isTree = numbers === tree.words[0]
      if (isTree) count()
      return store(isTree ? words : numbers, index, value)
    },
  })
  try {
    action()
    return true
  } catch (error) {
    if (!(error instanceof Killed)) throw error
    return false
  } finally {
    tree.words[0] = words
    Object.assign(Atomics, { store })
  }
}

/** More than the pages of any tree here. */
const pageCountMax = 200

/** The memory of a tree; without versions, that of two can be compared. */
function memoryOf(tree: OrderedIndex, hasVersions: boolean): Int32Array {
  assert.ok(tree.pageEnd <= pageCountMax)
  const words = tree.words[0].slice(0, pageCountMax * pageWords)
  if (!hasVersions) {
    for (let version = versionWord; version < words.length; version += pageWords) words[version] = 0
  }
  return words
}

function isSameMemory(a: Int32Array, b: Int32Array): boolean {
  return Buffer.compare(Buffer.from(a.buffer), Buffer.from(b.buffer)) === 0
}

/** `assert.deepEqual` of that many keys takes longer than all the rest. */
function areSameKeys(a: readonly Key[], b: readonly Key[]): boolean {
  return a.length === b.length && a.every((key, at) => compare(key, b[at]) === 0)
}

type Plan = (tree: OrderedIndex, redo: Int32Array) => number

const planOf: Record<'insert' | 'remove', (key: Key) => Plan> = {
  insert:
    ({ keyspaceId, bytes }) =>
    (tree, redo) =>
      planInsert(tree, keyspaceId, wordsOfBytes(bytes), 0, bytes.byteLength, redo),
  remove:
    ({ keyspaceId, bytes }) =>
    (tree, redo) =>
      planRemove(tree, keyspaceId, wordsOfBytes(bytes), 0, bytes.byteLength, redo),
}

/** All keys of keyspace 0, or undefined where a page was odd: no other answer is right. */
function scanOrBusy(tree: OrderedIndex): Buffer[] | undefined {
  const cursor = new OrderedCursor()
  cursor.retriesMax = 3
  const keys: Buffer[] = []
  let found = seekEdge(tree, cursor, 0, false)
  for (; found === seekFound; found = seekNext(tree, cursor)) keys.push(...keysIn(cursor))
  return found === seekBusy ? undefined : keys
}

/** Where a change may be killed: everywhere, or for a long one in so many places. */
function stopsIn(random: Random, storeCount: number): number[] {
  const all = Array.from({ length: storeCount }, (_, index) => index)
  const most = isThorough ? 400 : 25
  return all.filter(() => storeCount <= most || random.chance(most / storeCount))
}

/**
 * Plans a change and kills whoever plans it, then whoever applies it, after any of its stores; each
 * time what a reader sees, and what the next to come makes of it, is right.
 */
function checkChange(tree: OrderedIndex, plan: Plan, random: Random, isProbed: boolean): void {
  const before = checkTree(tree).keys
  const start = memoryOf(tree, true)
  const redo = new Int32Array(redoSizeWords)
  let storeCount = 0
  while (!runUntilStore(tree, storeCount, () => plan(tree, redo))) {
    storeCount += 1 + random.below(isProbed ? 40 : 4000)
    assert.ok(
      areSameKeys(checkTree(tree).keys, before),
      'a plan that was not finished changes nothing',
    )
    tree.words[0].set(start)
  }
  const planned = memoryOf(tree, true)
  assert.ok(areSameKeys(checkTree(tree).keys, before), 'a plan changes nothing')
  applyOrderedChange(tree, redo)
  const after = checkTree(tree).keys
  const done = memoryOf(tree, false)
  applyOrderedChange(tree, redo)
  assert.ok(isSameMemory(memoryOf(tree, false), done), 'a change made twice is the same')
  const versions = memoryOf(tree, true)
  if (!isProbed) return

  let applied = 0
  tree.words[0].set(planned)
  runUntilStore(tree, Number.POSITIVE_INFINITY, () => {
    tree.words[0] = new Proxy(tree.words[0], {
      set(target, property, value): boolean {
        applied++
        return Reflect.set(target, property, value)
      },
    })
    applyOrderedChange(tree, redo)
  })
  const bytesOf = (keys: Key[]): Buffer[] =>
    keys.filter(({ keyspaceId }) => keyspaceId === 0).map(({ bytes }) => bytes)
  for (const stop of stopsIn(random, applied)) {
    tree.words[0].set(planned)
    assert.equal(
      runUntilStore(tree, stop, () => applyOrderedChange(tree, redo)),
      false,
    )
    const seen = scanOrBusy(tree)
    if (seen !== undefined) {
      const isEither = [before, after].some((keys) => {
        const bytes = bytesOf(keys)
        return bytes.length === seen.length && bytes.every((key, at) => key.equals(seen[at]))
      })
      assert.ok(isEither, 'a reader sees the keys from before or after, or that it must wait')
    }
    const half = memoryOf(tree, true)
    applyOrderedChange(tree, redo)
    assert.ok(isSameMemory(memoryOf(tree, false), done), 'whoever comes next finishes the change')
    for (let version = versionWord; version < half.length; version += pageWords) {
      assert.ok(tree.words[0][version] >= half[version], 'a version never goes back')
    }
  }
  tree.words[0].set(versions)
}

function checkChanges(
  seed: number,
  changeCount: number,
  makeBytes: (random: Random) => Buffer,
): void {
  const random = new Random(seed)
  const tree = createTree()
  const keys: Key[] = []
  const heights = new Set<number>()
  for (let change = 0; change < changeCount; change++) {
    const isGrowing = change < changeCount / 2
    const isInsert = keys.length === 0 || random.chance(isGrowing ? 0.9 : 0.1)
    const key = isInsert ? { keyspaceId: 0, bytes: makeBytes(random) } : random.pick(keys)
    const at = keys.findIndex((other) => compare(other, key) === 0)
    if (isInsert === at >= 0) continue
    // Most changes are one entry in a leaf; those that concern more pages are all looked at.
    const redo = new Int32Array(redoSizeWords)
    const plan = planOf[isInsert ? 'insert' : 'remove'](key)
    const isLarge = redoTurns(plan(tree, redo), redo) > 1
    checkChange(tree, plan, random, isLarge || random.chance(0.05))
    if (isInsert) keys.push(key)
    else keys.splice(at, 1)
    heights.add(tree.height)
  }
  assert.deepEqual(checkTree(tree).keys, keys.toSorted(compare))
  assert.ok(heights.size > 1, 'the root grew and shrank')
}

/** How many pages a planned change turns odd. */
function redoTurns(size: number, redo: Int32Array): number {
  return size - redo[0]
}

describe('a change of the ordered index', () => {
  test('is nothing or whole after a kill at any store, and readers see nothing else: short keys', () => {
    checkChanges(1, 900, (random) => Buffer.from(`key-${random.below(1000)}`))
  })

  test('… keys of 300 bytes, which divide inner pages, too', () => {
    checkChanges(2, 160, (random) => {
      const bytes = Buffer.alloc(300, 0x61)
      bytes.writeUInt16BE(random.below(200), random.pick([0, 140, 298]))
      return bytes
    })
  })

  test('… keys whose rest lies in pages of its own', () => {
    checkChanges(3, 100, (random) => {
      const bytes = Buffer.alloc(random.pick([390, 2500, 4600]), 0x61)
      bytes.writeUInt16BE(random.below(60), random.pick([0, 386]))
      return bytes
    })
  })

  test('that builds all of it is one, too', () => {
    const random = new Random(4)
    const list = new KeyList()
    for (let index = 0; index < 3000; index++) {
      const bytes = Buffer.from(`key-${random.below(100_000)}`)
      list.add(0, wordsOfBytes(bytes), 0, bytes.byteLength)
    }
    list.sort()
    checkChange(createTree(), (tree, redo) => planBuild(tree, list, redo), random, false)
  })
})

describe('a reader of the ordered index', () => {
  test('is told that a page stays odd, and does not wait for ever', () => {
    const tree = createTree()
    const key = { keyspaceId: 0, bytes: Buffer.from('key') }
    insert(tree, key)
    const words = tree.words[0]
    const cursor = new OrderedCursor()
    for (const page of [0, tree.root]) {
      words[page * pageWords + versionWord] |= 1
      assert.equal(contains(tree, cursor, 0, wordsOfBytes(key.bytes), 0, 3), seekBusy)
      assert.equal(seekEdge(tree, cursor, 0, false), seekBusy)
      assert.equal(cursor.count, 0)
      words[page * pageWords + versionWord]++
      assert.equal(contains(tree, cursor, 0, wordsOfBytes(key.bytes), 0, 3), seekFound)
    }
    assert.equal(remove(tree, key), true)
  })

  test('of pages full of noise ends with an answer, or with that it must wait', () => {
    const random = new Random(5)
    const cursor = new OrderedCursor()
    cursor.retriesMax = 5
    let busy = 0
    for (let round = 0; round < 3000; round++) {
      const tree = trees[round % trees.length]
      const words = tree.words[0]
      const whole = words.slice(0, tree.pageEnd * pageWords)
      for (let count = 0; count < 1 + random.below(60); count++) {
        const at = random.below(tree.pageEnd * pageWords)
        words[at] = random.chance(0.5)
          ? random.next()
          : words[random.below(tree.pageEnd * pageWords)]
      }
      const bytes = Buffer.from(`key-${random.below(3000)}`)
      contains(tree, cursor, 0, wordsOfBytes(bytes), 0, bytes.byteLength)
      let found = seekEdge(tree, cursor, 0, random.chance(0.5))
      for (let leaf = 0; leaf < 100 && found === seekFound; leaf++) found = seekNext(tree, cursor)
      if (found === seekBusy) busy++
      words.set(whole)
    }
    assert.ok(busy > 0, 'some of the noise was in its way')
  })
})

const trees: OrderedIndex[] = [
  (random: Random) => Buffer.from(`key-${random.below(3000)}`),
  (random: Random) => Buffer.alloc(random.pick([10, 300, 400, 3000]), random.below(256)),
].map((makeBytes) => {
  const tree = createTree()
  const random = new Random(6)
  for (let index = 0; index < 2000; index++)
    insert(tree, { keyspaceId: 0, bytes: makeBytes(random) })
  return tree
})
