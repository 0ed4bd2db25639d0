import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { pageWords } from '../../src/format/ordered-page.js'
import { KeyList } from '../../src/index/key-list.js'
import { applyOrderedChange } from '../../src/index/ordered-apply.js'
import { planBuild } from '../../src/index/ordered-build.js'
import {
  contains,
  OrderedCursor,
  seekEdge,
  seekEnd,
  seekFound,
  seekNext,
} from '../../src/index/ordered-cursor.js'
import type { OrderedIndex } from '../../src/index/ordered-index.js'
import {
  checkTree,
  createTree,
  insert,
  type Key,
  keysIn,
  redoSizeWords,
  remove,
  wordsOfBytes,
} from '../support/ordered-tree.js'

/**
 * Runs `read`; between its loads of the index's memory `loadCount` and the next one, `write` runs.
 * False where the read was over before.
 */
function runWithWrite(
  tree: OrderedIndex,
  loadCount: number,
  write: () => void,
  read: () => void,
): boolean {
  const [words] = tree.words
  const { load } = Atomics
  let loads = 0
  let hasWritten = false
  const count = (): void => {
    if (hasWritten || loads++ !== loadCount) return
    hasWritten = true
    tree.words[0] = words
    write()
    tree.words[0] = proxy
  }
  const proxy = new Proxy(words, {
    get(target, property): unknown {
      if (typeof property === 'string' && property >= '0' && property <= '9~') count()
      const value: unknown = Reflect.get(target, property, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  Object.assign(Atomics, {
    load: (numbers: Int32Array, index: number) => {
      if (numbers === proxy) count()
      return load(numbers === proxy ? words : numbers, index)
    },
  })
  tree.words[0] = proxy
  try {
    read()
  } finally {
    tree.words[0] = words
    Object.assign(Atomics, { load })
  }
  return hasWritten
}

const keyCount = 480

function keyOf(number: number): Key {
  return { keyspaceId: 5, bytes: Buffer.from(String(number).padStart(8, '0').repeat(6)) }
}

/** These are there all along. */
function isStable(number: number): boolean {
  return number % 10 === 1
}

const stableCount = Array.from({ length: keyCount }, (_, number) => number).filter(isStable).length

/**
 * The keys of one half go, so that its pages are merged and freed; those of the other come, so that
 * these pages are used again for other keys. Every key that stays then lies in another page.
 */
function swapHalves(tree: OrderedIndex, isLowGoing: boolean): void {
  const half = keyCount / 2
  for (let number = 0; number < half; number++) {
    const going = isLowGoing ? number : number + half
    if (!isStable(going)) remove(tree, keyOf(going))
  }
  for (let number = 0; number < half; number++) {
    const coming = isLowGoing ? number + half : number
    if (!isStable(coming)) insert(tree, keyOf(coming))
  }
}

function createHalfTree(isLowThere: boolean): OrderedIndex {
  const tree = createTree()
  for (let number = 0; number < keyCount; number++) {
    if (isStable(number) || number < keyCount / 2 === isLowThere) insert(tree, keyOf(number))
  }
  return tree
}

function createFullTree(): OrderedIndex {
  const tree = createTree()
  const list = new KeyList()
  for (let number = 0; number < keyCount; number++) {
    const { keyspaceId, bytes } = keyOf(number)
    list.add(keyspaceId, wordsOfBytes(bytes), 0, bytes.byteLength)
  }
  list.sort()
  const redo = new Int32Array(redoSizeWords)
  planBuild(tree, list, redo)
  applyOrderedChange(tree, redo)
  return tree
}

/** One key that no page has room for goes to every page: each is divided by the only change to it. */
function divideAll(tree: OrderedIndex): void {
  for (let number = 4; number < keyCount; number += 20) {
    const { keyspaceId, bytes } = keyOf(number)
    insert(tree, { keyspaceId, bytes: Buffer.concat([bytes, Buffer.alloc(300)]) })
  }
}

interface Scenario {
  readonly create: () => OrderedIndex
  readonly write: (tree: OrderedIndex) => void
  readonly mayRead: (key: Buffer) => boolean
}

const isKey = (key: Buffer): boolean => keyOf(numberOf(key)).bytes.equals(key)

const scenarios: Record<string, Scenario> = {
  'pages are merged, and used again for higher keys': {
    create: () => createHalfTree(true),
    write: (tree) => swapHalves(tree, true),
    mayRead: isKey,
  },
  'pages are merged, and used again for lower keys': {
    create: () => createHalfTree(false),
    write: (tree) => swapHalves(tree, false),
    mayRead: isKey,
  },
  'every page is divided': {
    create: createFullTree,
    write: divideAll,
    mayRead: (key) => isKey(key) || (key.byteLength === 348 && isKey(key.subarray(0, 48))),
  },
}

function numberOf(key: Buffer): number {
  return Number(key.toString('latin1', 0, 8))
}

/** Calls `read` with a write between every two of its loads, each time from the same beginning. */
function checkAll({ create, write }: Scenario, read: (tree: OrderedIndex) => void): void {
  const tree = create()
  assert.equal(checkTree(tree).innerPages > 0, true)
  const start = tree.words[0].slice(0, 200 * pageWords)
  let loadCount = 0
  while (
    runWithWrite(
      tree,
      loadCount,
      () => write(tree),
      () => read(tree),
    )
  ) {
    assert.ok(tree.pageEnd < 200)
    tree.words[0].set(start)
    // Every load of a descent, and a few of each leaf of a scan.
    loadCount += loadCount < 100 ? 1 : 37
  }
  assert.ok(loadCount > 20)
}

describe('a read of the ordered index with many changes between any two of its loads', () => {
  for (const [name, scenario] of Object.entries(scenarios)) {
    test(`finds keys that are there all along where ${name}`, () => {
      const cursor = new OrderedCursor()
      for (const number of [1, 121, 231, 241, 361, 471]) {
        const { keyspaceId, bytes } = keyOf(number)
        checkAll(scenario, (tree) => {
          const found = contains(tree, cursor, keyspaceId, wordsOfBytes(bytes), 0, bytes.byteLength)
          assert.equal(found, seekFound)
        })
      }
    })

    for (const isReverse of [false, true]) {
      test(`scans all of these in ${isReverse ? 'reverse ' : ''}order where ${name}`, () => {
        const cursor = new OrderedCursor()
        checkAll(scenario, (tree) => {
          const keys: Buffer[] = []
          let found = seekEdge(tree, cursor, 5, isReverse)
          for (; found === seekFound; found = seekNext(tree, cursor)) keys.push(...keysIn(cursor))
          assert.equal(found, seekEnd)
          assert.ok(keys.every(scenario.mayRead), 'a key that is one')
          if (isReverse) keys.reverse()
          assert.ok(keys.every((key, at) => at === 0 || Buffer.compare(keys[at - 1], key) < 0))
          const stable = keys.filter((key) => key.byteLength === 48 && isStable(numberOf(key)))
          assert.equal(stable.length, stableCount)
        })
      })
    }
  }
})
