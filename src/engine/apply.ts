/**
 * Doing what the control state announces, once it counts: the second half of every change, and all
 * of the repair after a kill. Each of these is the same when made twice.
 *
 * Order, for a reader in another thread: the home bucket's version word becomes odd before the
 * first word of its chain, or of a record under it, changes, and even after the last.
 */
import { assertNever } from '../base/assert.js'
import { bucketWords, linkWordInBucket, versionWordInBucket } from '../format/bucket.js'
import * as layout from '../format/control-layout.js'
import { wordOf } from '../index/hash-index.js'
import { imageWords } from '../index/split.js'
import { slotDeadBytes, slotSizeBytes } from '../log/slot-table.js'
import type { Engine } from './engine.js'

type Change = 0 | 1 | 2 | 3 | 4

export function applyPending(engine: Engine): void {
  const kind = engine.control.get(layout.pendingKind) as Change
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
    default:
      assertNever(kind)
  }
  applyCounts(engine)
}

/** Hot path: `bench/compare`, rows "load" and "random update". */
export function applyEntry(engine: Engine): void {
  const { control, index } = engine
  const { doubles, state } = control
  const bucket = doubles[state + layout.pendingBucket]
  const words = bucket >= 0 ? index.wordsOf(bucket) : index.overflowWordsOf(-bucket)
  const entry = wordOf(Math.abs(bucket)) + doubles[state + layout.pendingSlot]
  const home = doubles[state + layout.pendingHome]
  const homeWords = index.wordsOf(home)
  const versionIndex = wordOf(home) + versionWordInBucket
  const version = homeWords[versionIndex]
  hold(engine, homeWords, versionIndex, version)
  words[entry + 1] = doubles[state + layout.pendingHigh]
  words[entry] = doubles[state + layout.pendingLow]
  release(engine, homeWords, versionIndex, version)
}

function applyLink(engine: Engine): void {
  const { control, index } = engine
  const bucket = control.get(layout.pendingBucket)
  const words = bucket >= 0 ? index.wordsOf(bucket) : index.overflowWordsOf(-bucket)
  const home = control.get(layout.pendingHome)
  const homeWords = index.wordsOf(home)
  const versionIndex = wordOf(home) + versionWordInBucket
  const version = homeWords[versionIndex]
  hold(engine, homeWords, versionIndex, version)
  words[wordOf(Math.abs(bucket)) + linkWordInBucket] = control.get(layout.pendingLink)
  release(engine, homeWords, versionIndex, version)
}

/** Hot path: `bench/compare`, row "random update". */
export function applyInPlace(engine: Engine): void {
  const { control, index, log } = engine
  const { doubles, state } = control
  const location = doubles[state + layout.pendingLocation]
  const slot = Math.floor(location / 2 ** log.shift)
  const record = (location - slot * 2 ** log.shift) * 2
  if (log.words[slot] === undefined) log.mapSlot(slot)
  const target = log.words[slot]
  const source = control.words
  const sourceStart = control.redoStart('state') >>> 2
  const count = doubles[state + layout.pendingSizeWords] * 2
  const home = doubles[state + layout.pendingHome]
  const homeWords = index.wordsOf(home)
  const versionIndex = wordOf(home) + versionWordInBucket
  const version = homeWords[versionIndex]
  hold(engine, homeWords, versionIndex, version)
  for (let word = 0; word < count; word++) target[record + word] = source[sourceStart + word]
  release(engine, homeWords, versionIndex, version)
}

function applyBuckets(engine: Engine): void {
  const { control, index } = engine
  const images = control.words
  const first = control.redoStart('state') >>> 2
  const oldWords = index.wordsOf(control.get(layout.pendingHome))
  const oldVersion = wordOf(control.get(layout.pendingHome)) + versionWordInBucket
  const newHome = control.get(layout.pendingSplitHome)
  const newWords = index.wordsOf(newHome)
  const newVersion = wordOf(newHome) + versionWordInBucket
  makeOdd(oldWords, oldVersion)
  makeOdd(newWords, newVersion)
  const count = control.get(layout.pendingImageCount)
  for (let image = 0; image < count; image++) {
    const start = first + image * imageWords
    const bucket = images[start + 1]
    const words = images[start] === 0 ? index.wordsOf(bucket) : index.overflowWordsOf(bucket)
    const target = wordOf(bucket)
    for (let word = 0; word < bucketWords; word++) {
      if (word !== versionWordInBucket) words[target + word] = images[start + 2 + word]
    }
  }
  makeEven(newWords, newVersion)
  makeEven(oldWords, oldVersion)
}

function applyCounts(engine: Engine): void {
  const { control, counts, log } = engine
  const deadSlot = control.get(layout.pendingDeadSlot)
  if (deadSlot >= 0) {
    log.slots.set(deadSlot, slotDeadBytes, control.get(layout.pendingDeadBytes))
  }
  const deadValueSlot = control.get(layout.pendingDeadValueSlot)
  if (deadValueSlot >= 0) {
    log.slots.set(deadValueSlot, slotDeadBytes, log.slots.get(deadValueSlot, slotSizeBytes))
  }
  const keyspaceId = control.get(layout.pendingKeyspace)
  if (keyspaceId >= 0) {
    counts.set(
      keyspaceId,
      control.get(layout.pendingKeyspaceRecords),
      control.get(layout.pendingKeyspaceKeyBytes),
      control.get(layout.pendingKeyspaceValueBytes),
    )
  }
}

/**
 * Makes a bucket's version odd before a change. A batch holds the buckets of all its keys odd from
 * before its first entry to after its last, so its single changes leave the word alone.
 */
function hold(engine: Engine, words: Int32Array, index: number, version: number): void {
  if (engine.control.get(layout.batchFrame) !== 0) return
  Atomics.store(words, index, version | 1)
}

function release(engine: Engine, words: Int32Array, index: number, version: number): void {
  if (engine.control.get(layout.batchFrame) !== 0) return
  Atomics.store(words, index, ((version | 1) + 1) | 0)
}

export function makeOdd(words: Int32Array, index: number): void {
  Atomics.store(words, index, words[index] | 1)
}

export function makeEven(words: Int32Array, index: number): void {
  Atomics.store(words, index, ((words[index] | 1) + 1) | 0)
}
