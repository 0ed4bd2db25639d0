/**
 * scan: the live records of a keyspace in the order of the log, oldest first, by their keys.
 *
 * The segments are walked in the order of their numbers, and every record is verified before it is
 * believed. A record is live if the index entry of its key points at exactly the place where it
 * lies, so whatever stands behind the end of a segment's records is passed over.
 *
 * There are no snapshots yet: a write between two steps ends the scan with an error, since an
 * updated record can move from before the scan to behind it, or be met twice.
 */
import { corrupt, StoreError } from '../base/errors.js'
import * as layout from '../format/control-layout.js'
import { typePut } from '../format/record.js'
import { recordKeyspace, recordType } from '../log/record-fields.js'
import { firstRecordOffset } from '../log/roll.js'
import { SegmentScan } from '../log/segment-scan.js'
import { kindLog, slotEpoch, slotKind, slotNumber, slotSizeBytes } from '../log/slot-table.js'
import type { Engine } from './engine.js'
import { hashKey, probe } from './probe.js'
import { takeKey } from './take-key.js'

/** Yields copies that the caller owns. Throws `STORE_IN_USE` where the store changes meanwhile. */
export function* scanKeys(engine: Engine, keyspaceId: number): Generator<Buffer> {
  engine.requireOpen()
  const { control, counts, directory, key } = engine
  const sequence = control.read(layout.sequence)
  let missing = counts.get(keyspaceId, 0)
  for (const slot of logSlots(engine)) {
    for (const offset of recordOffsets(engine, slot)) {
      if (missing === 0) return
      if (!isLive(engine, keyspaceId, slot, offset)) continue
      missing--
      yield Buffer.from(key.bytes.subarray(0, key.sizeBytes))
      requireUnchanged(engine, sequence)
    }
  }
  requireUnchanged(engine, sequence)
  if (missing > 0) throw corrupt(directory, 0, `the log lacks ${missing} records of the index`)
}

/** The slots of all log segments, oldest segment first. */
function logSlots(engine: Engine): number[] {
  const { control, log } = engine
  const slotEnd = control.read(layout.slotEnd)
  return Array.from({ length: slotEnd }, (_, slot) => slot)
    .filter((slot) => log.slots.get(slot, slotKind) === kindLog)
    .sort((a, b) => log.slots.get(a, slotNumber) - log.slots.get(b, slotNumber))
}

/** Where the records of a segment begin, in 8-byte words of its file. */
function* recordOffsets(engine: Engine, slot: number): Generator<number> {
  const { control, log } = engine
  if (log.words[slot] === undefined) log.mapSlot(slot)
  const segmentNumber = log.slots.get(slot, slotNumber)
  const untilTail = control.read(layout.tail) - segmentNumber * log.segmentWords
  const scan = new SegmentScan(
    {
      words: log.words[slot],
      doubles: log.doubles[slot],
      storeId: log.storeId,
      epoch: log.slots.get(slot, slotEpoch),
      segmentNumber,
      shift: log.shift,
      endOffset: Math.min(log.slots.get(slot, slotSizeBytes) / 8, untilTail),
    },
    firstRecordOffset,
  )
  // A bad record is left to the count: behind the end that recovery gave a segment it means nothing.
  while (scan.look() === 'record') {
    yield* scan.recordOffsets()
    scan.skip()
  }
}

/** Makes the record's key the key at hand and asks the index whether it is its newest. */
function isLive(engine: Engine, keyspaceId: number, slot: number, offset: number): boolean {
  const { log, lookup } = engine
  const words = log.words[slot]
  if (recordType(words, offset * 2) !== typePut) return false
  if (recordKeyspace(words, offset * 2) !== keyspaceId) return false
  takeKey(engine, words, offset * 2)
  // In an oversized segment, the index names the slot of the part that the record begins in.
  const part = Math.floor(offset / log.segmentWords)
  return (
    probe(engine, hashKey(engine, keyspaceId), keyspaceId) &&
    lookup.slot === slot + part &&
    lookup.offset === offset - part * log.segmentWords
  )
}

function requireUnchanged(engine: Engine, sequence: number): void {
  engine.requireOpen()
  if (engine.control.read(layout.sequence) === sequence) return
  throw new StoreError('STORE_IN_USE', 'the store was changed while it was being scanned')
}
