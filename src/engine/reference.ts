/**
 * Values above a quarter of a segment: they go into a segment file of their own, and a record in
 * the log refers to them. The value is in place before the record is; a value segment that no
 * record refers to, left by a kill in between, is dead from its first day.
 */
import { checksumWords } from '../base/checksum.js'
import { corrupt } from '../base/errors.js'
import { segmentFileName } from '../format/file-names.js'
import {
  referenceChecksumWord,
  referenceEpochDouble,
  referenceSegmentDouble,
} from '../format/record.js'
import { segmentHeaderSizeBytes } from '../format/segment-header.js'
import type { RecordTarget } from '../log/append.js'
import type { Log } from '../log/log.js'
import { createValueSegment, firstRecordOffset } from '../log/roll.js'
import { slotEpoch, slotNumber, slotUnsynced } from '../log/slot-table.js'
import type { Engine } from './engine.js'
import { enter, leave, mend } from './exclusive.js'

/** A value segment that is filled and not named by a record yet. */
export interface ValueReference {
  readonly slot: number
  readonly checksum: number
}

/**
 * Makes a value segment and fills it. Throws `STORE_FULL`. Called without the writer's word, which
 * is held to enter the segment and not while gigabytes are copied.
 */
export function createReference(
  engine: Engine,
  value: Uint8Array | string,
  valueSizeBytes: number,
): ValueReference {
  return fillReference(engine, enterValueSegment(engine, valueSizeBytes), value, valueSizeBytes)
}

/**
 * {@link createReference} by who holds the writer's word, and keeps it: for a value that is known only
 * then. Others wait while it is filled.
 */
export function createReferenceHeld(
  engine: Engine,
  value: Uint8Array | string,
  valueSizeBytes: number,
): ValueReference {
  const slot = createValueSegment(engine.log, valueSizeBytes, engine.epoch, engine.writerToken)
  return fillReference(engine, slot, value, valueSizeBytes)
}

function fillReference(
  engine: Engine,
  slot: number,
  value: Uint8Array | string,
  valueSizeBytes: number,
): ValueReference {
  const { log } = engine
  const bytes = log.bytes[slot]
  if (typeof value === 'string') bytes.write(value, segmentHeaderSizeBytes, valueSizeBytes, 'utf8')
  else bytes.set(value, segmentHeaderSizeBytes)
  if (log.isAppendOnly) {
    log.writeThrough(slot, firstRecordOffset, Math.ceil(valueSizeBytes / 8))
  }
  return { slot, checksum: checksumValue(log, slot, valueSizeBytes) }
}

/** Throws `STORE_FULL`; the store is then as it was. */
export function enterValueSegment(engine: Engine, valueSizeBytes: number): number {
  enter(engine)
  try {
    return createValueSegment(engine.log, valueSizeBytes, engine.epoch, engine.writerToken)
  } catch (error) {
    mend(engine)
    throw error
  } finally {
    leave(engine)
  }
}

/** No record is going to refer to it: compaction may drop it. */
export function abandonReference(engine: Engine, reference: ValueReference | undefined): void {
  // Without the writer's word: nobody else looks at it before this.
  if (reference !== undefined) engine.log.slots.set(reference.slot, slotUnsynced, 1)
}

/** Writes the reference where a record's value would stand, `startBytes` from its beginning. */
export function writeReference(
  log: Log,
  target: RecordTarget,
  startBytes: number,
  reference: ValueReference,
): void {
  const start = target.offset + startBytes / 8
  target.doubles[start + referenceSegmentDouble] = log.slots.get(reference.slot, slotNumber)
  target.doubles[start + referenceEpochDouble] = log.slots.get(reference.slot, slotEpoch)
  target.words[start * 2 + referenceChecksumWord] = reference.checksum
  target.words[start * 2 + referenceChecksumWord + 1] = 0
}

/** The checksum of a value in a segment of its own. */
export function checksumValue(log: Log, valueSlot: number, valueSizeBytes: number): number {
  const wordCount = Math.ceil(valueSizeBytes / 4)
  return checksumWords(
    log.words[valueSlot],
    segmentHeaderSizeBytes / 4,
    wordCount,
    log.seeds[valueSlot],
  )
}

/** The slot of the value that a record refers to, mapped; the value begins behind the header. */
export function mapReference(log: Log, slot: number, referenceOffset: number): number {
  const number = log.doubles[slot][referenceOffset / 8 + referenceSegmentDouble]
  const valueSlot = log.slotOf(number)
  if (valueSlot === -1) {
    const file = log.path(segmentFileName('value', number))
    throw corrupt(file, 0, 'the segment that a record refers to is missing')
  }
  if (log.bytes[valueSlot] === undefined) log.mapSlot(valueSlot)
  return valueSlot
}
