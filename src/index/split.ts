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
  versionWordInBucket,
} from '../format/bucket.js'
import * as layout from '../format/control-layout.js'
import { type HashIndex, wordOf } from './hash-index.js'

/** Keys per home bucket beyond which the table grows: 15.1 bytes of index for a key. */
export const entriesPerBucketMax = 5

/**
 * What a split writes, from word `start` of `images`: 18 words for each bucket, its place and its
 * content.
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
  readonly images: Int32Array
  readonly start: number
  imageCount: number
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

// Of the two chains that a split makes, by side: the image that is being filled, as the first word
// of its bucket, and the entries in it. Side 0 is the old home's, side 1 the new one's.
const filledStarts = new Int32Array(2)
const filledCounts = new Int32Array(2)

/**
 * Plans the next split into `images`, from `start` on, or returns undefined where the chain has more
 * buckets than `wordCount` has room for, or the disk is full: the table then keeps its size, and stays right. One
 * new key in five brings a split, so this is a part of the hot path: `bench/compare`, row "load".
 */
export function planSplit(
  index: HashIndex,
  images: Int32Array,
  start: number,
  wordCount: number,
): SplitPlan | undefined {
  const newHome = index.bucketCount
  const oldHome = oldHomeOf(newHome)
  const firstOverflow = linkOf(index.wordsOf(oldHome), oldHome)
  let chainLength = 0
  for (let link = firstOverflow; link !== 0; link = overflowLinkOf(index, link)) chainLength++
  // Both new chains together never have more overflow buckets than the old one, and one is freed
  // or kept for each: every bucket of the old chain gets one image.
  if ((chainLength + 2) * imageWords > wordCount) return undefined
  if (!index.tryReserveHomes(newHome + 1)) return undefined

  const plan: SplitPlan = {
    oldHome,
    newHome,
    images,
    start,
    imageCount: 0,
    overflowEnd: index.control.get(layout.overflowEnd) | 0,
    overflowFree: index.control.get(layout.overflowFree) | 0,
  }
  filledStarts[0] = startImage(plan, 0, oldHome)
  filledStarts[1] = startImage(plan, 0, newHome)
  filledCounts[0] = 0
  filledCounts[1] = 0
  let spare = divide(plan, index, index.wordsOf(oldHome), wordOf(oldHome), firstOverflow)
  for (let link = firstOverflow; link !== 0; link = overflowLinkOf(index, link)) {
    spare = divide(plan, index, index.overflowWordsOf(link), wordOf(link), spare)
  }
  while (spare !== 0) {
    const image = startImage(plan, 1, spare)
    images[image + linkWordInBucket] = plan.overflowFree
    plan.overflowFree = spare
    spare = overflowLinkOf(index, spare)
  }
  return plan
}

/** Writes the first `count` images of a plan, which begin at `start`, over their buckets. */
export function writeImages(
  index: HashIndex,
  images: Int32Array,
  start: number,
  count: number,
): void {
  for (let image = start; image < start + count * imageWords; image += imageWords) {
    const bucket = images[image + 1]
    const words = images[image] === 0 ? index.wordsOf(bucket) : index.overflowWordsOf(bucket)
    const target = wordOf(bucket)
    const source = image + imageWords - bucketWords
    for (let word = 0; word < versionWordInBucket; word++) {
      words[target + word] = images[source + word]
    }
    words[target + linkWordInBucket] = images[source + linkWordInBucket]
  }
}

function linkOf(words: Int32Array, bucket: number): number {
  return words[wordOf(bucket) + linkWordInBucket]
}

function overflowLinkOf(index: HashIndex, bucket: number): number {
  return linkOf(index.overflowWordsOf(bucket), bucket)
}

/**
 * Divides the entries of one bucket. A chain that is full goes on in `spare`, the first overflow
 * bucket of the old chain that is not in use again; returns the one that is the first then.
 */
function divide(
  plan: SplitPlan,
  index: HashIndex,
  words: Int32Array,
  start: number,
  spare: number,
): number {
  const { images } = plan
  // The hash bit that decides is in the low word, at its own place: above the 8 bits of location.
  const bit = 31 - Math.clz32(plan.newHome - plan.oldHome)
  let rest = spare
  for (let entry = start; entry < start + entriesPerBucket * entryWords; entry += entryWords) {
    const low = words[entry]
    const high = words[entry + 1]
    if (low === 0 && high === 0) continue
    const side = (low >>> bit) & 1
    if (filledCounts[side] === entriesPerBucket) {
      // There is one: the old chain held all these entries in as many buckets.
      images[filledStarts[side] + linkWordInBucket] = rest
      filledStarts[side] = startImage(plan, 1, rest)
      filledCounts[side] = 0
      rest = overflowLinkOf(index, rest)
    }
    const target = filledStarts[side] + filledCounts[side] * entryWords
    images[target] = low
    images[target + 1] = high
    filledCounts[side]++
  }
  return rest
}

/** Begins an image of zeros and returns where the bucket's words begin in it. */
function startImage(plan: SplitPlan, region: 0 | 1, bucket: number): number {
  const { images } = plan
  const start = plan.start + plan.imageCount * imageWords
  images[start] = region
  images[start + 1] = bucket
  for (let word = start + 2; word < start + imageWords; word++) images[word] = 0
  plan.imageCount++
  return start + imageWords - bucketWords
}
