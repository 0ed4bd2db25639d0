/**
 * Finding a key in one page, and reading keys out of it.
 *
 * Readers come here with pages that change under their eyes: whatever is in them, these functions
 * end, read nothing outside the page, and leave it to the caller to find the version changed.
 */
import {
  fillWord,
  firstChildWord,
  innerEntryWords,
  inPageWordsMax,
  leafEntryWords,
  longFlag,
  longWords,
  pageHeaderWords,
  pageWords,
  placeBits,
  placeMask,
  shapeWord,
  suffixSizeMask,
} from '../format/ordered-page.js'
import type { OrderedIndex } from './ordered-index.js'
import { headOf, isLong, type OrderedKey, wordCountOf, wordOfHead } from './ordered-key.js'
import { compareRest, readRest } from './ordered-rest.js'

export function levelOf(words: Int32Array, base: number): number {
  return words[base + shapeWord] & 0xff
}

export function prefixWordsOf(words: Int32Array, base: number): number {
  return words[base + shapeWord] >>> 8
}

export function entryCountOf(words: Int32Array, base: number): number {
  return words[base + fillWord] & 0xffff
}

export function heapStartOf(words: Int32Array, base: number): number {
  return words[base + fillWord] >>> 16
}

export function entryWordsAt(level: number): number {
  return level === 0 ? leafEntryWords : innerEntryWords
}

/** First word of entry `entry` in the piece; of the one behind the last, where the free words begin. */
export function entryAt(words: Int32Array, base: number, entry: number): number {
  const shape = words[base + shapeWord]
  return base + pageHeaderWords + (shape >>> 8) + entry * entryWordsAt(shape & 0xff)
}

/** The word that names child `child`, counted from the first child as 0. */
export function childAt(words: Int32Array, base: number, child: number): number {
  return child === 0 ? base + firstChildWord : entryAt(words, base, child) - 1
}

/** Entries and prefix lie within the page: of a page that is no longer what it was, perhaps not. */
export function isPlausible(words: Int32Array, base: number): boolean {
  const shape = words[base + shapeWord]
  const entryWords = (words[base + fillWord] & 0xffff) * entryWordsAt(shape & 0xff)
  return pageHeaderWords + (shape >>> 8) + entryWords <= pageWords
}

/** The page is not what its parent promised: only a reader ever gets this. */
export const torn = -1

/**
 * The first entry whose key is not below `key`, times 2, and 1 more where it is the key; or
 * {@link torn}. Hot path: `bench/ordered.mjs`, every row.
 */
export function searchPage(
  index: OrderedIndex,
  words: Int32Array,
  base: number,
  key: OrderedKey,
): number {
  const shape = words[base + shapeWord]
  const prefixWords = shape >>> 8
  const entryWords = (shape & 0xff) === 0 ? leafEntryWords : innerEntryWords
  const count = words[base + fillWord] & 0xffff
  const prefixAt = base + pageHeaderWords
  const first = prefixAt + prefixWords
  if (pageHeaderWords + prefixWords + count * entryWords > pageWords) return torn
  const keyWords = key.words
  const order = comparePrefix(words, prefixAt, prefixWords, key)
  if (order !== 0) return order > 0 ? 0 : count << 1
  const head = headOf(keyWords[prefixWords])
  let low = lowerBound(words, first, count, entryWords, head)
  let high = low
  while (high < low + fewEqualHeads && high < count && words[first + high * entryWords] === head) {
    high++
  }
  if (low === high) return low << 1
  if (high - low === fewEqualHeads && head !== headMax) {
    high = low + lowerBound(words, first + low * entryWords, count - low, entryWords, head + 1)
  } else if (high - low === fewEqualHeads) high = count
  const tailAt = prefixWords + 1
  // Of a long key the page has no more than the first words.
  const hasTail = tailAt < inPageWordsMax && tailAt < wordCountOf(key.sizeBytes)
  const tail = headOf(hasTail ? keyWords[tailAt] : 0)
  low += lowerTailBound(words, base, first + low * entryWords, high - low, entryWords, tail)
  if (low === high || tailHeadOf(words, base, first + low * entryWords) !== tail) return low << 1
  while (low < high) {
    const middle = (low + high) >>> 1
    const entry = first + middle * entryWords
    const tailOrder = compareBehindHead(index, words, base, entry, prefixWords, key)
    if (tailOrder === 0) return (middle << 1) | 1
    if (tailOrder < 0) low = middle + 1
    else high = middle
  }
  return low << 1
}

const headMax = 0x7fffffff
/** From here on the end of entries with the same head is searched, and not walked to. */
const fewEqualHeads = 3

/**
 * The first of `count` entries whose head is not below `head`. Without a branch on what is compared: which
 * half it is cannot be predicted, and a wrong guess costs more than the look. In integers throughout.
 */
function lowerBound(
  words: Int32Array,
  first: number,
  count: number,
  entryWords: number,
  head: number,
): number {
  let low = 0
  let size = count | 0
  while (size > 0) {
    const half = (size + 1) >> 1
    const other = words[(first + Math.imul(low + half - 1, entryWords)) | 0]
    low = (low + (half & isBelow(other, head))) | 0
    size >>= 1
  }
  return low
}

/** The same for the words behind the heads, of entries whose heads are equal. */
function lowerTailBound(
  words: Int32Array,
  base: number,
  first: number,
  count: number,
  entryWords: number,
  tail: number,
): number {
  let low = 0
  let size = count | 0
  while (size > 0) {
    const half = (size + 1) >> 1
    const other = tailHeadOf(words, base, (first + Math.imul(low + half - 1, entryWords)) | 0)
    low = (low + (half & isBelow(other, tail))) | 0
    size >>= 1
  }
  return low
}

/** The word behind the head of an entry, as a head; without one it counts as zeros. */
function tailHeadOf(words: Int32Array, base: number, entry: number): number {
  const place = words[entry + 1]
  const hasTail = (4 - ((place >>> placeBits) & suffixSizeMask)) >> 31
  return headOf(words[(base + (place & placeMask)) | 0] & hasTail)
}

/** All bits where `a` is below `b`, whatever their signs. */
function isBelow(a: number, b: number): number {
  return ((a & ~b) | (~(a ^ b) & (a - b))) >> 31
}

/** How the prefix compares with the beginning of the key; above 0 also where the key ends in it. */
function comparePrefix(
  words: Int32Array,
  prefixAt: number,
  prefixWords: number,
  key: OrderedKey,
): number {
  const keyWords = key.words
  const common = Math.min(prefixWords, wordCountOf(key.sizeBytes))
  for (let word = 0; word < common; word++) {
    if (words[prefixAt + word] === keyWords[word]) continue
    return headOf(words[prefixAt + word]) < headOf(keyWords[word]) ? -1 : 1
  }
  return key.sizeBytes < prefixWords * 4 ? 1 : 0
}

/** True where the key begins with the whole prefix of the page. */
export function hasPrefix(words: Int32Array, base: number, key: OrderedKey): boolean {
  return comparePrefix(words, base + pageHeaderWords, prefixWordsOf(words, base), key) === 0
}

/** How an entry compares with a key that agrees with it up to the head. */
function compareBehindHead(
  index: OrderedIndex,
  words: Int32Array,
  base: number,
  entry: number,
  prefixWords: number,
  key: OrderedKey,
): number {
  const place = words[entry + 1]
  const suffixSizeBytes = (place >>> placeBits) & suffixSizeMask
  const tailWords = tailWordsOf(place)
  const heap = base + (place & placeMask)
  const keyWords = key.words
  const keyTail = prefixWords + 1
  const common = Math.min(tailWords, wordCountOf(key.sizeBytes) - keyTail)
  for (let word = 0; word < common; word++) {
    const own = words[heap + word]
    if (own === keyWords[keyTail + word]) continue
    return headOf(own) < headOf(keyWords[keyTail + word]) ? -1 : 1
  }
  if ((place & longFlag) === 0) return suffixSizeBytes + prefixWords * 4 - key.sizeBytes
  // An entry that is long is above any key of which it has all the words.
  if (!isLong(key)) return 1
  const rest = base + restAt(place)
  return compareRest(index, words[rest], words[rest + 1], key)
}

/** Words of an entry in the heap, without the two more of a long key; within the page in any case. */
export function tailWordsOf(place: number): number {
  const suffixWords = (((place >>> placeBits) & suffixSizeMask) + 3) >>> 2
  const tailWords = suffixWords === 0 ? 0 : suffixWords - 1
  // Words to the end of the page, short of those of a long key: no more in a page that is whole.
  const room = pageWords - (place & placeMask) - ((place & longFlag) === 0 ? 0 : longWords)
  return tailWords <= room ? tailWords : Math.max(0, room)
}

/** Where in the page a long key's entry says what its rest is. */
export function restAt(place: number): number {
  return Math.min((place & placeMask) + tailWordsOf(place), pageWords - longWords)
}

/** Takes over the whole key of the entry at word `entry`. False where the page is torn. */
export function readEntry(
  index: OrderedIndex,
  words: Int32Array,
  base: number,
  entry: number,
  key: OrderedKey,
): boolean {
  const prefixWords = prefixWordsOf(words, base)
  const place = words[entry + 1]
  const tailWords = tailWordsOf(place)
  if (prefixWords >= inPageWordsMax) return false
  const target = key.reserve(prefixWords + 1 + tailWords)
  for (let word = 0; word < prefixWords; word++) {
    target[word] = words[base + pageHeaderWords + word]
  }
  target[prefixWords] = wordOfHead(words[entry])
  const heap = base + (place & placeMask)
  for (let word = 0; word < tailWords; word++) target[prefixWords + 1 + word] = words[heap + word]
  if ((place & longFlag) === 0) {
    key.end(prefixWords * 4 + Math.min((place >>> placeBits) & suffixSizeMask, (tailWords + 1) * 4))
    return true
  }
  const rest = base + restAt(place)
  return readRest(index, words[rest], words[rest + 1], key)
}
