/**
 * Filling a hash index that nobody reads yet: while it is made from the log, before the files that it lies
 * in are signed. So nothing is announced and no version moves, and the state of the control file is
 * written where it lies: after a kill nobody believes any of it.
 * Hot path: `bench/recovery.mjs`, row "whole log".
 */
import { StoreError } from '../base/errors.js'
import {
  bucketCountMax,
  bucketWords,
  linkWordInBucket,
  versionWordInBucket,
} from '../format/bucket.js'
import * as layout from '../format/control-layout.js'
import { freeEntry, type HashIndex, wordOf } from './hash-index.js'
import { entriesPerBucketMax, imageWords, isSplitDue, planSplit, type SplitPlan } from './split.js'

/** Puts an entry into the chain of `home`. Throws `STORE_FULL` where that needs a bucket and there is no room. */
export function insertEntry(index: HashIndex, home: number, low: number, high: number): void {
  let words = index.wordsOf(home)
  let start = wordOf(home)
  let entry = freeEntry(words, start)
  while (entry < 0) {
    let link = words[start + linkWordInBucket]
    if (link === 0) {
      link = takeOverflowBucket(index)
      words[start + linkWordInBucket] = link
    }
    words = index.overflowWordsOf(link)
    start = wordOf(link)
    entry = freeEntry(words, start)
  }
  words[start + entry] = low
  words[start + entry + 1] = high
}

/** An empty one. */
function takeOverflowBucket(index: HashIndex): number {
  const { doubles, state } = index.control
  const free = doubles[state + layout.overflowFree] | 0
  if (free === 0) {
    const added = doubles[state + layout.overflowEnd] | 0
    index.overflows.reserve(added + 1)
    doubles[state + layout.overflowEnd] = added + 1
    return added
  }
  const words = index.overflowWordsOf(free)
  const start = wordOf(free)
  doubles[state + layout.overflowFree] = words[start + linkWordInBucket]
  words.fill(0, start, start + bucketWords)
  return free
}

/**
 * Gives an empty table the size that so many keys bring it to one by one, so that it need not be split while
 * they come. On a full disk it keeps its size.
 */
export function sizeAhead(index: HashIndex, keyCount: number): void {
  const { control } = index
  const count = Math.min(bucketCountMax, Math.ceil(keyCount / entriesPerBucketMax))
  if (count <= index.bucketCount) return
  try {
    index.homes.reserve(count)
  } catch (error) {
    if (error instanceof StoreError && error.code === 'STORE_FULL') return
    throw error
  }
  control.doubles[control.state + layout.bucketCount] = count
  index.publishBucketCount(count)
  index.adoptBucketCount()
}

/** Images of so many buckets: a longer chain is not split. */
const images = new Int32Array(64 * imageWords)

/** Splits a bucket where new keys made one due. On a full disk the table keeps its size. */
export function growBuilt(index: HashIndex): void {
  const { control } = index
  const { doubles, state } = control
  const entryCount = doubles[state + layout.records] + doubles[state + layout.tombstones]
  if (!isSplitDue(index, entryCount)) return
  const plan = planWhereThereIsSpace(index)
  if (plan === undefined) return
  for (let image = 0; image < plan.imageCount; image++) writeImage(index, image * imageWords)
  doubles[state + layout.bucketCount] = plan.newHome + 1
  doubles[state + layout.overflowEnd] = plan.overflowEnd
  doubles[state + layout.overflowFree] = plan.overflowFree
  index.publishBucketCount(plan.newHome + 1)
  index.adoptBucketCount()
}

function planWhereThereIsSpace(index: HashIndex): SplitPlan | undefined {
  try {
    return planSplit(index, images, 0, images.length)
  } catch (error) {
    if (error instanceof StoreError && error.code === 'STORE_FULL') return undefined
    throw error
  }
}

function writeImage(index: HashIndex, image: number): void {
  const bucket = images[image + 1]
  const words = images[image] === 0 ? index.wordsOf(bucket) : index.overflowWordsOf(bucket)
  const start = wordOf(bucket)
  const source = image + imageWords - bucketWords
  for (let word = 0; word < versionWordInBucket; word++) words[start + word] = images[source + word]
  words[start + linkWordInBucket] = images[source + linkWordInBucket]
}
