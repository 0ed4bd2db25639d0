/**
 * Building index, slot table and counts from the log: what opening on another boot does.
 *
 * The records come in the order of the log. Per key the highest sequence wins; compaction keeps
 * sequences, so the order in which copies lie does not matter (I8): a copy and what it was copied from are
 * the same record. Of these the copy is taken, as it was before: what was copied need not be again. What
 * a segment holds of dead bytes and tombstones is counted on the way: at first all of it counts as dead.
 */

import { accountInsert, accountMove, accountRemove, accountReplace } from '../engine/account.js'
import { applyPending } from '../engine/apply.js'
import type { Engine } from '../engine/engine.js'
import { hashKey, probe } from '../engine/probe.js'
import { announceInsert, announceRemove, announceReplace, grow } from '../engine/publish.js'
import { takeKey } from '../engine/take-key.js'
import * as layout from '../format/control-layout.js'
import {
  batchFrameSizeWords,
  batchSizeDouble,
  expiresAtDouble,
  flagExpiry,
  flagMoved,
  recordHeaderSizeBytes,
  sequenceDouble,
  typeBatch,
  typeMarker,
  typePadding,
  typePut,
  typeTombstone,
  versionDouble,
} from '../format/record.js'
import type { Log } from '../log/log.js'
import {
  occupiedBytes,
  recordFlags,
  recordKeyspace,
  recordSpan,
  recordType,
  recordValueSize,
  referencedSlot,
} from '../log/record-fields.js'
import { enterSlot } from '../log/roll.js'
import {
  kindLog,
  kindPart,
  kindValue,
  slotDeadBytes,
  slotIsUsed,
  slotOverheadBytes,
  slotPrevious,
  slotTombstoneBytes,
} from '../log/slot-table.js'
import type { BelievedStretch } from './log-reader.js'
import type { SegmentFile } from './segment-files.js'

/** Enters a segment file into the next free slots; returns the first. */
export function adoptSegment(engine: Engine, file: SegmentFile, kind: 'log' | 'value'): number {
  const { control, log } = engine
  const { header } = file
  const slot = control.get(layout.slotEnd)
  const parts = kind === 'value' ? 1 : Math.ceil(header.sizeBytes / log.segmentSizeBytes)
  log.slots.region.reserve(slot + parts + 1)
  const handle = log.platform.openFile(file.path, 'read')
  const entry = { sizeBytes: header.sizeBytes, epoch: header.epoch, file: handle }
  const firstKind = kind === 'value' ? kindValue : kindLog
  enterSlot(log, slot, { ...entry, number: header.segmentNumber, kind: firstKind })
  for (let part = 1; part < parts; part++) {
    const number = header.segmentNumber + part
    enterSlot(log, slot + part, { ...entry, sizeBytes: 0, number, kind: kindPart })
  }
  handle.close()
  log.slots.set(slot, slotDeadBytes, header.sizeBytes)
  log.slots.set(slot, slotOverheadBytes, header.sizeBytes)
  log.slots.set(slot, slotPrevious, header.previousSegment)
  control.begin()
  control.set(layout.slotEnd, slot + parts)
  control.set(
    layout.nextSegmentNumber,
    Math.max(control.get(layout.nextSegmentNumber), header.segmentNumber + parts),
  )
  control.commit()
  return slot
}

/** Applies the records of a stretch. Returns how many there were. */
export function replayStretch(engine: Engine, stretch: BelievedStretch): number {
  const { bytes, offsets } = stretch
  const { words, doubles } = bytes
  let count = 0
  for (const offset of offsets) {
    const type = recordType(words, offset * 2)
    if (type === typeBatch) {
      const value = offset + recordHeaderSizeBytes / 8
      const end = offset + batchFrameSizeWords + doubles[value + batchSizeDouble]
      for (let inner = offset + batchFrameSizeWords; inner < end; ) {
        replayRecord(engine, bytes, inner)
        count++
        inner += recordSpan(words, inner * 2)
      }
      addUsed(engine, batchFrameSizeWords * 8)
    } else if (type === typeMarker || type === typePadding) {
      addUsed(engine, recordSpan(words, offset * 2) * 8)
    } else {
      replayRecord(engine, bytes, offset)
      count++
    }
  }
  return count
}

function addUsed(engine: Engine, bytes: number): void {
  const { control } = engine
  control.begin()
  control.set(layout.usedBytes, control.get(layout.usedBytes) + bytes)
  control.commit()
}

/** Before the record is reachable. */
function noteExpiry({ expiries, log }: Engine, slot: number, offset: number): void {
  if ((recordFlags(log.words[slot], offset * 2) & flagExpiry) === 0) return
  expiries.note(log, slot, offset, log.doubles[slot][offset + expiresAtDouble])
}

/** The index leads to the copy from now on, and what it was copied from is dead for the space only. */
function announceMoved(
  engine: Engine,
  hash: number,
  slot: number,
  offset: number,
  sizeDoubles: number,
): void {
  accountMove(engine, sizeDoubles)
  announceReplace(engine, hash, slot, offset)
}

function addTo({ slots }: Log, slot: number, field: number, bytes: number): void {
  slots.set(slot, field, slots.get(slot, field) + bytes)
}

function replayRecord(engine: Engine, bytes: BelievedStretch['bytes'], fileOffset: number): void {
  const { control, log, lookup } = engine
  const { words, doubles, segmentNumber } = bytes
  const start = fileOffset * 2
  const type = recordType(words, start)
  const keyspaceId = recordKeyspace(words, start)
  const sequence = doubles[fileOffset + sequenceDouble]
  const part = Math.floor(fileOffset / log.segmentWords)
  const slot = log.slotOf(segmentNumber + part)
  const offset = fileOffset - part * log.segmentWords
  const span = recordSpan(words, start)
  takeKey(engine, words, start)
  const hash = hashKey(engine, keyspaceId)
  const found = probe(engine, hash, keyspaceId)
  const former = found ? log.doubles[lookup.slot][lookup.offset + sequenceDouble] : -1
  const isCopy = former === sequence && (recordFlags(words, start) & flagMoved) !== 0
  const isNewest = former < sequence

  control.begin()
  control.set(layout.sequence, Math.max(control.get(layout.sequence), sequence))
  control.set(
    layout.version,
    Math.max(control.get(layout.version), doubles[fileOffset + versionDouble]),
  )
  control.set(layout.nextKeyspaceId, Math.max(control.get(layout.nextKeyspaceId), keyspaceId + 1))
  let used = control.get(layout.usedBytes) + span * 8
  control.set(layout.usedBytes, used)
  const first = log.firstSlotOf(slot)
  if (type === typeTombstone) addTo(log, first, slotTombstoneBytes, span * 8)
  else addTo(log, first, slotOverheadBytes, -span * 8)
  if (sequence > control.get(layout.sequence)) {
    control.set(layout.lastRecord, segmentNumber * log.segmentWords + fileOffset)
  }
  if (isNewest && type === typePut) {
    if (log.words[slot] === undefined) log.mapSlot(slot)
    const valueSizeBytes = recordValueSize(words, start)
    const occupied = occupiedBytes(log, slot, offset)
    noteExpiry(engine, slot, offset)
    addTo(log, slot, slotDeadBytes, -span * 8)
    const valueSlot = referencedSlot(log, slot, offset)
    if (valueSlot !== -1) {
      log.slots.set(valueSlot, slotDeadBytes, 0)
      log.slots.set(valueSlot, slotIsUsed, 1)
    }
    // The value segment's bytes count as used with the first record that refers to it.
    used += occupied - span * 8
    control.set(layout.usedBytes, used)
    engine.counts.region.reserve(keyspaceId + 1)
    if (found) {
      accountReplace(engine, keyspaceId, valueSizeBytes, occupied)
      announceReplace(engine, hash, slot, offset)
    } else {
      accountInsert(engine, keyspaceId, valueSizeBytes, occupied)
      announceInsert(engine, hash, slot, offset)
    }
  } else if (isCopy && type === typePut) {
    if (log.words[slot] === undefined) log.mapSlot(slot)
    noteExpiry(engine, slot, offset)
    addTo(log, slot, slotDeadBytes, -span * 8)
    announceMoved(engine, hash, slot, offset, span)
  } else if (isNewest && found && type === typeTombstone) {
    accountRemove(engine, keyspaceId)
    announceRemove(engine)
  }
  control.commit()
  applyPending(engine)
  if (!found && type === typePut) grow(engine)
}
