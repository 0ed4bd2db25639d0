/**
 * The log, read once from its beginning or from a checkpoint, through positioned reads, up to where it can
 * be believed. Every record is verified here, and nowhere else on the way to an open store: what is
 * believed of a segment is one stretch of it.
 *
 * What can be believed (I5):
 * - Segments that the manifest names: all records up to the end it names. One that does not verify
 *   is corruption, reported and never cut.
 * - After them: up to the last marker whose digest matches the records before it, as far as no segment
 *   says that the one before it had more: a digest begins behind the marker before, and tells nothing
 *   where that marker was lost together with all that it stood for. Where the records
 *   before the first one lie in a segment that the manifest names, or that compaction dropped, that marker
 *   is one that the manifest knows to be synced, and stands for them.
 * - Behind that marker: as far as the old control file says and proves by the digest it kept, or,
 *   in segments that were only ever appended to, as far as records verify; again not across the end of
 *   a segment where the next one says that there was more: what was lost there reads as its end.
 * A bad record is the end, unless something says that more than this had been synced: then it is
 * corruption.
 */

import { assert } from '../base/assert.js'
import { RunningChecksum } from '../base/checksum.js'
import { corrupt, type StoreError, wrongFormat } from '../base/errors.js'
import { noAddress } from '../format/address.js'
import { addToDigest, type Digest } from '../format/digest.js'
import {
  flagReference,
  markerDigestHighWord,
  markerDigestLowWord,
  markerDurableDouble,
  previousDouble,
  recordHeaderSizeBytes,
  referenceChecksumWord,
  referenceSegmentDouble,
  sequenceDouble,
  typeMarker,
  typePut,
  typeTombstone,
} from '../format/record.js'
import {
  segmentFlagAppendOnly,
  segmentHeaderSizeBytes,
  segmentSeed,
} from '../format/segment-header.js'
import {
  recordFlags,
  recordType,
  recordValueOffset,
  recordValueSize,
} from '../log/record-fields.js'
import {
  isKnownKind,
  type ScanResult,
  type SegmentBytes,
  SegmentScan,
} from '../log/segment-scan.js'
import type { Platform } from '../platform/platform.js'
import { decide, endRows } from './decision.js'
import type { SegmentFile } from './segment-files.js'
import { placeInFile, type UnfinishedUpdate } from './unfinished-update.js'

/** What the control file of an earlier boot says of the log's end. */
export interface TailClaim {
  readonly tail: number
  readonly digestLow: number
  readonly digestHigh: number
}

/** The records of a segment that count, one behind the other, in 8-byte words of its file. */
export interface BelievedStretch {
  readonly file: SegmentFile
  readonly startOffset: number
  readonly endOffset: number
}

/** Where reading begins: behind a marker whose sync was completed, so all before it is believed. */
export interface LogStart {
  readonly address: number
  /** Of the last commit before it. */
  readonly sequence: number
  /** Where the records before it end, in bytes, by number of the segment. */
  readonly ends: ReadonlyMap<number, number>
}

export interface LogReaderOptions {
  readonly platform: Platform
  readonly shift: number
  /** Undefined: at the beginning. */
  readonly start?: LogStart | undefined
  /** Address below which everything survived a completed sync, as far as it is known. */
  readonly durable: number
  readonly claim: TailClaim | undefined
  readonly update: UnfinishedUpdate | undefined
  /** The value segments that are there, by number. */
  readonly values: ReadonlyMap<number, SegmentFile>
  /** Segments from here on are not named by the manifest. */
  readonly nextSegmentNumber: number
  /** Whether compaction dropped a value segment. */
  readonly isDropped: (segmentNumber: number) => boolean
}

export interface LogEnd {
  /** The label of the row that took it. */
  readonly row: string
  /** Number of the segment that the last believed record lies in; 0 for an empty log. */
  readonly segmentNumber: number
  /** Where that record ends there, in bytes. */
  readonly endBytes: number
  /** Where the believed records of each segment end, in bytes; segments without any are not in. */
  readonly endBySegment: ReadonlyMap<number, number>
  /** What is to be replayed, in order; one for each segment that is read and in which anything counts. */
  readonly stretches: readonly BelievedStretch[]
  /** Address below which everything is known to have survived a completed sync. */
  readonly durable: number
  /** By the number of a value segment: where the first record that refers to it ends. */
  readonly referenceByValue: ReadonlyMap<number, number>
  /** How many keys the log begins with, less those it deletes: an estimate, and no bound. */
  readonly keyCount: number
  /** Bytes of records that were there and are not believed. */
  readonly bytesDropped: number
}

interface Stretch {
  readonly file: SegmentFile
  /** Of the first record that is not believed yet, in 8-byte words. */
  startOffset: number
  /** Behind the last verified record, in 8-byte words. */
  endOffset: number
  /** False where records are missing between the segment before and this one. */
  readonly isContinuous: boolean
}

/** Of a value that is read in pieces: what stays in the processor's cache. */
const valueWindowBytes = 2 ** 18

export class LogReader {
  readonly #options: LogReaderOptions
  #files: readonly SegmentFile[] = []
  /** One for all segments: fresh memory costs more than what is read into it. */
  #buffer = new ArrayBuffer(0)
  /** Read and verified, not yet believed: since the last good marker. */
  #pending: Stretch[] = []
  /** Of the records since the last marker; undefined where they are not all there. */
  #digest: Digest | undefined = { low: 0, high: 0 }
  #durable: number
  readonly #segmentWords: number
  #end = { segmentNumber: 0, endBytes: 0 }
  /** Of the last record that was read; below 0 before anything was. */
  #sequence = -1
  readonly #endBySegment = new Map<number, number>()
  #keyCount = 0
  /** Records that verify behind the last marker that counts, believed or not. */
  #recordsBehind = 0
  #isClaimProved = false
  readonly #referenceByValue = new Map<number, number>()

  constructor(options: LogReaderOptions) {
    this.#options = options
    this.#durable = options.durable
    this.#segmentWords = 2 ** options.shift
  }

  read(all: readonly SegmentFile[]): LogEnd {
    const files = this.#skipToStart(all)
    this.#files = files
    for (const [index, file] of files.entries()) {
      if (!this.#follows(file, files[index - 1])) return this.#stop(files.slice(index), undefined)
      const badOffset = this.#readSegment(file, files[index - 1])
      if (badOffset !== undefined) return this.#stop(files.slice(index), badOffset)
    }
    return this.#stop([], undefined)
  }

  /** The files to be read; where it begins in the first of them, {@link #startOffset} tells. */
  #skipToStart(files: readonly SegmentFile[]): readonly SegmentFile[] {
    const { shift, start } = this.#options
    if (start === undefined) return files
    for (const [number, endBytes] of start.ends) this.#endBySegment.set(number, endBytes)
    const first = files.findIndex(
      (file) => start.address < (lastPart(file, shift) + 1) * 2 ** shift,
    )
    const { segmentNumber } = files[first].header
    this.#end = { segmentNumber, endBytes: this.#startOffset(files[first]) * 8 }
    return files.slice(first)
  }

  /** In 8-byte words. */
  #startOffset({ header }: SegmentFile): number {
    const { shift, start } = this.#options
    const fromStart = (start?.address ?? 0) - header.segmentNumber * 2 ** shift
    return Math.max(segmentHeaderSizeBytes / 8, fromStart)
  }

  /** False where a segment between this one and the one before never reached the disk. */
  #follows(file: SegmentFile, before: SegmentFile | undefined): boolean {
    const { previousSegment } = file.header
    if (file.endBytes !== undefined || previousSegment === 0) return true
    // The first that the manifest does not name. What came before is named, or was dropped.
    if (previousSegment < this.#options.nextSegmentNumber) {
      // What a checkpoint begins with follows a marker that the checkpoint has.
      if (before !== undefined || this.#options.start === undefined) this.#digest = undefined
      return before === undefined || before.endBytes !== undefined
    }
    // What a checkpoint begins with follows what the checkpoint has.
    if (before === undefined) return this.#options.start !== undefined
    const first = before.header.segmentNumber
    return previousSegment >= first && previousSegment <= lastPart(before, this.#options.shift)
  }

  /** Returns where the first bad record is, if there is one. */
  #readSegment(file: SegmentFile, before: SegmentFile | undefined): number | undefined {
    const bytes = this.#load(file)
    const scan = new SegmentScan(bytes, this.#startOffset(file))
    const isNamed = file.endBytes !== undefined
    const { firstSequence, sequenceBefore } = file.header
    if (!isNamed) {
      // Of one that the manifest names all was read; it may also have been dropped.
      const isWhole = before === undefined || before.endBytes !== undefined
      // More than it says, where records before it were updated in place behind its beginning. Those that a
      // lost marker stood for raised the sequence above all that the marker before covers, for good.
      const isContinuous = isWhole || this.#sequence >= sequenceBefore
      const { offset } = scan
      this.#pending.push({ file, startOffset: offset, endOffset: offset, isContinuous })
    }
    // The last ones before it may have been dropped, or be a checkpoint's.
    const sequenceOfStart = this.#options.start?.sequence ?? 0
    this.#sequence = Math.max(this.#sequence, firstSequence - 1, sequenceOfStart)
    let result: ScanResult
    do result = this.#readRecord(scan, file)
    while (result === 'record')
    if (result === 'bad') return scan.offset
    if (!isNamed) {
      this.#gatherFrom(scan)
      return undefined
    }
    this.#setEnd(file, scan.offset)
    if (scan.offset * 8 !== file.endBytes) {
      throw sealedDamage(file, scan.offset, 'records end before the end that was recorded')
    }
    return undefined
  }

  /** The record that the scan has come to, which it passes where there is one, and where that counts. */
  #readRecord(scan: SegmentScan, file: SegmentFile): ScanResult {
    const result = scan.look()
    const isNamed = file.endBytes !== undefined
    if (result === 'bad' && isNamed) {
      throw sealedDamage(file, scan.offset, 'a record does not match its checksum')
    }
    if (result !== 'record') return result
    if (!isKnownKind(scan.segment.words, scan.offset * 2)) {
      throw wrongFormat(file.path, `a record at ${scan.offset * 8} is of an unknown kind`)
    }
    if (isNamed) {
      if (!this.#referencesVerify(scan)) {
        throw sealedDamage(file, scan.offset, 'the value that a record refers to is damaged')
      }
    } else if (!this.#take(scan)) {
      return 'bad'
    }
    this.#noteRecords(scan)
    scan.skip()
    return result
  }

  /** A verified record of a segment that the manifest does not name. False where it is bad. */
  #take(scan: SegmentScan): boolean {
    const { words } = scan.segment
    const stretch = this.#pending[this.#pending.length - 1]
    if (recordType(words, scan.offset * 2) === typeMarker) {
      if (!this.#takeMarker(scan)) return false
      stretch.endOffset = scan.offset + scan.span
      this.#recordsBehind = 0
      this.#isClaimProved = false
      this.#believePending()
    } else {
      if (!this.#referencesVerify(scan)) return false
      stretch.endOffset = scan.offset + scan.span
      if (this.#digest !== undefined) addToDigest(this.#digest, scan.checksumSum)
      this.#recordsBehind++
    }
    if (this.#isClaimed(scan)) {
      this.#isClaimProved = true
      this.#believePending()
    }
    return true
  }

  #noteRecords(scan: SegmentScan): void {
    if (!scan.isBatch) {
      this.#noteRecord(scan.segment, scan.offset)
      return
    }
    for (const offset of scan.recordOffsets()) this.#noteRecord(scan.segment, offset)
  }

  #noteRecord({ doubles, words }: SegmentBytes, offset: number): void {
    const sequence = doubles[offset + sequenceDouble]
    if (sequence > this.#sequence) this.#sequence = sequence
    const type = recordType(words, offset * 2)
    if (type === typePut && doubles[offset + previousDouble] === noAddress) this.#keyCount++
    else if (type === typeTombstone) this.#keyCount--
  }

  /** A marker counts if its digest is that of the records before it, and none before these is missing. */
  #takeMarker(scan: SegmentScan): boolean {
    if (!this.#isContinuous()) return false
    const { words, doubles } = scan.segment
    const value = scan.offset + recordHeaderSizeBytes / 8
    const digest = this.#digest
    const matches =
      digest === undefined
        ? this.#addressBehind(scan) <= this.#options.durable
        : words[value * 2 + markerDigestLowWord] >>> 0 === digest.low &&
          words[value * 2 + markerDigestHighWord] >>> 0 === digest.high
    if (!matches) return false
    this.#noteDurable(doubles[value + markerDurableDouble])
    this.#digest = { low: 0, high: 0 }
    return true
  }

  /** Where the old control file's tail is reached with its digest, all before it is proved. */
  #isClaimed(scan: SegmentScan): boolean {
    const { claim } = this.#options
    return (
      claim !== undefined &&
      this.#addressBehind(scan) === claim.tail &&
      this.#isContinuous() &&
      claim.digestLow === this.#digest?.low &&
      claim.digestHigh === this.#digest.high
    )
  }

  #isContinuous(): boolean {
    return this.#pending.every(({ isContinuous }) => isContinuous)
  }

  #addressBehind({ segment, offset, span }: SegmentScan): number {
    return segment.segmentNumber * this.#segmentWords + offset + span
  }

  /** All that is pending counts; the last segment goes on with an empty stretch. */
  #believePending(): void {
    const last = this.#pending[this.#pending.length - 1]
    for (const stretch of this.#pending) this.#setEnd(stretch.file, stretch.endOffset)
    this.#pending = [{ ...last, startOffset: last.endOffset }]
  }

  #setEnd(file: SegmentFile, endOffset: number): void {
    this.#end = { segmentNumber: file.header.segmentNumber, endBytes: endOffset * 8 }
    this.#endBySegment.set(file.header.segmentNumber, endOffset * 8)
  }

  /** True where every value that the record, or one of its batch, refers to is whole. */
  #referencesVerify(scan: SegmentScan): boolean {
    const { words, doubles } = scan.segment
    const hasNone = !scan.isBatch && (recordFlags(words, scan.offset * 2) & flagReference) === 0
    if (hasNone) return true
    for (const offset of scan.recordOffsets()) {
      if ((recordFlags(words, offset * 2) & flagReference) === 0) continue
      const reference = offset + recordValueOffset(words, offset * 2) / 8
      const number = doubles[reference + referenceSegmentDouble]
      const file = this.#options.values.get(number)
      if (file === undefined && this.#options.isDropped(number)) continue
      const checksum = words[reference * 2 + referenceChecksumWord]
      const sizeBytes = recordValueSize(words, offset * 2)
      if (file === undefined || this.#checksumValue(file, sizeBytes) !== checksum) return false
      if (!this.#referenceByValue.has(number)) {
        this.#referenceByValue.set(number, this.#addressBehind(scan))
      }
    }
    return true
  }

  #checksumValue(file: SegmentFile, valueSizeBytes: number): number | undefined {
    const { epoch, segmentNumber, storeId } = file.header
    const handle = this.#options.platform.openFile(file.path, 'read')
    try {
      const running = new RunningChecksum(segmentSeed(storeId, epoch, segmentNumber))
      const bytes = new Uint8Array(valueWindowBytes)
      const words = new Int32Array(bytes.buffer)
      for (let done = 0; ; done += valueWindowBytes) {
        const wantedBytes = Math.min(valueWindowBytes, valueSizeBytes - done)
        const position = segmentHeaderSizeBytes + done
        if (handle.read(bytes.subarray(0, wantedBytes), position) < wantedBytes) return undefined
        if (done + wantedBytes === valueSizeBytes) {
          const wordCount = Math.ceil(wantedBytes / 4)
          bytes.fill(0, wantedBytes, wordCount * 4)
          return running.end(words, 0, wordCount)
        }
        running.add(words, 0, wantedBytes / 4)
      }
    } finally {
      handle.close()
    }
  }

  #stop(rest: readonly SegmentFile[], badOffset: number | undefined): LogEnd {
    const isAppended = this.#believeAppendOnly()
    this.#gatherEvidence(rest, badOffset)
    const { claim, shift } = this.#options
    const end = this.#end.segmentNumber * 2 ** shift + this.#end.endBytes / 8
    const { action, label } = decide(endRows, {
      sealed: () => 'whole',
      synced: () => (end < this.#durable ? 'missing' : 'reached'),
      behind: () => (this.#recordsBehind === 0 ? 'nothing' : 'records'),
      claim: () => (claim === undefined ? 'none' : this.#isClaimProved ? 'proved' : 'refuted'),
      updates: () => (isAppended ? 'never' : 'in-place'),
    })
    if (action === 'refuse') {
      const file = rest[0] ?? this.#pending[this.#pending.length - 1]?.file
      throw corrupt(
        file?.path ?? 'the log',
        (badOffset ?? 0) * 8,
        'records that had been synced are missing or do not match their checksums',
      )
    }
    return {
      ...this.#end,
      row: label,
      endBySegment: this.#endBySegment,
      stretches: this.#stretches(),
      durable: this.#durable,
      referenceByValue: this.#referenceByValue,
      keyCount: this.#keyCount,
      bytesDropped: this.#droppedBytes(),
    }
  }

  /**
   * In a segment without in-place updates, records that verify in a row are what was written. True where
   * there is no other kind of segment behind the last marker.
   */
  #believeAppendOnly(): boolean {
    for (const stretch of this.#pending) {
      if ((stretch.file.header.flags & segmentFlagAppendOnly) === 0) return false
      if (!stretch.isContinuous) return true
      if (stretch.startOffset === stretch.endOffset) continue
      this.#setEnd(stretch.file, stretch.endOffset)
      stretch.startOffset = stretch.endOffset
    }
    return true
  }

  /** Markers behind a bad record name how far syncs had come when they were written. */
  #gatherEvidence(rest: readonly SegmentFile[], badOffset: number | undefined): void {
    rest.forEach((file, index) => {
      const bytes = this.#load(file)
      const from = index === 0 ? badOffset : undefined
      this.#gatherFrom(new SegmentScan(bytes, from ?? this.#startOffset(file)))
    })
  }

  /** Records that were lost may read as zeros, as the end does: only what lies behind tells. */
  #gatherFrom(scan: SegmentScan): void {
    const { doubles } = scan.segment
    for (const offset of scan.markersBehind()) {
      const value = offset + recordHeaderSizeBytes / 8
      this.#noteDurable(doubles[value + markerDurableDouble])
    }
  }

  #noteDurable(address: number): void {
    this.#durable = Math.max(this.#durable, provenDurable(address, this.#options.shift))
  }

  #droppedBytes(): number {
    let dropped = 0
    for (const { endOffset, startOffset } of this.#pending) dropped += (endOffset - startOffset) * 8
    return dropped
  }

  #stretches(): BelievedStretch[] {
    return this.#files.flatMap((file) => {
      const endBytes = this.#endBySegment.get(file.header.segmentNumber)
      if (endBytes === undefined) return []
      return [{ file, startOffset: this.#startOffset(file), endOffset: endBytes / 8 }]
    })
  }

  /** The bytes are those of this segment until the next one is loaded. */
  #load(file: SegmentFile): SegmentBytes {
    const { platform, shift } = this.#options
    const { header, path } = file
    const handle = platform.openFile(path, 'read')
    try {
      const sizeBytes = file.endBytes ?? Math.min(header.sizeBytes, file.fileSizeBytes)
      if (this.#buffer.byteLength < header.sizeBytes) {
        this.#buffer = new ArrayBuffer(Math.ceil(header.sizeBytes / 8) * 8)
      }
      const buffer = this.#buffer
      const read = handle.read(new Uint8Array(buffer, 0, sizeBytes), 0)
      if (file.endBytes !== undefined && read < file.endBytes) {
        throw corrupt(path, read, 'the segment file is cut short')
      }
      new Uint8Array(buffer).fill(0, read, sizeBytes)
      const words = new Int32Array(buffer)
      this.#makeUpdate(file, words)
      return {
        words,
        doubles: new Float64Array(buffer),
        storeId: header.storeId,
        epoch: header.epoch,
        segmentNumber: header.segmentNumber,
        shift,
        endOffset: sizeBytes / 8,
      }
    } finally {
      handle.close()
    }
  }

  #makeUpdate(file: SegmentFile, words: Int32Array): void {
    const { shift, update } = this.#options
    if (update === undefined || file.endBytes !== undefined) return
    const place = placeInFile(update, file, shift)
    if (place !== undefined) words.set(update.words, place * 2)
  }
}

/**
 * What an address that was said to be durable proves. Until its first sync has ended a session says so
 * of the beginning of its first segment, which nothing brought to the medium: it may be lost with all
 * that lies there, and what sessions before had synced is the manifest's to tell.
 */
export function provenDurable(address: number, shift: number): number {
  return address % 2 ** shift === segmentHeaderSizeBytes / 8 ? 0 : address
}

/** What a row of the table refuses, at the place where it was seen. */
function sealedDamage(file: SegmentFile, offset: number, what: string): StoreError {
  const { action } = decide(endRows, { sealed: () => 'damaged' })
  assert(action === 'refuse', 'damage in a sealed segment is refused')
  return corrupt(file.path, offset * 8, what)
}

function lastPart(file: SegmentFile, shift: number): number {
  const parts = Math.ceil(file.header.sizeBytes / (2 ** shift * 8))
  return file.header.segmentNumber + parts - 1
}
