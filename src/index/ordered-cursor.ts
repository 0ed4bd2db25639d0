/**
 * Reading the ordered index while it changes: a cursor is filled with the keys of one leaf at a time.
 *
 * A reader goes down from the header: it takes the version of a page, then what the page says about
 * the next one, then the version of that one, and then looks whether the first is still what it was.
 * So each page was the child of the page above it at a moment when that one was whole. What is in a
 * cursor was copied out of a leaf whose version was the same before and after; what changes under a
 * reader's eyes it may read, but never believes.
 *
 * Between two leaves it holds no page, but a key: the separator that ended the leaf, from where the
 * next seek goes on. Pages between may be split, merged and freed. A key that is there all along is
 * found, once, and keys come in order; one inserted or removed meanwhile is found or not.
 *
 * Order of loads: a version before all that is read under it (`loadWordFirst`), and again after it
 * (`Atomics.load`); base/shared-words.ts says why that is enough.
 */
import { loadWordFirst } from '../base/shared-words.js'
import {
  heightMax,
  heightWord,
  innerEntryWords,
  inPageWordsMax,
  leafEntryWords,
  longFlag,
  pageHeaderWords,
  pageWords,
  placeBits,
  placeMask,
  rootWord,
  shapeWord,
  suffixSizeMask,
  versionWord,
} from '../format/ordered-page.js'
import { baseOf, type OrderedIndex } from './ordered-index.js'
import { OrderedKey, swapBytes, wordOfHead } from './ordered-key.js'
import {
  childAt,
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

const keysMax = pageWords / 2
const firstCapacityWords = 4096

export class OrderedCursor {
  /** The keys, from word `starts[i]` on, zero-padded, `sizesBytes[i]` bytes each: key 0 to `count - 1`. */
  words: Int32Array = new Int32Array(firstCapacityWords)
  bytes: Buffer = Buffer.from(this.words.buffer)
  readonly starts: Int32Array = new Int32Array(keysMax)
  readonly sizesBytes: Int32Array = new Int32Array(keysMax)
  count = 0
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
  /** The leaf that the last descent ended at. */
  leafWords: Int32Array = new Int32Array(0)
  leafBase = 0
  leafVersion = 0
  /** Where the fence of that leaf lies, and 0 for the page where it has none. */
  fencePage = 0
  fenceEntry = 0
  fenceVersion = 0
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
  const { from } = cursor
  from.set(keyspaceId, keyWords, start, keySizeBytes)
  for (let retry = 0; retry <= cursor.retriesMax; retry++) {
    if (!descend(index, cursor, from, false, false)) continue
    const found = searchPage(index, cursor.leafWords, cursor.leafBase, from)
    if (isLeafUnchanged(cursor)) return (found & 1) === 1 ? seekFound : seekEnd
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
  const { fence, from } = cursor
  cursor.keyspaceWord = keyspaceWord
  cursor.isReverse = isReverse
  let includes = isInclusive
  for (let retry = 0; retry <= cursor.retriesMax; retry++) {
    cursor.count = 0
    cursor.isLast = false
    if (!descend(index, cursor, from, isReverse && !includes, isReverse)) continue
    if (!fillFromLeaf(index, cursor, includes)) continue
    if (cursor.count > 0) return seekFound
    if (cursor.isLast) return seekEnd
    // The leaf has nothing on this side of the key: on from its edge.
    from.setKey(fence, fence.sizeBytes)
    includes = !isReverse
    retry = 0
  }
  cursor.count = 0
  return seekBusy
}

/**
 * Goes down to the leaf of the key, or where `isBelow` to that of the keys just below it. False where
 * a page changed on the way.
 */
function descend(
  index: OrderedIndex,
  cursor: OrderedCursor,
  key: OrderedKey,
  isBelow: boolean,
  isReverse: boolean,
): boolean {
  const header = index.words[0]
  let words = header
  let base = 0
  let version = loadWordFirst(header, versionWord)
  if ((version & 1) === 1) return false
  let child = header[rootWord]
  const height = header[heightWord]
  if (height < 1 || height > heightMax) return false
  cursor.fencePage = 0
  for (let level = height - 1; ; level--) {
    if (!index.hasPage(child)) return false
    const childWords = index.wordsOf(child)
    const childBase = baseOf(child)
    const childVersion = loadWordFirst(childWords, childBase + versionWord)
    if ((childVersion & 1) === 1) return false
    if (Atomics.load(words, base + versionWord) !== version) return false
    const page = child
    words = childWords
    base = childBase
    version = childVersion
    if (level === 0) break
    if ((words[base + shapeWord] & 0xff) !== level) return false
    const found = searchPage(index, words, base, key)
    if (found < 0) return false
    const position = (found >>> 1) + (isBelow ? 0 : found & 1)
    const fence = isReverse ? position - 1 : position
    if (fence >= 0 && fence < entryCountOf(words, base)) {
      cursor.fencePage = page
      cursor.fenceEntry = fence
      cursor.fenceVersion = version
    }
    const childWord = childAt(words, base, position)
    if (childWord >= base + pageWords) return false
    child = words[childWord]
  }
  cursor.leafWords = words
  cursor.leafBase = base
  cursor.leafVersion = version
  return true
}

function isLeafUnchanged(cursor: OrderedCursor): boolean {
  const { leafWords, leafBase, leafVersion } = cursor
  return Atomics.load(leafWords, leafBase + versionWord) === leafVersion
}

/** Copies what the leaf has of the keyspace. False where it changed meanwhile. */
function fillFromLeaf(index: OrderedIndex, cursor: OrderedCursor, isInclusive: boolean): boolean {
  const { from, isReverse, keyspaceWord, leafWords, leafBase } = cursor
  if (!isPlausible(leafWords, leafBase) || (leafWords[leafBase + shapeWord] & 0xff) !== 0) {
    return false
  }
  const found = searchPage(index, leafWords, leafBase, from)
  if (found < 0) return false
  const isThere = (found & 1) === 1
  const count = entryCountOf(leafWords, leafBase)
  let hasOtherKeyspace = false
  let isFull = false
  const step = isReverse ? -1 : 1
  let entry = found >>> 1
  if (isReverse) entry -= isInclusive && isThere ? 0 : 1
  else entry += !isInclusive && isThere ? 1 : 0
  for (; entry >= 0 && entry < count; entry += step) {
    const at = entryAt(leafWords, leafBase, entry)
    if (at + leafEntryWords > leafBase + pageWords) return false
    const copied = copyEntry(index, cursor, at, keyspaceWord)
    if (copied === copiedKey) continue
    if (copied === copiedTorn) return false
    hasOtherKeyspace = copied === copiedOtherKeyspace
    isFull = copied === copiedNone
    break
  }
  if (!isLeafUnchanged(cursor)) return false
  if (hasOtherKeyspace) {
    cursor.isLast = true
    return true
  }
  return isFull ? fenceAtLastKey(cursor) : takeFence(index, cursor)
}

const copiedNone = 0
const copiedKey = 1
const copiedOtherKeyspace = 2
const copiedTorn = 3

const longKey = new OrderedKey()

/** Copies one key behind those in the cursor, as far as there is room; the first one in any case. */
function copyEntry(
  index: OrderedIndex,
  cursor: OrderedCursor,
  entry: number,
  keyspaceWord: number,
): number {
  const { leafWords, leafBase } = cursor
  const { count } = cursor
  const prefixWords = leafWords[leafBase + shapeWord] >>> 8
  const place = leafWords[entry + 1]
  const head = wordOfHead(leafWords[entry])
  const keyspace = prefixWords === 0 ? head : leafWords[leafBase + pageHeaderWords]
  if (keyspace !== keyspaceWord) return copiedOtherKeyspace
  if ((place & longFlag) !== 0) return copyLongEntry(index, cursor, entry)
  const start =
    count === 0 ? 0 : cursor.starts[count - 1] + ((cursor.sizesBytes[count - 1] + 3) >>> 2)
  const tailWords = tailWordsOf(place)
  if (start + prefixWords + tailWords + 1 > cursor.words.length) return copiedNone
  const target = cursor.words
  let at = start
  const prefixAt = leafBase + pageHeaderWords
  for (let word = 1; word < prefixWords; word++) target[at++] = leafWords[prefixAt + word]
  const sizeBytes = prefixWords * 4 + ((place >>> placeBits) & suffixSizeMask) - 4
  // Without a prefix the head is the keyspace.
  if (prefixWords > 0) target[at++] = head
  const heap = leafBase + (place & placeMask)
  for (let word = 0; word < tailWords; word++) target[at++] = leafWords[heap + word]
  if (sizeBytes < 0 || sizeBytes > inPageWordsMax * 4) return copiedTorn
  cursor.starts[count] = start
  cursor.sizesBytes[count] = sizeBytes
  cursor.count = count + 1
  return copiedKey
}

function copyLongEntry(index: OrderedIndex, cursor: OrderedCursor, entry: number): number {
  const { count, leafWords, leafBase } = cursor
  if (!readEntry(index, leafWords, leafBase, entry, longKey)) return copiedTorn
  const start =
    count === 0 ? 0 : cursor.starts[count - 1] + ((cursor.sizesBytes[count - 1] + 3) >>> 2)
  const sizeBytes = longKey.sizeBytes - 4
  const wordCount = (sizeBytes + 3) >>> 2
  if (start + wordCount > cursor.words.length) {
    if (count > 0) return copiedNone
    cursor.words = new Int32Array(2 * wordCount)
    cursor.bytes = Buffer.from(cursor.words.buffer)
  }
  for (let word = 0; word < wordCount; word++) cursor.words[start + word] = longKey.words[word + 1]
  cursor.starts[count] = start
  cursor.sizesBytes[count] = sizeBytes
  cursor.count = count + 1
  return copiedKey
}

/** The cursor is full before the leaf ends: the next seek goes on behind its last key. */
function fenceAtLastKey(cursor: OrderedCursor): boolean {
  const { count, fence, isReverse, keyspaceWord } = cursor
  const start = cursor.starts[count - 1]
  const sizeBytes = cursor.sizesBytes[count - 1]
  fence.set(swapBytes(keyspaceWord) >>> 0, cursor.words, start, sizeBytes)
  // Forward a fence is the first key that is not in the cursor: here the least above the last.
  if (!isReverse) {
    const wordCount = (fence.sizeBytes + 4) >>> 2
    fence.reserve(wordCount)
    fence.words[wordCount] = 0
    fence.sizeBytes++
  }
  return true
}

/** The separator at the edge of the leaf, from where the next seek goes on. */
function takeFence(index: OrderedIndex, cursor: OrderedCursor): boolean {
  const { fence, fencePage, isReverse, keyspaceWord } = cursor
  if (fencePage === 0) {
    cursor.isLast = true
    return true
  }
  const words = index.wordsOf(fencePage)
  const base = baseOf(fencePage)
  const at = entryAt(words, base, cursor.fenceEntry)
  if (at + innerEntryWords > base + pageWords) return false
  const isRead = readEntry(index, words, base, at, fence)
  if (Atomics.load(words, base + versionWord) !== cursor.fenceVersion || !isRead) return false
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
