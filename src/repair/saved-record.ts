/** A record of a damaged store that verifies, in memory of its own. */
import { checksumWord, systemKeyspaceId } from '../format/record.js'
import { checksumRecord } from '../format/record-checksum.js'
import { recordKeySize, recordKeyspace, recordValueOffset } from '../log/record-fields.js'
import type { SegmentReader } from '../log/segment-reader.js'

export interface SavedRecord {
  readonly words: Int32Array
  readonly doubles: Float64Array
  /** 8-byte words, without slack. */
  readonly size: number
  /** Where it was. */
  readonly file: string
  readonly address: number
}

/** Copies the record that was looked at. Undefined where it is read again and does not verify. */
export function copyRecord(
  reader: SegmentReader,
  offset: number,
  size: number,
): SavedRecord | undefined {
  const { file, start } = reader
  const bytes = new Uint8Array(size * 8)
  const words = new Int32Array(bytes.buffer)
  const isInWindow = start + size * 2 <= reader.words.length
  if (isInWindow) words.set(reader.words.subarray(start, start + size * 2))
  else file.read(bytes, offset * 8)
  const doubles = new Float64Array(bytes.buffer)
  const record = { words, doubles, size, file: file.path, address: offset * 8 }
  if (isInWindow) return record
  const actual = checksumRecord(words, 0, size * 2, reader.seedAt(offset))
  return actual === words[checksumWord] ? record : undefined
}

/** Whose record it is, for messages. */
export interface RecordName {
  readonly keyspaceId: number
  /** Bytes that are no plain text as `0x` and hexadecimal digits. */
  readonly key: string
}

/** Undefined for what the store keeps for itself. */
export function nameOf(words: Int32Array, start: number): RecordName | undefined {
  const keyspaceId = recordKeyspace(words, start)
  if (keyspaceId === systemKeyspaceId) return undefined
  return { keyspaceId, key: shownKey(keyBytes(words, start)) }
}

/** A view of the key. */
export function keyBytes(words: Int32Array, start: number): Buffer {
  const sizeBytes = recordKeySize(words, start)
  const paddedSizeBytes = (sizeBytes + 7) & ~7
  const first = start * 4 + recordValueOffset(words, start) - paddedSizeBytes
  return Buffer.from(words.buffer, words.byteOffset + first, sizeBytes)
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function shownKey(bytes: Buffer): string {
  try {
    const text = utf8.decode(bytes)
    if (!/\p{Cc}/u.test(text)) return text
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
  }
  return `0x${bytes.toString('hex')}`
}
