/**
 * The stream that a snapshot is exported as: a preface, then frames, little-endian.
 *
 * offset | size | field (of the preface)
 * ------ | ---- | -----
 *      0 |    8 | magic: "VARVEXPT"
 *      8 |    4 | formatVersion: u32
 *     12 |    4 | reserved: 0
 *
 * offset | size | field (of a frame)
 * ------ | ---- | -----
 *      0 |    4 | type: u32
 *      4 |    4 | sizeBytes: u32, of the content
 *      8 |    4 | checksum: XXH32 of type, size and content, padded
 *     12 |    4 | reserved: 0
 *     16 |    … | content, zero-padded to 4 bytes
 *
 * The seed of a frame's checksum is the checksum of the frame before, so frames that are missing,
 * exchanged or of another stream do not verify, and that of the last one covers all.
 *
 * The first frame is the header: JSON, with the keyspaces and their encodings. Then frames whose
 * contents, one behind the other, are the records; a record may go on in the next frame. The last
 * frame is the end: how many records, and their bytes, two f64.
 *
 * offset | size | field (of a record)
 * ------ | ---- | -----
 *      0 |    4 | keyspace: u32, place in the list of the header
 *      4 |    4 | keySizeBytes: u32
 *      8 |    4 | valueSizeBytes: u32
 *     12 |    8 | expiresAtMs: f64; 0 where it never does
 *     20 |    … | key, value; nothing is padded
 */
import { checksumWords } from '../base/checksum.js'

export const exportFormatVersion = 1
export const prefaceSizeBytes = 16
export const frameHeaderSizeBytes = 16
/** Content of a frame of records; others are smaller. */
export const contentSizeBytesMax = 262_144
export const recordHeaderSizeBytes = 20

export const frameHeader = 1
export const frameRecords = 2
export const frameEnd = 3

const magic = Buffer.from('VARVEXPT')
/** Of the first frame's checksum. */
export const firstSeed = exportFormatVersion

export interface ExportedKeyspace {
  readonly name: string
  readonly encoding: string
  readonly keyEncoding: string
}

export interface ExportHeader {
  /** Of the snapshot, in the store that it is from. */
  readonly sequence: number
  readonly keyspaces: readonly ExportedKeyspace[]
  /** Of the store; what values of the encoding `'msgpack-shared'` refer to. */
  readonly structures?: readonly (readonly string[])[]
}

export function encodePreface(): Buffer {
  const bytes = Buffer.alloc(prefaceSizeBytes)
  magic.copy(bytes)
  bytes.writeUInt32LE(exportFormatVersion, 8)
  return bytes
}

/** What is wrong with a preface, or undefined. */
export function problemOfPreface(bytes: Buffer): string | undefined {
  if (!bytes.subarray(0, magic.length).equals(magic)) return 'it is no export of a store'
  const version = bytes.readUInt32LE(8)
  if (version !== exportFormatVersion) return `its format has version ${version}`
  return bytes.readUInt32LE(12) === 0 ? undefined : 'a reserved field is in use'
}

/** A frame, and the seed of the next one: its checksum. */
export function encodeFrame(
  type: number,
  content: Uint8Array,
  seed: number,
): { readonly bytes: Buffer; readonly checksum: number } {
  const words = new Int32Array((frameHeaderSizeBytes + content.length + 3) >>> 2)
  const bytes = Buffer.from(words.buffer)
  bytes.set(content, frameHeaderSizeBytes)
  words[0] = type
  words[1] = content.length
  const checksum = checksumWords(words, 0, words.length, seed)
  words[2] = checksum
  return { bytes, checksum }
}

/** Bytes of a whole frame, from its first 16; undefined where they cannot be those of one. */
export function frameSizeBytes(header: Buffer): number | undefined {
  const type = header.readUInt32LE(0)
  const sizeBytes = header.readUInt32LE(4)
  const isKnown = type === frameHeader || type === frameRecords || type === frameEnd
  // Of the names of keyspaces, there may be a great many.
  const most = type === frameHeader ? 2 ** 26 : contentSizeBytesMax
  if (!isKnown || sizeBytes > most || header.readUInt32LE(12) !== 0) return undefined
  return frameHeaderSizeBytes + ((sizeBytes + 3) & ~3)
}

/** The parts of a whole frame; undefined where it does not verify. */
export function decodeFrame(
  frame: Buffer,
  seed: number,
): { readonly type: number; readonly content: Buffer; readonly checksum: number } | undefined {
  const words = new Int32Array(frame.length / 4)
  Buffer.from(words.buffer).set(frame)
  const [type, sizeBytes, checksum] = words
  words[2] = 0
  if (checksumWords(words, 0, words.length, seed) !== checksum) return undefined
  const content = frame.subarray(frameHeaderSizeBytes, frameHeaderSizeBytes + sizeBytes)
  return { type, content, checksum }
}

export function encodeEnd(records: number, sizeBytes: number): Buffer {
  const bytes = Buffer.alloc(16)
  bytes.writeDoubleLE(records, 0)
  bytes.writeDoubleLE(sizeBytes, 8)
  return bytes
}
