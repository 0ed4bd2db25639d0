/**
 * One step of growth: the entries of one bucket are divided between it and a new one.
 *
 * The step is planned here, as images of every bucket it changes, and written by whoever applies
 * the change: writing an image twice is writing it once, so a split survives a kill anywhere.
 *
 * Algorithm: Witold Litwin, "Linear hashing: a new tool for file and table addressing", VLDB 1980.
 */
import {
  bucketCountMax,
  bucketWords,
  entriesPerBucket,
  entryWords,
  linkWordInBucket,
  tagShift,
} from '../format/bucket.js'
import * as layout from '../format/control-layout.js'
import { type HashIndex, overflowChain, wordOf } from './hash-index.js'

/** Keys per home bucket beyond which the table grows: 15.1 bytes of index for a key. */
const entriesPerBucketMax = 5

/**
 * What a split writes: `images` holds 18 words for each bucket, its place and its content.
 *
 * word | field
 * ---- | -----
 *    0 | 0 for a home bucket, 1 for an overflow bucket
 *    1 | number of the bucket
 *  2-17 | its words; the version word is left alone where the image is applied
 */
export const imageWords = 18

export interface SplitPlan {
  readonly oldHome: number
  readonly newHome: number
  imageCount: number
  readonly images: Int32Array
  overflowEnd: number
  overflowFree: number
}

export function isSplitDue(index: HashIndex, entryCount: number): boolean {
  return entryCount > index.bucketCount * entriesPerBucketMax && index.bucketCount < bucketCountMax
}

/** The bucket whose entries a new one shares. */
export function oldHomeOf(newHome: number): number {
  return newHome - (1 << (31 - Math.clz32(newHome)))
}

/**
 * Plans the next split into `images`, or returns undefined where the chain is longer than that: the
 * table then keeps its size, and stays right. Throws `STORE_FULL` where the index cannot grow.
 */
export function planSplit(index: HashIndex, images: Int32Array): SplitPlan | undefined {
  const newHome = index.bucketCount
  const oldHome = oldHomeOf(newHome)
  const half = newHome - oldHome
  const chain = overflowChain(index, oldHome)
  // Both new chains together never have more overflow buckets than the old one, and one is freed
  // or kept for each: every bucket of the old chain gets one image.
  if ((chain.length + 2) * imageWords > images.length) return undefined
  index.homes.reserve(newHome + 1)

  const plan: SplitPlan = {
    oldHome,
    newHome,
    imageCount: 0,
    images,
    overflowEnd: index.control.get(layout.overflowEnd) | 0,
    overflowFree: index.control.get(layout.overflowFree) | 0,
  }
  const stay: number[] = []
  const move: number[] = []
  collect(index.wordsOf(oldHome), wordOf(oldHome), half, stay, move)
  for (const bucket of chain) {
    collect(index.overflowWordsOf(bucket), wordOf(bucket), half, stay, move)
  }
  const spare = [...chain]
  writeChain(plan, oldHome, stay, spare)
  writeChain(plan, newHome, move, spare)
  for (const bucket of spare) {
    const start = startImage(plan, 1, bucket)
    plan.images[start + linkWordInBucket] = plan.overflowFree
    plan.overflowFree = bucket
  }
  return plan
}

function collect(
  words: Int32Array,
  start: number,
  half: number,
  stay: number[],
  move: number[],
): void {
  // The hash bit that decides lies in the tag: buckets are numbered by the bits below 8 and up.
  const bit = half >>> tagShift
  for (let entry = 0; entry < entriesPerBucket * entryWords; entry += entryWords) {
    const low = words[start + entry]
    const high = words[start + entry + 1]
    if (low === 0 && high === 0) continue
    const moves = ((low >>> 8) & bit) !== 0
    ;(moves ? move : stay).push(low, high)
  }
}

function writeChain(plan: SplitPlan, home: number, entries: number[], spare: number[]): void {
  let start = startImage(plan, 0, home)
  let taken = 0
  for (let index = 0; index < entries.length; index += entryWords) {
    if (taken === entriesPerBucket) {
      // There is one: the old chain held all these entries in as many buckets.
      const next = spare.shift() as number
      plan.images[start + linkWordInBucket] = next
      start = startImage(plan, 1, next)
      taken = 0
    }
    plan.images[start + taken * entryWords] = entries[index]
    plan.images[start + taken * entryWords + 1] = entries[index + 1]
    taken++
  }
}

/** Begins an image of zeros and returns where the bucket's words begin in it. */
function startImage(plan: SplitPlan, region: 0 | 1, bucket: number): number {
  const start = plan.imageCount * imageWords
  plan.images.fill(0, start, start + imageWords)
  plan.images[start] = region
  plan.images[start + 1] = bucket
  plan.imageCount++
  return start + imageWords - bucketWords
}
