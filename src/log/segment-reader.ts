/**
 * Reading a segment file of any size through positioned reads, a window at a time: for those who
 * read a whole log beside others that work with it.
 *
 * What the window holds is a copy. Where it does not verify, bytes may have changed while they were
 * read: {@link SegmentReader.forget} makes the next look read them again.
 */
import { checksumWords, RunningChecksum } from '../base/checksum.js'
import {
  checksumWord,
  flagInBatch,
  flagsKnown,
  keySizeWord,
  recordHeaderWords,
  sequenceDouble,
  typeKnownMax,
  typeNone,
  versionDouble,
} from '../format/record.js'
import { checksumRecord } from '../format/record-checksum.js'
import { segmentHeaderSizeBytes, segmentSeed } from '../format/segment-header.js'
import type { PlatformFile } from '../platform/platform.js'
import { recordFlags, recordSpan, recordType } from './record-fields.js'
import { type SegmentIdentity, SegmentSeeds } from './segment-seeds.js'

/** A record that memory has whole, and the file perhaps half: see recovery/unfinished-update.ts. */
export interface MendedRecord {
  readonly segmentNumber: number
  /** Where the record begins, in 8-byte words of that segment or part. */
  readonly offset: number
  readonly words: Int32Array
}

/** What is wanted of a file that is only read. */
export type ReadableFile = Pick<PlatformFile, 'path' | 'read' | 'sizeBytes'>

/** 8-byte words of a window. Records above this are read, and verified, in pieces. */
const windowDoubles = 32_768
/** Header, expiry and the longest key: what is to be seen of a record that is read in pieces. */
const headDoubles = (recordHeaderWords * 4 + 8 + 65_536) / 8

/** What stands at an offset. */
export const lookBlank = 0
export const lookBad = 1
/** A record that verifies, all of it in the window. */
export const lookRecord = 2
/** One that is too large for the window and not verified yet: see {@link SegmentReader.verifyLarge}. */
export const lookLarge = 3

export class SegmentReader {
  readonly file: ReadableFile
  readonly identity: SegmentIdentity
  /** 8-byte words that the file has. */
  readonly endOffset: number
  /** The window: of the whole file where that is smaller. */
  readonly words: Int32Array
  readonly doubles: Float64Array
  /** Of the record looked at: its first word in the window … */
  start = 0
  /** … its 8-byte words to the next one, its checksum and that as a number without sign. */
  span = 0
  checksum = 0
  bytesRead = 0
  readonly #bytes: Uint8Array
  #windowStart = 0
  #windowEnd = 0
  readonly #seeds: SegmentSeeds
  readonly #mended: MendedRecord | undefined

  constructor(
    file: ReadableFile,
    identity: SegmentIdentity,
    sizeBytes: number,
    mended?: MendedRecord,
  ) {
    this.#mended = mended
    this.file = file
    this.identity = identity
    this.#seeds = new SegmentSeeds(identity)
    this.endOffset = Math.floor(Math.min(sizeBytes, file.sizeBytes()) / 8)
    this.words = new Int32Array(Math.min(windowDoubles, this.endOffset) * 2)
    this.doubles = new Float64Array(this.words.buffer)
    this.#bytes = new Uint8Array(this.words.buffer)
  }

  /** False for a record of which the window holds the beginning only. */
  get isWhole(): boolean {
    return this.start / 2 + this.span <= this.#windowEnd - this.#windowStart
  }

  /** The next look reads the file again. */
  forget(): void {
    this.#windowEnd = this.#windowStart
  }

  /** Looks at what begins at `offset`, in 8-byte words of the file. */
  look(offset: number): number {
    const limit = Math.min(offset + headDoubles, this.endOffset)
    if (offset + recordHeaderWords / 2 > limit) return lookBlank
    this.#load(offset, recordHeaderWords / 2)
    const { words } = this
    if (isBlank(words, this.start)) return lookBlank
    const span = recordSpan(words, this.start)
    const size = span - (words[this.start + keySizeWord] >>> 16)
    this.span = span
    this.checksum = words[this.start + checksumWord]
    if (offset + span > this.endOffset) return lookBad
    if (size > windowDoubles) {
      this.#load(offset, Math.min(headDoubles, size))
      return lookLarge
    }
    this.#load(offset, size)
    const seed = this.seedAt(offset)
    return checksumRecord(words, this.start, size * 2, seed) === this.checksum
      ? lookRecord
      : lookBad
  }

  /** Verifies the large record at `offset`; its beginning is in the window then. */
  *verifyLarge(offset: number): Generator<void, boolean> {
    const { checksum, words } = this
    const size = this.span - (words[this.start + keySizeWord] >>> 16)
    const running = new RunningChecksum(this.seedAt(offset))
    let actual: number | undefined
    for (let done = 0; done < size; ) {
      const count = Math.min(windowDoubles, size - done)
      this.forget()
      this.#load(offset + done, count)
      if (done === 0) words[this.start + checksumWord] = 0
      done += count
      if (done === size) actual = running.end(words, this.start, count * 2)
      else running.add(words, this.start, count * 2)
      yield
    }
    this.forget()
    this.#load(offset, Math.min(headDoubles, size))
    // Changed meanwhile: what was verified is not what is there now.
    return actual === checksum && words[this.start + checksumWord] === checksum
  }

  /** The checksum of the value of a value segment. Undefined where the file is shorter. */
  *checksumValue(valueSizeBytes: number): Generator<void, number | undefined> {
    const { epoch, segmentNumber, storeId } = this.identity
    const first = segmentHeaderSizeBytes / 8
    const size = Math.ceil(valueSizeBytes / 8)
    const running = new RunningChecksum(segmentSeed(storeId, epoch, segmentNumber))
    if (first + size > this.endOffset) return undefined
    for (let done = 0; ; ) {
      const count = Math.min(windowDoubles, size - done)
      this.forget()
      this.#load(first + done, count)
      done += count
      if (done === size) {
        const restBytes = valueSizeBytes - (size - count) * 8
        const wordCount = Math.ceil(restBytes / 4)
        this.#bytes.fill(0, this.start * 4 + restBytes, (this.start + wordCount) * 4)
        return running.end(this.words, this.start, wordCount)
      }
      running.add(this.words, this.start, count * 2)
      yield
    }
  }

  /** True where the header at `offset` could be that of a record. Most places are told by this alone. */
  isPlausible(offset: number): boolean {
    if (offset + recordHeaderWords / 2 > this.endOffset) return false
    this.#load(offset, recordHeaderWords / 2)
    const { doubles, start, words } = this
    const type = recordType(words, start)
    if (type === typeNone || type > typeKnownMax) return false
    if ((recordFlags(words, start) & ~flagsKnown) !== 0) return false
    const first = start / 2
    if (!Number.isSafeInteger(doubles[first + versionDouble])) return false
    if (!Number.isSafeInteger(doubles[first + sequenceDouble])) return false
    return offset + recordSpan(words, start) <= this.endOffset
  }

  /** What the checksum of the record starts from that begins at `offset` and was looked at. */
  seedAt(offset: number): number {
    const isInBatch = (recordFlags(this.words, this.start) & flagInBatch) !== 0
    return this.#seeds.at(offset, isInBatch)
  }

  /** Brings `count` 8-byte words from `offset` on into the window. */
  #load(offset: number, count: number): void {
    if (offset < this.#windowStart || offset + count > this.#windowEnd) {
      const wanted = Math.min(windowDoubles, this.endOffset - offset)
      const read = this.file.read(this.#bytes.subarray(0, wanted * 8), offset * 8)
      this.bytesRead += read
      // Cut short since it was opened.
      this.#bytes.fill(0, read, wanted * 8)
      this.#windowStart = offset
      this.#windowEnd = offset + wanted
      if (this.#mended !== undefined) this.#mend(this.#mended)
    }
    this.start = (offset - this.#windowStart) * 2
  }

  #mend({ segmentNumber, offset, words }: MendedRecord): void {
    const part = segmentNumber - this.identity.segmentNumber
    const shift = (part * 2 ** this.identity.shift + offset - this.#windowStart) * 2
    const limit = (this.#windowEnd - this.#windowStart) * 2
    for (let word = 0; word < words.length; word++) {
      const at = shift + word
      if (part >= 0 && at >= 0 && at < limit) this.words[at] = words[word]
    }
  }
}

function isBlank(words: Int32Array, start: number): boolean {
  for (let word = 0; word < recordHeaderWords; word++) {
    if (words[start + word] !== 0) return false
  }
  return true
}

/** The checksum of checksums, by which a batch frame knows its records. */
export function checksumOfChecksums(checksums: readonly number[]): number {
  return checksumWords(Int32Array.from(checksums), 0, checksums.length, 0)
}
