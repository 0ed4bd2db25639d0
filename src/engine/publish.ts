/**
 * Making a record reachable: the entry that an operation announces for it, and the growth of the
 * index that new keys bring. Between `begin` and `commit`, except {@link grow}.
 */

import { entryHigh, entryLow, linkWordInBucket, versionWordInBucket } from '../format/bucket.js'
import * as layout from '../format/control-layout.js'
import { redoSizeBytes } from '../format/control-layout.js'
import { freeEntry, type HashIndex, takeOverflowBucket, wordOf } from '../index/hash-index.js'
import { isSplitDue, planSplit } from '../index/split.js'
import { applyPending, makeOdd } from './apply.js'
import type { Engine } from './engine.js'

/** The words of an entry for the record at `slot` and `offset`. */
function announceWords(engine: Engine, hash: number, slot: number, offset: number): void {
  const { doubles, next } = engine.control
  const { shift } = engine.log
  doubles[next + layout.pendingLow] = entryLow(hash, slot, shift)
  doubles[next + layout.pendingHigh] = entryHigh(slot, offset, shift)
}

/** The entry of the lookup gets another location. */
export function announceReplace(engine: Engine, hash: number, slot: number, offset: number): void {
  announceEntryPlace(engine)
  announceWords(engine, hash, slot, offset)
}

/** The entry of the lookup goes away. */
export function announceRemove(engine: Engine): void {
  announceEntryPlace(engine)
  const { doubles, next } = engine.control
  doubles[next + layout.pendingLow] = 0
  doubles[next + layout.pendingHigh] = 0
}

function announceEntryPlace(engine: Engine): void {
  const { control, lookup } = engine
  const { doubles, next } = control
  doubles[next + layout.pendingKind] = layout.changeEntry
  doubles[next + layout.pendingHome] = lookup.home
  doubles[next + layout.pendingBucket] = lookup.bucket
  doubles[next + layout.pendingSlot] = lookup.entryIndex - wordOf(Math.abs(lookup.bucket))
}

/**
 * A new entry in the chain of the lookup's home bucket, which had none for the key: in a free place
 * of the chain, or in a new overflow bucket at its end, filled before anything refers to it. Throws
 * `STORE_FULL` where there is no room for that; nothing is changed then.
 */
export function announceInsert(engine: Engine, hash: number, slot: number, offset: number): void {
  const { control, index, lookup } = engine
  const { doubles, next } = control
  announceWords(engine, hash, slot, offset)
  doubles[next + layout.pendingHome] = lookup.home
  if (findFreePlace(index, lookup.home)) {
    doubles[next + layout.pendingKind] = layout.changeEntry
    doubles[next + layout.pendingBucket] = freePlace.bucket
    doubles[next + layout.pendingSlot] = freePlace.entry
    return
  }
  const added = takeOverflowBucket(index, next)
  const words = index.overflowWordsOf(added)
  const start = wordOf(added)
  words[start] = doubles[next + layout.pendingLow]
  words[start + 1] = doubles[next + layout.pendingHigh]
  doubles[next + layout.pendingKind] = layout.changeLink
  doubles[next + layout.pendingBucket] = lookup.lastBucket
  doubles[next + layout.pendingLink] = added
}

const freePlace = { bucket: 0, entry: 0 }

function findFreePlace(index: HashIndex, home: number): boolean {
  let words = index.wordsOf(home)
  let start = wordOf(home)
  let bucket = home
  for (;;) {
    const entry = freeEntry(words, start)
    if (entry >= 0) {
      freePlace.bucket = bucket
      freePlace.entry = entry
      return true
    }
    const link = words[start + linkWordInBucket]
    if (link === 0) return false
    words = index.overflowWordsOf(link)
    start = wordOf(link)
    bucket = -link
  }
}

/**
 * Splits a bucket where new keys made one due. A change of its own, after that of the operation, which is
 * done: on a full disk the table keeps its size, and is right all the same; the next new key tries again.
 */
export function grow(engine: Engine): void {
  const { control, index } = engine
  if (!isSplitDue(index, control.get(layout.records) + control.get(layout.tombstones))) return
  const redo = control.redoStart(control.next) >>> 2
  const plan = planSplit(index, control.words, redo, redoSizeBytes / 4)
  if (plan === undefined) return
  control.begin()
  control.set(layout.bucketCount, plan.newHome + 1)
  control.set(layout.overflowEnd, plan.overflowEnd)
  control.set(layout.overflowFree, plan.overflowFree)
  control.set(layout.pendingKind, layout.changeBuckets)
  control.set(layout.pendingHome, plan.oldHome)
  control.set(layout.pendingSplitHome, plan.newHome)
  control.set(layout.pendingImageCount, plan.imageCount)
  // Odd before the new size counts: a reader that goes by it must not find the new bucket empty.
  makeOdd(index.wordsOf(plan.oldHome), wordOf(plan.oldHome) + versionWordInBucket)
  makeOdd(index.wordsOf(plan.newHome), wordOf(plan.newHome) + versionWordInBucket)
  control.commit()
  applyPending(engine)
  index.adoptBucketCount()
}
