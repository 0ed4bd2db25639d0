/** Making the volatile parts from a checkpoint: no record is read, and no key hashed. */
import type { Engine } from '../engine/engine.js'
import {
  chunkHeaderWords,
  chunkOfHomes,
  chunkOfOverflows,
  elementWords,
} from '../format/checkpoint.js'
import * as layout from '../format/control-layout.js'
import { segmentHeaderSizeBytes } from '../format/segment-header.js'
import { wordOf } from '../index/hash-index.js'
import { enterSlot } from '../log/roll.js'
import {
  kindPart,
  kindValue,
  slotDeadBytes,
  slotEndBytes,
  slotIsUsed,
  slotOverheadBytes,
  slotPrevious,
  slotTombstoneBytes,
} from '../log/slot-table.js'
import { readChunks } from './checkpoint-reader.js'
import type { ChosenCheckpoint } from './choose-checkpoint.js'

/** Into parts that are empty. It was verified; every chunk is once more. */
export function loadCheckpoint(engine: Engine, checkpoint: ChosenCheckpoint): void {
  const { control, counts } = engine
  const { expiries, header, keyspaces } = checkpoint
  enterSegments(engine, checkpoint)
  loadBuckets(engine, checkpoint)
  counts.region.reserve(header.nextKeyspaceId)
  for (const { keyBytes, keyspaceId, records, valueBytes } of keyspaces) {
    counts.set(keyspaceId, records, keyBytes, valueBytes)
  }
  for (const row of expiries) engine.expiries.restore(row)
  control.begin()
  control.set(layout.tail, header.address)
  control.set(layout.readOnly, header.address)
  control.set(layout.durable, header.address)
  control.set(layout.begin, header.begin)
  control.set(layout.sequence, header.sequence)
  control.set(layout.version, header.version)
  control.set(layout.records, header.records)
  control.set(layout.keyBytes, header.keyBytes)
  control.set(layout.valueBytes, header.valueBytes)
  control.set(layout.liveBytes, header.liveBytes)
  control.set(
    layout.usedBytes,
    Math.max(header.liveBytes, header.usedBytes - goneBytes(checkpoint)),
  )
  control.set(layout.lastRecord, header.lastRecord)
  control.set(layout.bucketCount, header.bucketCount)
  control.set(layout.overflowEnd, header.overflowCount)
  control.set(layout.overflowFree, 0)
  control.set(layout.slotEnd, header.slotCount)
  control.set(layout.nextSegmentNumber, header.nextSegmentNumber)
  control.set(layout.nextKeyspaceId, header.nextKeyspaceId)
  control.commit()
  engine.index.publishBucketCount(header.bucketCount)
  engine.index.adoptBucketCount()
}

/** What `usedBytes` has counted of segments that were dropped since. */
function goneBytes({ files, segments }: ChosenCheckpoint): number {
  return segments.reduce((sum, { endBytes, kind, segmentNumber, sizeBytes }, slot) => {
    if (segmentNumber === 0 || kind === kindPart || files.has(slot)) return sum
    return sum + (kind === kindValue ? sizeBytes : endBytes - segmentHeaderSizeBytes)
  }, 0)
}

/** Every segment goes into the slot that the entries name. */
function enterSegments({ log }: Engine, { files, segments }: ChosenCheckpoint): void {
  log.slots.region.reserve(segments.length + 1)
  for (const [slot, file] of files) {
    const segment = segments[slot]
    const { deadBytes, endBytes, epoch, kind, segmentNumber, sizeBytes } = segment
    const handle = log.platform.openFile(file.path, 'read')
    const entry = { epoch, file: handle }
    enterSlot(log, slot, { ...entry, number: segmentNumber, kind, sizeBytes })
    log.slots.set(slot, slotDeadBytes, deadBytes)
    log.slots.set(slot, slotEndBytes, endBytes)
    log.slots.set(slot, slotOverheadBytes, segment.overheadBytes)
    log.slots.set(slot, slotTombstoneBytes, segment.tombstoneBytes)
    log.slots.set(slot, slotPrevious, file.header.previousSegment)
    if (kind === kindValue && deadBytes < sizeBytes) log.slots.set(slot, slotIsUsed, 1)
    for (let part = slot + 1; segments[part]?.kind === kindPart; part++) {
      const number = segments[part].segmentNumber
      enterSlot(log, part, { ...entry, number, kind: kindPart, sizeBytes: 0 })
      log.slots.set(part, slotDeadBytes, segments[part].deadBytes)
    }
    handle.close()
  }
}

function loadBuckets({ index, platform }: Engine, { header, path }: ChosenCheckpoint): void {
  index.homes.reserve(header.bucketCount)
  index.overflows.reserve(header.overflowCount)
  const file = platform.openFile(path, 'read')
  try {
    for (const { count, first, kind, words } of readChunks(file, header)) {
      if (kind !== chunkOfHomes && kind !== chunkOfOverflows) continue
      // A chunk is aligned to its size, and a region's pieces are larger: it never lies in two of them.
      const target = kind === chunkOfHomes ? index.wordsOf(first) : index.overflowWordsOf(first)
      const elements = words.subarray(chunkHeaderWords, chunkHeaderWords + count * elementWords)
      target.set(elements, wordOf(first))
    }
  } finally {
    file.close()
  }
}
