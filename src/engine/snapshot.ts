/**
 * Snapshots: the store as it was at a sequence, in O(1).
 *
 * What a snapshot needs stays where it is. The read-only boundary moves up to the tail when it is
 * made, so that no record it shows is updated in place afterwards; newer records lead to it by their
 * previous addresses. A key that is deleted while it is open keeps its entry (announce-record.ts).
 * Boundary and pin are set with the writer's word in hand, under which in-place updates test them.
 *
 * Reading is as in read.ts, and then back along the previous addresses to the newest record that is
 * not newer than the snapshot. All but the first of these records lie below the boundary and never
 * change, so the home bucket's version needs to be looked at for the first one only.
 *
 * One that may not write can set neither boundary nor pin. Its snapshots show what they should until
 * somebody else writes, and nothing from then on: {@link requireShown}, behind every read.
 */
import { StoreError } from '../base/errors.js'
import { fence } from '../base/shared-words.js'
import * as layout from '../format/control-layout.js'
import {
  expiresAtDouble,
  flagExpiry,
  kindWord,
  previousDouble,
  sequenceDouble,
  timestampDouble,
  typePut,
  versionDouble,
} from '../format/record.js'
import { noExpiry } from '../log/expiry-table.js'
import { recordFlags, recordSpan } from '../log/record-fields.js'
import type { Engine } from './engine.js'
import { enter, leave } from './exclusive.js'
import { freezeLog } from './freeze.js'
import type { RecordFacts } from './get-entry.js'
import { hashKey, probe } from './probe.js'
import { isStable, isTableUnmoved, locateValue } from './read.js'
import { readSettled } from './settled.js'
import { scheduleSweep } from './sweep-tombstones.js'
import { isExpiredAt, noteSeen, timeNow } from './time.js'
import { verifyFound, verifyMissing, verifyOlder } from './verified-read.js'

/** What a snapshot shows: everything up to a sequence that had not expired at a time. */
export interface Moment {
  readonly sequence: number
  readonly timeMs: number
}

/** The time that goes with a snapshot which was just opened. */
export function snapshotTime(engine: Engine): number {
  // Nothing that it shows expires: the clock need not be asked.
  return engine.expiries.nextMs === noExpiry ? beforeAllTime : timeNow(engine)
}

/** The time at which nothing has expired: for what is in the indexes and counts. */
export const beforeAllTime = Number.NEGATIVE_INFINITY

const expiryInKindWord = flagExpiry << 8
const typeAndExpiry = expiryInKindWord | 0xff

/**
 * Pins the store as it is now. Returns the sequence, which {@link closeSnapshot} gives back. `look` is
 * called when nobody else writes, to read what belongs to that moment.
 */
export function openSnapshot(engine: Engine, look?: () => void): number {
  engine.requireOpen()
  const { attachments, control, log, pins } = engine
  if (log.access === 'private') return openWithoutPin(engine, look)
  enter(engine)
  try {
    const sequence = control.get(layout.sequence)
    freezeLog(control)
    pins.add(sequence)
    attachments.setPin(pins.lowest)
    look?.()
    return sequence
  } finally {
    leave(engine)
  }
}

/**
 * What is committed is applied by then, so that reads show all of it. Counted among the pins, so that
 * this one does not go on to files that replaced those it reads.
 */
function openWithoutPin(engine: Engine, look: (() => void) | undefined): number {
  const sequence = readSettled(engine, () => {
    look?.()
    return engine.control.read(layout.sequence)
  })
  engine.pins.add(sequence)
  return sequence
}

/**
 * For one that could set no pin: throws where anything was committed since, so that what was read may
 * be newer than the snapshot, or gone. A copy does not change, and a pin lets nothing change.
 */
export function requireShown(engine: Engine, sequence: number): void {
  if (engine.log.access !== 'private' || engine.isCopy) return
  // What was read comes before the look at what was committed.
  fence()
  if (engine.control.read(layout.sequence) === sequence) return
  throw new StoreError(
    'STORE_IN_USE',
    `${engine.directory} was changed while a range or a snapshot of it was read; this reader may not write there, and cannot hold on to what is replaced`,
    { details: { file: engine.directory } },
  )
}

export function closeSnapshot(engine: Engine, sequence: number): void {
  if (engine.isClosed) return
  const { attachments, pins } = engine
  const before = pins.lowest
  pins.remove(sequence)
  if (engine.log.access === 'private') return
  const lowest = pins.lowest
  if (lowest === before) return
  // Without the writer's word: who still sees the old pin holds back more than it must.
  attachments.setPin(lowest)
  scheduleSweep(engine)
}

/** True where a snapshot shows the key at hand. */
export function hasAt(engine: Engine, keyspaceId: number, moment: Moment): boolean {
  const isThere = findAt(engine, keyspaceId, moment)
  requireShown(engine, moment.sequence)
  return isThere
}

export function findAt(engine: Engine, keyspaceId: number, moment: Moment): boolean {
  const hash = hashKey(engine, keyspaceId)
  return findHashedAt(engine, hash, keyspaceId, moment.sequence, moment.timeMs)
}

/**
 * Finds the record of the key at hand that a snapshot shows. True where it is a put; the lookup then
 * has it, and its bytes count without a further look where there is a pin: {@link requireShown}.
 * Hot path: `bench/compare`, rows "full scan", "range of 100".
 */
export function findHashedAt(
  engine: Engine,
  hash: number,
  keyspaceId: number,
  sequence: number,
  timeMs: number,
): boolean {
  const { lookup, log } = engine
  for (;;) {
    if (!probe(engine, hash, keyspaceId)) {
      if (engine.verifiesReads && !verifyMissing(engine, keyspaceId, hash)) continue
      if (isStable(engine) && isTableUnmoved(engine)) return false
      continue
    }
    if (engine.verifiesReads && !verifyFound(engine, keyspaceId)) continue
    const newest = log.doubles[lookup.slot][lookup.offset + sequenceDouble]
    const previous = log.doubles[lookup.slot][lookup.offset + previousDouble]
    const kind = lookup.recordWords[(lookup.offset << 1) + kindWord]
    if (!isStable(engine)) continue
    if (newest > sequence) return followPrevious(engine, keyspaceId, previous, sequence, timeMs)
    return (kind & typeAndExpiry) === typePut || isThereAt(engine, kind, timeMs)
  }
}

/** Whether the record that the lookup has is a put that had not expired. */
function isThereAt(engine: Engine, kind: number, timeMs: number): boolean {
  if ((kind & 0xff) !== typePut) return false
  if ((kind & expiryInKindWord) === 0 || !isExpiredAt(engine, timeMs)) return true
  noteSeen(engine, timeMs)
  return false
}

function followPrevious(
  engine: Engine,
  keyspaceId: number,
  from: number,
  sequence: number,
  timeMs: number,
): boolean {
  const { lookup, log } = engine
  for (let address = from; address !== 0; ) {
    const number = Math.floor(address / log.segmentWords)
    const slot = log.slotOf(number)
    if (slot === -1) return false
    if (log.words[slot] === undefined) log.mapSlot(slot)
    const offset = address - number * log.segmentWords
    if (engine.verifiesReads) verifyOlder(engine, keyspaceId, slot, offset)
    if (log.doubles[slot][offset + sequenceDouble] <= sequence) {
      lookup.slot = slot
      lookup.offset = offset | 0
      lookup.recordWords = log.words[slot]
      return isThereAt(engine, log.words[slot][(offset << 1) + kindWord], timeMs)
    }
    address = log.doubles[slot][offset + previousDouble]
  }
  return false
}

/** A copy of the value that the caller owns. */
export function getBytesAt(engine: Engine, keyspaceId: number, moment: Moment): Buffer | undefined {
  const value = findAt(engine, keyspaceId, moment) ? copyFoundValue(engine) : undefined
  requireShown(engine, moment.sequence)
  return value
}

/** The value as text. */
export function getTextAt(engine: Engine, keyspaceId: number, moment: Moment): string | undefined {
  const text = findAt(engine, keyspaceId, moment) ? foundText(engine) : undefined
  requireShown(engine, moment.sequence)
  return text
}

/** A copy of the value of the record that the lookup has. */
export function copyFoundValue(engine: Engine): Buffer {
  const { log, lookup } = engine
  locateValue(engine)
  const { valueSizeBytes, valueSlot, valueStart } = lookup
  const copy = Buffer.allocUnsafe(valueSizeBytes)
  const start = log.bases[valueSlot] + valueStart
  copy.set(new Uint8Array(log.buffers[valueSlot], start, valueSizeBytes))
  return copy
}

/** The value of the record that the lookup has, as text. */
export function foundText(engine: Engine): string {
  const { log, lookup } = engine
  locateValue(engine)
  const { valueSizeBytes, valueSlot, valueStart } = lookup
  return log.bytes[valueSlot].toString('utf8', valueStart, valueStart + valueSizeBytes)
}

export function getRecordAt(
  engine: Engine,
  keyspaceId: number,
  moment: Moment,
): RecordFacts | undefined {
  const record = findAt(engine, keyspaceId, moment) ? foundRecord(engine) : undefined
  requireShown(engine, moment.sequence)
  return record
}

/** Everything that is known of the record that the lookup has. */
export function foundRecord(engine: Engine): RecordFacts {
  const { log, lookup } = engine
  const { offset, recordWords, slot } = lookup
  const doubles = log.doubles[slot]
  const hasExpiry = (recordFlags(recordWords, offset * 2) & flagExpiry) !== 0
  return {
    value: copyFoundValue(engine),
    version: doubles[offset + versionDouble],
    sequence: doubles[offset + sequenceDouble],
    timestampMs: doubles[offset + timestampDouble],
    expiresAtMs: hasExpiry ? doubles[offset + expiresAtDouble] : undefined,
    sizeBytes: recordSpan(recordWords, offset * 2) * 8,
  }
}
