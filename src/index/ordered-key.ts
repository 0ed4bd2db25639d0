/**
 * A key as the ordered index sees it: zero-padded words, the keyspace's first
 * (format/ordered-page.ts). A zero word follows the last, so that a head can be taken behind the end.
 */
import { inPageWordsMax } from '../format/ordered-page.js'

/** What V8 keeps in its own heap costs a tenth of what it asks the system for. */
const firstCapacityWords = 16

export class OrderedKey {
  words: Int32Array = new Int32Array(firstCapacityWords)
  /** With the four of the keyspace. */
  sizeBytes = 0

  /** Hot path: `bench/ordered.mjs`, every row. */
  set(keyspaceId: number, words: Int32Array, start: number, keySizeBytes: number): void {
    const count = (keySizeBytes + 3) >>> 2
    const target = this.reserve(count + 1)
    target[0] = swapBytes(keyspaceId)
    for (let index = 0; index < count; index++) target[index + 1] = words[start + index]
    target[count + 1] = 0
    this.sizeBytes = keySizeBytes + 4
  }

  /** Takes over the whole of another key, or its first `sizeBytes`. */
  setKey(other: OrderedKey, sizeBytes: number): void {
    const count = (sizeBytes + 3) >>> 2
    const target = this.reserve(count)
    for (let index = 0; index < count; index++) target[index] = other.words[index]
    this.#end(sizeBytes, count)
  }

  /** Becomes the least key above itself: its bytes and a zero. */
  raise(): void {
    const wordCount = wordCountOf(this.sizeBytes + 1)
    this.reserve(wordCount)
    this.words[wordCount] = 0
    this.sizeBytes++
  }

  /** Makes room for `count` words; they are then to be written, and ended with {@link end}. */
  reserve(count: number): Int32Array {
    if (count + 1 > this.words.length) {
      const grown = new Int32Array(2 * (count + 1))
      grown.set(this.words)
      this.words = grown
    }
    return this.words
  }

  end(sizeBytes: number): void {
    this.#end(sizeBytes, (sizeBytes + 3) >>> 2)
  }

  #end(sizeBytes: number, count: number): void {
    const rest = sizeBytes & 3
    if (rest !== 0) this.words[count - 1] &= (1 << (rest * 8)) - 1
    this.words[count] = 0
    this.sizeBytes = sizeBytes
  }

  get keyspaceId(): number {
    return swapBytes(this.words[0])
  }
}

export function wordCountOf(sizeBytes: number): number {
  return (sizeBytes + 3) >>> 2
}

export function isLong(key: OrderedKey): boolean {
  return key.sizeBytes > inPageWordsMax * 4
}

export function swapBytes(word: number): number {
  return (word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24)
}

/** The head of a word: signed numbers in the order of the word's bytes. Its own inverse with {@link wordOfHead}. */
export function headOf(word: number): number {
  return swapBytes(word) ^ 0x80000000
}

export function wordOfHead(head: number): number {
  return swapBytes(head ^ 0x80000000)
}

/** Bytes that both keys begin with. */
export function commonSizeBytes(a: OrderedKey, b: OrderedKey): number {
  const least = Math.min(a.sizeBytes, b.sizeBytes)
  const count = wordCountOf(least)
  for (let index = 0; index < count; index++) {
    const difference = a.words[index] ^ b.words[index]
    if (difference === 0) continue
    const lowestBit = 31 - Math.clz32(difference & -difference)
    return Math.min(least, index * 4 + (lowestBit >>> 3))
  }
  return least
}

/** Below, above or at 0 as `a` sorts before, after or with `b`. */
export function compareKeys(a: OrderedKey, b: OrderedKey): number {
  const count = Math.min(wordCountOf(a.sizeBytes), wordCountOf(b.sizeBytes))
  for (let index = 0; index < count; index++) {
    if (a.words[index] === b.words[index]) continue
    return headOf(a.words[index]) < headOf(b.words[index]) ? -1 : 1
  }
  return a.sizeBytes - b.sizeBytes
}

/**
 * Sets `separator` to the shortest key above `left` and not above `right`: what an inner page needs
 * to tell the two sides of a split apart.
 */
export function setSeparator(separator: OrderedKey, left: OrderedKey, right: OrderedKey): void {
  separator.setKey(right, Math.min(right.sizeBytes, commonSizeBytes(left, right) + 1))
}
