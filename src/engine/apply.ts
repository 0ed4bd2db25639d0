/**
 * Doing what the control state announces, once it counts: the second half of every change, and all
 * of the repair after a kill. Each of these is the same when made twice.
 *
 * Order, for a reader in another thread: the home bucket's version word becomes odd before the
 * first word of its chain, or of a record under it, changes, and even after the last. A batch holds
 * the buckets of all its keys odd from before its first entry to after its last, so its single
 * changes leave the word alone.
 */
import { assertNever } from '../base/assert.js'
import { copyWords } from '../base/copy-words.js'
import { fence, publishWord } from '../base/shared-words.js'
import { linkWordInBucket, versionWordInBucket } from '../format/bucket.js'
import * as layout from '../format/control-layout.js'
import { wordOf } from '../index/hash-index.js'
import { applyOrderedChange } from '../index/ordered-apply.js'
import { writeImages } from '../index/split.js'
import { freeSegment } from '../log/roll.js'
import {
  slotDeadBytes,
  slotDeadSequence,
  slotIsUsed,
  slotSizeBytes,
  slotUnsynced,
} from '../log/slot-table.js'
import type { Engine } from './engine.js'

type Change = 0 | 1 | 2 | 3 | 4 | 5

/*
 * The fields of a state are doubles. Those that are small whole numbers become integers with `| 0`
 * when they are read: V8 otherwise counts and indexes in floating point, at three times the cost.
 */

export function applyPending(engine: Engine): void {
  const kind = (engine.control.get(layout.pendingKind) | 0) as Change
  switch (kind) {
    case layout.changeNone:
      break
    case layout.changeEntry:
      applyEntry(engine)
      break
    case layout.changeLink:
      applyLink(engine)
      break
    case layout.changeInPlace:
      applyInPlace(engine)
      break
    case layout.changeBuckets:
      applyBuckets(engine)
      break
    case layout.changeMoves:
      applyMoves(engine)
      break
    default:
      assertNever(kind)
  }
  const { control, order } = engine
  if (control.doubles[control.state + layout.pendingOrder] !== 0) {
    applyOrderedChange(order, control.redo)
  }
  applyCounts(engine)
}

/** Hot path: `bench/compare`, rows "load" and "update". */
function applyEntry(engine: Engine): void {
  const { doubles, state } = engine.control
  const bucket = doubles[state + layout.pendingBucket] | 0
  const words = wordsOfBucket(engine, bucket)
  const entry = wordOf(Math.abs(bucket)) + (doubles[state + layout.pendingSlot] | 0)
  const home = doubles[state + layout.pendingHome] | 0
  const homeWords = engine.index.wordsOf(home)
  const version = wordOf(home) + versionWordInBucket
  const isHeldByBatch = doubles[state + layout.batchFrame] !== 0
  if (!isHeldByBatch) makeOdd(homeWords, version)
  words[entry + 1] = doubles[state + layout.pendingHigh] | 0
  words[entry] = doubles[state + layout.pendingLow] | 0
  if (!isHeldByBatch) makeEven(homeWords, version)
}

function applyLink(engine: Engine): void {
  const { doubles, state } = engine.control
  const bucket = doubles[state + layout.pendingBucket] | 0
  const words = wordsOfBucket(engine, bucket)
  const home = doubles[state + layout.pendingHome] | 0
  const homeWords = engine.index.wordsOf(home)
  const version = wordOf(home) + versionWordInBucket
  const isHeldByBatch = doubles[state + layout.batchFrame] !== 0
  if (!isHeldByBatch) makeOdd(homeWords, version)
  words[wordOf(Math.abs(bucket)) + linkWordInBucket] = doubles[state + layout.pendingLink] | 0
  if (!isHeldByBatch) makeEven(homeWords, version)
}

/** The words that a bucket lies in; an overflow bucket is named by its negative number. */
function wordsOfBucket(engine: Engine, bucket: number): Int32Array {
  return bucket >= 0 ? engine.index.wordsOf(bucket) : engine.index.overflowWordsOf(-bucket)
}

/** Never part of a batch. Hot path: `bench/compare`, row "update". */
function applyInPlace(engine: Engine): void {
  const { doubles, state } = engine.control
  const home = doubles[state + layout.pendingHome] | 0
  const slot = doubles[state + layout.pendingTargetSlot] | 0
  const offset = doubles[state + layout.pendingTargetOffset] | 0
  const sizeDoubles = doubles[state + layout.pendingSizeWords] | 0
  overwriteRecord(engine, home, slot, offset, sizeDoubles)
}

/** An update in place as the state that counts announces it, for who has just announced it. */
export function overwriteRecord(
  engine: Engine,
  home: number,
  slot: number,
  offset: number,
  sizeDoubles: number,
): void {
  const { control, index, log } = engine
  if (log.words[slot] === undefined) log.mapSlot(slot)
  const target = log.words[slot]
  const source = control.words
  const sourceStart = control.redoStart(control.state) >>> 2
  const homeWords = index.wordsOf(home)
  const version = wordOf(home) + versionWordInBucket
  makeOdd(homeWords, version)
  copyWords(target, offset << 1, source, sourceStart, sizeDoubles << 1)
  makeEven(homeWords, version)
}

function applyBuckets(engine: Engine): void {
  const { control, index } = engine
  const first = control.redoStart(control.state) >>> 2
  const oldHome = control.get(layout.pendingHome) | 0
  const oldWords = index.wordsOf(oldHome)
  const oldVersion = wordOf(oldHome) + versionWordInBucket
  const newHome = control.get(layout.pendingSplitHome) | 0
  index.homes.ensure(newHome + 1)
  const newWords = index.wordsOf(newHome)
  const newVersion = wordOf(newHome) + versionWordInBucket
  makeOdd(oldWords, oldVersion)
  makeOdd(newWords, newVersion)
  const count = control.get(layout.pendingImageCount) | 0
  writeImages(index, control.words, first, count)
  index.publishBucketCount(newHome + 1)
  makeEven(newWords, newVersion)
  makeEven(oldWords, oldVersion)
}

/**
 * Entry by entry: a reader finds each record where it was or where it is now. Never part of a batch.
 * Hot path: `bench/compaction.mjs`, "speed".
 */
function applyMoves(engine: Engine): void {
  const { control, index } = engine
  const redo = control.words
  const count = control.doubles[control.state + layout.pendingMoveCount] | 0
  let at = control.redoStart(control.state) >>> 2
  for (const end = at + count * layout.moveWords; at < end; at += layout.moveWords) {
    const bucket = redo[at + layout.moveBucket]
    const words = wordsOfBucket(engine, bucket)
    const entry = wordOf(Math.abs(bucket)) + redo[at + layout.moveEntry]
    const home = redo[at + layout.moveHome]
    const homeWords = index.wordsOf(home)
    const version = wordOf(home) + versionWordInBucket
    makeOdd(homeWords, version)
    words[entry + 1] = redo[at + layout.moveHigh]
    words[entry] = redo[at + layout.moveLow]
    makeEven(homeWords, version)
  }
}

/** What the state announces of slots and keyspaces. */
export function applyCounts(engine: Engine): void {
  const { control, counts, log } = engine
  const { doubles, state } = control
  const deadSlot = doubles[state + layout.pendingDeadSlot] | 0
  if (deadSlot >= 0) {
    log.slots.set(deadSlot, slotDeadBytes, doubles[state + layout.pendingDeadBytes])
    log.slots.set(deadSlot, slotDeadSequence, doubles[state + layout.pendingDeadSequence])
  }
  const liveValueSlot = doubles[state + layout.pendingLiveValueSlot] | 0
  if (liveValueSlot >= 0) {
    log.slots.set(liveValueSlot, slotDeadBytes, 0)
    // Also where a sync came by while it was filled.
    log.slots.set(liveValueSlot, slotUnsynced, 1)
    log.slots.set(liveValueSlot, slotIsUsed, 1)
  }
  const deadValueSlot = doubles[state + layout.pendingDeadValueSlot] | 0
  if (deadValueSlot >= 0) {
    log.slots.set(deadValueSlot, slotDeadBytes, log.slots.get(deadValueSlot, slotSizeBytes))
    log.slots.set(deadValueSlot, slotDeadSequence, doubles[state + layout.pendingDeadSequence])
  }
  const freedSlot = doubles[state + layout.pendingFreedSlot] | 0
  if (freedSlot >= 0) freeSegment(log, freedSlot)
  const keyspaceId = doubles[state + layout.pendingKeyspace] | 0
  if (keyspaceId >= 0) {
    counts.set(
      keyspaceId,
      doubles[state + layout.pendingKeyspaceRecords],
      doubles[state + layout.pendingKeyspaceKeyBytes],
      doubles[state + layout.pendingKeyspaceValueBytes],
    )
  }
}

export function makeOdd(words: Int32Array, index: number): void {
  publishWord(words, index, words[index] | 1)
  fence()
}

export function makeEven(words: Int32Array, index: number): void {
  publishWord(words, index, ((words[index] | 1) + 1) | 0)
}
