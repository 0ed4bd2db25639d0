/**
 * put: a new record at the tail, or, where the key's record is still in the mutable region and the
 * value fits its place, an update of that record in place.
 * Hot path: `bench/compare`, rows "load" and "random update".
 */
import * as layout from '../format/control-layout.js'
import {
  checksumWord,
  expiresAtDouble,
  flagExpiry,
  flagInBatch,
  flagMoved,
  flagReference,
  kindWordOf,
  previousDouble,
  recordSizeWords,
  sequenceDouble,
  slackWordsMax,
  timestampDouble,
  typePut,
  valueOffset,
  valueSizeBytesMax,
  versionDouble,
} from '../format/record.js'
import { recordSeed } from '../format/record-checksum.js'
import { type RecordTarget, seal, writeKey, writeSizes, writeValue } from '../log/append.js'
import { noExpiry } from '../log/expiry-table.js'
import { recordFlags, recordSpan, recordValueSize } from '../log/record-fields.js'
import { announceKeyspace, replaceInDigest } from './account.js'
import { entryOf, liveEntry } from './announce-record.js'
import { appendRecord, draft } from './append-record.js'
import { applyCounts, overwriteRecord } from './apply.js'
import type { Engine } from './engine.js'
import { enter, leave, mend } from './exclusive.js'
import { hashKey, probe } from './probe.js'
import { find, isStable } from './read.js'
import { abandonReference, createReference, type ValueReference } from './reference.js'
import { scheduleSync } from './sync.js'
import { isExpiredFound } from './time.js'
import { versionsPerMs } from './version-clock.js'

/** When a put is to change nothing: `anyVersion` for never. */
export const anyVersion = -1
/** Only where the key has no record. */
export const absent = -2

const target: RecordTarget = {
  words: new Int32Array(0),
  doubles: new Float64Array(0),
  bytes: Buffer.alloc(0),
  offset: 0,
  seed: 0,
}

export function sizeOfValue(value: Uint8Array | string): number {
  const sizeBytes = typeof value === 'string' ? Buffer.byteLength(value, 'utf8') : value.length
  if (sizeBytes > valueSizeBytesMax) {
    throw new RangeError(
      `value has ${sizeBytes} bytes; a value has 0 to ${valueSizeBytesMax.toLocaleString('en')}`,
    )
  }
  return sizeBytes
}

/**
 * Stores `value` under the key at hand. False where `condition` did not hold; undefined, and nothing
 * done, where the registry is no longer of `generation`: the keyspace may have been dropped.
 */
export function put(
  engine: Engine,
  keyspaceId: number,
  generation: number,
  value: Uint8Array | string,
  condition: number,
  expiresAtMs: number,
): boolean | undefined {
  engine.requireWritable()
  const valueSizeBytes = sizeOfValue(value)
  const isLarge = valueSizeBytes > engine.inlineValueSizeBytesMax
  if (isLarge && !mayHold(engine, keyspaceId, condition)) return false
  const reference = isLarge ? createReference(engine, value, valueSizeBytes) : undefined
  enter(engine)
  let isDone = false
  try {
    if (engine.control.words[layout.keyspaceGenerationWord] !== generation) return undefined
    isDone = putHeld(engine, keyspaceId, value, valueSizeBytes, reference, condition, expiresAtMs)
  } catch (error) {
    mend(engine)
    throw error
  } finally {
    leave(engine)
    if (!isDone) abandonReference(engine, reference)
  }
  if (isDone) scheduleSync(engine)
  return isDone
}

/** {@link put} by who holds the writer's word; a large value is in its segment already. */
export function putHeld(
  engine: Engine,
  keyspaceId: number,
  value: Uint8Array | string,
  valueSizeBytes: number,
  reference: ValueReference | undefined,
  condition: number,
  expiresAtMs: number,
): boolean {
  const hash = hashKey(engine, keyspaceId)
  const entry = entryOf(engine, probe(engine, hash, keyspaceId))
  const isLive = entry === liveEntry && !isExpiredFound(engine)
  if (condition !== anyVersion && !holds(engine, isLive, condition)) return false
  putFound(engine, keyspaceId, hash, entry, value, valueSizeBytes, reference, expiresAtMs)
  return true
}

/** {@link putHeld} where the lookup has what there is of the key: see `entryOf`. */
export function putFound(
  engine: Engine,
  keyspaceId: number,
  hash: number,
  entry: number,
  value: Uint8Array | string,
  valueSizeBytes: number,
  reference: ValueReference | undefined,
  expiresAtMs: number,
): void {
  const isLive = entry === liveEntry
  const flags = expiresAtMs === noExpiry ? 0 : flagExpiry
  if (isLive && reference === undefined) {
    const slack = slackInPlace(engine, valueSizeBytes, flags)
    if (slack !== noSlack) {
      updateInPlace(engine, keyspaceId, value, valueSizeBytes, slack, expiresAtMs)
      noteHot(engine, keyspaceId, flags)
      return
    }
  }
  draft.type = typePut
  draft.keyspaceId = keyspaceId
  draft.hash = hash
  draft.entry = entry
  draft.value = value
  draft.valueSizeBytes = valueSizeBytes
  draft.reference = reference
  draft.expiresAtMs = expiresAtMs
  appendRecord(engine)
}

/** Before a large value is brought to its segment: false where it would be for nothing. */
function mayHold(engine: Engine, keyspaceId: number, condition: number): boolean {
  if (condition === anyVersion) return true
  const { log, lookup } = engine
  for (;;) {
    const found = find(engine, keyspaceId)
    if (condition === absent || !found) return (condition === absent) !== found
    const version = log.doubles[lookup.slot][lookup.offset + versionDouble]
    if (isStable(engine)) return version === condition
  }
}

/** Whether the record of the lookup has the version asked for, or is missing as asked. */
export function holds(engine: Engine, found: boolean, condition: number): boolean {
  if (condition === absent) return !found
  if (!found) return false
  const { lookup, log } = engine
  return log.doubles[lookup.slot][lookup.offset + versionDouble] === condition
}

/** Of a record that may not be updated in place. */
export const noSlack = -1

/**
 * The 8-byte words that an update in place would leave behind the record of the lookup, or {@link noSlack}
 * where it is not in the mutable region, not simple, or has not the room (I4).
 */
export function slackInPlace(engine: Engine, valueSizeBytes: number, flags: number): number {
  const { control, key, log, lookup } = engine
  const sizeDoubles = recordSizeWords(key.sizeBytes, valueSizeBytes, flags)
  if (log.isAppendOnly) return noSlack
  if (sizeDoubles * 8 > layout.redoSizeBytes) return noSlack
  if (log.starts[lookup.slot] + lookup.offset < control.get(layout.readOnly)) return noSlack
  // Set with the writer's word in hand: whoever watches gets every change.
  if (control.words[layout.watchedWord] !== 0) return noSlack
  const start = lookup.offset << 1
  const there = recordFlags(lookup.recordWords, start)
  // A copy that compaction made may be what a snapshot from before it shows.
  const mask = flagExpiry | flagInBatch | flagMoved | flagReference
  if ((there & mask) !== flags) return noSlack
  const slack = recordSpan(lookup.recordWords, start) - sizeDoubles
  return slack >= 0 && slack <= slackWordsMax ? slack : noSlack
}

/**
 * The new record is made in the redo area, checksum and all, and goes over the old one when the
 * state that announces it counts: killed in between, the next to come copies it again. `slack` is that of
 * {@link slackInPlace}.
 */
export function updateInPlace(
  engine: Engine,
  keyspaceId: number,
  value: Uint8Array | string,
  valueSizeBytes: number,
  slack: number,
  expiresAtMs: number,
): void {
  const { control, key, log, lookup } = engine
  const { doubles, next, state } = control
  const { home, offset, recordWords, slot } = lookup
  const flags = expiresAtMs === noExpiry ? 0 : flagExpiry
  const sizeDoubles = recordSizeWords(key.sizeBytes, valueSizeBytes, flags)
  const start = offset << 1
  const oldChecksum = recordWords[start + checksumWord]
  const oldValueSize = recordValueSize(recordWords, start)
  const redo = control.redoStart(next) >>> 3
  target.words = control.words
  target.doubles = doubles
  target.bytes = control.bytes
  target.offset = redo
  target.seed = recordSeed(log.seeds[slot], offset, false)
  control.beginInPlace()
  const nowMs = engine.clock.nowMs()
  const sequence = doubles[state + layout.sequence] + 1
  const version = Math.max(doubles[state + layout.version] + 1, nowMs * versionsPerMs)
  doubles[next + layout.sequence] = sequence
  doubles[next + layout.version] = version
  doubles[redo + versionDouble] = version
  doubles[redo + sequenceDouble] = sequence
  doubles[redo + timestampDouble] = nowMs
  doubles[redo + previousDouble] = log.doubles[slot][offset + previousDouble]
  writeSizes(target, kindWordOf(typePut, flags, keyspaceId), key.sizeBytes, valueSizeBytes, slack)
  if (flags !== 0) {
    doubles[redo + expiresAtDouble] = expiresAtMs
    engine.expiries.note(log, slot, offset, expiresAtMs)
  }
  writeKey(target, key.words, key.sizeBytes, flags)
  writeValue(target, value, valueSizeBytes, valueOffset(key.sizeBytes, flags), sizeDoubles)
  const checksum = seal(target, sizeDoubles)

  doubles[next + layout.lastRecord] = log.starts[slot] + offset
  replaceInDigest(control, oldChecksum, checksum)
  doubles[next + layout.pendingKind] = layout.changeInPlace
  doubles[next + layout.pendingHome] = home
  doubles[next + layout.pendingTargetSlot] = slot
  doubles[next + layout.pendingTargetOffset] = offset
  doubles[next + layout.pendingSizeWords] = sizeDoubles
  const growth = valueSizeBytes - oldValueSize
  doubles[next + layout.valueBytes] = doubles[state + layout.valueBytes] + growth
  if (growth !== 0) announceKeyspace(engine, keyspaceId, 0, 0, growth)
  control.commitInPlace()
  overwriteRecord(engine, home, slot, offset, sizeDoubles)
  if (growth !== 0) applyCounts(engine)
}

/** What lies there can be updated again without a look at the index: see hot-record.ts. */
function noteHot({ control, hot, lookup }: Engine, keyspaceId: number, flags: number): void {
  hot.key = undefined
  // One that expires is looked at each time.
  if (flags !== 0) return
  hot.isNoted = true
  hot.keyspaceId = keyspaceId
  hot.commits = control.commits
  hot.home = lookup.home
  hot.slot = lookup.slot
  hot.offset = lookup.offset
  hot.recordWords = lookup.recordWords
}
