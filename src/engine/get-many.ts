/**
 * getMany: the keys of a group are hashed first, then the memory that all of them are going to read is
 * asked for at once, and only then are they read, one by one, as by `get`. A get waits for its bucket
 * and then for its record; here these waits overlap.
 * Hot path: `bench/values`, row "getMany".
 */
import type { Engine } from './engine.js'
import { fetchAhead, hashKey } from './probe.js'

/** Keys of a group: more would push what was asked for first out of the nearest cache. */
export const groupSizeMax = 64
const firstWordCount = 1024

/** The keys of a group, as words. */
export class KeyGroup {
  count = 0
  #words = new Int32Array(firstWordCount)
  #used = 0
  readonly #starts = new Int32Array(groupSizeMax)
  readonly #sizesBytes = new Int32Array(groupSizeMax)
  readonly #hashes = new Int32Array(groupSizeMax)

  clear(): void {
    this.count = 0
    this.#used = 0
  }

  /** Takes the key at hand. */
  add(engine: Engine, keyspaceId: number): void {
    const { key } = engine
    const wordCount = (key.sizeBytes + 3) >>> 2
    const start = this.#used
    if (start + wordCount > this.#words.length) this.#grow(start + wordCount)
    for (let word = 0; word < wordCount; word++) this.#words[start + word] = key.words[word]
    this.#used = start + wordCount
    this.#starts[this.count] = start
    this.#sizesBytes[this.count] = key.sizeBytes
    this.#hashes[this.count] = hashKey(engine, keyspaceId)
    this.count++
  }

  fetchAhead(engine: Engine): void {
    fetchAhead(engine, this.#hashes, this.count)
  }

  /** Makes a key of the group the key at hand again. */
  takeKey(engine: Engine, index: number): void {
    engine.key.setWords(this.#words, this.#starts[index], this.#sizesBytes[index])
  }

  hashOf(index: number): number {
    return this.#hashes[index]
  }

  #grow(wordCount: number): void {
    const grown = new Int32Array(2 * wordCount)
    grown.set(this.#words)
    this.#words = grown
  }
}

let spare: KeyGroup | undefined

/** For one call: decoding a value may run code that reads many, too. */
export function takeGroup(): KeyGroup {
  const group = spare ?? new KeyGroup()
  spare = undefined
  return group
}

export function giveGroup(group: KeyGroup): void {
  spare = group
}
