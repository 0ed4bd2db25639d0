/**
 * Copying all that counts in one segment to the tail: its records are read in order through positioned
 * reads and verified, and each is looked up in the index, which says whether it is what its key has. So no
 * table is built, whatever the segment holds.
 *
 * The writer's word is taken for some records at a time, so others write and read meanwhile; what they
 * supersede in between is dead when its turn comes, or later. For each record alone it is taken only where
 * nothing is shared: beside a busy writer, who has the word most of the time, it costs more to come by than a
 * record takes (`bench/compaction.mjs`, "uniform"). None of them is updated in place any more, from before the
 * first is read: the index would still lead to it, and what was read of it would come back as its copy.
 */
import { corrupt } from '../base/errors.js'
import type { Engine } from '../engine/engine.js'
import { enter, leave, mend } from '../engine/exclusive.js'
import { freezeRecord } from '../engine/freeze.js'
import { type MoveTally, moveRecords } from '../engine/move-record.js'
import { fetchHomes } from '../engine/probe.js'
import { hashRecord } from '../engine/take-key.js'
import { segmentFileName } from '../format/file-names.js'
import { typePut, typeTombstone } from '../format/record.js'
import { recordType } from '../log/record-fields.js'
import { firstRecordOffset } from '../log/roll.js'
import { SegmentReader } from '../log/segment-reader.js'
import { walkSegment } from '../log/segment-walk.js'
import { slotEndBytes, slotEpoch } from '../log/slot-table.js'
import type { SurveyedSegment } from './survey.js'

/** A tenth of a millisecond: whoever else writes waits no longer. */
const recordsPerTurn = 64

export interface CopyTally extends MoveTally {
  /** Somebody walks along the log: the copying stopped, and may begin again later. */
  isHeld: boolean
}

/**
 * Steps end every some records; between two of them the engine may be closed, and the copying given up.
 * Throws `STORE_CORRUPT` at the first record that does not verify: what lies behind it stays where it is,
 * and so does the segment. Throws `STORE_FULL`.
 */
export function* copyRecords(
  engine: Engine,
  victim: SurveyedSegment,
  tally: CopyTally,
): Generator<void, void> {
  const { log, platform } = engine
  const { segmentNumber, sizeBytes, slot } = victim
  const path = log.path(segmentFileName('log', segmentNumber))
  const file = platform.openFile(path, 'read')
  try {
    const epoch = log.slots.get(slot, slotEpoch)
    const identity = { storeId: log.storeId, shift: log.shift, segmentNumber, epoch }
    const reader = new SegmentReader(file, identity, sizeBytes)
    const end = log.slots.get(slot, slotEndBytes) / 8
    // Sealed it is, and yet above the boundary where no sync came since.
    freezeRecord(engine, segmentNumber * log.segmentWords + end - 1)
    const { keepsTombstones } = victim
    const isShared = platform.kind !== 'file'
    // Of the records of a turn, all of one part of the segment: where they begin there, in 8-byte words, the hashes
    // of their keys, and where they begin in the memory that they are copied from.
    const offsets = new Int32Array(recordsPerTurn)
    const hashes = new Int32Array(recordsPerTurn)
    const starts = new Int32Array(recordsPerTurn)
    let count = 0
    let part = 0
    // Where the window of the reader began when the first record of the turn was read.
    let windowStart = 0
    const flush = (isInWindow: boolean): void => {
      if (count === 0) return
      moveHeld(
        engine,
        () => {
          const partSlot = slot + part
          const partStart = part * log.segmentWords
          if (log.words[partSlot] === undefined) log.mapSlot(partSlot)
          // Below the boundary they are the same bytes; those of the window are in the processor's cache.
          const words = isInWindow ? reader.words : log.words[partSlot]
          const first = isInWindow ? windowStart : partStart
          for (let place = 0; place < count; place++) {
            starts[place] = (partStart + offsets[place] - first) * 2
          }
          fetchHomes(engine, hashes, count)
          const records = { words, starts, hashes, count, slot: partSlot, offsets }
          moveRecords(engine, { ...records, keepsTombstones }, tally)
        },
        tally,
      )
      count = 0
    }
    yield* walkSegment(reader, firstRecordOffset, end, {
      record: (_, offset) => {
        const type = recordType(reader.words, reader.start)
        if (type !== typePut && type !== typeTombstone) return
        if (tally.isHeld) return
        const window = offset - reader.start / 2
        const partOfRecord = Math.floor(offset / log.segmentWords)
        if (window !== windowStart || partOfRecord !== part) flush(false)
        windowStart = window
        part = partOfRecord
        offsets[count] = offset - part * log.segmentWords
        hashes[count++] = hashRecord(engine, reader.words, reader.start)
        if (!reader.isWhole) flush(false)
        else if (!isShared || count === recordsPerTurn) flush(true)
      },
      damage: (offset, _end, what) => {
        throw corrupt(path, offset * 8, what)
      },
      isWholeAfterAll: () => false,
    })
    flush(false)
  } finally {
    file.close()
  }
}

/** Runs `move` with the writer's word in hand, unless somebody walks along the log. */
function moveHeld(engine: Engine, move: () => void, tally: CopyTally): void {
  enter(engine)
  try {
    tally.isHeld = engine.attachments.isLogHeld()
    if (!tally.isHeld) move()
  } catch (error) {
    mend(engine)
    throw error
  } finally {
    leave(engine)
  }
}
