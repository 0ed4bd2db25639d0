/**
 * Filling a hash index that nobody reads yet: while it is made from the log, before the files that it lies
 * in are signed. So nothing is announced and no version moves, and the state of the control file is
 * written where it lies: after a kill nobody believes any of it.
 * Hot path: `bench/recovery.mjs`, row "whole log".
 */
import { bucketCountMax, linkWordInBucket } from '../format/bucket.js'
import * as layout from '../format/control-layout.js'
import { freeEntry, type HashIndex, takeOverflowBucket, wordOf } from './hash-index.js'
import { entriesPerBucketMax, imageWords, isSplitDue, planSplit, writeImages } from './split.js'

/** Puts an entry into the chain of `home`. Throws `STORE_FULL` where that needs a bucket and there is no room. */
export function insertEntry(index: HashIndex, home: number, low: number, high: number): void {
  let words = index.wordsOf(home)
  let start = wordOf(home)
  let entry = freeEntry(words, start)
  while (entry < 0) {
    let link = words[start + linkWordInBucket]
    if (link === 0) {
      link = takeOverflowBucket(index, index.control.state)
      words[start + linkWordInBucket] = link
    }
    words = index.overflowWordsOf(link)
    start = wordOf(link)
    entry = freeEntry(words, start)
  }
  words[start + entry] = low
  words[start + entry + 1] = high
}

/**
 * Gives an empty table the size that so many keys bring it to one by one, so that it need not be split while
 * they come. On a full disk it keeps its size.
 */
export function sizeAhead(index: HashIndex, keyCount: number): void {
  const { control } = index
  const count = Math.min(bucketCountMax, Math.ceil(keyCount / entriesPerBucketMax))
  if (count <= index.bucketCount || !index.tryReserveHomes(count)) return
  control.doubles[control.state + layout.bucketCount] = count
  index.publishBucketCount(count)
  index.adoptBucketCount()
}

/** Images of so many buckets: a longer chain is not split. */
const images = new Int32Array(64 * imageWords)

/** Splits buckets as long as new keys made one due. On a full disk the table keeps its size. */
export function growBuilt(index: HashIndex): void {
  const { control } = index
  const { doubles, state } = control
  const entryCount = doubles[state + layout.records] + doubles[state + layout.tombstones]
  while (isSplitDue(index, entryCount)) {
    const plan = planSplit(index, images, 0, images.length)
    if (plan === undefined) return
    writeImages(index, images, 0, plan.imageCount)
    doubles[state + layout.bucketCount] = plan.newHome + 1
    doubles[state + layout.overflowEnd] = plan.overflowEnd
    doubles[state + layout.overflowFree] = plan.overflowFree
    index.publishBucketCount(plan.newHome + 1)
    index.adoptBucketCount()
  }
}
