/**
 * A checkpoint: the hash index as it was at an address of the log that a sync had covered, with all
 * that replay would have counted up to there. Written beside, synced, renamed, the directory synced.
 *
 * The file is a header, and then chunks: of segments first, of keyspaces, of stretches with records that
 * expire, then of buckets, home and overflow in any order. Every element of a chunk has 64 bytes.
 *
 * offset | size | field of the header
 * ------ | ---- | -------------------
 *      0 |    8 | magic: "VARVCHKP"
 *      8 |   16 | storeId
 *     24 |    8 | address: f64; replay begins here. Addresses never come twice, so it is the id, too
 *     32 |    8 | epoch: f64, of the segment that `address` lies in
 *     40 |    8 | marker: f64, address of the marker that ends at `address`
 *     48 |    4 | markerChecksum: i32, that of its record
 *     52 |    4 | chunkCount: u32
 *     56 |    8 | createdAtMs: f64, wall clock
 *     64 |    8 | sequence: f64, of the last commit
 *     72 |    8 | version: f64, the highest seen
 *     80 |    8 | records: f64, live keys in all keyspaces, the system's and unswept ones included
 *     88 |    8 | namedRecords: f64, those of keyspaces that have a name
 *     96 |    8 | keyBytes: f64
 *    104 |    8 | valueBytes: f64
 *    112 |    8 | liveBytes: f64
 *    120 |    8 | usedBytes: f64
 *    128 |    8 | begin: f64, address of the oldest record
 *    136 |    8 | lastRecord: f64, address of the record that the last commit wrote
 *    144 |    8 | nextSegmentNumber: f64
 *    152 |    8 | sizeBytes: f64, of this file
 *    160 |    4 | nextKeyspaceId: u32
 *    164 |    4 | slotCount: u32
 *    168 |    4 | keyspaceCount: u32
 *    172 |    4 | bucketCount: u32
 *    176 |    4 | overflowCount: u32, overflow buckets with the unused first one
 *    180 |    4 | expiryCount: u32, stretches of the log with records that expire
 *    184 |   68 | reserved: 0
 *    252 |    4 | checksum: XXH32 of the 252 bytes before
 *
 * offset | size | field of a chunk, before its elements
 * ------ | ---- | -------------------------------------
 *      0 |    4 | kind: u32; 1 segments, 2 keyspaces, 3 home buckets, 4 overflow buckets, 5 stretches
 *      4 |    4 | index: u32, of the chunk in the file
 *      8 |    4 | first: u32, number of its first element
 *     12 |    4 | count: u32, of its elements, 1 to 2048
 *     16 |    4 | checksum: i32 of the chunk with this field as 0
 *     20 |   44 | reserved: 0
 *
 * The checksum of a chunk is seeded with the XXH32 of 32 bytes: storeId, address, createdAtMs. So a
 * chunk of another checkpoint does not verify.
 *
 * offset | size | field of a segment (element n is slot n)
 * ------ | ---- | ----------------------------------------
 *      0 |    8 | segmentNumber: f64, 0 for a free slot
 *      8 |    8 | epoch: f64
 *     16 |    8 | sizeBytes: f64, of the file; 0 for a further part
 *     24 |    8 | endBytes: f64, where its records that count here end; 0 for a value or a part
 *     32 |    8 | deadBytes: f64
 *     40 |    8 | entries: f64, how many of the index lead into it
 *     48 |    4 | kind: u32; 1 log, 2 value, 3 a further part of an oversized log segment
 *     52 |   12 | reserved: 0
 *
 * offset | size | field of a keyspace
 * ------ | ---- | -------------------
 *      0 |    8 | records: f64
 *      8 |    8 | keyBytes: f64
 *     16 |    8 | valueBytes: f64
 *     24 |    4 | keyspaceId: u32
 *     28 |   36 | reserved: 0
 *
 * offset | size | field of a stretch: see log/expiry-table.ts
 * ------ | ---- | -------------------------------------------
 *      0 |    8 | row: f64
 *      8 |    8 | earliestMs: f64
 *     16 |    8 | firstOffset: f64
 *     24 |    8 | segmentNumber: f64
 *     32 |   32 | reserved: 0
 *
 * A bucket is as in format/bucket.ts, its version 0. Its locations name the slots of this file.
 */
import { checksumBytes, checksumWords } from '../base/checksum.js'
import { corrupt, wrongFormat } from '../base/errors.js'

export const checkpointHeaderSizeBytes = 256
export const chunkHeaderSizeBytes = 64
export const chunkHeaderWords = chunkHeaderSizeBytes / 4
export const elementSizeBytes = 64
export const elementWords = elementSizeBytes / 4
export const chunkElementsMax = 2048

export const chunkOfSegments = 1
export const chunkOfKeyspaces = 2
export const chunkOfHomes = 3
export const chunkOfOverflows = 4
export const chunkOfExpiries = 5

const magic = new Uint8Array([0x56, 0x41, 0x52, 0x56, 0x43, 0x48, 0x4b, 0x50])
const checksumOffset = checkpointHeaderSizeBytes - 4
const reservedOffset = 184

export interface CheckpointHeader {
  readonly storeId: Uint8Array
  readonly address: number
  readonly epoch: number
  readonly marker: number
  readonly markerChecksum: number
  readonly chunkCount: number
  readonly createdAtMs: number
  readonly sequence: number
  readonly version: number
  readonly records: number
  readonly namedRecords: number
  readonly keyBytes: number
  readonly valueBytes: number
  readonly liveBytes: number
  readonly usedBytes: number
  readonly begin: number
  readonly lastRecord: number
  readonly nextSegmentNumber: number
  readonly sizeBytes: number
  readonly nextKeyspaceId: number
  readonly slotCount: number
  readonly keyspaceCount: number
  readonly bucketCount: number
  readonly overflowCount: number
  readonly expiryCount: number
}

const doubleFields = {
  address: 24,
  epoch: 32,
  marker: 40,
  createdAtMs: 56,
  sequence: 64,
  version: 72,
  records: 80,
  namedRecords: 88,
  keyBytes: 96,
  valueBytes: 104,
  liveBytes: 112,
  usedBytes: 120,
  begin: 128,
  lastRecord: 136,
  nextSegmentNumber: 144,
  sizeBytes: 152,
} as const

const wordFields = {
  chunkCount: 52,
  nextKeyspaceId: 160,
  slotCount: 164,
  keyspaceCount: 168,
  bucketCount: 172,
  overflowCount: 176,
  expiryCount: 180,
} as const

const markerChecksumOffset = 48

export function encodeCheckpointHeader(header: CheckpointHeader): Uint8Array {
  const bytes = new Uint8Array(checkpointHeaderSizeBytes)
  const view = new DataView(bytes.buffer)
  bytes.set(magic)
  bytes.set(header.storeId, 8)
  for (const [field, offset] of entriesOf(doubleFields)) {
    view.setFloat64(offset, header[field], true)
  }
  for (const [field, offset] of entriesOf(wordFields)) view.setUint32(offset, header[field], true)
  view.setInt32(markerChecksumOffset, header.markerChecksum, true)
  view.setInt32(checksumOffset, checksumBytes(bytes.subarray(0, checksumOffset), 0), true)
  return bytes
}

export function decodeCheckpointHeader(bytes: Uint8Array, file: string): CheckpointHeader {
  if (bytes.byteLength < checkpointHeaderSizeBytes) {
    throw corrupt(file, 0, 'the checkpoint is cut short')
  }
  const copy = bytes.slice(0, checkpointHeaderSizeBytes)
  const view = new DataView(copy.buffer)
  if (!magic.every((byte, index) => copy[index] === byte)) {
    throw wrongFormat(file, 'it does not begin as a checkpoint does')
  }
  const stored = view.getInt32(checksumOffset, true)
  if (checksumBytes(copy.subarray(0, checksumOffset), 0) !== stored) {
    throw corrupt(file, 0, 'the checksum of the checkpoint header does not match')
  }
  if (copy.subarray(reservedOffset, checksumOffset).some((byte) => byte !== 0)) {
    throw wrongFormat(file, 'reserved bytes of the checkpoint header are in use')
  }
  const doubles = entriesOf(doubleFields).map(([field, offset]) => [
    field,
    view.getFloat64(offset, true),
  ])
  const words = entriesOf(wordFields).map(([field, offset]) => [
    field,
    view.getUint32(offset, true),
  ])
  return {
    ...(Object.fromEntries([...doubles, ...words]) as Omit<
      CheckpointHeader,
      'storeId' | 'markerChecksum'
    >),
    storeId: copy.slice(8, 24),
    markerChecksum: view.getInt32(markerChecksumOffset, true),
  }
}

function entriesOf<T extends string>(fields: Readonly<Record<T, number>>): [T, number][] {
  return Object.entries(fields) as [T, number][]
}

/** What the checksums of a checkpoint's chunks begin with. */
export function chunkSeed(
  header: Pick<CheckpointHeader, 'storeId' | 'address' | 'createdAtMs'>,
): number {
  const bytes = new Uint8Array(32)
  const view = new DataView(bytes.buffer)
  bytes.set(header.storeId)
  view.setFloat64(16, header.address, true)
  view.setFloat64(24, header.createdAtMs, true)
  return checksumBytes(bytes, 0)
}

export interface ChunkHeader {
  readonly kind: number
  readonly index: number
  readonly first: number
  readonly count: number
}

export const chunkChecksumWord = 4

/** Writes the header before the elements, which are in place. */
export function sealChunk(words: Int32Array, header: ChunkHeader, seed: number): void {
  words.fill(0, 0, chunkHeaderWords)
  words[0] = header.kind
  words[1] = header.index
  words[2] = header.first
  words[3] = header.count
  words[chunkChecksumWord] = checksumChunk(words, header.count, seed)
}

/** With the field of the checksum as 0. */
export function checksumChunk(words: Int32Array, count: number, seed: number): number {
  return checksumWords(words, 0, chunkHeaderWords + count * elementWords, seed)
}

export interface CheckpointSegment {
  readonly segmentNumber: number
  readonly epoch: number
  readonly sizeBytes: number
  readonly endBytes: number
  readonly deadBytes: number
  readonly entries: number
  /** As of the slot table: what of it is no put, and what is tombstones. */
  readonly overheadBytes: number
  readonly tombstoneBytes: number
  readonly kind: number
}

const segmentDoubles = [
  'segmentNumber',
  'epoch',
  'sizeBytes',
  'endBytes',
  'deadBytes',
  'entries',
] as const
const segmentKindWord = 12
// In 8-byte words, so that they fit what is left of the element.
const segmentOverheadWord = 13
const segmentTombstoneWord = 14

export function encodeCheckpointSegment(
  view: DataView,
  offset: number,
  s: CheckpointSegment,
): void {
  segmentDoubles.forEach((field, index) => {
    view.setFloat64(offset + index * 8, s[field], true)
  })
  view.setUint32(offset + segmentKindWord * 4, s.kind, true)
  view.setUint32(offset + segmentOverheadWord * 4, s.overheadBytes / 8, true)
  view.setUint32(offset + segmentTombstoneWord * 4, s.tombstoneBytes / 8, true)
}

export function decodeCheckpointSegment(view: DataView, offset: number): CheckpointSegment {
  const at = (index: number): number => view.getFloat64(offset + index * 8, true)
  return {
    segmentNumber: at(0),
    epoch: at(1),
    sizeBytes: at(2),
    endBytes: at(3),
    deadBytes: at(4),
    entries: at(5),
    kind: view.getUint32(offset + segmentKindWord * 4, true),
    overheadBytes: view.getUint32(offset + segmentOverheadWord * 4, true) * 8,
    tombstoneBytes: view.getUint32(offset + segmentTombstoneWord * 4, true) * 8,
  }
}

export interface CheckpointKeyspace {
  readonly keyspaceId: number
  readonly records: number
  readonly keyBytes: number
  readonly valueBytes: number
}

export function encodeCheckpointKeyspace(
  view: DataView,
  offset: number,
  keyspace: CheckpointKeyspace,
): void {
  view.setFloat64(offset, keyspace.records, true)
  view.setFloat64(offset + 8, keyspace.keyBytes, true)
  view.setFloat64(offset + 16, keyspace.valueBytes, true)
  view.setUint32(offset + 24, keyspace.keyspaceId, true)
}

export function decodeCheckpointKeyspace(view: DataView, offset: number): CheckpointKeyspace {
  return {
    records: view.getFloat64(offset, true),
    keyBytes: view.getFloat64(offset + 8, true),
    valueBytes: view.getFloat64(offset + 16, true),
    keyspaceId: view.getUint32(offset + 24, true),
  }
}

export interface CheckpointExpiry {
  readonly row: number
  readonly earliestMs: number
  readonly firstOffset: number
  readonly segmentNumber: number
}

const expiryDoubles = ['row', 'earliestMs', 'firstOffset', 'segmentNumber'] as const

export function encodeCheckpointExpiry(
  view: DataView,
  offset: number,
  expiry: CheckpointExpiry,
): void {
  expiryDoubles.forEach((field, index) => {
    view.setFloat64(offset + index * 8, expiry[field], true)
  })
}

export function decodeCheckpointExpiry(view: DataView, offset: number): CheckpointExpiry {
  const at = (index: number): number => view.getFloat64(offset + index * 8, true)
  return { row: at(0), earliestMs: at(1), firstOffset: at(2), segmentNumber: at(3) }
}
