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

import { checksumWords } from '../base/checksum.js'
import { noAddress } from '../format/address.js'
import * as layout from '../format/control-layout.js'
import {
  batchCountWord,
  batchDigestWord,
  batchFrameSizeWords,
  batchFrameValueSizeBytes,
  batchSizeDouble,
  expiresAtDouble,
  flagExpiry,
  flagInBatch,
  flagReference,
  kindWordOf,
  previousDouble,
  recordHeaderSizeBytes,
  recordSizeWords,
  sequenceDouble,
  timestampDouble,
  typeBatch,
  typePut,
  typeTombstone,
  valueOffset,
  versionDouble,
} from '../format/record.js'
import {
  alignmentDoublesMax,
  isAligned,
  paddingBefore,
  slackBefore,
  writePadding,
} from '../log/alignment.js'
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
import { noExpiry } from '../log/expiry-table.js'
import { recordSpan } from '../log/record-fields.js'
import { makeRoom } from '../log/roll.js'
import { slotSizeBytes } from '../log/slot-table.js'
import { accountOverhead, addToDigest } from './account.js'
import { asWriteFailure } from './append-record.js'
import { applyRecords, type EntryPlaces, noPlace } from './apply-batch.js'
import type { BatchDraft, EncodedOperation } from './batch-draft.js'
import type { Engine } from './engine.js'
import { enter, leave, mend } from './exclusive.js'
import { askForDeletes } from './pace.js'
import { fetchAhead, hashKey, probe } from './probe.js'
import { grow } from './publish.js'
import {
  abandonReference,
  createReference,
  createReferenceHeld,
  type ValueReference,
  writeReference,
} from './reference.js'
import { scheduleSync } from './sync.js'
import { nextVersion } from './version-clock.js'

const target: RecordTarget = {
  words: new Int32Array(0),
  doubles: new Float64Array(0),
  bytes: Buffer.alloc(0),
  offset: 0,
  seed: 0,
}
const frame: RecordTarget = { ...target }

/** What is known of each operation of the batch at hand; a batch is over before another one begins. */
interface BatchFacts extends EntryPlaces {
  readonly hashes: Int32Array
  readonly checksums: Int32Array
  /** Unused 8-byte words behind each record, for the sake of the next one. */
  readonly slacks: Int32Array
}

const factsMin = 64
/** Of a batch of more operations they are not kept. */
const keptFactsMax = 2 ** 16
let facts = createFacts(factsMin)

function createFacts(count: number): BatchFacts {
  return {
    buckets: new Int32Array(count),
    entries: new Int32Array(count),
    hashes: new Int32Array(count),
    checksums: new Int32Array(count),
    slacks: new Int32Array(count),
  }
}

/**
 * Throws `STORE_FULL`; the store is then as it was. False, and nothing done, where the registry of
 * keyspaces is no longer of `generation`.
 */
export function writeBatch(
  engine: Engine,
  operations: readonly EncodedOperation[],
  draft: BatchDraft,
  generation: number,
): boolean {
  engine.requireWritable()
  if (operations.length === 0) return true
  const references: (ValueReference | undefined)[] = []
  let isDone = false
  try {
    for (const operation of operations) references.push(takeReference(engine, operation))
    isDone = writeReferring(engine, { operations, draft, references }, generation)
  } finally {
    if (!isDone) for (const reference of references) abandonReference(engine, reference)
  }
  if (isDone) scheduleSync(engine)
  return isDone
}

function writeReferring(engine: Engine, batch: PlannedBatch, generation: number): boolean {
  hashOperations(engine, batch)
  enter(engine)
  try {
    if (engine.control.words[layout.keyspaceGenerationWord] !== generation) return false
    writePlanned(engine, batch)
  } catch (error) {
    mend(engine)
    throw error
  } finally {
    leave(engine)
  }
  return true
}

/**
 * {@link writeBatch} by who holds the writer's word, and has looked at the registry. Where it throws,
 * the caller mends.
 */
export function writeBatchHeld(
  engine: Engine,
  operations: readonly EncodedOperation[],
  draft: BatchDraft,
): void {
  const references = operations.map(({ value, valueSizeBytes }) => {
    const isLarge = value !== undefined && valueSizeBytes > engine.inlineValueSizeBytesMax
    return isLarge ? createReferenceHeld(engine, value, valueSizeBytes) : undefined
  })
  const batch = { operations, draft, references }
  hashOperations(engine, batch)
  writePlanned(engine, batch)
}

/** The hashes of all keys are in {@link facts}. */
function writePlanned(engine: Engine, batch: PlannedBatch): void {
  const { operations } = batch
  const { length: count } = operations
  const { control, index, log } = engine
  const roomDoubles = roomFor(batch)
  if (log.tailOffset + roomDoubles > log.nextCheck) {
    const isEssential = operations.every(({ type }) => type === 'delete')
    makeRoom(log, roomDoubles, engine.epoch, isEssential)
  }
  // Every operation may need an overflow bucket, and once committed none may fail for want of one.
  index.overflows.reserve(control.get(layout.overflowEnd) + count)
  fetchAhead(engine, facts.hashes, count)
  writeFrame(engine, batch, placeRecords(batch, log.tailOffset))
  applyRecords(engine, facts.hashes, count, facts)
  for (let grown = 0; grown < count; grown++) grow(engine)
  askForDeletes(engine)
}

/** Brings a value that needs a segment of its own there. */
function takeReference(
  engine: Engine,
  { value, valueSizeBytes }: EncodedOperation,
): ValueReference | undefined {
  const isLarge = value !== undefined && valueSizeBytes > engine.inlineValueSizeBytesMax
  return isLarge ? createReference(engine, value, valueSizeBytes) : undefined
}

/** The most 8-byte words that the batch can take, wherever it begins. */
function roomFor(batch: PlannedBatch): number {
  const { operations, references } = batch
  let sizeDoubles = batchFrameSizeWords
  for (let index = 0; index < operations.length; index++) {
    const { keySizeBytes, valueSizeBytes } = operations[index]
    const flags = flagsOf(operations[index], references[index] !== undefined)
    sizeDoubles += recordSizeWords(keySizeBytes, valueSizeBytes, flags)
    if (isAligned(valueSizeBytes, flags)) sizeDoubles += alignmentDoublesMax
  }
  return sizeDoubles
}

/** Where the records of a batch go, in 8-byte words. */
interface BatchPlaces {
  /** Of a padding record before the frame; 0 for none. */
  readonly padding: number
  /** Of the frame and all records. */
  readonly sizeDoubles: number
}

function placeRecords(batch: PlannedBatch, tailOffset: number): BatchPlaces {
  const { operations, references } = batch
  const { slacks } = facts
  let padding = 0
  let end = tailOffset + batchFrameSizeWords
  for (let index = 0; index < operations.length; index++) {
    const { keySizeBytes, valueSizeBytes } = operations[index]
    const flags = flagsOf(operations[index], references[index] !== undefined)
    const wantsPlace = isAligned(valueSizeBytes, flags)
    slacks[index] = 0
    if (wantsPlace && index === 0) {
      padding = paddingBefore(end, keySizeBytes, flags)
      end += padding
    } else if (wantsPlace) {
      slacks[index - 1] = slackBefore(end, keySizeBytes, flags)
      end += slacks[index - 1]
    }
    end += recordSizeWords(keySizeBytes, valueSizeBytes, flags)
    if (wantsPlace && index === operations.length - 1) {
      slacks[index] = slackBefore(end, keySizeBytes, flags)
      end += slacks[index]
    }
  }
  return { padding, sizeDoubles: end - tailOffset - padding }
}

function flagsOf({ expiresAtMs }: EncodedOperation, isReference: boolean): number {
  const flags = isReference ? flagInBatch | flagReference : flagInBatch
  return expiresAtMs === noExpiry ? flags : flags | flagExpiry
}

/** The hashes of all keys; {@link facts} has room for the batch from then on. */
function hashOperations(engine: Engine, { operations, draft }: PlannedBatch): void {
  const { length: count } = operations
  const room = facts.hashes.length
  if (count > room || room > keptFactsMax) facts = createFacts(Math.max(count, factsMin))
  const { hashes } = facts
  for (let index = 0; index < count; index++) {
    const { keyStart, keySizeBytes, keyspaceId } = operations[index]
    engine.key.setWords(draft.words, keyStart, keySizeBytes)
    hashes[index] = hashKey(engine, keyspaceId)
  }
}

interface PlannedBatch {
  readonly operations: readonly EncodedOperation[]
  readonly draft: BatchDraft
  readonly references: readonly (ValueReference | undefined)[]
}

/** Steps 2 and 3. */
function writeFrame(engine: Engine, batch: PlannedBatch, places: BatchPlaces): void {
  const { control, log } = engine
  const { operations, references } = batch
  const { padding, sizeDoubles } = places
  const { checksums, slacks } = facts
  const { length: count } = operations
  const firstSlot = log.tailSlot
  const firstOffset = log.tailOffset
  const paddingChecksum = padding === 0 ? 0 : writePadding(log, target, padding)
  advanceTail(log, padding)
  const frameAddress = control.get(layout.tail) + padding
  targetTail(log, frame, false)
  const nowMs = engine.clock.nowMs()
  let sequence = control.get(layout.sequence)
  let version = control.get(layout.version)
  let usedBytes = sizeDoubles * 8
  let tombstoneDoubles = 0
  // The writer's own tail runs ahead over the records; the state's moves by the commit.
  advanceTail(log, batchFrameSizeWords)
  try {
    for (let index = 0; index < count; index++) {
      sequence++
      version = nextVersion(version, nowMs)
      const record = log.doubles[log.tailSlot]
      const offset = log.tailOffset
      record[offset + versionDouble] = version
      record[offset + sequenceDouble] = sequence
      record[offset + timestampDouble] = nowMs
      checksums[index] = writeOperation(engine, batch, index, slacks[index])
      const slot = references[index]?.slot
      if (slot !== undefined) usedBytes += log.slots.get(slot, slotSizeBytes)
      const recordDoubles = recordSpan(target.words, target.offset << 1)
      if (operations[index].type === 'delete') tombstoneDoubles += recordDoubles
      advanceTail(log, recordDoubles)
    }
    const first = control.get(layout.sequence) + 1
    const value = frame.offset + recordHeaderSizeBytes / 8
    writeStamp(frame, version, first, nowMs, noAddress)
    writeSizes(frame, kindWordOf(typeBatch, 0, 0), 0, batchFrameValueSizeBytes, 0)
    frame.doubles[value + batchSizeDouble] = sizeDoubles - batchFrameSizeWords
    frame.words[value * 2 + batchCountWord] = count
    frame.words[value * 2 + batchDigestWord] = checksumWords(checksums, 0, count, 0)
    const frameChecksum = seal(frame, batchFrameSizeWords)
    if (log.isAppendOnly) log.writeThrough(firstSlot, firstOffset, padding + sizeDoubles)

    control.begin()
    control.set(layout.sequence, sequence)
    control.set(layout.version, version)
    control.set(layout.tail, frameAddress + sizeDoubles)
    control.set(layout.tailSlot, log.tailSlot)
    control.set(layout.usedBytes, control.get(layout.usedBytes) + padding * 8 + usedBytes)
    accountOverhead(control, padding + batchFrameSizeWords, false)
    accountOverhead(control, tombstoneDoubles, true)
    control.set(layout.batchFrame, frameAddress)
    control.set(layout.batchNext, frameAddress + batchFrameSizeWords)
    for (let index = 0; index < count; index++) addToDigest(control, checksums[index])
    addToDigest(control, paddingChecksum)
    addToDigest(control, frameChecksum)
  } catch (error) {
    log.adoptTail()
    log.words[firstSlot].fill(0, firstOffset * 2, (firstOffset + padding + sizeDoubles) * 2)
    throw asWriteFailure(engine, error)
  }
  control.commit()
}

/** Writes a record, all but its version, sequence and time; returns its checksum. */
function writeOperation(engine: Engine, batch: PlannedBatch, index: number, slack: number): number {
  const { key, log, lookup } = engine
  const { words } = batch.draft
  const operation = batch.operations[index]
  const reference = batch.references[index]
  const { keyspaceId, value, valueStart, valueSizeBytes } = operation
  key.setWords(words, operation.keyStart, operation.keySizeBytes)
  const found = probe(engine, facts.hashes[index], keyspaceId)
  facts.buckets[index] = lookup.bucket
  facts.entries[index] = found ? lookup.entryIndex : noPlace
  const isPut = operation.type === 'put'
  const flags = flagsOf(operation, reference !== undefined)
  const sizeDoubles = recordSizeWords(key.sizeBytes, valueSizeBytes, flags)
  targetTail(log, target, true)
  target.doubles[target.offset + previousDouble] = found
    ? log.starts[lookup.slot] + lookup.offset
    : noAddress
  const kind = kindWordOf(isPut ? typePut : typeTombstone, flags, keyspaceId)
  writeSizes(target, kind, key.sizeBytes, valueSizeBytes, slack)
  if (operation.expiresAtMs !== noExpiry) {
    target.doubles[target.offset + expiresAtDouble] = operation.expiresAtMs
    engine.expiries.note(log, log.tailSlot, log.tailOffset, operation.expiresAtMs)
  }
  writeKey(target, key.words, key.sizeBytes, flags)
  if (reference !== undefined) {
    writeReference(log, target, valueOffset(key.sizeBytes, flags), reference)
  } else {
    const start = valueOffset(key.sizeBytes, flags)
    if (value === undefined) writeValueWords(target, words, valueStart, start, sizeDoubles)
    else writeValue(target, value, valueSizeBytes, start, sizeDoubles)
  }
  return seal(target, sizeDoubles)
}
