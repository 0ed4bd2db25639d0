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

export class MarkerTrail {
  /** Of the records since the last marker; undefined where they are not all known. */
  #digest: Digest | undefined
  #epoch = -1
  /** The file in which these records begin. */
  from = ''

  /** The next segment of the log. A recovery on another boot begins with no records. */
  enter(epoch: number, path: string): void {
    if (epoch !== this.#epoch) {
      this.#digest = { low: 0, high: 0 }
      this.from = path
    }
    this.#epoch = epoch
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
