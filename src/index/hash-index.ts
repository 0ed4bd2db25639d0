/**
 * The hash index: key hash -> location of the newest record, by linear hashing over buckets of one
 * cache line. Keys are not in it; whoever looks up compares the full key in the record (I3).
 *
 * Invariants:
 * - An entry lies in the chain of the home bucket that {@link bucketOf} gives for its hash.
 * - `bucketCount` is the size of the table as last seen; a reader that misses looks again.
 * - The version word of a home bucket is odd while anything in its chain changes, or, for a batch,
 *   while some of the batch's entries are published and others are not (I6).
 *
 * Not here: reading records (engine/probe.ts), announcing and applying changes (engine/apply.ts).
 */
import { StoreError } from '../base/errors.js'
import type { Control } from '../control/control.js'
import {
  bucketCountMin,
  bucketSizeBytes,
  bucketWords,
  entriesPerBucket,
  entryWords,
  linkWordInBucket,
} from '../format/bucket.js'
import * as layout from '../format/control-layout.js'
import type { MapAccess, MappingSpace, PlatformFile } from '../platform/platform.js'
import { indexInPiece, pieceOf, Region } from '../platform/region.js'

/** log2 of the buckets in the first piece of a region: 1 MiB. */
export const bucketsFirstShift = 14

export class HashIndex {
  readonly control: Control
  readonly homes: Region
  readonly overflows: Region
  /** The pieces of `homes` and `overflows`, as words. */
  readonly homeWords: Int32Array[]
  readonly overflowWords: Int32Array[]
  bucketCount = 0
  /** 2^n - 1, the least that is not below `bucketCount - 1`. */
  #mask = 0

  constructor(
    control: Control,
    files: { readonly buckets: PlatformFile; readonly overflow: PlatformFile },
    access: MapAccess,
    space: MappingSpace | undefined,
  ) {
    const shape = { firstShift: bucketsFirstShift, elementSizeBytes: bucketSizeBytes }
    this.control = control
    this.homes = new Region(files.buckets, shape, access, space)
    this.overflows = new Region(files.overflow, shape, access, space)
    this.homeWords = this.homes.words
    this.overflowWords = this.overflows.words
  }

  /** Makes an empty index: for a new store, and before a replay. */
  initialize(): void {
    this.homes.reserve(bucketCountMin)
    this.overflows.reserve(2)
    this.control.set(layout.bucketCount, bucketCountMin)
    this.publishBucketCount(bucketCountMin)
    this.control.set(layout.overflowEnd, 1)
    this.control.set(layout.overflowFree, 0)
  }

  /** Makes room for so many home buckets. False where the disk is full: the table keeps its size then. */
  tryReserveHomes(count: number): boolean {
    try {
      this.homes.reserve(count)
      return true
    } catch (error) {
      if (error instanceof StoreError && error.code === 'STORE_FULL') return false
      throw error
    }
  }

  /** Lets readers go by a new size; while the buckets of the split are odd. */
  publishBucketCount(count: number): void {
    Atomics.store(this.control.words, layout.bucketCountWord, count)
  }

  /** True where the table has the size that this one goes by. */
  isUnmoved(): boolean {
    return Atomics.load(this.control.words, layout.bucketCountWord) === this.bucketCount
  }

  /** Goes by the size that the table has now. */
  adoptBucketCount(): void {
    this.bucketCount = Atomics.load(this.control.words, layout.bucketCountWord)
    this.homes.ensure(this.bucketCount)
    this.#mask = (0xffffffff >>> Math.clz32(this.bucketCount - 1)) | 0
  }

  /** Hot path: `bench/compare`, every row. */
  bucketOf(hash: number): number {
    const bucket = hash & this.#mask
    return bucket < this.bucketCount ? bucket : bucket & (this.#mask >>> 1)
  }

  /** The words that home bucket `bucket` lies in; it begins there at {@link wordOf}. */
  wordsOf(bucket: number): Int32Array {
    return this.homeWords[pieceOf(bucket, bucketsFirstShift)]
  }

  overflowWordsOf(bucket: number): Int32Array {
    const words = this.overflowWords[pieceOf(bucket, bucketsFirstShift)]
    return words ?? this.#mapOverflow(bucket)
  }

  /** A bucket that another attachment made room for. */
  #mapOverflow(bucket: number): Int32Array {
    this.overflows.ensure(bucket + 1)
    return this.overflowWords[pieceOf(bucket, bucketsFirstShift)]
  }

  get sizeBytes(): number {
    return this.homes.reservedBytes + this.overflows.reservedBytes
  }
}

/** First word of a bucket within its piece. */
export function wordOf(bucket: number): number {
  return indexInPiece(bucket, bucketsFirstShift) * bucketWords
}

/** A free overflow bucket, empty, taken in one of the two states. Throws `STORE_FULL`; nothing is changed then. */
export function takeOverflowBucket(index: HashIndex, state: number): number {
  const { doubles } = index.control
  const free = doubles[state + layout.overflowFree] | 0
  const taken = free === 0 ? doubles[state + layout.overflowEnd] | 0 : free
  if (free === 0) index.overflows.reserve(taken + 1)
  const words = index.overflowWordsOf(taken)
  const start = wordOf(taken)
  if (free === 0) doubles[state + layout.overflowEnd] = taken + 1
  else doubles[state + layout.overflowFree] = words[start + linkWordInBucket]
  words.fill(0, start, start + bucketWords)
  return taken
}

/** The first free entry of one bucket as a word offset in it, or -1. */
export function freeEntry(words: Int32Array, start: number): number {
  for (let entry = 0; entry < entriesPerBucket * entryWords; entry += entryWords) {
    if (words[start + entry] === 0 && words[start + entry + 1] === 0) return entry
  }
  return -1
}
