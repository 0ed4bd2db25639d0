/**
 * Writing a store from records of another: its log, record by record, and no index, which the first
 * opening builds. Nothing of it is a store before {@link StoreWriter.finish}.
 *
 * A record keeps version, sequence, times, key and value. It is one by itself here, and the first of
 * its key: it belongs to no batch, has no slack, and names no record before it.
 */
import { join } from 'node:path'
import { checksumWords } from '../base/checksum.js'
import { segmentFileName } from '../format/file-names.js'
import type { ManifestSegment } from '../format/manifest.js'
import {
  checksumWord,
  flagInBatch,
  keySizeWord,
  kindWord,
  previousDouble,
  referenceChecksumWord,
  referenceEpochDouble,
  referenceSegmentDouble,
} from '../format/record.js'
import { checksumRecord, recordSeed } from '../format/record-checksum.js'
import {
  encodeSegmentHeader,
  segmentFlagAppendOnly,
  segmentHeaderSizeBytes,
  segmentKindLog,
  segmentKindValue,
  segmentReasonAppend,
  segmentReasonOwnValue,
  segmentSeed,
} from '../format/segment-header.js'
import type { Superblock } from '../format/superblock.js'
import { recordValueOffset } from '../log/record-fields.js'
import { firstRecordOffset } from '../log/roll.js'
import type { Platform, PlatformFile } from '../platform/platform.js'
import { writeManifest, writeSuperblock } from '../recovery/store-files.js'

const epoch = 1
const bufferSizeBytes = 2 ** 20

interface OpenSegment {
  readonly file: PlatformFile
  readonly segmentNumber: number
  readonly seed: number
  /** Where the next record goes, in 8-byte words. */
  offset: number
}

export class StoreWriter {
  readonly #platform: Platform
  readonly #directory: string
  readonly #superblock: Superblock
  readonly #segments: ManifestSegment[] = []
  readonly #buffer = new Uint8Array(bufferSizeBytes)
  #buffered = 0
  #open: OpenSegment | undefined
  #nextNumber = 1
  #previous = 0

  constructor(platform: Platform, directory: string, superblock: Superblock) {
    this.#platform = platform
    this.#directory = directory
    this.#superblock = superblock
  }

  /** Appends a record of `size` 8-byte words without slack. `words` is changed. */
  append(words: Int32Array, doubles: Float64Array, size: number): void {
    const segment = this.#room(size)
    const seed = recordSeed(segment.seed, segment.offset, false)
    words[kindWord] &= ~(flagInBatch << 8)
    words[keySizeWord] &= 0xffff
    doubles[previousDouble] = 0
    words[checksumWord] = checksumRecord(words, 0, size * 2, seed)
    this.#write(new Uint8Array(words.buffer, words.byteOffset, size * 8))
    segment.offset += size
  }

  /** Stores a value in a segment of its own, and makes the record refer to it. */
  putValue(
    value: Int32Array,
    valueSizeBytes: number,
    record: Int32Array,
    recordDoubles: Float64Array,
  ): void {
    const segmentNumber = this.#nextNumber++
    const sizeBytes = Math.ceil((segmentHeaderSizeBytes + valueSizeBytes) / 4096) * 4096
    const file = this.#create('value', segmentNumber)
    try {
      file.write(this.#header(segmentNumber, sizeBytes, segmentKindValue, 0), 0)
      file.write(
        new Uint8Array(value.buffer, value.byteOffset, valueSizeBytes),
        segmentHeaderSizeBytes,
      )
      if (file.sizeBytes() < sizeBytes) file.write(new Uint8Array(1), sizeBytes - 1)
      file.syncNow()
    } finally {
      file.close()
    }
    this.#segments.push({ segmentNumber, epoch, endBytes: sizeBytes, kind: segmentKindValue })
    const seed = segmentSeed(this.#superblock.storeId, epoch, segmentNumber)
    const reference = recordValueOffset(record, 0) / 8
    recordDoubles[reference + referenceSegmentDouble] = segmentNumber
    recordDoubles[reference + referenceEpochDouble] = epoch
    const wordCount = Math.ceil(valueSizeBytes / 4)
    record[reference * 2 + referenceChecksumWord] = checksumWords(value, 0, wordCount, seed)
  }

  /** From here on it is a store. */
  finish(): void {
    this.#closeSegment()
    const { segmentShift, storeId } = this.#superblock
    this.#segments.sort((a, b) => a.segmentNumber - b.segmentNumber)
    let durable = 0
    for (const { endBytes, kind, segmentNumber } of this.#segments) {
      if (kind === segmentKindLog) durable = segmentNumber * 2 ** segmentShift + endBytes / 8
    }
    writeManifest(this.#platform, this.#directory, {
      storeId,
      epoch,
      nextSegmentNumber: this.#nextNumber,
      durable,
      losses: 0,
      isClosed: true,
      segments: this.#segments,
    })
    writeSuperblock(this.#platform, this.#directory, this.#superblock)
  }

  /** The open segment, or the next one where there is no room for so many 8-byte words. */
  #room(size: number): OpenSegment {
    const segmentWords = 2 ** this.#superblock.segmentShift
    if (this.#open !== undefined && this.#open.offset + size <= segmentWords) return this.#open
    this.#closeSegment()
    const segmentNumber = this.#nextNumber++
    const sizeBytes = segmentWords * 8
    const file = this.#create('log', segmentNumber)
    file.write(this.#header(segmentNumber, sizeBytes, segmentKindLog, this.#previous), 0)
    this.#previous = segmentNumber
    const seed = segmentSeed(this.#superblock.storeId, epoch, segmentNumber)
    this.#open = { file, segmentNumber, seed, offset: firstRecordOffset }
    return this.#open
  }

  #closeSegment(): void {
    if (this.#open === undefined) return
    this.#flush()
    const { file, offset, segmentNumber } = this.#open
    const sizeBytes = 2 ** this.#superblock.segmentShift * 8
    if (file.sizeBytes() < sizeBytes) file.write(new Uint8Array(1), sizeBytes - 1)
    file.syncNow()
    file.close()
    const endBytes = offset * 8
    this.#segments.push({ segmentNumber, epoch, endBytes, kind: segmentKindLog })
    this.#open = undefined
  }

  #write(bytes: Uint8Array): void {
    if (this.#buffered + bytes.byteLength > bufferSizeBytes) this.#flush()
    if (bytes.byteLength > bufferSizeBytes) {
      this.#open?.file.write(bytes, this.#open.offset * 8)
      return
    }
    this.#buffer.set(bytes, this.#buffered)
    this.#buffered += bytes.byteLength
  }

  /** What is buffered ends where the next record goes. */
  #flush(): void {
    if (this.#open === undefined || this.#buffered === 0) return
    const { file, offset } = this.#open
    file.write(this.#buffer.subarray(0, this.#buffered), offset * 8 - this.#buffered)
    this.#buffered = 0
  }

  #create(kind: 'log' | 'value', segmentNumber: number): PlatformFile {
    const path = join(this.#directory, segmentFileName(kind, segmentNumber))
    return this.#platform.openFile(path, 'create')
  }

  #header(
    segmentNumber: number,
    sizeBytes: number,
    kind: number,
    previousSegment: number,
  ): Uint8Array {
    return encodeSegmentHeader({
      storeId: this.#superblock.storeId,
      segmentNumber,
      epoch,
      firstSequence: 0,
      sequenceBefore: 0,
      previousSegment,
      sizeBytes,
      kind,
      reason: kind === segmentKindLog ? segmentReasonAppend : segmentReasonOwnValue,
      flags: segmentFlagAppendOnly,
    })
  }
}
