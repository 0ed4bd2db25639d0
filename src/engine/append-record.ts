/**
 * One record appended and made the key's newest: what put, delete and the registry of keyspaces
 * have in common.
 *
 * Crash argument, step by step:
 * 1. The record is written behind the tail, checksum last. Killed here: nothing refers to it.
 * 2. The next state is filled: tail, counts, and the entry that will point to the record.
 * 3. The state is committed by one store. Killed before: as 1. Killed after: 4 is done by repair.
 * 4. The entry is written, under an odd version of its home bucket.
 * Hot path: `bench/compare`, rows "load", "random update", "delete".
 */
import { StoreError } from '../base/errors.js'
import { noAddress } from '../format/address.js'
import * as layout from '../format/control-layout.js'
import {
  expiresAtDouble,
  flagExpiry,
  flagReference,
  kindWordOf,
  previousDouble,
  recordSizeWords,
  sequenceDouble,
  timestampDouble,
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
  writeValue,
} from '../log/append.js'
import { noExpiry } from '../log/expiry-table.js'
import { makeRoom } from '../log/roll.js'
import { slotSizeBytes } from '../log/slot-table.js'
import { accountAppend, accountOverhead, accountPadding } from './account.js'
import { announcePut, announceTombstone, noEntry } from './announce-record.js'
import { applyPending } from './apply.js'
import { type Engine, poisonedError } from './engine.js'
import { grow } from './publish.js'
import { type ValueReference, writeReference } from './reference.js'
import { versionsPerMs } from './version-clock.js'

/** The value of a tombstone. */
export const noBytes: Uint8Array = new Uint8Array(0)

/** The operation at hand. `engine.key` and `engine.lookup` belong to it. */
export interface RecordDraft {
  type: typeof typePut | typeof typeTombstone
  keyspaceId: number
  hash: number
  /** What the lookup found of the key: see `entryOf`. */
  entry: number
  value: Uint8Array | string
  valueSizeBytes: number
  /** The value segment that holds the value, where the record does not. */
  reference: ValueReference | undefined
  expiresAtMs: number
  /** {@link ownVersion} for one of the store's clock. */
  version: number
  /** Undefined for now. */
  timestampMs: number | undefined
}

/** The next of the store's clock. */
export const ownVersion = -1

export const draft: RecordDraft = {
  type: typePut,
  keyspaceId: 0,
  hash: 0,
  entry: noEntry,
  value: noBytes,
  valueSizeBytes: 0,
  reference: undefined,
  expiresAtMs: noExpiry,
  version: ownVersion,
  timestampMs: undefined,
}

const target: RecordTarget = {
  words: new Int32Array(0),
  doubles: new Float64Array(0),
  bytes: Buffer.alloc(0),
  offset: 0,
  seed: 0,
}

/** Appends what {@link draft} describes. Throws `STORE_FULL`; the store is then as it was. */
export function appendRecord(engine: Engine): void {
  const { log } = engine
  const flags =
    (draft.reference === undefined ? 0 : flagReference) |
    (draft.expiresAtMs === noExpiry ? 0 : flagExpiry)
  const keySizeBytes = engine.key.sizeBytes
  const sizeDoubles = recordSizeWords(keySizeBytes, draft.valueSizeBytes, flags)
  const wantsPlace = isAligned(draft.valueSizeBytes, flags)
  const roomDoubles = wantsPlace ? sizeDoubles + alignmentDoublesMax : sizeDoubles
  if (log.tailOffset + roomDoubles > log.nextCheck) {
    makeRoom(log, roomDoubles, engine.epoch, draft.type === typeTombstone)
  }
  const slot = log.tailSlot
  const offset = log.tailOffset
  const padding = wantsPlace ? paddingBefore(offset, keySizeBytes, flags) : 0
  const slack = wantsPlace ? slackBefore(offset + padding + sizeDoubles, keySizeBytes, flags) : 0
  try {
    writeAndCommit(engine, sizeDoubles, flags, padding, slack)
  } catch (error) {
    log.words[slot].fill(0, offset * 2, (offset + padding + sizeDoubles) * 2)
    log.adoptTail()
    throw asWriteFailure(engine, error)
  } finally {
    draft.value = noBytes
    draft.reference = undefined
    draft.expiresAtMs = noExpiry
    draft.version = ownVersion
    draft.timestampMs = undefined
  }
  advanceTail(log, sizeDoubles + slack)
  applyPending(engine)
  if (draft.entry === noEntry) grow(engine)
}

/** `padding`: 8-byte words before the record; `slack`: behind it. */
function writeAndCommit(
  engine: Engine,
  sizeDoubles: number,
  flags: number,
  padding: number,
  slack: number,
): void {
  const { control, key, log, lookup } = engine
  const { doubles, next } = control
  const { type, keyspaceId, entry, valueSizeBytes, reference } = draft
  const firstSlot = log.tailSlot
  const firstOffset = log.tailOffset
  let paddingChecksum = 0
  if (padding !== 0) {
    paddingChecksum = writePadding(log, target, padding)
    // The writer's own tail runs ahead; the state's passes both records by one commit.
    advanceTail(log, padding)
  }
  const slot = log.tailSlot
  const offset = log.tailOffset
  targetTail(log, target, false)
  control.begin()
  const nowMs = engine.clock.nowMs()
  const sequence = doubles[next + layout.sequence] + 1
  const version =
    draft.version === ownVersion
      ? Math.max(doubles[next + layout.version] + 1, nowMs * versionsPerMs)
      : draft.version
  doubles[next + layout.sequence] = sequence
  doubles[next + layout.version] = Math.max(doubles[next + layout.version], version)
  const record = target.doubles
  record[offset + versionDouble] = version
  record[offset + sequenceDouble] = sequence
  record[offset + timestampDouble] = draft.timestampMs ?? nowMs
  record[offset + previousDouble] =
    entry === noEntry ? noAddress : log.starts[lookup.slot] + lookup.offset
  writeSizes(target, kindWordOf(type, flags, keyspaceId), key.sizeBytes, valueSizeBytes, slack)
  if ((flags & flagExpiry) !== 0) {
    record[offset + expiresAtDouble] = draft.expiresAtMs
    engine.expiries.note(log, slot, offset, draft.expiresAtMs)
  }
  writeKey(target, key.words, key.sizeBytes, flags)
  if (reference === undefined) {
    const start = valueOffset(key.sizeBytes, flags)
    writeValue(target, draft.value, valueSizeBytes, start, sizeDoubles)
  } else {
    writeReference(log, target, valueOffset(key.sizeBytes, flags), reference)
  }
  const checksum = seal(target, sizeDoubles)
  if (log.isAppendOnly) log.writeThrough(firstSlot, firstOffset, padding + sizeDoubles)

  if (padding !== 0) accountPadding(control, padding, paddingChecksum)
  accountAppend(control, sizeDoubles + slack, checksum)
  if (type === typeTombstone) {
    accountOverhead(control, sizeDoubles, true)
    announceTombstone(engine, keyspaceId, draft.hash, entry, slot, offset)
  } else {
    let bytes = (sizeDoubles + slack) << 3
    if (reference !== undefined) {
      const valueBytes = log.slots.get(reference.slot, slotSizeBytes)
      bytes += valueBytes
      doubles[next + layout.usedBytes] += valueBytes
      doubles[next + layout.pendingLiveValueSlot] = reference.slot
    }
    announcePut(engine, keyspaceId, draft.hash, entry, slot, offset, valueSizeBytes, bytes)
  }
  control.commit()
}

/** I10: a write that failed for another reason than space poisons the store. */
export function asWriteFailure(engine: Engine, error: unknown): unknown {
  if (error instanceof StoreError) return error
  engine.syncQueue.failure = error
  engine.control.poison(String(error))
  return poisonedError(engine)
}
