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
  flagInBatch,
  flagReference,
  kindWordOf,
  recordHeaderSizeBytes,
  recordSizeWords,
  typeBatch,
  typePut,
  typeTombstone,
  valueOffset,
} from '../format/record.js'
import {
  advanceTail,
  type RecordTarget,
  seal,
  targetTail,
  writeKey,
  writeSizes,
  writeStamp,
  writeValue,
} from '../log/append.js'
import { makeRoom } from '../log/roll.js'
import { slotSizeBytes } from '../log/slot-table.js'
import { addToDigest } from './account.js'
import { asWriteFailure } from './append-record.js'
import { applyBatch } from './apply-batch.js'
import type { Engine } from './engine.js'
import { enter, leave, mend } from './exclusive.js'
import type { Key } from './key.js'
import { hashKey, probe } from './probe.js'
import { grow } from './publish.js'
import { createReference, type ValueReference, writeReference } from './reference.js'
import { scheduleSync } from './sync.js'
import { nextVersion } from './version-clock.js'

/** One operation, its key and value already bytes. */
export interface EncodedOperation {
  readonly type: 'put' | 'delete'
  readonly keyspaceId: number
  /** Where the key lies in the batch's {@link BatchKeys}. */
  readonly keyStart: number
  readonly keySizeBytes: number
  readonly value: Uint8Array | string
  readonly valueSizeBytes: number
}

/** The keys of a batch, one behind the other as zero-padded words. */
export class BatchKeys {
  words: Int32Array = new Int32Array(1024)
  #used = 0

  /** Keeps a copy of the key at hand; returns where it lies. */
  add(key: Key): number {
    const start = this.#used
    const count = (key.sizeBytes + 3) >>> 2
    if (start + count > this.words.length) {
      const grown = new Int32Array(2 * (start + count))
      grown.set(this.words)
      this.words = grown
    }
    for (let index = 0; index < count; index++) this.words[start + index] = key.words[index]
    this.#used = start + count
    return start
  }
}

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
  keys: BatchKeys,
): void {
  engine.requireWritable()
  if (operations.length === 0) return
  const references = operations.map((operation) =>
    operation.valueSizeBytes > engine.inlineValueSizeBytesMax
      ? createReference(engine, operation.value, operation.valueSizeBytes)
      : undefined,
  )
  enter(engine)
  try {
    writeBatchHeld(engine, operations, keys, references)
  } catch (error) {
    mend(engine)
    throw error
  } finally {
    leave(engine)
  }
  scheduleSync(engine)
}

function writeBatchHeld(
  engine: Engine,
  operations: readonly EncodedOperation[],
  keys: BatchKeys,
  references: readonly (ValueReference | undefined)[],
): void {
  const sizeDoubles = operations.reduce(
    (sum, operation, index) => sum + sizeOf(operation, references[index] !== undefined),
    batchFrameSizeWords,
  )
  const { control, index, log } = engine
  if (log.tailOffset + sizeDoubles > log.nextCheck) makeRoom(log, sizeDoubles, engine.epoch)
  // Every operation may need an overflow bucket, and once committed none may fail for want of one.
  index.overflows.reserve(control.get(layout.overflowEnd) + operations.length)
  writeFrame(engine, operations, keys, references, sizeDoubles)
  applyBatch(engine)
  for (let count = 0; count < operations.length; count++) grow(engine)
}

function sizeOf(operation: EncodedOperation, isReference: boolean): number {
  const flags = isReference ? flagReference : 0
  return recordSizeWords(operation.keySizeBytes, operation.valueSizeBytes, flags)
}

/** Steps 2 and 3. */
function writeFrame(
  engine: Engine,
  operations: readonly EncodedOperation[],
  keys: BatchKeys,
  references: readonly (ValueReference | undefined)[],
  sizeDoubles: number,
): void {
  const { control, log } = engine
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
    operations.forEach((operation, index) => {
      sequence++
      version = nextVersion(version, nowMs)
      checksums[index] = writeOperation(engine, operation, keys, references[index], {
        sequence,
        version,
        nowMs,
      })
      const slot = references[index]?.slot
      if (slot !== undefined) usedBytes += log.slots.get(slot, slotSizeBytes)
      advanceTail(log, sizeOf(operation, slot !== undefined))
    })
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
    for (const checksum of checksums) addToDigest(control, checksum)
    addToDigest(control, frameChecksum)
  } catch (error) {
    log.adoptTail()
    log.words[frameSlot].fill(0, frame.offset * 2, (frame.offset + sizeDoubles) * 2)
    throw asWriteFailure(engine, error)
  }
  control.commit()
}

interface Stamp {
  readonly sequence: number
  readonly version: number
  readonly nowMs: number
}

function writeOperation(
  engine: Engine,
  operation: EncodedOperation,
  keys: BatchKeys,
  reference: ValueReference | undefined,
  stamp: Stamp,
): number {
  const { key, log, lookup } = engine
  const { keyspaceId, valueSizeBytes } = operation
  key.setWords(keys.words, operation.keyStart, operation.keySizeBytes)
  const found = probe(engine, hashKey(engine, keyspaceId), keyspaceId)
  const previous = found ? log.address(lookup.slot, lookup.offset) : 0
  const isPut = operation.type === 'put'
  const flags = flagInBatch | (reference === undefined ? 0 : flagReference)
  const sizeDoubles = recordSizeWords(key.sizeBytes, valueSizeBytes, flags)
  targetTail(log, target, true)
  const kind = kindWordOf(isPut ? typePut : typeTombstone, flags, keyspaceId)
  writeStamp(target, stamp.version, stamp.sequence, stamp.nowMs, previous)
  writeSizes(target, kind, key.sizeBytes, valueSizeBytes, 0)
  writeKey(target, key.words, key.sizeBytes)
  if (reference === undefined) {
    const start = valueOffset(key.sizeBytes, flags)
    writeValue(target, operation.value, valueSizeBytes, start, sizeDoubles)
  } else {
    writeReference(log, target, key.sizeBytes, reference)
  }
  return seal(target, sizeDoubles)
}
