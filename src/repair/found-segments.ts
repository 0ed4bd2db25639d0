/** The segment files of a damaged store as they lie in its directory, and what they say of it. */
import { join } from 'node:path'
import { StoreError } from '../base/errors.js'
import { segmentShift } from '../format/address.js'
import { parseSegmentFileName } from '../format/file-names.js'
import {
  decodeSegmentHeader,
  type SegmentHeader,
  segmentHeaderSizeBytes,
} from '../format/segment-header.js'
import { firstRecordOffset } from '../log/roll.js'
import { type ReadableFile, SegmentReader } from '../log/segment-reader.js'
import type { SegmentIdentity } from '../log/segment-seeds.js'
import { nextRecord } from '../log/segment-walk.js'
import type { Platform } from '../platform/platform.js'
import type { Problems } from '../verify/problems.js'
import { openPatiently } from './patient-file.js'

export interface FoundSegment {
  readonly path: string
  readonly kind: 'log' | 'value'
  /** As the file's name says. */
  readonly segmentNumber: number
  /** Undefined where it does not verify. */
  readonly header: SegmentHeader | undefined
  readonly sizeBytes: number
}

/** Without those that were made and never put to use. `lost`: what cannot be opened. */
export function findSegments(
  platform: Platform,
  directory: string,
  lost: Problems,
): FoundSegment[] {
  const found: FoundSegment[] = []
  for (const name of platform.list(directory)) {
    const parsed = parseSegmentFileName(name)
    if (parsed === undefined) continue
    const path = join(directory, name)
    try {
      const file = openPatiently(platform, path, lost)
      try {
        const header = readHeader(file)
        if (header === undefined && isBlank(file)) continue
        found.push({ path, ...parsed, header, sizeBytes: file.sizeBytes() })
      } finally {
        file.close()
      }
    } catch (error) {
      lost.addFailure(path, 0, error)
    }
  }
  return found
}

function readHeader(file: ReadableFile): SegmentHeader | undefined {
  const bytes = new Uint8Array(segmentHeaderSizeBytes)
  try {
    return decodeSegmentHeader(bytes.subarray(0, file.read(bytes, 0)), file.path)
  } catch (error) {
    if (error instanceof StoreError) return undefined
    throw error
  }
}

const chunkSizeBytes = 2 ** 20

function isBlank(file: ReadableFile): boolean {
  const sizeBytes = file.sizeBytes()
  const chunk = new Uint8Array(Math.min(chunkSizeBytes, sizeBytes))
  for (let at = 0; at < sizeBytes; at += chunk.byteLength) {
    const read = file.read(chunk, at)
    if (chunk.subarray(0, read).some((byte) => byte !== 0)) return false
  }
  return true
}

/** The one of `epochs` by which a record in a segment without a header verifies. */
export function findEpoch(
  file: ReadableFile,
  identity: Omit<SegmentIdentity, 'epoch'>,
  epochs: Iterable<number>,
): number | undefined {
  for (const epoch of epochs) {
    const reader = new SegmentReader(file, { ...identity, epoch }, file.sizeBytes())
    const search = nextRecord(reader, firstRecordOffset - 1, reader.endOffset)
    for (;;) {
      const step = search.next()
      if (step.done !== true) continue
      if (step.value < reader.endOffset) return epoch
      break
    }
  }
  return undefined
}

/** The store that most of the files are of. */
export function commonStoreId(files: readonly FoundSegment[]): Uint8Array | undefined {
  const counts = new Map<string, { id: Uint8Array; count: number }>()
  for (const { header } of files) {
    if (header === undefined) continue
    const name = Buffer.from(header.storeId).toString('hex')
    counts.set(name, { id: header.storeId, count: (counts.get(name)?.count ?? 0) + 1 })
  }
  const sorted = [...counts.values()].sort((a, b) => b.count - a.count)
  return sorted[0]?.id
}

/** Oversized segments are multiples of the ordinary ones, which there is at least one of. */
export function commonShift(files: readonly FoundSegment[]): number {
  const sizes = files.flatMap(({ header, kind }) =>
    header === undefined || kind === 'value' ? [] : [header.sizeBytes],
  )
  return segmentShift(Math.min(2 ** 30, ...sizes))
}
