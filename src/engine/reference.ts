/**
 * Values above a quarter of a segment: they go into a segment file of their own, and a record in
 * the log refers to them. The value is in place before the record is; a value segment that no
 * record refers to, left by a kill in between, is dead from its first day.
 */
import { checksumWords } from '../base/checksum.js'
import { corrupt } from '../base/errors.js'
import { segmentFileName } from '../format/file-names.js'
import {
  flagReference,
  referenceChecksumWord,
  referenceEpochDouble,
  referenceSegmentDouble,
  valueOffset,
} from '../format/record.js'
import { segmentHeaderSizeBytes } from '../format/segment-header.js'
import type { RecordTarget } from '../log/append.js'
import type { Log } from '../log/log.js'
import { createValueSegment, firstRecordOffset } from '../log/roll.js'
import { slotDeadBytes, slotEpoch, slotNumber, slotSizeBytes } from '../log/slot-table.js'
import type { Engine } from './engine.js'

/** Makes a value segment and fills it. Returns its slot. Throws `STORE_FULL`. */
export function createReference(
  engine: Engine,
  value: Uint8Array | string,
  valueSizeBytes: number,
): number {
  const { log } = engine
  const slot = createValueSegment(log, valueSizeBytes, engine.epoch)
  const bytes = log.bytes[slot]
  if (typeof value === 'string') bytes.write(value, segmentHeaderSizeBytes, valueSizeBytes, 'utf8')
  else bytes.set(value, segmentHeaderSizeBytes)
  if (log.isAppendOnly) {
    log.writeThrough(slot, firstRecordOffset, Math.ceil(valueSizeBytes / 8))
  }
  // Counted dead until a record refers to it.
  log.slots.set(slot, slotDeadBytes, log.slots.get(slot, slotSizeBytes))
  return slot
}

/** Writes the reference where a record's value would stand. */
export function writeReference(
  log: Log,
  target: RecordTarget,
  keySizeBytes: number,
  valueSlot: number,
  valueSizeBytes: number,
): void {
  const start = target.offset + valueOffset(keySizeBytes, flagReference) / 8
  target.doubles[start + referenceSegmentDouble] = log.slots.get(valueSlot, slotNumber)
  target.doubles[start + referenceEpochDouble] = log.slots.get(valueSlot, slotEpoch)
  target.words[start * 2 + referenceChecksumWord] = checksumValue(log, valueSlot, valueSizeBytes)
  target.words[start * 2 + referenceChecksumWord + 1] = 0
  log.slots.set(valueSlot, slotDeadBytes, 0)
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
