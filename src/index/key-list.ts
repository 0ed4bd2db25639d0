/**
 * Many keys in memory, to be sorted and built into an ordered index: their words one behind the
 * other, as the index sees them (ordered-key.ts).
 *
 * Sorting is a quicksort of three parts by one word at a time: keys that agree in a word are then
 * sorted by the next, and the word that is compared lies beside the key's number, so that the keys
 * themselves are read once for each word that tells them apart.
 *
 * Algorithm: Jon Bentley and Robert Sedgewick, "Fast algorithms for sorting and searching strings",
 * SODA 1997.
 */
import { headOf, type OrderedKey, swapBytes, wordCountOf } from './ordered-key.js'

const insertionSortMax = 12

export class KeyList {
  count = 0
  words: Int32Array = new Int32Array(65_536)
  /** First word of each key; at `count`, where the next would begin. */
  starts: Float64Array = new Float64Array(4096)
  /** With the four of the keyspace. */
  sizesBytes: Int32Array = new Int32Array(4096)
  /** The numbers of the keys in their order, once they are sorted. */
  order: Uint32Array = new Uint32Array(0)

  /** Adds a key; `keyWords` has it zero-padded from word `start` on. */
  add(keyspaceId: number, keyWords: Int32Array, start: number, keySizeBytes: number): void {
    const own = this.#addEntry(keySizeBytes + 4)
    const wordCount = wordCountOf(keySizeBytes)
    const { words } = this
    words[own] = swapBytes(keyspaceId)
    for (let word = 0; word < wordCount; word++) words[own + 1 + word] = keyWords[start + word]
  }

  addKey(key: OrderedKey): void {
    const own = this.#addEntry(key.sizeBytes)
    const wordCount = wordCountOf(key.sizeBytes)
    const { words } = this
    for (let word = 0; word < wordCount; word++) words[own + word] = key.words[word]
  }

  readKey(index: number, key: OrderedKey): void {
    const sizeBytes = this.sizesBytes[index]
    const wordCount = wordCountOf(sizeBytes)
    const target = key.reserve(wordCount)
    const start = this.starts[index]
    for (let word = 0; word < wordCount; word++) target[word] = this.words[start + word]
    key.end(sizeBytes)
  }

  #addEntry(sizeBytes: number): number {
    const { count } = this
    if (count + 2 > this.starts.length) this.#growKeys()
    const start = this.starts[count]
    const end = start + wordCountOf(sizeBytes)
    if (end > this.words.length) this.#growWords(end)
    this.sizesBytes[count] = sizeBytes
    this.starts[count + 1] = end
    this.count = count + 1
    return start
  }

  #growKeys(): void {
    const starts = new Float64Array(2 * this.starts.length)
    starts.set(this.starts)
    this.starts = starts
    const sizesBytes = new Int32Array(2 * this.sizesBytes.length)
    sizesBytes.set(this.sizesBytes)
    this.sizesBytes = sizesBytes
  }

  #growWords(needed: number): void {
    const words = new Int32Array(Math.max(2 * this.words.length, needed))
    words.set(this.words)
    this.words = words
  }

  /** Puts `order` in order. Keys that are there twice stay so, side by side. */
  sort(): void {
    const { count } = this
    const order = new Uint32Array(count)
    for (let index = 0; index < count; index++) order[index] = index
    this.order = order
    const heads = new Int32Array(count)
    // Parts still to be sorted: first, end, and the word they are to be sorted by.
    const parts: number[] = [0, count, 0]
    while (parts.length > 0) {
      const depth = parts.pop() as number
      const end = parts.pop() as number
      const first = parts.pop() as number
      this.#sortPart(heads, first, end, depth, parts)
    }
  }

  /** Sorts by the word at `depth`, and leaves what agrees in it for later. */
  #sortPart(heads: Int32Array, first: number, end: number, depth: number, parts: number[]): void {
    if (end - first <= insertionSortMax) {
      this.#sortFew(first, end, depth)
      return
    }
    // Those that end here come first, the shorter ones before the others: zeros pad them all, and
    // a key that goes on is not below one that does not.
    const begin = this.#moveEnded(first, end, depth)
    const { order, starts, words } = this
    for (let index = begin; index < end; index++) {
      heads[index] = headOf(words[starts[order[index]] + depth])
    }
    const ranges: number[] = [begin, end]
    while (ranges.length > 0) {
      let high = ranges.pop() as number
      let low = ranges.pop() as number
      while (high - low > 1) {
        const pivot = median(heads[low], heads[(low + high) >>> 1], heads[high - 1])
        let less = low
        let at = low
        let more = high
        while (at < more) {
          const head = heads[at]
          if (head < pivot) swap(heads, order, less++, at++)
          else if (head > pivot) swap(heads, order, at, --more)
          else at++
        }
        if (more - less > 1) parts.push(less, more, depth + 1)
        // The larger side waits, so that few ever do.
        if (less - low < high - more) {
          ranges.push(more, high)
          high = less
        } else {
          ranges.push(low, less)
          low = more
        }
      }
    }
  }

  /** Moves keys of no more than `depth` words to the front, in order; returns where the others begin. */
  #moveEnded(first: number, end: number, depth: number): number {
    const { order, sizesBytes } = this
    let begin = first
    for (let index = first; index < end; index++) {
      if (wordCountOf(sizesBytes[order[index]]) > depth) continue
      const moved = order[index]
      order[index] = order[begin]
      order[begin++] = moved
    }
    // They agree in all words: sizes decide, and there are four at most.
    if (begin - first > 1) {
      const ended = order.subarray(first, begin)
      ended.sort((a, b) => sizesBytes[a] - sizesBytes[b])
    }
    return begin
  }

  #sortFew(first: number, end: number, depth: number): void {
    const { order } = this
    for (let index = first + 1; index < end; index++) {
      const key = order[index]
      let place = index
      while (place > first && this.#compareFrom(order[place - 1], key, depth) > 0) {
        order[place] = order[place - 1]
        place--
      }
      order[place] = key
    }
  }

  #compareFrom(a: number, b: number, depth: number): number {
    const { sizesBytes, starts, words } = this
    const count = Math.min(wordCountOf(sizesBytes[a]), wordCountOf(sizesBytes[b]))
    const startA = starts[a]
    const startB = starts[b]
    for (let word = depth; word < count; word++) {
      if (words[startA + word] === words[startB + word]) continue
      return headOf(words[startA + word]) < headOf(words[startB + word]) ? -1 : 1
    }
    return sizesBytes[a] - sizesBytes[b]
  }
}

function median(a: number, b: number, c: number): number {
  if (a < b) return b < c ? b : Math.max(a, c)
  return a < c ? a : Math.max(b, c)
}

function swap(heads: Int32Array, order: Uint32Array, a: number, b: number): void {
  const head = heads[a]
  heads[a] = heads[b]
  heads[b] = head
  const key = order[a]
  order[a] = order[b]
  order[b] = key
}
