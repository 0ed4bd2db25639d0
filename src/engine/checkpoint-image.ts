/**
 * The hash index as it was at a moment, taken while others write.
 *
 * The image has the table of the moment: its number of buckets, and in each of them the entries that
 * its chain had. A bucket is taken with all that were split from it since, in one turn of the
 * writer's word: at that instant each key of it has its one entry there, and no change or batch is
 * half made. The tag and the bucket of an entry tell where it was at the moment: growth only divides.
 *
 * An entry that leads below the address of the moment is as it was. Any other was made since; its
 * record leads back to the one before, and that to the next, until one lies below: the entry of the
 * moment; or to none, and the key was not there. The pin of the moment keeps deleted keys in the index
 * for that (announce-record.ts), and everything below the address from being updated in place. Previous
 * addresses never change, so the way back needs no turn of the word.
 *
 * No record may be moved while an image is taken: whoever does that holds the lock of checkpoints. What is
 * dropped meanwhile is needed by no pin, and so not by the image.
 */
import { assert } from '../base/assert.js'
import { entriesPerBucket, entryWords, linkWordInBucket } from '../format/bucket.js'
import * as layout from '../format/control-layout.js'
import { kindWord, previousDouble, typeTombstone } from '../format/record.js'
import { wordOf } from '../index/hash-index.js'
import { slotNumber } from '../log/slot-table.js'
import type { CheckpointMoment } from './checkpoint-moment.js'
import type { Engine } from './engine.js'
import { exclusively } from './exclusive.js'

/** Home buckets taken while others wait: some 50 microseconds. */
const homesAtOnce = 1024

/** Takes the buckets of an image, in order. */
export interface ImageTarget {
  /** Begins the next home bucket. */
  beginHome(): void
  addEntry(low: number, high: number): void
}

export class CheckpointImage {
  readonly #engine: Engine
  readonly #moment: CheckpointMoment
  readonly #bucketCount: number
  /** By slot: records from this offset on, in 8-byte words, were written since. */
  readonly #limits: Int32Array
  /** By slot: records from this offset on may be tombstones that a snapshot needs. */
  readonly #tombstonesFrom: Int32Array
  /** By slot: entries of the image that lead there. */
  readonly entryCounts: Float64Array
  entryCount = 0
  /** What was taken: for each home bucket how many entries, and their words. */
  readonly #counts = new Int32Array(homesAtOnce)
  #taken = new Int32Array(homesAtOnce * entriesPerBucket * entryWords)
  #takenSize = 0
  // The place that a way back has come to.
  #slot = 0
  #offset = 0

  constructor(engine: Engine, moment: CheckpointMoment) {
    const { segments, state } = moment
    this.#engine = engine
    this.#moment = moment
    this.#bucketCount = state[layout.bucketCount]
    this.entryCounts = new Float64Array(segments.length)
    const offsetsOf = (address: number): Int32Array =>
      Int32Array.from(segments, ({ segmentNumber }) => {
        const offset = address - segmentNumber * engine.log.segmentWords
        return Math.max(0, Math.min(engine.log.segmentWords, offset))
      })
    this.#limits = offsetsOf(moment.address)
    const hasTombstones = state[layout.tombstones] > 0
    this.#tombstonesFrom = offsetsOf(hasTombstones ? state[layout.tombstonesFrom] : moment.address)
  }

  /** Each step takes less than a millisecond; others read and write between them. */
  *take(target: ImageTarget): Generator<void, void> {
    for (let first = 0; first < this.#bucketCount; first += homesAtOnce) {
      const end = Math.min(this.#bucketCount, first + homesAtOnce)
      exclusively(this.#engine, () => this.#collect(first, end))
      this.#settle(end - first, target)
      yield
    }
    const records = this.#moment.state[layout.records]
    assert(this.entryCount === records, `the image has ${this.entryCount} of ${records} keys`)
  }

  #collect(first: number, end: number): void {
    this.#takenSize = 0
    this.#noteReused()
    for (let home = first; home < end; home++) {
      const before = this.#takenSize
      this.#collectHome(home)
      this.#counts[home - first] = (this.#takenSize - before) / entryWords
    }
  }

  /**
   * A slot that was free at the moment, or whose segment was dead and has been dropped since, may have another
   * segment by now: all that lies there was written since.
   */
  #noteReused(): void {
    const { slots } = this.#engine.log
    this.#moment.segments.forEach(({ segmentNumber }, slot) => {
      if (slots.get(slot, slotNumber) !== segmentNumber) this.#limits[slot] = 0
    })
  }

  /** The chain of a home bucket, and of those that were split from it since. */
  #collectHome(home: number): void {
    const { index } = this.#engine
    let words = index.wordsOf(home)
    let start = wordOf(home)
    for (;;) {
      this.#collectBucket(words, start)
      const link = words[start + linkWordInBucket]
      if (link === 0) break
      words = index.overflowWordsOf(link)
      start = wordOf(link)
    }
    for (let bit = 2 ** (32 - Math.clz32(home)); home + bit < index.bucketCount; bit *= 2) {
      if (home + bit >= this.#bucketCount) this.#collectHome(home + bit)
    }
  }

  #collectBucket(words: Int32Array, start: number): void {
    if (this.#takenSize + entriesPerBucket * entryWords > this.#taken.length) this.#enlarge()
    const taken = this.#taken
    let size = this.#takenSize
    for (let entry = start; entry < start + entriesPerBucket * entryWords; entry += entryWords) {
      const low = words[entry]
      const high = words[entry + 1]
      if (low === 0 && high === 0) continue
      taken[size] = low
      taken[size + 1] = high
      size += entryWords
    }
    this.#takenSize = size
  }

  #enlarge(): void {
    const larger = new Int32Array(this.#taken.length * 2)
    larger.set(this.#taken)
    this.#taken = larger
  }

  /** Brings what was taken back to the moment. */
  #settle(homeCount: number, target: ImageTarget): void {
    const { offsetMask, shift } = this.#engine.log
    const limits = this.#limits
    const tombstonesFrom = this.#tombstonesFrom
    const taken = this.#taken
    let entry = 0
    for (let home = 0; home < homeCount; home++) {
      target.beginHome()
      for (const end = entry + this.#counts[home] * entryWords; entry < end; entry += entryWords) {
        const low = taken[entry]
        const high = taken[entry + 1]
        const slot = ((low & 0xff) << (32 - shift)) | (high >>> shift)
        const offset = high & offsetMask
        // Most are as they were.
        if (slot < limits.length && offset < limits[slot] && offset < tombstonesFrom[slot]) {
          target.addEntry(low, high)
          this.entryCounts[slot]++
          this.entryCount++
        } else if (this.#goBack(slot, offset)) {
          const then = this.#slot
          target.addEntry((low & ~0xff) | (then >>> (32 - shift)), (then << shift) | this.#offset)
          this.entryCounts[then]++
          this.entryCount++
        }
      }
    }
  }

  /** True where the key was live at the moment; `#slot` and `#offset` are the place of its record then. */
  #goBack(slotNow: number, offsetNow: number): boolean {
    this.#slot = slotNow
    this.#offset = offsetNow
    const { log } = this.#engine
    const limits = this.#limits
    while (this.#slot >= limits.length || this.#offset >= limits[this.#slot]) {
      if (log.words[this.#slot] === undefined) log.mapSlot(this.#slot)
      const previous = log.doubles[this.#slot][this.#offset + previousDouble]
      if (previous === 0) return false
      const number = Math.floor(previous / log.segmentWords)
      this.#slot = log.slotOf(number)
      this.#offset = previous - number * log.segmentWords
      assert(this.#slot !== -1, `segment ${number} is in a slot`)
    }
    if (this.#offset < this.#tombstonesFrom[this.#slot]) return true
    if (log.words[this.#slot] === undefined) log.mapSlot(this.#slot)
    return (log.words[this.#slot][this.#offset * 2 + kindWord] & 0xff) !== typeTombstone
  }
}
