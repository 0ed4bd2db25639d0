/**
 * Reading the ordered index while it changes: a cursor is filled with the keys of one leaf at a time.
 *
 * What is in a cursor was copied out of a leaf whose version was the same before and after. What
 * changes under a reader's eyes it may read, but never believes: it begins again at the root.
 *
 * Between two leaves a cursor holds no page, but a key: the separator at the edge of the leaf (its
 * fence), from where the next seek goes on. Pages between may be split, merged and freed. A key that
 * is there all along is found, once, and keys come in order; one inserted or removed meanwhile is
 * found or not. Going on by a key takes a descent for each leaf, 5 ns for each key of it, and links
 * between leaves would have to be changed and checked together with pages under other parents.
 */
import {
  innerEntryWords,
  inPageWordsMax,
  leafEntryWords,
  longFlag,
  pageHeaderWords,
  pageWords,
  placeBits,
  placeMask,
  shapeWord,
  suffixSizeMask,
  versionWord,
} from '../format/ordered-page.js'
import { descend, isLeafUnchanged, OrderedDescent } from './ordered-descent.js'
import { baseOf, type OrderedIndex } from './ordered-index.js'
import { OrderedKey, swapBytes, wordOfHead } from './ordered-key.js'
import {
  entryAt,
  entryCountOf,
  isPlausible,
  readEntry,
  searchPage,
  tailWordsOf,
} from './ordered-page.js'

/** There are keys in the cursor. */
export const seekFound = 1
/** There is no such key: the keyspace ends. */
export const seekEnd = 0
/** Pages were changing all the time: perhaps their writer died. Nothing is known; try again. */
export const seekBusy = -1

export const orderedCursorKeysMax: number = pageWords / 2
const firstCapacityWords = 4096

export class OrderedCursor {
  /** The keys, from word `starts[i]` on, zero-padded, `sizesBytes[i]` bytes each: key 0 to `count - 1`. */
  words: Int32Array = new Int32Array(firstCapacityWords)
  bytes: Buffer = Buffer.from(this.words.buffer)
  readonly starts: Int32Array = new Int32Array(orderedCursorKeysMax)
  readonly sizesBytes: Int32Array = new Int32Array(orderedCursorKeysMax)
  count = 0
  /** All bits of the words of keys that were copied: 0 in the highest one of each byte for ASCII. */
  seenBits = 0
  /** Keys that are wanted at most, one at least: a leaf may have more. */
  countMax = orderedCursorKeysMax
  /** How often a read begins again before it ends as {@link seekBusy}. */
  retriesMax = 10_000

  /** What the keys of the keyspace begin with. */
  keyspaceWord = 0
  isReverse = false
  /** True where no key of the keyspace lies behind those in the cursor. */
  isLast = false
  /** From where the next leaf is sought: from it on, or in reverse from below it. */
  readonly from: OrderedKey = new OrderedKey()
  readonly fence: OrderedKey = new OrderedKey()
  readonly descent: OrderedDescent = new OrderedDescent()
}

/**
 * Fills the cursor with keys of one leaf: from the key on, or in reverse down from it, with it where
 * `isInclusive`. `keyWords` has it zero-padded from word `start` on.
 *
 * Hot path: `bench/ordered.mjs`, row "scan".
 */
export function seek(
  index: OrderedIndex,
  cursor: OrderedCursor,
  keyspaceId: number,
  keyWords: Int32Array,
  start: number,
  keySizeBytes: number,
  isInclusive: boolean,
  isReverse: boolean,
): number {
  cursor.from.set(keyspaceId, keyWords, start, keySizeBytes)
  return seekFrom(index, cursor, swapBytes(keyspaceId), isInclusive, isReverse)
}

/** Fills the cursor with the first keys of the keyspace, or the last ones in reverse. */
export function seekEdge(
  index: OrderedIndex,
  cursor: OrderedCursor,
  keyspaceId: number,
  isReverse: boolean,
): number {
  cursor.from.set(isReverse ? keyspaceId + 1 : keyspaceId, noWords, 0, 0)
  return seekFrom(index, cursor, swapBytes(keyspaceId), !isReverse, isReverse)
}

const noWords = new Int32Array(0)

/** Fills the cursor with the keys that follow those in it, or that go before them in reverse. */
export function seekNext(index: OrderedIndex, cursor: OrderedCursor): number {
  if (cursor.isLast) {
    cursor.count = 0
    return seekEnd
  }
  const { from, fence, isReverse } = cursor
  from.setKey(fence, fence.sizeBytes)
  return seekFrom(index, cursor, cursor.keyspaceWord, !isReverse, isReverse)
}

/** True where the index has the key; {@link seekBusy} as for a seek. */
export function contains(
  index: OrderedIndex,
  cursor: OrderedCursor,
  keyspaceId: number,
  keyWords: Int32Array,
  start: number,
  keySizeBytes: number,
): number {
  const { descent, from } = cursor
  from.set(keyspaceId, keyWords, start, keySizeBytes)
  for (let retry = 0; retry <= cursor.retriesMax; retry++) {
    if (!descend(index, descent, from, false, false)) continue
    const found = searchPage(index, descent.leafWords, descent.leafBase, from)
    if (isLeafUnchanged(descent)) return (found & 1) === 1 ? seekFound : seekEnd
  }
  return seekBusy
}

function seekFrom(
  index: OrderedIndex,
  cursor: OrderedCursor,
  keyspaceWord: number,
  isInclusive: boolean,
  isReverse: boolean,
): number {
  const { descent, fence, from } = cursor
  cursor.keyspaceWord = keyspaceWord
  cursor.isReverse = isReverse
  let includes = isInclusive
  for (let retry = 0; retry <= cursor.retriesMax; retry++) {
    cursor.count = 0
    cursor.isLast = false
    if (!descend(index, descent, from, isReverse && !includes, isReverse)) continue
    if (!fillFromLeaf(index, cursor, includes)) continue
    if (cursor.count > 0) return seekFound
    if (cursor.isLast) return seekEnd
    // The leaf has nothing on this side of the key: on from its edge. That is a retry, too: in a
    // tree that is whole it happens once, and one that is not must not lead around for ever.
    from.setKey(fence, fence.sizeBytes)
    includes = !isReverse
  }
  cursor.count = 0
  return seekBusy
}

/** Copies what the leaf has of the keyspace. False where it changed meanwhile. */
function fillFromLeaf(index: OrderedIndex, cursor: OrderedCursor, isInclusive: boolean): boolean {
  const { descent, from, isReverse } = cursor
  const { leafWords, leafBase } = descent
  if (!isPlausible(leafWords, leafBase) || (leafWords[leafBase + shapeWord] & 0xff) !== 0) {
    return false
  }
  const found = searchPage(index, leafWords, leafBase, from)
  if (found < 0) return false
  const isThere = (found & 1) === 1
  const step = isReverse ? -1 : 1
  let entry = found >>> 1
  if (isReverse) entry -= isInclusive && isThere ? 0 : 1
  else entry += !isInclusive && isThere ? 1 : 0
  const copied = copyEntries(index, cursor, entry, step)
  if (copied === copiedTorn || !isLeafUnchanged(descent)) return false
  if (copied === copiedOtherKeyspace) {
    cursor.isLast = true
    return true
  }
  return copied === copiedFull ? fenceAtLastKey(cursor) : takeFence(index, cursor)
}

const copiedAll = 0
/** There was no room for the next one. */
const copiedFull = 1
/** The next one is of another keyspace. */
const copiedOtherKeyspace = 2
const copiedTorn = 3

const longKey = new OrderedKey()

/** Copies the keys of a leaf from `first` on, as far as there is room; the first one in any case. */
function copyEntries(
  index: OrderedIndex,
  cursor: OrderedCursor,
  first: number,
  step: number,
): number {
  const { countMax, descent, keyspaceWord, sizesBytes, starts } = cursor
  const { leafBase, leafWords } = descent
  const prefixWords = leafWords[leafBase + shapeWord] >>> 8
  const count = entryCountOf(leafWords, leafBase)
  if (pageHeaderWords + prefixWords + count * leafEntryWords > pageWords) return copiedTorn
  if (first < 0 || first >= count) return copiedAll
  const prefixAt = leafBase + pageHeaderWords
  const hasPrefix = prefixWords > 0
  if (hasPrefix && leafWords[prefixAt] !== keyspaceWord) return copiedOtherKeyspace
  const end = step < 0 ? -1 : count
  let result = copiedAll
  let words = cursor.words
  let key = 0
  let at = 0
  let bits = 0
  for (let entry = first; entry !== end; entry += step) {
    const entryWord = prefixAt + prefixWords + entry * leafEntryWords
    const head = wordOfHead(leafWords[entryWord])
    const place = leafWords[entryWord + 1]
    if (key === countMax) {
      result = copiedFull
      break
    }
    // Without a prefix the head is the keyspace.
    if (!hasPrefix && head !== keyspaceWord) {
      result = copiedOtherKeyspace
      break
    }
    if ((place & longFlag) !== 0) {
      result = copyLongEntry(index, cursor, entryWord, key, at)
      if (result !== copiedAll) break
      words = cursor.words
      at += (sizesBytes[key++] + 3) >>> 2
      bits = -1
      continue
    }
    const tailWords = tailWordsOf(place)
    const sizeBytes = prefixWords * 4 + ((place >>> placeBits) & suffixSizeMask) - 4
    if (sizeBytes < 0 || sizeBytes > inPageWordsMax * 4) return copiedTorn
    if (at + prefixWords + tailWords + 1 > words.length) {
      result = copiedFull
      break
    }
    starts[key] = at
    sizesBytes[key++] = sizeBytes
    if (hasPrefix) {
      for (let word = 1; word < prefixWords; word++) words[at++] = leafWords[prefixAt + word]
      words[at++] = head
      bits |= head
    }
    const heap = leafBase + (place & placeMask)
    for (let word = 0; word < tailWords; word++) {
      const tail = leafWords[heap + word]
      words[at++] = tail
      bits |= tail
    }
  }
  for (let word = 1; word < prefixWords; word++) bits |= leafWords[prefixAt + word]
  cursor.count = key
  cursor.seenBits = bits
  return result
}

/** Copies a long key to word `start`, as key `key` of the cursor. */
function copyLongEntry(
  index: OrderedIndex,
  cursor: OrderedCursor,
  entryWord: number,
  key: number,
  start: number,
): number {
  const { leafWords, leafBase } = cursor.descent
  if (!readEntry(index, leafWords, leafBase, entryWord, longKey)) return copiedTorn
  const sizeBytes = longKey.sizeBytes - 4
  const wordCount = (sizeBytes + 3) >>> 2
  if (start + wordCount > cursor.words.length) {
    if (key > 0) return copiedFull
    cursor.words = new Int32Array(2 * wordCount)
    cursor.bytes = Buffer.from(cursor.words.buffer)
  }
  for (let word = 0; word < wordCount; word++) cursor.words[start + word] = longKey.words[word + 1]
  cursor.starts[key] = start
  cursor.sizesBytes[key] = sizeBytes
  return copiedAll
}

/** The cursor is full before the leaf ends: the next seek goes on behind its last key. */
function fenceAtLastKey(cursor: OrderedCursor): boolean {
  const { count, fence, isReverse, keyspaceWord } = cursor
  const start = cursor.starts[count - 1]
  const sizeBytes = cursor.sizesBytes[count - 1]
  fence.set(swapBytes(keyspaceWord), cursor.words, start, sizeBytes)
  // Forward a fence is the first key that is not in the cursor: here the least above the last.
  if (!isReverse) fence.raise()
  return true
}

/** The separator at the edge of the leaf, from where the next seek goes on. */
export function takeFence(index: OrderedIndex, cursor: OrderedCursor): boolean {
  const { descent, fence, isReverse, keyspaceWord } = cursor
  const { fencePage } = descent
  if (fencePage === 0) {
    cursor.isLast = true
    return true
  }
  const words = index.wordsOf(fencePage)
  const base = baseOf(fencePage)
  const at = entryAt(words, base, descent.fenceEntry)
  if (at + innerEntryWords > base + pageWords) return false
  const isRead = readEntry(index, words, base, at, fence)
  if (Atomics.load(words, base + versionWord) !== descent.fenceVersion || !isRead) return false
  cursor.isLast = isReverse ? isBelowKeyspace(fence, keyspaceWord) : fence.words[0] !== keyspaceWord
  return true
}

/** In reverse nothing of a keyspace lies below a fence that is its beginning or lower. */
function isBelowKeyspace(fence: OrderedKey, keyspaceWord: number): boolean {
  if (fence.words[0] !== keyspaceWord) {
    return swapBytes(fence.words[0]) >>> 0 < swapBytes(keyspaceWord) >>> 0
  }
  return fence.sizeBytes <= 4
}
