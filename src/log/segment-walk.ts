/**
 * Walking the records of a segment file that may be damaged: every record that verifies is visited,
 * and every stretch that does not. Behind damage the walk goes on with the next record that verifies.
 */
import {
  batchCountWord,
  batchDigestWord,
  batchFrameSizeWords,
  batchSizeDouble,
  flagInBatch,
  recordHeaderSizeBytes,
  recordHeaderWords,
  typeBatch,
} from '../format/record.js'
import { recordFlags, recordType } from './record-fields.js'
import {
  checksumOfChecksums,
  lookBad,
  lookBlank,
  lookLarge,
  lookRecord,
  type SegmentReader,
} from './segment-reader.js'
import { isKnownKind } from './segment-scan.js'

export interface SegmentVisitor {
  /** A record that verifies, frames of batches and markers included; `reader.start` is its first word. */
  record(reader: SegmentReader, offset: number): void
  /** Damage from one offset up to another, in 8-byte words of the file. */
  damage(offset: number, end: number, what: string): void
  /**
   * Called for what does not verify, before it is damage: true where `look` found it whole when it
   * was called again (it was being changed).
   */
  isWholeAfterAll(look: () => boolean): boolean
}

/** Between two turns of the event loop, unless a caller of the walk waits for more. */
const recordsPerStep = 64
const offsetsPerStep = 4096

interface OpenBatch {
  readonly frame: number
  readonly end: number
  readonly count: number
  readonly digest: number
  readonly checksums: number[]
}

/**
 * Walks from `from` to `end`, or, where that is undefined, to the first blank place. Returns where
 * the records end, in 8-byte words.
 */
export function* walkSegment(
  reader: SegmentReader,
  from: number,
  end: number | undefined,
  visitor: SegmentVisitor,
): Generator<void, number> {
  const limit = end ?? reader.endOffset
  let batch: OpenBatch | undefined
  /** Behind damage a record of a batch may stand without its frame. */
  let isBehindDamage = false
  let steps = 0
  let offset = from
  while (offset < limit) {
    if (++steps % recordsPerStep === 0) yield
    // A generator for each record would cost as much as the rest of the walk.
    const look = reader.look(offset)
    const isRecord = look === lookRecord || (yield* verifyAt(reader, offset, look, visitor))
    if (isRecord === undefined) {
      if (end === undefined) break
      const next = yield* nextRecord(reader, offset, limit)
      visitor.damage(offset, next, 'records end before the end that is known')
      offset = next
      batch = undefined
      isBehindDamage = true
      continue
    }
    if (!isRecord || offset + reader.span > limit) {
      const next = yield* nextRecord(reader, offset, limit)
      visitor.damage(offset, next, 'a record does not match its checksum')
      offset = next
      batch = undefined
      isBehindDamage = true
      continue
    }
    const { span } = reader
    const { words, start } = reader
    const isInBatch = (recordFlags(words, start) & flagInBatch) !== 0
    if (!isKnownKind(words, start)) {
      visitor.damage(offset, offset + span, 'a record is of a kind that this version does not know')
    } else if (isInBatch !== (batch !== undefined) && !(isInBatch && isBehindDamage)) {
      const what = isInBatch
        ? 'a record of a batch stands without the frame of the batch'
        : 'a batch is not complete'
      visitor.damage(offset, offset + span, what)
      batch = undefined
    }
    if (recordType(words, start) === typeBatch) batch = openBatch(reader, offset)
    else if (batch !== undefined) batch.checksums.push(reader.checksum)
    if (!isInBatch) isBehindDamage = false
    visitor.record(reader, offset)
    offset += span
    if (batch !== undefined && batch.checksums.length === batch.count) {
      const isWhole = offset === batch.end && checksumOfChecksums(batch.checksums) === batch.digest
      if (!isWhole) {
        visitor.damage(batch.frame, offset, 'the records of a batch are not those of its frame')
      }
      batch = undefined
    }
  }
  if (batch !== undefined) visitor.damage(batch.frame, offset, 'a batch is not complete')
  return Math.min(offset, limit)
}

/** Whether a record stands where a look `found` something else. Undefined for a blank place. */
function* verifyAt(
  reader: SegmentReader,
  offset: number,
  found: number,
  visitor: SegmentVisitor,
): Generator<void, boolean | undefined> {
  if (found === lookLarge && (yield* reader.verifyLarge(offset))) return true
  const isWhole = visitor.isWholeAfterAll(() => {
    reader.forget()
    return reader.look(offset) === lookRecord
  })
  if (isWhole) return true
  return found === lookBlank ? undefined : false
}

function openBatch(reader: SegmentReader, offset: number): OpenBatch | undefined {
  const { doubles, start, words } = reader
  const value = start / 2 + recordHeaderSizeBytes / 8
  const count = words[value * 2 + batchCountWord] >>> 0
  if (count === 0) return undefined
  return {
    frame: offset,
    end: offset + batchFrameSizeWords + doubles[value + batchSizeDouble],
    count,
    digest: words[value * 2 + batchDigestWord],
    checksums: [],
  }
}

/** Where the next record that verifies begins behind `damaged`, or `limit`. */
export function* nextRecord(
  reader: SegmentReader,
  damaged: number,
  limit: number,
): Generator<void, number> {
  // Most often the sizes are right, and what is wrong lies in key or value.
  if (reader.look(damaged) === lookBad && damaged + reader.span < limit) {
    const next = damaged + reader.span
    if (reader.look(next) === lookRecord) return next
  }
  let steps = 0
  for (let offset = damaged + 1; offset + recordHeaderWords / 2 <= limit; offset++) {
    if (++steps % offsetsPerStep === 0) yield
    if (!reader.isPlausible(offset)) continue
    const found = reader.look(offset)
    if (found === lookRecord) return offset
    if (found === lookLarge && (yield* reader.verifyLarge(offset))) return offset
  }
  return limit
}
