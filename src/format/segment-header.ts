/**
 * The first 128 bytes of every segment file, log and value segments alike.
 *
 * offset | size | field
 * ------ | ---- | -----
 *      0 |    8 | magic: "VARVSEGM"
 *      8 |   16 | storeId
 *     24 |    8 | segmentNumber: f64
 *     32 |    8 | epoch: f64
 *     40 |    8 | firstSequence: f64, the sequence that its first record can have at the least
 *     48 |    8 | previousSegment: f64, number of the log segment before; 0 for the first of an epoch
 *     56 |    8 | sizeBytes: f64, of the file
 *     64 |    4 | kind: 1 log, 2 value
 *     68 |    4 | reason: why it was made: 1 append, 2 own value, 3 compaction, 4 stream
 *     72 |    4 | flags: bit 0 append-only (no record in it was ever updated in place)
 *     76 |    4 | checksum: XXH32 of the other 124 bytes
 *     80 |    8 | sequenceBefore: f64, the highest sequence of any record before it: less than firstSequence
 *        |      | by one, or by more where a recovery went on higher (see control-layout.ts)
 *     88 |   40 | reserved: 0, checked
 */
import { checksumBytes } from '../base/checksum.js'
import { corrupt, wrongFormat } from '../base/errors.js'

export const segmentHeaderSizeBytes = 128
const magic = new Uint8Array([0x56, 0x41, 0x52, 0x56, 0x53, 0x45, 0x47, 0x4d])
const storeIdOffset = 8
const segmentNumberOffset = 24
const epochOffset = 32
const firstSequenceOffset = 40
/** Index of `firstSequence` among the doubles of a segment. */
export const firstSequenceDouble: number = firstSequenceOffset / 8
const previousSegmentOffset = 48
const sizeBytesOffset = 56
const kindOffset = 64
const reasonOffset = 68
const flagsOffset = 72
const checksumOffset = 76
const sequenceBeforeOffset = 80
const reservedOffset = 88

export const segmentKindLog = 1
export const segmentKindValue = 2
export const segmentReasonAppend = 1
export const segmentReasonOwnValue = 2
export const segmentFlagAppendOnly = 1
const segmentFlagsKnown: number = segmentFlagAppendOnly

export interface SegmentHeader {
  readonly storeId: Uint8Array
  readonly segmentNumber: number
  readonly epoch: number
  readonly firstSequence: number
  readonly sequenceBefore: number
  readonly previousSegment: number
  readonly sizeBytes: number
  readonly kind: number
  readonly reason: number
  readonly flags: number
}

export function encodeSegmentHeader(header: SegmentHeader): Uint8Array {
  const bytes = new Uint8Array(segmentHeaderSizeBytes)
  const view = new DataView(bytes.buffer)
  bytes.set(magic)
  bytes.set(header.storeId, storeIdOffset)
  view.setFloat64(segmentNumberOffset, header.segmentNumber, true)
  view.setFloat64(epochOffset, header.epoch, true)
  view.setFloat64(firstSequenceOffset, header.firstSequence, true)
  view.setFloat64(previousSegmentOffset, header.previousSegment, true)
  view.setFloat64(sizeBytesOffset, header.sizeBytes, true)
  view.setUint32(kindOffset, header.kind, true)
  view.setUint32(reasonOffset, header.reason, true)
  view.setUint32(flagsOffset, header.flags, true)
  view.setFloat64(sequenceBeforeOffset, header.sequenceBefore, true)
  view.setInt32(checksumOffset, checksumBytes(bytes, 0), true)
  return bytes
}

/** True where nothing was ever written: a segment that was prepared and not used. */
export function isBlankSegmentHeader(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0)
}

/** Throws `STORE_FORMAT` for a foreign file and `STORE_CORRUPT` for a damaged header. */
export function decodeSegmentHeader(bytes: Uint8Array, file: string): SegmentHeader {
  if (bytes.byteLength < segmentHeaderSizeBytes) {
    throw corrupt(file, 0, `the segment header is cut short at ${bytes.byteLength} bytes`)
  }
  if (!magic.every((byte, index) => bytes[index] === byte)) {
    throw wrongFormat(file, 'it does not begin as a segment does')
  }
  const copy = bytes.slice(0, segmentHeaderSizeBytes)
  const view = new DataView(copy.buffer)
  const checksum = view.getInt32(checksumOffset, true)
  view.setInt32(checksumOffset, 0, true)
  if (checksumBytes(copy, 0) !== checksum) {
    throw corrupt(file, 0, 'the checksum of the segment header does not match')
  }
  if (copy.subarray(reservedOffset).some((byte) => byte !== 0)) {
    throw wrongFormat(file, 'the segment header uses fields that this version does not know')
  }
  const flags = view.getUint32(flagsOffset, true)
  if ((flags & ~segmentFlagsKnown) !== 0) {
    throw wrongFormat(file, `the segment has flags that this version does not know (${flags})`)
  }
  return {
    storeId: copy.slice(storeIdOffset, storeIdOffset + 16),
    segmentNumber: view.getFloat64(segmentNumberOffset, true),
    epoch: view.getFloat64(epochOffset, true),
    firstSequence: view.getFloat64(firstSequenceOffset, true),
    sequenceBefore: view.getFloat64(sequenceBeforeOffset, true),
    previousSegment: view.getFloat64(previousSegmentOffset, true),
    sizeBytes: view.getFloat64(sizeBytesOffset, true),
    kind: view.getUint32(kindOffset, true),
    reason: view.getUint32(reasonOffset, true),
    flags,
  }
}

/** What the checksums of all records of a segment start from (I2). */
export function segmentSeed(storeId: Uint8Array, epoch: number, segmentNumber: number): number {
  const bytes = new Uint8Array(32)
  bytes.set(storeId)
  const view = new DataView(bytes.buffer)
  view.setFloat64(16, epoch, true)
  view.setFloat64(24, segmentNumber, true)
  return checksumBytes(bytes, 0)
}
