/**
 * Building index, slot table and counts from the log: what opening on another boot does.
 *
 * The records come in the order of the log. Per key the highest sequence wins; compaction keeps
 * sequences, so the order in which copies lie does not matter (I8): a copy and what it was copied from are
 * the same record. Of these the copy is taken, as it was before: what was copied need not be again. What
 * a segment holds of dead bytes and tombstones is counted on the way: at first all of it counts as dead.
 */

import type { Engine } from '../engine/engine.js'
import { fetchAhead, matchCountShift, matchTags, probe } from '../engine/probe.js'
import { hashRecord, takeKey } from '../engine/take-key.js'
import { entryHigh, entryLow, linkWordInBucket } from '../format/bucket.js'
import * as layout from '../format/control-layout.js'
import {
  batchFrameSizeWords,
  expiresAtDouble,
  flagExpiry,
  flagMoved,
  sequenceDouble,
  typeBatch,
  typeMarker,
  typePadding,
  typePut,
  typeTombstone,
  versionDouble,
} from '../format/record.js'
import { growBuilt, insertEntry } from '../index/hash-build.js'
import { wordOf } from '../index/hash-index.js'
import {
  recordFlags,
  recordKeySize,
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
  slotDeadSequence,
  slotIsUsed,
  slotOverheadBytes,
  slotPrevious,
  slotSizeBytes,
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

/** Records that are looked up together, so that memory answers many of them at a time. */
const groupCountMax = 64
// Of a group: the hash of each key, and where each record begins, in 8-byte words of its file.
const hashes = new Int32Array(groupCountMax)
const offsets = new Int32Array(groupCountMax)
/** How many there are, and the bytes of the stretch up to the last of them. */
const group = { count: 0, usedBytes: 0, putBytes: 0, tombstoneBytes: 0 }

/** A segment that is being replayed. */
interface ReplayedSegment {
  readonly words: Int32Array
  readonly doubles: Float64Array
  readonly segmentNumber: number
  /** The slot of its first part; those of the others follow. */
  readonly slot: number
}

/**
 * Applies the records of a stretch, out of mapped memory. Returns how many there were.
 *
 * The parts are not signed yet, so nobody believes them after a kill, and no change is announced: counts are
 * changed where they lie. They say what they would say had each record been committed by itself.
 * Hot path: `bench/recovery.mjs`, row "whole log".
 */
export function replayStretch(engine: Engine, stretch: BelievedStretch): number {
  const { control, log } = engine
  const { segmentNumber } = stretch.file.header
  const slot = log.slotOf(segmentNumber)
  if (log.words[slot] === undefined) log.mapSlot(slot)
  const segment = { words: log.words[slot], doubles: log.doubles[slot], segmentNumber, slot }
  // No array of 32-bit words has room for 2^31 of 64 bits.
  const end = stretch.endOffset | 0
  group.usedBytes = 0
  group.putBytes = 0
  group.tombstoneBytes = 0
  let count = 0
  for (let offset = stretch.startOffset | 0; offset < end; ) {
    offset = gather(engine, segment.words, offset, end)
    fetchAhead(engine, hashes, group.count)
    replayGroup(engine, segment)
    count += group.count
  }
  control.doubles[control.state + layout.usedBytes] += group.usedBytes
  log.slots.add(slot, slotTombstoneBytes, group.tombstoneBytes)
  log.slots.add(slot, slotOverheadBytes, -group.putBytes)
  return count
}

// In functions of their own: V8 makes the best of one that is called often, and not of a long loop.

/** Gathers the next records, up to `end`. Returns where those behind them begin. */
function gather(engine: Engine, words: Int32Array, from: number, end: number): number {
  let offset = from
  let count = 0
  let usedBytes = 0
  let putBytes = 0
  let tombstoneBytes = 0
  while (count < groupCountMax && offset < end) {
    const start = offset * 2
    const type = recordType(words, start)
    // The records of a batch lie behind its frame, as others do.
    const span = type === typeBatch ? batchFrameSizeWords : recordSpan(words, start)
    usedBytes += span * 8
    if (type !== typeBatch && type !== typeMarker && type !== typePadding) {
      if (type === typeTombstone) tombstoneBytes += span * 8
      else putBytes += span * 8
      hashes[count] = hashRecord(engine, words, start)
      offsets[count] = offset
      count++
    }
    offset = (offset + span) | 0
  }
  group.count = count
  group.usedBytes += usedBytes
  group.putBytes += putBytes
  group.tombstoneBytes += tombstoneBytes
  return offset
}

function replayGroup(engine: Engine, segment: ReplayedSegment): void {
  const { count } = group
  for (let index = 0; index < count; index++) {
    replayRecord(engine, segment, offsets[index], hashes[index])
  }
}

function replayRecord(
  engine: Engine,
  segment: ReplayedSegment,
  fileOffset: number,
  hash: number,
): void {
  const { control, log, lookup } = engine
  const { words, doubles, segmentNumber } = segment
  const fields = control.doubles
  const { state } = control
  const start = fileOffset * 2
  const type = recordType(words, start)
  const keyspaceId = recordKeyspace(words, start)
  const sequence = doubles[fileOffset + sequenceDouble]
  const version = doubles[fileOffset + versionDouble]
  if (sequence > fields[state + layout.sequence]) {
    fields[state + layout.sequence] = sequence
    fields[state + layout.lastRecord] = segmentNumber * log.segmentWords + fileOffset
  }
  if (version > fields[state + layout.version]) fields[state + layout.version] = version
  if (keyspaceId >= fields[state + layout.nextKeyspaceId]) {
    fields[state + layout.nextKeyspaceId] = keyspaceId + 1
  }
  const found = find(engine, words, start, hash)
  const former = found ? log.doubles[lookup.slot][lookup.offset + sequenceDouble] : -1
  const isCopy = former === sequence && (recordFlags(words, start) & flagMoved) !== 0
  const isNewest = former < sequence
  if (isNewest && type === typePut) {
    const slot = segment.slot + (fileOffset >>> log.shift)
    putRecord(engine, hash, slot, fileOffset & log.offsetMask, found)
  } else if (isCopy && type === typePut) {
    const slot = segment.slot + (fileOffset >>> log.shift)
    moveRecord(engine, hash, slot, fileOffset & log.offsetMask)
  } else if (isNewest && found && type === typeTombstone) {
    removeRecord(engine, keyspaceId)
  }
}

/** As `probe`. Most keys of a log are new, and most of these meet no tag that is equal. */
function find(engine: Engine, words: Int32Array, start: number, hash: number): boolean {
  const { index, lookup } = engine
  const home = index.bucketOf(hash)
  let bucketWords = index.wordsOf(home)
  let bucketStart = wordOf(home)
  while (matchTags(bucketWords, bucketStart, hash) >>> matchCountShift === 0) {
    const link = bucketWords[bucketStart + linkWordInBucket]
    if (link === 0) {
      lookup.home = home
      return false
    }
    bucketWords = index.overflowWordsOf(link)
    bucketStart = wordOf(link)
  }
  takeKey(engine, words, start)
  return probe(engine, hash, recordKeyspace(words, start))
}

/** What the index has for the key, if anything, is older. */
function putRecord(
  engine: Engine,
  hash: number,
  slot: number,
  offset: number,
  found: boolean,
): void {
  const { control, counts, index, log, lookup } = engine
  const { doubles, state } = control
  const words = log.words[slot]
  const start = offset * 2
  const keyspaceId = recordKeyspace(words, start)
  const keySizeBytes = recordKeySize(words, start)
  const valueSizeBytes = recordValueSize(words, start)
  const spanBytes = recordSpan(words, start) * 8
  noteExpiry(engine, slot, offset)
  log.slots.add(slot, slotDeadBytes, -spanBytes)
  let bytes = spanBytes
  const valueSlot = referencedSlot(log, slot, offset)
  if (valueSlot !== -1) {
    const valueSegmentBytes = log.slots.get(valueSlot, slotSizeBytes)
    log.slots.set(valueSlot, slotDeadBytes, 0)
    log.slots.set(valueSlot, slotIsUsed, 1)
    // The value segment's bytes count as used with the first record that refers to it.
    doubles[state + layout.usedBytes] += valueSegmentBytes
    bytes += valueSegmentBytes
  }
  counts.region.reserve(keyspaceId + 1)
  doubles[state + layout.liveBytes] += bytes
  if (found) {
    const formerValueBytes = recordValueSize(lookup.recordWords, lookup.offset * 2)
    doubles[state + layout.liveBytes] -= buryFormer(engine)
    doubles[state + layout.valueBytes] += valueSizeBytes - formerValueBytes
    counts.add(keyspaceId, 0, 0, valueSizeBytes - formerValueBytes)
    lookup.entryWords[lookup.entryIndex] = entryLow(hash, slot, log.shift)
    lookup.entryWords[lookup.entryIndex + 1] = entryHigh(slot, offset, log.shift)
    return
  }
  doubles[state + layout.records] += 1
  doubles[state + layout.keyBytes] += keySizeBytes
  doubles[state + layout.valueBytes] += valueSizeBytes
  counts.add(keyspaceId, 1, keySizeBytes, valueSizeBytes)
  insertEntry(
    index,
    lookup.home,
    entryLow(hash, slot, log.shift),
    entryHigh(slot, offset, log.shift),
  )
  growBuilt(index)
}

/** The index leads to the copy from now on, and what it was copied from is dead for the space only. */
function moveRecord(engine: Engine, hash: number, slot: number, offset: number): void {
  const { control, log, lookup } = engine
  const spanBytes = recordSpan(log.words[slot], offset * 2) * 8
  const formerBytes = recordSpan(lookup.recordWords, lookup.offset * 2) * 8
  noteExpiry(engine, slot, offset)
  log.slots.add(slot, slotDeadBytes, -spanBytes)
  log.slots.add(lookup.slot, slotDeadBytes, formerBytes)
  control.doubles[control.state + layout.liveBytes] += spanBytes - formerBytes
  lookup.entryWords[lookup.entryIndex] = entryLow(hash, slot, log.shift)
  lookup.entryWords[lookup.entryIndex + 1] = entryHigh(slot, offset, log.shift)
}

function removeRecord(engine: Engine, keyspaceId: number): void {
  const { control, counts, lookup } = engine
  const { doubles, state } = control
  const start = lookup.offset * 2
  const keySizeBytes = recordKeySize(lookup.recordWords, start)
  const valueSizeBytes = recordValueSize(lookup.recordWords, start)
  doubles[state + layout.liveBytes] -= buryFormer(engine)
  doubles[state + layout.records] -= 1
  doubles[state + layout.keyBytes] -= keySizeBytes
  doubles[state + layout.valueBytes] -= valueSizeBytes
  counts.add(keyspaceId, -1, -keySizeBytes, -valueSizeBytes)
  lookup.entryWords[lookup.entryIndex] = 0
  lookup.entryWords[lookup.entryIndex + 1] = 0
}

/** The record of the lookup is dead. Returns the bytes that were live with it. */
function buryFormer({ control, log, lookup }: Engine): number {
  const { offset, recordWords, slot } = lookup
  const sequence = control.get(layout.sequence)
  const bytes = recordSpan(recordWords, offset * 2) * 8
  log.slots.add(slot, slotDeadBytes, bytes)
  log.slots.set(slot, slotDeadSequence, sequence)
  const valueSlot = referencedSlot(log, slot, offset)
  if (valueSlot === -1) return bytes
  const valueSegmentBytes = log.slots.get(valueSlot, slotSizeBytes)
  log.slots.set(valueSlot, slotDeadBytes, valueSegmentBytes)
  log.slots.set(valueSlot, slotDeadSequence, sequence)
  return bytes + valueSegmentBytes
}

/** Before the record is reachable. */
function noteExpiry({ expiries, log }: Engine, slot: number, offset: number): void {
  if ((recordFlags(log.words[slot], offset * 2) & flagExpiry) === 0) return
  expiries.note(log, slot, offset, log.doubles[slot][offset + expiresAtDouble])
}
