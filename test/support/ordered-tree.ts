/** An ordered index in memory, changes made at once, and a check of everything that must hold in it. */
import assert from 'node:assert/strict'
import {
  fillWord,
  firstChildWord,
  longFlag,
  nextFreeWord,
  pageHeaderWords,
  pageWords,
  placeMask,
  restNextWord,
  shapeWord,
  versionWord,
  wasteWord,
} from '../../src/format/ordered-page.js'
import { applyOrderedChange } from '../../src/index/ordered-apply.js'
import { OrderedCursor, seekEdge, seekFound, seekNext } from '../../src/index/ordered-cursor.js'
import { baseOf, OrderedIndex } from '../../src/index/ordered-index.js'
import { planInsert } from '../../src/index/ordered-insert.js'
import { compareKeys, OrderedKey } from '../../src/index/ordered-key.js'
import {
  entryAt,
  entryCountOf,
  entryWordsAt,
  heapStartOf,
  levelOf,
  prefixWordsOf,
  readEntry,
  restAt,
  tailWordsOf,
} from '../../src/index/ordered-page.js'
import { planRemove } from '../../src/index/ordered-remove.js'
import { createMemoryPlatform } from '../../src/platform/memory-platform.js'

export const redoSizeWords = 4096

export interface Key {
  readonly keyspaceId: number
  readonly bytes: Buffer
}

export function createTree(): OrderedIndex {
  const file = createMemoryPlatform().openFile('ordered', 'create')
  const tree = new OrderedIndex(file, 'shared', undefined)
  tree.initialize()
  return tree
}

/** The bytes of a key as the zero-padded words that the index takes. */
export function wordsOfBytes(bytes: Uint8Array): Int32Array {
  const words = new Int32Array(Math.ceil(bytes.byteLength / 4))
  Buffer.from(words.buffer).set(bytes)
  return words
}

const redo = new Int32Array(redoSizeWords)

export function insert(tree: OrderedIndex, key: Key): boolean {
  const words = wordsOfBytes(key.bytes)
  if (planInsert(tree, key.keyspaceId, words, 0, key.bytes.byteLength, redo) === 0) return false
  applyOrderedChange(tree, redo)
  return true
}

export function remove(tree: OrderedIndex, key: Key): boolean {
  const words = wordsOfBytes(key.bytes)
  if (planRemove(tree, key.keyspaceId, words, 0, key.bytes.byteLength, redo) === 0) return false
  applyOrderedChange(tree, redo)
  return true
}

/** The keys of a cursor. */
export function keysIn(cursor: OrderedCursor): Buffer[] {
  return Array.from({ length: cursor.count }, (_, index) => {
    const start = cursor.starts[index] * 4
    return Buffer.from(cursor.bytes.subarray(start, start + cursor.sizesBytes[index]))
  })
}

export function scan(tree: OrderedIndex, keyspaceId: number, isReverse: boolean): Buffer[] {
  const cursor = new OrderedCursor()
  const keys: Buffer[] = []
  let found = seekEdge(tree, cursor, keyspaceId, isReverse)
  while (found === seekFound) {
    keys.push(...keysIn(cursor))
    found = seekNext(tree, cursor)
  }
  return keys
}

export function compare(a: Key, b: Key): number {
  return a.keyspaceId - b.keyspaceId || Buffer.compare(a.bytes, b.bytes)
}

export interface TreeFacts {
  readonly keys: Key[]
  readonly pages: number
  readonly freePages: number
  readonly innerPages: number
}

/**
 * Every page is in one place, every key in order and between the separators around it, every prefix
 * and heap is what the page says, no version is odd, and the header has the numbers right.
 */
export function checkTree(tree: OrderedIndex): TreeFacts {
  const places = new Map<number, string>([[0, 'header']])
  const keys: Key[] = []
  let innerPages = 0
  const claim = (page: number, place: string): void => {
    assert.ok(page > 0 && page < tree.pageEnd, `page ${page} of ${place} is one`)
    assert.ok(!places.has(page), `page ${page} is ${places.get(page)} and ${place}`)
    places.set(page, place)
  }
  const claimRest = (words: Int32Array, base: number, place: number): void => {
    let rest = words[base + restAt(place)]
    assert.notEqual(rest, 0)
    while (rest !== 0) {
      claim(rest, 'a rest')
      rest = tree.wordsOf(rest)[baseOf(rest) + restNextWord]
    }
  }
  const visit = (
    page: number,
    level: number,
    low: OrderedKey | undefined,
    high: OrderedKey | undefined,
  ): void => {
    claim(page, `level ${level}`)
    const words = tree.wordsOf(page)
    const base = baseOf(page)
    assert.equal(words[base + versionWord] & 1, 0, 'no page is left odd')
    assert.equal(levelOf(words, base), level)
    if (level > 0) innerPages++
    const count = entryCountOf(words, base)
    const prefixWords = prefixWordsOf(words, base)
    const entries = Array.from({ length: count }, (_, entry) => {
      const key = new OrderedKey()
      assert.ok(readEntry(tree, words, base, entryAt(words, base, entry), key))
      return key
    })
    assert.ok(level > 0 || count > 0 || tree.height === 1, 'only a root is an empty leaf')
    const end = pageHeaderWords + prefixWords + count * entryWordsAt(level)
    const heapStart = heapStartOf(words, base)
    assert.ok(end <= heapStart && heapStart <= pageWords, 'entries end before the heap begins')
    const used = new Uint8Array(pageWords)
    entries.forEach((key, entry) => {
      const before = entry === 0 ? low : entries[entry - 1]
      if (before !== undefined) {
        const order = compareKeys(before, key)
        assert.ok(entry === 0 ? order <= 0 : order < 0, 'keys are in order')
      }
      const place = words[entryAt(words, base, entry) + 1]
      const heapWords = tailWordsOf(place) + ((place & longFlag) === 0 ? 0 : 2)
      for (let word = 0; word < heapWords; word++) {
        const at = (place & placeMask) + word
        assert.ok(at >= heapStart && at < pageWords && used[at] === 0, 'words of one key')
        used[at] = 1
      }
      if ((place & longFlag) !== 0) claimRest(words, base, place)
      if (level === 0) {
        const bytes = Buffer.from(key.words.buffer, 4, key.sizeBytes - 4)
        keys.push({ keyspaceId: key.keyspaceId, bytes: Buffer.from(bytes) })
      }
    })
    if (high !== undefined && count > 0) {
      assert.ok(compareKeys(entries[count - 1], high) < 0, 'keys are below the next separator')
    }
    const wasted = words[base + wasteWord] & 0xffff
    const heapUsed = used.reduce((sum, word) => sum + word, 0)
    assert.equal(pageWords - heapStart - wasted, heapUsed, 'the heap is used or counted as waste')
    assert.equal(words[base + shapeWord], level | (prefixWords << 8))
    assert.equal(words[base + fillWord], count | (heapStart << 16))
    if (level === 0) return
    let child = words[base + firstChildWord]
    // Keys of the first child come before those of the others.
    for (let index = 0; index <= count; index++) {
      visit(child, level - 1, index === 0 ? low : entries[index - 1], entries[index] ?? high)
      if (index < count) child = words[entryAt(words, base, index) + 2]
    }
  }
  visit(tree.root, tree.height - 1, undefined, undefined)
  let freePages = 0
  for (let page = tree.freePage; page !== 0; ) {
    claim(page, 'free')
    freePages++
    page = tree.wordsOf(page)[baseOf(page) + nextFreeWord]
  }
  assert.equal(places.size, tree.pageEnd, 'no page is lost')
  assert.equal(tree.keyCount, keys.length)
  assert.equal(tree.words[0][versionWord] & 1, 0)
  for (let index = 1; index < keys.length; index++) {
    assert.ok(compare(keys[index - 1], keys[index]) < 0, 'leaves are in order')
  }
  return { keys, pages: tree.pageEnd, freePages, innerPages }
}
