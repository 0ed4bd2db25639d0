/**
 * write: several operations that become visible, and survive a crash, all or not at all (I6).
 *
 * 1. The operations are encoded: whatever is wrong with one of them is found before anything is
 *    written.
 * 2. A frame and all records go to the tail, each record with its checksum, the frame's last.
 *    Killed here: nothing refers to any of them.
 * 3. One commit moves the tail over the frame and names it as the batch that is being applied.
 *    From here on the batch is done, by us or by repair.
 * 4. The home buckets of all keys become odd: readers of these keys wait. Not before 3: a kill in
 *    between would leave them odd with nobody who knows of it.
 * 5. Record by record, entries and counts change, each by a commit of its own that also says which
 *    record is next.
 * 6. The home buckets become even, and readers see all of it; then a commit ends the batch. Not the
 *    other way round: a kill in between would leave them odd.
 */

import { assert } from '../base/assert.js'
import { checksumWords } from '../base/checksum.js'
import { noAddress } from '../format/address.js'
import { versionWordInBucket } from '../format/bucket.js'
import * as layout from '../format/control-layout.js'
import {
  batchCountWord,
  batchDigestWord,
  batchFrameSizeWords,
  batchFrameValueSizeBytes,
  batchSizeDouble,
  flagExpiry,
  flagInBatch,
  flagReference,
  kindWordOf,
  previousDouble,
  recordHeaderSizeBytes,
  recordHeaderWords,
  recordSizeWords,
  sequenceDouble,
  timestampDouble,
  typeBatch,
  typePut,
  typeTombstone,
  valueOffset,
  versionDouble,
} from '../format/record.js'
import { wordOf } from '../index/hash-index.js'
import {
  advanceTail,
  type RecordTarget,
  seal,
  targetTail,
  writeKey,
  writeSizes,
  writeStamp,
  writeValue,
  writeValueWords,
} from '../log/append.js'
import type { Log } from '../log/log.js'
import {
  occupiedBytes,
  recordFlags,
  recordKeySize,
  recordKeyspace,
  recordSpan,
  recordType,
  recordValueSize,
} from '../log/record-fields.js'
import { makeRoom } from '../log/roll.js'
import { slotSizeBytes } from '../log/slot-table.js'
import { accountInsert, accountRemove, accountReplace, addToDigest } from './account.js'
import { asWriteFailure } from './append-record.js'
import { applyPending, makeEven, makeOdd } from './apply.js'
import type { BatchDraft, EncodedOperation } from './batch-draft.js'
import type { Engine } from './engine.js'
import { fetchAhead, hashKey, probe } from './probe.js'
import { announceInsert, announceRemove, announceReplace, grow } from './publish.js'
import { createReference, writeReference } from './reference.js'
import { scheduleSync } from './sync.js'
import { nextVersion } from './version-clock.js'

const target: RecordTarget = {
  words: new Int32Array(0),
  doubles: new Float64Array(0),
  bytes: Buffer.alloc(0),
  offset: 0,
  seed: 0,
}

/** Throws `STORE_FULL`; the store is then as it was. */
export function writeBatch(
  engine: Engine,
  operations: readonly EncodedOperation[],
  draft: BatchDraft,
): void {
  engine.requireWritable()
  if (operations.length === 0) return
  const valueSlots = operations.map((operation) => takeValueSlot(engine, operation))
  let sizeDoubles = batchFrameSizeWords
  for (let index = 0; index < operations.length; index++) {
    sizeDoubles += sizeOf(operations[index], valueSlots[index])
  }
  const { control, index, log } = engine
  if (log.tailOffset + sizeDoubles > log.nextCheck) makeRoom(log, sizeDoubles, engine.epoch)
  // Every operation may need an overflow bucket, and once committed none may fail for want of one.
  index.overflows.reserve(control.get(layout.overflowEnd) + operations.length)
  const hashes = hashOperations(engine, operations, draft)
  fetchAhead(engine, hashes)
  writeFrame(engine, { operations, draft, valueSlots, hashes, sizeDoubles })
  applyRecords(engine, hashes)
  for (let count = 0; count < operations.length; count++) grow(engine)
  scheduleSync(engine)
}

/** Makes a segment for a value that needs one of its own; -1 for any other. */
function takeValueSlot(engine: Engine, { value, valueSizeBytes }: EncodedOperation): number {
  const isLarge = value !== undefined && valueSizeBytes > engine.inlineValueSizeBytesMax
  return isLarge ? createReference(engine, value, valueSizeBytes) : -1
}

function sizeOf(operation: EncodedOperation, valueSlot: number): number {
  const flags = valueSlot === -1 ? 0 : flagReference
  return recordSizeWords(operation.keySizeBytes, operation.valueSizeBytes, flags)
}

function hashOperations(
  engine: Engine,
  operations: readonly EncodedOperation[],
  draft: BatchDraft,
): Int32Array {
  const hashes = new Int32Array(operations.length)
  for (let index = 0; index < operations.length; index++) {
    const { keyStart, keySizeBytes, keyspaceId } = operations[index]
    engine.key.setWords(draft.words, keyStart, keySizeBytes)
    hashes[index] = hashKey(engine, keyspaceId)
  }
  return hashes
}

interface PlannedBatch {
  readonly operations: readonly EncodedOperation[]
  readonly draft: BatchDraft
  readonly valueSlots: readonly number[]
  readonly hashes: Int32Array
  readonly sizeDoubles: number
}

/** Steps 2 and 3. */
function writeFrame(engine: Engine, batch: PlannedBatch): void {
  const { control, log } = engine
  const { operations, valueSlots, sizeDoubles } = batch
  const frameAddress = control.get(layout.tail)
  const frame: RecordTarget = { ...target }
  targetTail(log, frame, false)
  const frameSlot = log.tailSlot
  const nowMs = engine.clock.nowMs()
  let sequence = control.get(layout.sequence)
  let version = control.get(layout.version)
  const checksums = new Int32Array(operations.length)
  let usedBytes = sizeDoubles * 8
  // The writer's own tail runs ahead over the records; the state's moves by the commit.
  advanceTail(log, batchFrameSizeWords)
  try {
    for (let index = 0; index < operations.length; index++) {
      sequence++
      version = nextVersion(version, nowMs)
      const record = log.doubles[log.tailSlot]
      const offset = log.tailOffset
      record[offset + versionDouble] = version
      record[offset + sequenceDouble] = sequence
      record[offset + timestampDouble] = nowMs
      checksums[index] = writeOperation(engine, batch, index)
      const valueSlot = valueSlots[index]
      if (valueSlot !== -1) usedBytes += log.slots.get(valueSlot, slotSizeBytes)
      advanceTail(log, sizeOf(operations[index], valueSlot))
    }
    const first = control.get(layout.sequence) + 1
    const value = frame.offset + recordHeaderSizeBytes / 8
    writeStamp(frame, version, first, nowMs, noAddress)
    writeSizes(frame, kindWordOf(typeBatch, 0, 0), 0, batchFrameValueSizeBytes, 0)
    frame.doubles[value + batchSizeDouble] = sizeDoubles - batchFrameSizeWords
    frame.words[value * 2 + batchCountWord] = operations.length
    frame.words[value * 2 + batchDigestWord] = checksumWords(checksums, 0, checksums.length, 0)
    const frameChecksum = seal(frame, batchFrameSizeWords)
    if (log.isAppendOnly) log.writeThrough(frameSlot, frame.offset, sizeDoubles)

    control.begin()
    control.set(layout.sequence, sequence)
    control.set(layout.version, version)
    control.set(layout.tail, frameAddress + sizeDoubles)
    control.set(layout.tailSlot, log.tailSlot)
    control.set(layout.usedBytes, control.get(layout.usedBytes) + usedBytes)
    control.set(layout.batchFrame, frameAddress)
    control.set(layout.batchNext, frameAddress + batchFrameSizeWords)
    for (let index = 0; index < checksums.length; index++) addToDigest(control, checksums[index])
    addToDigest(control, frameChecksum)
  } catch (error) {
    log.adoptTail()
    log.words[frameSlot].fill(0, frame.offset * 2, (frame.offset + sizeDoubles) * 2)
    throw asWriteFailure(engine, error)
  }
  control.commit()
}

/** Writes a record, all but its version, sequence and time; returns its checksum. */
function writeOperation(engine: Engine, batch: PlannedBatch, index: number): number {
  const { key, log, lookup } = engine
  const { words } = batch.draft
  const operation = batch.operations[index]
  const valueSlot = batch.valueSlots[index]
  const { keyspaceId, value, valueStart, valueSizeBytes } = operation
  key.setWords(words, operation.keyStart, operation.keySizeBytes)
  const found = probe(engine, batch.hashes[index], keyspaceId)
  const isPut = operation.type === 'put'
  const flags = flagInBatch | (valueSlot === -1 ? 0 : flagReference)
  const sizeDoubles = recordSizeWords(key.sizeBytes, valueSizeBytes, flags)
  targetTail(log, target, true)
  target.doubles[target.offset + previousDouble] = found
    ? log.starts[lookup.slot] + lookup.offset
    : noAddress
  const kind = kindWordOf(isPut ? typePut : typeTombstone, flags, keyspaceId)
  writeSizes(target, kind, key.sizeBytes, valueSizeBytes, 0)
  writeKey(target, key.words, key.sizeBytes)
  if (valueSlot !== -1) {
    writeReference(log, target, key.sizeBytes, valueSlot, valueSizeBytes)
  } else {
    const start = valueOffset(key.sizeBytes, flags)
    if (value === undefined) writeValueWords(target, words, valueStart, start, sizeDoubles)
    else writeValue(target, value, valueSizeBytes, start, sizeDoubles)
  }
  return seal(target, sizeDoubles)
}

/** Steps 4 to 6, from wherever a kill left them. */
export function applyBatch(engine: Engine): void {
  applyRecords(engine, hashRecords(engine))
}

/** The hashes of the keys of the batch that is being applied, from its records. */
function hashRecords(engine: Engine): Int32Array {
  const place = firstRecord(engine)
  const hashes = new Int32Array(countRecords(engine))
  for (let index = 0; index < hashes.length; index++) {
    const words = engine.log.words[place.slot]
    takeKey(engine, words, place.offset * 2)
    hashes[index] = hashKey(engine, recordKeyspace(words, place.offset * 2))
    passRecord(engine, place)
  }
  return hashes
}

/** `hashes` are those of the keys of all records, in order. */
function applyRecords(engine: Engine, hashes: Int32Array): void {
  const { control } = engine
  turnHomes(engine, hashes, true)
  const place = firstRecord(engine)
  const next = control.get(layout.batchNext)
  for (let index = 0; index < hashes.length; index++) {
    if (place.address >= next) applyRecord(engine, hashes[index], place)
    passRecord(engine, place)
  }
  turnHomes(engine, hashes, false)
  control.begin()
  control.set(layout.batchFrame, 0)
  control.set(layout.batchNext, 0)
  control.commit()
}

function applyRecord(engine: Engine, hash: number, place: RecordPlace): void {
  const { control, log } = engine
  const { address, slot, offset } = place
  const words = log.words[slot]
  const start = offset * 2
  const keyspaceId = recordKeyspace(words, start)
  takeKey(engine, words, start)
  const found = probe(engine, hash, keyspaceId)
  control.begin()
  control.set(layout.batchNext, address + recordSpan(words, start))
  control.set(layout.lastRecord, address)
  if (recordType(words, start) === typeTombstone) {
    if (found) {
      accountRemove(engine, keyspaceId)
      announceRemove(engine)
    }
  } else {
    const valueSizeBytes = recordValueSize(words, start)
    const bytes = occupiedBytes(log, slot, offset)
    if (found) {
      accountReplace(engine, keyspaceId, valueSizeBytes, bytes)
      announceReplace(engine, hash, slot, offset)
    } else {
      accountInsert(engine, keyspaceId, valueSizeBytes, bytes)
      announceInsert(engine, hash, slot, offset)
    }
  }
  control.commit()
  applyPending(engine)
}

/** Makes the home bucket of every key of the batch odd, or even again. */
function turnHomes(engine: Engine, hashes: Int32Array, toOdd: boolean): void {
  const { index } = engine
  for (let record = 0; record < hashes.length; record++) {
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

/** Makes the key of a record the key at hand. */
export function takeKey(engine: Engine, words: Int32Array, start: number): void {
  const hasExpiry = (recordFlags(words, start) & flagExpiry) !== 0
  const keyStart = start + recordHeaderWords + (hasExpiry ? 2 : 0)
  engine.key.setWords(words, keyStart, recordKeySize(words, start))
}
