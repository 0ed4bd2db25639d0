/**
 * Entries taken out of their pages, to be laid out anew: for splits, merges, and pages whose prefix
 * no longer suits. A draft holds the words that each key has in a page, prefix and all.
 */
import {
  fillWord,
  firstChildWord,
  inPageWordsMax,
  longFlag,
  longWords,
  pageHeaderWords,
  pageWords,
  placeBits,
  placeMask,
  shapeWord,
  suffixSizeMask,
  wasteWord,
} from '../format/ordered-page.js'
import { baseOf, type OrderedIndex } from './ordered-index.js'
import { headOf, type OrderedKey, wordCountOf, wordOfHead } from './ordered-key.js'
import { entryAt, entryWordsAt, prefixWordsOf, tailWordsOf } from './ordered-page.js'
import { readRest } from './ordered-rest.js'

export class OrderedDraft {
  level = 0
  firstChild = 0
  count = 0
  words: Int32Array = new Int32Array(16_384)
  /** Where each key begins in `words`; at `count`, where the next would. */
  starts: Int32Array = new Int32Array(pageWords)
  sizesBytes: Int32Array = new Int32Array(pageWords)
  /** First page of the rest of a long key, else 0. */
  rests: Int32Array = new Int32Array(pageWords)
  children: Int32Array = new Int32Array(pageWords)
  /** Of the entries before each, the words behind the head that they would have without a prefix. */
  heapSums: Int32Array = new Int32Array(pageWords)

  begin(level: number, firstChild: number): void {
    this.level = level
    this.firstChild = firstChild
    this.count = 0
  }

  /** The number of a child, as in a page. */
  setChild(child: number, page: number): void {
    if (child === 0) this.firstChild = page
    else this.children[child - 1] = page
  }

  addKey(key: OrderedKey, rest: number, child: number): void {
    this.addWords(key.words, 0, key.sizeBytes, rest, child)
  }

  /** Adds a key that lies in `words` from word `start` on. */
  addWords(words: Int32Array, start: number, sizeBytes: number, rest: number, child: number): void {
    const count = Math.min(wordCountOf(sizeBytes), inPageWordsMax)
    const target = this.#startEntry(count)
    for (let word = 0; word < count; word++) this.words[target + word] = words[start + word]
    this.#endEntry(count, sizeBytes, rest, child)
  }

  /** Adds entries `from` to `to` of a page, the latter not included. */
  addEntries(words: Int32Array, base: number, from: number, to: number): void {
    const prefixWords = prefixWordsOf(words, base)
    for (let index = from; index < to; index++) {
      const entry = entryAt(words, base, index)
      const place = words[entry + 1]
      const suffixSizeBytes = (place >>> placeBits) & suffixSizeMask
      const tailWords = tailWordsOf(place)
      const count = prefixWords + (suffixSizeBytes === 0 ? 0 : 1 + tailWords)
      const start = this.#startEntry(count)
      const target = this.words
      for (let word = 0; word < prefixWords; word++) {
        target[start + word] = words[base + pageHeaderWords + word]
      }
      if (suffixSizeBytes !== 0) target[start + prefixWords] = wordOfHead(words[entry])
      const heap = base + (place & placeMask)
      const tail = start + prefixWords + 1
      for (let word = 0; word < tailWords; word++) target[tail + word] = words[heap + word]
      const isLongEntry = (place & longFlag) !== 0
      this.#endEntry(
        count,
        isLongEntry ? words[heap + tailWords + 1] : prefixWords * 4 + suffixSizeBytes,
        isLongEntry ? words[heap + tailWords] : 0,
        this.level === 0 ? 0 : words[entry + 2],
      )
    }
  }

  #startEntry(wordCount: number): number {
    const start = this.count === 0 ? 0 : this.starts[this.count]
    this.starts[this.count] = start
    if (start + wordCount > this.words.length) {
      const grown = new Int32Array(2 * (start + wordCount))
      grown.set(this.words)
      this.words = grown
    }
    return start
  }

  #endEntry(wordCount: number, sizeBytes: number, rest: number, child: number): void {
    const { count } = this
    this.sizesBytes[count] = sizeBytes
    this.rests[count] = rest
    this.children[count] = child
    const before = count === 0 ? 0 : this.heapSums[count]
    this.count = count + 1
    this.starts[count + 1] = this.starts[count] + wordCount
    this.heapSums[count + 1] = before + wordCount - 1 + (rest === 0 ? 0 : longWords)
    this.heapSums[0] = 0
  }

  /** Takes over a whole key, with its rest. */
  readKey(index: OrderedIndex, entry: number, key: OrderedKey): void {
    const start = this.starts[entry]
    const count = this.starts[entry + 1] - start
    const target = key.reserve(count)
    for (let word = 0; word < count; word++) target[word] = this.words[start + word]
    if (this.rests[entry] === 0) key.end(this.sizesBytes[entry])
    else readRest(index, this.rests[entry], this.sizesBytes[entry], key)
  }

  /** Words of the prefix that a page of these entries has; the head of each lies behind it. */
  prefixWords(from: number, to: number): number {
    if (from === to) return 0
    const first = this.starts[from]
    const last = this.starts[to - 1]
    // Only words that are whole in both: a page knows sizes from the end of its prefix on.
    const whole = Math.min(this.sizesBytes[from], this.sizesBytes[to - 1]) >>> 2
    const max = Math.min(inPageWordsMax - 1, whole)
    let count = 0
    while (count < max && this.words[first + count] === this.words[last + count]) count++
    return count
  }

  /** Words that a page of these entries takes. */
  pageWordsOf(from: number, to: number): number {
    const count = to - from
    const prefixWords = this.prefixWords(from, to)
    // Only the first key can end with the prefix; it has no head that the heap could do without.
    const isFirstPrefix = count > 0 && this.starts[from + 1] - this.starts[from] === prefixWords
    const heapWords =
      this.heapSums[to] - this.heapSums[from] - count * prefixWords + (isFirstPrefix ? 1 : 0)
    return pageHeaderWords + prefixWords + count * entryWordsAt(this.level) + heapWords
  }

  fits(from: number, to: number): boolean {
    return this.pageWordsOf(from, to) <= pageWords
  }

  /** Lays out entries `from` to `to`, the latter not included, in a page that nothing refers to. */
  write(index: OrderedIndex, page: number, from: number, to: number, firstChild: number): void {
    const words = index.wordsOf(page)
    const base = baseOf(page)
    const { level } = this
    const count = to - from
    const entryWords = entryWordsAt(level)
    const prefixWords = this.prefixWords(from, to)
    const prefixStart = this.starts[from]
    const prefixAt = base + pageHeaderWords
    for (let word = 0; word < prefixWords; word++) {
      words[prefixAt + word] = this.words[prefixStart + word]
    }
    const used = this.pageWordsOf(from, to)
    const heapStart = pageWords - (used - pageHeaderWords - prefixWords - count * entryWords)
    let heap = heapStart
    for (let entry = from; entry < to; entry++) {
      const at = prefixAt + prefixWords + (entry - from) * entryWords
      heap = this.#writeEntry(words, base, at, heap, entry, prefixWords)
      if (level !== 0) words[at + 2] = this.children[entry]
    }
    words[base + shapeWord] = level | (prefixWords << 8)
    words[base + fillWord] = count | (heapStart << 16)
    words[base + wasteWord] = 0
    words[base + firstChildWord] = firstChild
  }

  /** Returns where the heap goes on. */
  #writeEntry(
    words: Int32Array,
    base: number,
    at: number,
    heap: number,
    entry: number,
    prefixWords: number,
  ): number {
    const end = this.starts[entry + 1]
    const headAt = this.starts[entry] + prefixWords
    const rest = this.rests[entry]
    const inPageSizeBytes = rest === 0 ? this.sizesBytes[entry] : inPageWordsMax * 4
    words[at] = headOf(headAt < end ? this.words[headAt] : 0)
    words[at + 1] =
      heap | ((inPageSizeBytes - prefixWords * 4) << placeBits) | (rest === 0 ? 0 : longFlag)
    let target = heap
    for (let word = headAt + 1; word < end; word++) words[base + target++] = this.words[word]
    if (rest !== 0) {
      words[base + target++] = rest
      words[base + target++] = this.sizesBytes[entry]
    }
    return target
  }

  /**
   * Where to divide a draft that is too large for a page: both sides fit, as evenly as can be. In an
   * inner page the entry at that place goes up and is on neither side.
   */
  splitPlace(): number {
    const { count } = this
    const upwards = this.level === 0 ? 0 : 1
    const half = this.heapSums[count] + count * entryWordsAt(this.level)
    let place = 1
    while (
      place < count - 1 &&
      2 * (this.heapSums[place] + place * entryWordsAt(this.level)) < half
    ) {
      place++
    }
    if (this.fits(0, place) && this.fits(place + upwards, count)) return place
    // A key without the prefix of all others is in their way wherever they are divided but beside
    // it: there both sides fit, since one of them fitted before.
    let best = -1
    let bestWords = pageWords + 1
    for (let other = 1 - upwards; other < count; other++) {
      const larger = Math.max(this.pageWordsOf(0, other), this.pageWordsOf(other + upwards, count))
      if (larger < bestWords) {
        best = other
        bestWords = larger
      }
    }
    return best
  }
}
