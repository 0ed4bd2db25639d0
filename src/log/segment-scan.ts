/**
 * Reading the records of one segment in order, from bytes that may be damaged: every record is
 * verified before any other field of it is believed.
 *
 * Not here: what a bad record means (recovery).
 */
import { checksumWords } from '../base/checksum.js'
import {
  batchCountWord,
  batchDigestWord,
  batchFrameSizeWords,
  batchFrameValueSizeBytes,
  batchSizeDouble,
  checksumWord,
  flagInBatch,
  flagsKnown,
  markerMagicHigh,
  markerMagicLow,
  markerSizeWords,
  markerValueSizeBytes,
  recordHeaderSizeBytes,
  recordHeaderWords,
  typeBatch,
  typeKnownMax,
  typeMarker,
} from '../format/record.js'
import { checksumRecord } from '../format/record-checksum.js'
import { recordFlags, recordSpan, recordType, recordValueSize } from './record-fields.js'
import { type SegmentIdentity, SegmentSeeds } from './segment-seeds.js'

/** The bytes of one segment file, and what its checksums start from. */
export interface SegmentBytes extends SegmentIdentity {
  readonly words: Int32Array
  readonly doubles: Float64Array
  /** 8-byte words that count. */
  readonly endOffset: number
}

export type ScanResult = 'record' | 'end' | 'bad'

export class SegmentScan {
  readonly segment: SegmentBytes
  /** Where the record that {@link next} found begins, in 8-byte words of the file. */
  offset: number
  /** Its 8-byte words; for a batch, those of the frame and of all its records. */
  span = 0
  /** Sum of the checksums of the record, or of the frame and its records. */
  checksumSum = 0
  /** False for a record that is none. */
  isBatch = false
  readonly #seeds: SegmentSeeds

  constructor(segment: SegmentBytes, startOffset: number) {
    this.segment = segment
    this.offset = startOffset
    this.#seeds = new SegmentSeeds(segment)
  }

  /** Looks at the record at `offset`, and then moves on with {@link skip}. */
  look(): ScanResult {
    const { words, endOffset } = this.segment
    const start = this.offset * 2
    if (this.offset + recordHeaderWords / 2 > endOffset) return 'end'
    if (isBlank(words, start)) return 'end'
    if (!this.#verifies(this.offset, false)) return 'bad'
    this.isBatch = recordType(words, start) === typeBatch
    return this.isBatch ? this.#lookAtBatch() : 'record'
  }

  skip(): void {
    this.offset += this.span
  }

  /** The offsets of the records of a batch, or of the one record, that {@link look} found. */
  recordOffsets(): number[] {
    const { words } = this.segment
    if (!this.isBatch) return [this.offset]
    const offsets: number[] = []
    const end = this.offset + this.span
    for (let inner = this.offset + batchFrameSizeWords; inner < end; ) {
      offsets.push(inner)
      inner += recordSpan(words, inner * 2)
    }
    return offsets
  }

  #lookAtBatch(): ScanResult {
    const { words, doubles, endOffset } = this.segment
    const value = this.offset + recordHeaderSizeBytes / 8
    if (recordValueSize(words, this.offset * 2) !== batchFrameValueSizeBytes) return 'bad'
    const sizeDoubles = doubles[value + batchSizeDouble]
    const count = words[value * 2 + batchCountWord] >>> 0
    const end = this.offset + batchFrameSizeWords + sizeDoubles
    if (!(end <= endOffset) || count > sizeDoubles) return 'bad'
    const checksums = new Int32Array(count)
    let sum = this.checksumSum
    let offset = this.offset + batchFrameSizeWords
    for (let index = 0; index < count; index++) {
      if (offset >= end || !this.#verifies(offset, true)) return 'bad'
      checksums[index] = words[offset * 2 + checksumWord]
      sum += this.checksumSum
      offset += this.span
    }
    if (offset !== end) return 'bad'
    if (checksumWords(checksums, 0, count, 0) !== words[value * 2 + batchDigestWord]) return 'bad'
    this.span = batchFrameSizeWords + sizeDoubles
    this.checksumSum = sum
    return 'record'
  }

  /** Bounds first, then the checksum; sets `span` and `checksumSum`. */
  #verifies(offset: number, inBatch: boolean): boolean {
    const { words, endOffset } = this.segment
    const start = offset * 2
    const span = recordSpan(words, start)
    if (offset + span > endOffset) return false
    const size = span - (words[start + 11] >>> 16)
    const checksum = words[start + checksumWord]
    if (checksumRecord(words, start, size * 2, this.#seeds.at(offset, inBatch)) !== checksum) {
      return false
    }
    this.span = span
    this.checksumSum = checksum >>> 0
    return ((recordFlags(words, start) & flagInBatch) !== 0) === inBatch
  }

  /** Looks for whole markers anywhere from `offset` on, which stays: evidence of syncs behind damage. */
  *markersBehind(): Generator<number> {
    const { words, endOffset } = this.segment
    const bytes = Buffer.from(words.buffer as ArrayBuffer, words.byteOffset, endOffset * 8)
    const first = this.offset * 8 + recordHeaderSizeBytes
    // Most of what is looked at is the unused rest of a segment: a search of bytes passes over it fastest.
    for (let at = bytes.indexOf(magic, first); at !== -1; at = bytes.indexOf(magic, at + 1)) {
      const offset = (at - recordHeaderSizeBytes) / 8
      if (!Number.isInteger(offset) || offset + markerSizeWords > endOffset) continue
      const start = offset * 2
      if (recordType(words, start) !== typeMarker) continue
      if (recordValueSize(words, start) !== markerValueSizeBytes) continue
      if (this.#verifies(offset, false)) yield offset
    }
  }
}

/** With which the value of a marker begins. */
const magic = Buffer.from(Int32Array.of(markerMagicLow, markerMagicHigh).buffer)

/** True where a verified record is of a kind that this version can use. */
export function isKnownKind(words: Int32Array, start: number): boolean {
  const type = recordType(words, start)
  return type <= typeKnownMax && (recordFlags(words, start) & ~flagsKnown) === 0
}

function isBlank(words: Int32Array, start: number): boolean {
  for (let word = 0; word < recordHeaderWords; word++) {
    if (words[start + word] !== 0) return false
  }
  return true
}
