/**
 * The digests of markers, followed along a log that is walked segment by segment: a marker that does
 * not match tells that records before it are missing or older than what was synced, even where every
 * one that is there verifies.
 */
import { addToDigest, type Digest } from '../format/digest.js'
import {
  markerDigestHighWord,
  markerDigestLowWord,
  recordHeaderSizeBytes,
  typeMarker,
} from '../format/record.js'
import { recordType } from './record-fields.js'
import type { SegmentReader } from './segment-reader.js'

export interface TrailSegment {
  readonly segmentNumber: number
  /** Of the log segment before, or of a part of it; 0 for the first of an epoch. */
  readonly previousSegment: number
  /** Numbers that it takes. */
  readonly partCount: number
}

export class MarkerTrail {
  /** Of the records since the last marker; undefined where they are not all known. */
  #digest: Digest | undefined
  /** Number behind that of the segment before, and its own. */
  #nextNumber = 0
  #number = 0
  /** The file in which these records begin. */
  from = ''

  /** The next segment of the log: of how many numbers, and behind which. */
  enter(segment: TrailSegment, path: string): void {
    const { previousSegment, segmentNumber } = segment
    if (previousSegment === 0) {
      // A recovery on another boot begins with no records.
      this.#digest = { low: 0, high: 0 }
      this.from = path
    } else if (previousSegment < this.#number || previousSegment >= this.#nextNumber) {
      // Compaction dropped what lay between.
      this.lose()
      this.from = path
    }
    this.#number = segmentNumber
    this.#nextNumber = segmentNumber + segment.partCount
  }

  /** Records were left out: the next marker tells nothing. */
  lose(): void {
    this.#digest = undefined
  }

  /** False for a marker that does not match the records before it. */
  follow(reader: SegmentReader, path: string): boolean {
    const { start, words } = reader
    const digest = this.#digest
    if (recordType(words, start) !== typeMarker) {
      if (digest !== undefined) addToDigest(digest, reader.checksum)
      return true
    }
    this.#digest = { low: 0, high: 0 }
    const value = start + recordHeaderSizeBytes / 4
    const matches =
      digest === undefined ||
      (words[value + markerDigestLowWord] >>> 0 === digest.low &&
        words[value + markerDigestHighWord] >>> 0 === digest.high)
    if (matches) this.from = path
    return matches
  }
}
