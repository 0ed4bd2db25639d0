/**
 * Building index, slot table and counts from the log: what opening on another boot does.
 *
 * The records come in the order of the log. Per key the highest sequence wins; compaction keeps
 * sequences, so the order in which copies lie does not matter (I8): a copy and what it was copied from are
 * the same record. Of these the copy is taken, as it was before: what was copied need not be again. What
 * a segment holds of dead bytes and tombstones is counted on the way; what is not a record counts as dead.
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
  flagReference,
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

/** A segment, or a part of an oversized one, that is being replayed. */
interface ReplayedPart {
  readonly words: Int32Array
  readonly doubles: Float64Array
  readonly segmentNumber: number
  readonly slot: number
}

/**
 * Applies the records of a stretch, out of mapped memory. Returns how many there were.
 *
 * A group of puts counts as live when it is gathered, in one sum; whatever is older than another record of its
 * key is taken out of that again, one by one: of most keys there is one record.
 *
 * The parts are not signed yet, so nobody believes them after a kill, and no change is announced: counts are
 * changed where they lie. They say what they would say had each record been committed by itself.
 * Hot path: `bench/recovery.mjs`, row "whole log".
 */
export function replayStretch(engine: Engine, stretch: BelievedStretch): number {
  const { index, log } = engine
  const { segmentNumber } = stretch.file.header
  const first = log.slotOf(segmentNumber)
  if (log.words[first] === undefined) log.mapSlot(first)
  const words = log.words[first]
  const doubles = log.doubles[first]
  // No array of 32-bit words has room for 2^31 of 64 bits.
  const end = stretch.endOffset | 0
  let count = 0
  for (let offset = stretch.startOffset | 0; offset < end; ) {
    const part = offset >>> log.shift
    const partEnd = Math.min(end, (part + 1) * log.segmentWords) | 0
    const replayed = { words, doubles, segmentNumber, slot: first + part }
    while (offset < partEnd) {
      offset = gather(engine, replayed, offset, partEnd)
      const { count: groupCount } = group
      fetchAhead(engine, hashes, groupCount)
      replayGroup(engine, replayed, groupCount)
      growBuilt(index)
      count += groupCount
    }
  }
  return count
}

const group = { count: 0 }

// In functions of their own: V8 makes the best of one that is called often, and not of a long loop.

/** Gathers the next records, up to `end`, and counts them. Returns where those behind them begin. */
function gather(engine: Engine, part: ReplayedPart, from: number, end: number): number {
  const { control, log } = engine
  const { doubles, words } = part
  const fields = control.doubles
  const { state } = control
  let offset = from
  let count = 0
  let usedBytes = 0
  let putBytes = 0
  let tombstoneBytes = 0
  let version = fields[state + layout.version]
  let sequence = fields[state + layout.sequence]
  let lastRecord = -1
  let keyspaceId = -1
  let puts = 0
  let keyBytes = 0
  let valueBytes = 0
  while (count < groupCountMax && offset < end) {
    const start = offset * 2
    const type = recordType(words, start)
    // The records of a batch lie behind its frame, as others do.
    const span = type === typeBatch ? batchFrameSizeWords : recordSpan(words, start)
    usedBytes += span * 8
    if (type !== typeBatch && type !== typeMarker && type !== typePadding) {
      if (recordKeyspace(words, start) !== keyspaceId) {
        if (count > 0) countPuts(engine, keyspaceId, puts, keyBytes, valueBytes)
        keyspaceId = recordKeyspace(words, start)
        puts = 0
        keyBytes = 0
        valueBytes = 0
      }
      if (type === typeTombstone) tombstoneBytes += span * 8
      else {
        putBytes += span * 8
        puts++
        keyBytes += recordKeySize(words, start)
        valueBytes += recordValueSize(words, start)
      }
      if (doubles[offset + versionDouble] > version) version = doubles[offset + versionDouble]
      if (doubles[offset + sequenceDouble] > sequence) {
        sequence = doubles[offset + sequenceDouble]
        lastRecord = offset
      }
      hashes[count] = hashRecord(engine, words, start)
      offsets[count] = offset
      count++
    }
    offset = (offset + span) | 0
  }
  if (count > 0) countPuts(engine, keyspaceId, puts, keyBytes, valueBytes)
  group.count = count
  fields[state + layout.usedBytes] += usedBytes
  fields[state + layout.liveBytes] += putBytes
  log.slots.add(part.slot, slotDeadBytes, -putBytes)
  log.slots.add(log.firstSlotOf(part.slot), slotOverheadBytes, -putBytes)
  log.slots.add(log.firstSlotOf(part.slot), slotTombstoneBytes, tombstoneBytes)
  fields[state + layout.version] = version
  fields[state + layout.sequence] = sequence
  if (lastRecord !== -1) {
    fields[state + layout.lastRecord] = part.segmentNumber * log.segmentWords + lastRecord
  }
  return offset
}

/** Puts of one keyspace count as records of it. */
function countPuts(
  { control, counts }: Engine,
  keyspaceId: number,
  puts: number,
  keyBytes: number,
  valueBytes: number,
): void {
  const { doubles, state } = control
  if (keyspaceId >= doubles[state + layout.nextKeyspaceId]) {
    doubles[state + layout.nextKeyspaceId] = keyspaceId + 1
  }
  if (puts === 0) return
  counts.region.reserve(keyspaceId + 1)
  counts.add(keyspaceId, puts, keyBytes, valueBytes)
  doubles[state + layout.records] += puts
  doubles[state + layout.keyBytes] += keyBytes
  doubles[state + layout.valueBytes] += valueBytes
}

function replayGroup(engine: Engine, part: ReplayedPart, count: number): void {
  for (let index = 0; index < count; index++) {
    replayRecord(engine, part, offsets[index], hashes[index])
  }
}

function replayRecord(engine: Engine, part: ReplayedPart, fileOffset: number, hash: number): void {
  const { index, log, lookup } = engine
  const { words, slot } = part
  const start = fileOffset * 2
  const offset = fileOffset & log.offsetMask
  const isPut = recordType(words, start) === typePut
  if (!find(engine, words, start, hash)) {
    if (!isPut) return
    if ((recordFlags(words, start) & flagsToNote) !== 0) noteReachable(engine, slot, offset)
    const low = entryLow(hash, slot, log.shift)
    insertEntry(index, lookup.home, low, entryHigh(slot, offset, log.shift))
    return
  }
  const sequence = part.doubles[fileOffset + sequenceDouble]
  const former = log.doubles[lookup.slot][lookup.offset + sequenceDouble]
  const isMoved = (recordFlags(words, start) & flagMoved) !== 0
  const isCopy = isPut && isMoved && former === sequence
  if (!isCopy && former >= sequence) {
    // It lies behind what is newer: compaction moved it.
    if (isPut) discount(engine, words, start, slot)
    return
  }
  discount(engine, lookup.recordWords, lookup.offset * 2, lookup.slot)
  if (isCopy) noteExpiry(engine, slot, offset)
  else {
    buryFormer(engine)
    if (isPut && (recordFlags(words, start) & flagsToNote) !== 0) {
      noteReachable(engine, slot, offset)
    }
  }
  lookup.entryWords[lookup.entryIndex] = isPut ? entryLow(hash, slot, log.shift) : 0
  lookup.entryWords[lookup.entryIndex + 1] = isPut ? entryHigh(slot, offset, log.shift) : 0
}

/** A put that is not the newest of its key does not count. */
function discount(engine: Engine, words: Int32Array, start: number, slot: number): void {
  const { control, counts, log } = engine
  const { doubles, state } = control
  const spanBytes = recordSpan(words, start) * 8
  const keySizeBytes = recordKeySize(words, start)
  const valueSizeBytes = recordValueSize(words, start)
  log.slots.add(slot, slotDeadBytes, spanBytes)
  doubles[state + layout.liveBytes] -= spanBytes
  doubles[state + layout.records] -= 1
  doubles[state + layout.keyBytes] -= keySizeBytes
  doubles[state + layout.valueBytes] -= valueSizeBytes
  counts.add(recordKeyspace(words, start), -1, -keySizeBytes, -valueSizeBytes)
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

const flagsToNote = flagExpiry | flagReference

/** Before the record is reachable: when it expires, and the value segment that is live with it. */
function noteReachable(engine: Engine, slot: number, offset: number): void {
  const { control, log } = engine
  noteExpiry(engine, slot, offset)
  const valueSlot = referencedSlot(log, slot, offset)
  if (valueSlot === -1) return
  const { doubles, state } = control
  const valueSegmentBytes = log.slots.get(valueSlot, slotSizeBytes)
  log.slots.set(valueSlot, slotDeadBytes, 0)
  log.slots.set(valueSlot, slotIsUsed, 1)
  // The value segment's bytes count as used with the first record that refers to it.
  doubles[state + layout.usedBytes] += valueSegmentBytes
  doubles[state + layout.liveBytes] += valueSegmentBytes
}

function noteExpiry({ expiries, log }: Engine, slot: number, offset: number): void {
  if ((recordFlags(log.words[slot], offset * 2) & flagExpiry) === 0) return
  expiries.note(log, slot, offset, log.doubles[slot][offset + expiresAtDouble])
}

/** The record of the lookup was overwritten or deleted, and its value segment is dead with it. */
function buryFormer({ control, log, lookup }: Engine): void {
  const { offset, slot } = lookup
  const { doubles, state } = control
  const sequence = doubles[state + layout.sequence]
  log.slots.set(slot, slotDeadSequence, sequence)
  const valueSlot = referencedSlot(log, slot, offset)
  if (valueSlot === -1) return
  const valueSegmentBytes = log.slots.get(valueSlot, slotSizeBytes)
  log.slots.set(valueSlot, slotDeadBytes, valueSegmentBytes)
  log.slots.set(valueSlot, slotDeadSequence, sequence)
  doubles[state + layout.liveBytes] -= valueSegmentBytes
}
