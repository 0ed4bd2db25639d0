/**
 * Applying a batch whose frame counts: steps 4 to 6 of write-batch.ts. Also what repair does after a
 * kill, from wherever they were left.
 * Hot path: `bench/compare`, row "batch".
 */
import { assert } from '../base/assert.js'
import { versionWordInBucket } from '../format/bucket.js'
import * as layout from '../format/control-layout.js'
import {
  batchCountWord,
  batchFrameSizeWords,
  previousDouble,
  recordHeaderSizeBytes,
  typePut,
  typeTombstone,
} from '../format/record.js'
import { wordOf } from '../index/hash-index.js'
import type { Log } from '../log/log.js'
import {
  occupiedBytes,
  recordKeyspace,
  recordSpan,
  recordType,
  recordValueSize,
  referencedSlot,
} from '../log/record-fields.js'
import { announcePut, announceTombstone, entryOf, liveEntry } from './announce-record.js'
import { applyPending, makeEven, makeOdd } from './apply.js'
import type { Engine } from './engine.js'
import { probe } from './probe.js'
import { hashRecord, takeKey } from './take-key.js'
import { rememberMs } from './tombstones.js'

/** Steps 4 to 6, from wherever a kill left them. */
export function applyBatch(engine: Engine): void {
  const hashes = hashRecords(engine)
  applyRecords(engine, hashes, hashes.length, undefined)
}

/** Where the entries of a batch's keys were when its records were written, by the record's number. */
export interface EntryPlaces {
  /** The bucket, an overflow bucket as its negative number … */
  readonly buckets: Int32Array
  /** … and the entry's low word there; {@link noPlace} for a key that had none. */
  readonly entries: Int32Array
}

export const noPlace = -1

/** The hashes of the keys of the batch that is being applied, from its records. */
function hashRecords(engine: Engine): Int32Array {
  const place = firstRecord(engine)
  const hashes = new Int32Array(countRecords(engine))
  for (let index = 0; index < hashes.length; index++) {
    const words = engine.log.words[place.slot]
    hashes[index] = hashRecord(engine, words, place.offset * 2)
    passRecord(engine, place)
  }
  return hashes
}

/** `hashes` are those of the keys of all `count` records, in order. */
export function applyRecords(
  engine: Engine,
  hashes: Int32Array,
  count: number,
  places: EntryPlaces | undefined,
): void {
  const { control } = engine
  turnHomes(engine, hashes, count, true)
  const place = firstRecord(engine)
  const next = control.get(layout.batchNext)
  for (let index = 0; index < count; index++) {
    if (place.address >= next) {
      const isAtHand =
        places !== undefined && findAgain(engine, hashes[index], place, places, index)
      applyRecord(engine, hashes[index], place, isAtHand)
    }
    passRecord(engine, place)
  }
  turnHomes(engine, hashes, count, false)
  control.begin()
  control.set(layout.batchFrame, 0)
  control.set(layout.batchNext, 0)
  control.commit()
}

/**
 * Fills the lookup as a probe would for a put of a key that has an entry, without a look at chain and key:
 * the entry is where it was, and leads to the record before this one. False where it does not: an
 * operation of this batch may have been there first.
 */
function findAgain(
  engine: Engine,
  hash: number,
  { slot, offset }: RecordPlace,
  places: EntryPlaces,
  record: number,
): boolean {
  const entry = places.entries[record]
  if (entry === noPlace || recordType(engine.log.words[slot], offset * 2) !== typePut) return false
  const { index, log, lookup } = engine
  const bucket = places.buckets[record]
  const words = bucket >= 0 ? index.wordsOf(bucket) : index.overflowWordsOf(-bucket)
  const high = words[entry + 1]
  const oldSlot = ((words[entry] & 0xff) << (32 - log.shift)) | (high >>> log.shift)
  const oldOffset = high & log.offsetMask
  const previous = log.doubles[slot][offset + previousDouble]
  if (log.words[oldSlot] === undefined || log.starts[oldSlot] + oldOffset !== previous) return false
  const home = index.bucketOf(hash)
  lookup.home = home
  lookup.homeWords = index.wordsOf(home)
  lookup.homeStart = wordOf(home)
  lookup.bucket = bucket
  lookup.entryWords = words
  lookup.entryIndex = entry
  lookup.slot = oldSlot
  lookup.offset = oldOffset
  lookup.recordWords = log.words[oldSlot]
  return true
}

/** `isAtHand`: the lookup has what there is of the key, and the record is a put. */
function applyRecord(engine: Engine, hash: number, place: RecordPlace, isAtHand: boolean): void {
  const { control, log } = engine
  const { address, slot, offset } = place
  const words = log.words[slot]
  const start = offset * 2
  const keyspaceId = recordKeyspace(words, start)
  takeKey(engine, words, start)
  const found = isAtHand || probe(engine, hash, keyspaceId)
  control.begin()
  control.set(layout.batchNext, address + recordSpan(words, start))
  control.set(layout.lastRecord, address)
  const entry = entryOf(engine, found)
  if (recordType(words, start) === typeTombstone) {
    // One that did nothing draws a version all the same, and a recovery would find it in the log.
    const counts = entry === liveEntry || rememberMs(engine) > 0
    if (counts) announceTombstone(engine, keyspaceId, hash, entry, slot, offset)
  } else {
    const valueSizeBytes = recordValueSize(words, start)
    const bytes = occupiedBytes(log, slot, offset)
    control.set(layout.pendingLiveValueSlot, referencedSlot(log, slot, offset))
    announcePut(engine, keyspaceId, hash, entry, slot, offset, valueSizeBytes, bytes)
  }
  control.commit()
  applyPending(engine)
}

/** Makes the home bucket of every key of the batch odd, or even again. */
function turnHomes(engine: Engine, hashes: Int32Array, count: number, toOdd: boolean): void {
  const { index } = engine
  for (let record = 0; record < count; record++) {
    const home = index.bucketOf(hashes[record])
    const homeWords = index.wordsOf(home)
    const versionIndex = wordOf(home) + versionWordInBucket
    // Two keys of a batch may share a home: it is turned once.
    if (((homeWords[versionIndex] & 1) === 1) !== toOdd) {
      if (toOdd) makeOdd(homeWords, versionIndex)
      else makeEven(homeWords, versionIndex)
    }
  }
}

/** Where a record of the batch lies, for a walk over all of them. */
interface RecordPlace {
  address: number
  slot: number
  offset: number
}

/** The first record of the batch that is being applied; its segment is mapped. */
function firstRecord(engine: Engine): RecordPlace {
  const { control, log } = engine
  const frame = control.get(layout.batchFrame)
  assert(frame !== 0, 'a batch is being applied')
  const place = { address: frame, ...log.locate(frame) }
  pass(log, place, batchFrameSizeWords)
  return place
}

function passRecord({ log }: Engine, place: RecordPlace): void {
  pass(log, place, recordSpan(log.words[place.slot], place.offset * 2))
}

function pass(log: Log, place: RecordPlace, sizeDoubles: number): void {
  place.address += sizeDoubles
  place.offset += sizeDoubles
  // In an oversized segment, from one part, and slot, to the next.
  while (place.offset > log.offsetMask) {
    place.slot++
    place.offset -= log.segmentWords
  }
}

function countRecords({ control, log }: Engine): number {
  const { slot, offset } = log.locate(control.get(layout.batchFrame))
  const value = offset + recordHeaderSizeBytes / 8
  return log.words[slot][value * 2 + batchCountWord]
}
