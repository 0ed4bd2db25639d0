/**
 * The record: what the log is made of. 8-byte aligned, in the byte order of the machine (the
 * superblock says which). Integers of up to 53 bits are stored as IEEE 754 doubles, which hold
 * them exactly and which JavaScript loads and stores in one instruction.
 *
 * offset | size | field
 * ------ | ---- | -----
 *      0 |    8 | version: f64; the highest wins, per key
 *      8 |    8 | sequence: f64; the order of commits in this store
 *     16 |    8 | timestampMs: f64; wall clock of the write
 *     24 |    8 | previous: f64; address of the record of this key before, 0 for none
 *     32 |    4 | checksum: XXH32 of the whole record with this field as 0
 *     36 |    1 | type
 *     37 |    1 | flags
 *     38 |    2 | keyspace
 *     40 |    4 | valueSize: u32, in bytes
 *     44 |    2 | keySize: u16, in bytes
 *     46 |    2 | slack: u16; unused 8-byte words at the end, left by an update to a smaller value
 *     48 |    8 | expiresAtMs: f64; only with the flag "expiry"
 *      … |    … | key, zero-padded to 8 bytes
 *      … |    … | value, zero-padded to 8 bytes
 *
 * What a read needs (from "checksum" on) lies next to the key, so that a lookup touches as few
 * cache lines as it can.
 *
 * The checksum's seed covers store, epoch, segment number and offset: a stale, swapped or misplaced
 * record does not verify (I2). It is written last (I1).
 */
import { assert } from '../base/assert.js'

export const versionOffset = 0
export const sequenceOffset = 8
export const timestampOffset = 16
export const previousOffset = 24
export const checksumOffset = 32
export const typeOffset = 36
export const flagsOffset = 37
export const keyspaceOffset = 38
export const valueSizeOffset = 40
export const keySizeOffset = 44
export const slackOffset = 46
export const expiresAtOffset = 48
export const recordHeaderSizeBytes = 48

// The same places as indexes of 8-byte and 4-byte elements from the start of a record.
export const versionDouble = 0
export const sequenceDouble = 1
export const timestampDouble = 2
export const previousDouble = 3
export const checksumWord = 8
/** type, flags and keyspace in one word. */
export const kindWord = 9
export const valueSizeWord = 10
/** key size and slack in one word. */
export const keySizeWord = 11
export const expiresAtDouble = 6
export const recordHeaderWords = 12

assert(checksumWord * 4 === checksumOffset, 'checksum word')
assert(kindWord * 4 === typeOffset, 'kind word')
assert(valueSizeWord * 4 === valueSizeOffset, 'value size word')
assert(keySizeWord * 4 === keySizeOffset, 'key size word')
assert(recordHeaderWords * 4 === recordHeaderSizeBytes, 'record header')

/** Nothing was ever written here: the end of the records of a segment. */
export const typeNone = 0
export const typePut = 1
export const typeTombstone = 2
/** Announces the records that follow as one unit: all of them or none. */
export const typeBatch = 3
/** Ends a stretch of the log that a sync covered. */
export const typeMarker = 4
export const typePadding = 5
export const typeStreamChunk = 6
export const typeKnownMax = 6

export const flagExpiry = 1
/** The value starts at a multiple of 64 bytes of its segment. */
export const flagAligned = 2
/** Copied by compaction: not a change. */
export const flagMoved = 4
/** The value lies in a segment of its own; the record's value is a {@link valueReference}. */
export const flagReference = 8
/** Part of a batch: valid only behind its frame. */
export const flagInBatch = 16
/** Reserved for values stored compressed or encrypted; this version refuses them. */
export const flagsKnown = flagExpiry | flagAligned | flagMoved | flagReference | flagInBatch

export const keySizeBytesMax = 65_535
export const valueSizeBytesMax = 2 ** 31 - 1
export const slackWordsMax = 65_535

/** The keyspace in which the store keeps the names of keyspaces. Keyspace 0 is the default one. */
export const systemKeyspaceId = 1

export function kindWordOf(type: number, flags: number, keyspaceId: number): number {
  return type | (flags << 8) | (keyspaceId << 16)
}

/** Bytes before the value. */
export function valueOffset(keySizeBytes: number, flags: number): number {
  const header = (flags & flagExpiry) === 0 ? recordHeaderSizeBytes : recordHeaderSizeBytes + 8
  return header + ((keySizeBytes + 7) & ~7)
}

/** Bytes of value that lie in the record itself. */
export function inlineValueSizeBytes(valueSizeBytes: number, flags: number): number {
  return (flags & flagReference) === 0 ? valueSizeBytes : valueReferenceSizeBytes
}

/** The whole record without slack, in 8-byte words. */
export function recordSizeWords(
  keySizeBytes: number,
  valueSizeBytes: number,
  flags: number,
): number {
  return (valueOffset(keySizeBytes, flags) + inlineValueSizeBytes(valueSizeBytes, flags) + 7) >>> 3
}

/**
 * The value of a record with the flag "reference": where the value lies.
 *
 * offset | size | field
 * ------ | ---- | -----
 *      0 |    8 | segmentNumber: f64, of the value segment
 *      8 |    8 | epoch: f64, of the value segment
 *     16 |    4 | valueChecksum: XXH32 of the value, zero-padded to 4 bytes
 *     20 |    4 | reserved: 0
 */
export const referenceSegmentDouble = 0
export const referenceEpochDouble = 1
export const referenceChecksumWord = 4
export const valueReferenceSizeBytes = 24

/**
 * The value of a batch frame. The records of the batch follow the frame, each with the flag
 * "inBatch" and a checksum of its own; the digest binds them to the frame and to each other.
 *
 * offset | size | field
 * ------ | ---- | -----
 *      0 |    8 | batchSizeWords: f64, 8-byte words of records that follow
 *      8 |    4 | recordCount: u32
 *     12 |    4 | digest: XXH32 of the checksums of the records, in order
 */
export const batchSizeDouble = 0
export const batchCountWord = 2
export const batchDigestWord = 3
export const batchFrameValueSizeBytes = 16
export const batchFrameSizeWords = (recordHeaderSizeBytes + batchFrameValueSizeBytes) / 8

/**
 * The value of a marker. The digest is the 64-bit sum of the checksums of all records since the
 * marker before, as in-place updates left them: a lost update shows as a wrong sum (I5).
 *
 * offset | size | field
 * ------ | ---- | -----
 *      0 |    8 | magic: "VARVMARK"
 *      8 |    8 | durable: f64, the durable address when the marker was written
 *     16 |    8 | previousMarker: f64, address
 *     24 |    8 | epoch: f64
 *     32 |    4 | digestLow: u32
 *     36 |    4 | digestHigh: u32
 */
export const markerMagicLow = 0x56524156
export const markerMagicHigh = 0x4b52414d
export const markerDurableDouble = 1
export const markerPreviousDouble = 2
export const markerEpochDouble = 3
export const markerDigestLowWord = 8
export const markerDigestHighWord = 9
export const markerValueSizeBytes = 40
export const markerSizeWords = (recordHeaderSizeBytes + markerValueSizeBytes) / 8
