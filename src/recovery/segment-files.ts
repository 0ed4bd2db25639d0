/**
 * The segment files of a store as they lie in its directory: which there are, whether each is what
 * its name says, and which of them count.
 */
import { join } from 'node:path'
import { corrupt } from '../base/errors.js'
import { parseSegmentFileName, segmentFileName } from '../format/file-names.js'
import { type Manifest, segmentKindDropped } from '../format/manifest.js'
import {
  decodeSegmentHeader,
  isBlankSegmentHeader,
  type SegmentHeader,
  segmentHeaderSizeBytes,
  segmentKindLog,
  segmentKindValue,
} from '../format/segment-header.js'
import type { Platform } from '../platform/platform.js'

export interface SegmentFile {
  readonly path: string
  readonly header: SegmentHeader
  readonly fileSizeBytes: number
  /** Where its records end, if the manifest says so: everything before must verify. */
  readonly endBytes: number | undefined
}

export interface SegmentFiles {
  /** Log segments that count, in order. */
  readonly log: readonly SegmentFile[]
  readonly values: readonly SegmentFile[]
  /** Files that no longer count: of an abandoned timeline, or never put to use. */
  readonly dead: readonly string[]
}

/** Throws `STORE_CORRUPT` where a segment that must be there is missing or damaged. */
export function findSegmentFiles(
  platform: Platform,
  directory: string,
  manifest: Manifest,
): SegmentFiles {
  const log: SegmentFile[] = []
  const values: SegmentFile[] = []
  const dead: string[] = []
  const named = new Map(manifest.segments.map((segment) => [segment.segmentNumber, segment]))
  const files = platform.list(directory).flatMap((name) => {
    const parsed = parseSegmentFileName(name)
    return parsed === undefined ? [] : [{ name, ...parsed }]
  })
  files.sort((a, b) => a.segmentNumber - b.segmentNumber)
  for (const { name, kind, segmentNumber } of files) {
    const path = join(directory, name)
    const entry = named.get(segmentNumber)
    named.delete(segmentNumber)
    const file = readHeader(platform, path, entry?.endBytes)
    const isNamed = entry !== undefined && entry.kind !== segmentKindDropped
    if (!isNamed && (entry !== undefined || segmentNumber < manifest.nextSegmentNumber)) {
      // Dead files are removed: only where they are this store's own.
      if (file !== undefined) requireStore(file, manifest.storeId)
      dead.push(path)
      continue
    }
    if (file === undefined) {
      if (entry !== undefined) throw corrupt(path, 0, 'the segment header is blank')
      dead.push(path)
      continue
    }
    checkHeader(file, { manifest, kind, segmentNumber, epoch: entry?.epoch ?? manifest.epoch })
    if (file.header.epoch !== (entry?.epoch ?? manifest.epoch)) dead.push(path)
    else if (kind === 'log') log.push(file)
    else values.push(file)
  }
  const missing = [...named.values()].find(({ kind }) => kind !== segmentKindDropped)
  if (missing !== undefined) {
    const kind = missing.kind === segmentKindLog ? 'log' : 'value'
    const path = join(directory, segmentFileName(kind, missing.segmentNumber))
    throw corrupt(path, 0, 'the segment is missing')
  }
  return { log, values, dead }
}

/** Undefined for a segment that was made and not yet put to use. */
function readHeader(
  platform: Platform,
  path: string,
  endBytes: number | undefined,
): SegmentFile | undefined {
  const file = platform.openFile(path, 'read')
  try {
    const fileSizeBytes = file.sizeBytes()
    const bytes = new Uint8Array(segmentHeaderSizeBytes)
    const size = file.read(bytes, 0)
    if (isBlankSegmentHeader(bytes)) return undefined
    const header = decodeSegmentHeader(bytes.subarray(0, size), path)
    return { path, header, fileSizeBytes, endBytes }
  } finally {
    file.close()
  }
}

function requireStore({ header, path }: SegmentFile, storeId: Uint8Array): void {
  if (storeId.every((byte, index) => header.storeId[index] === byte)) return
  throw corrupt(path, 8, 'the segment belongs to another store')
}

/** Throws where a segment file that no slot names is not this store's to remove. */
export function requireOwnSegment(platform: Platform, path: string, storeId: Uint8Array): void {
  const file = readHeader(platform, path, undefined)
  if (file !== undefined) requireStore(file, storeId)
}

function checkHeader(
  file: SegmentFile,
  expected: {
    readonly manifest: Manifest
    readonly kind: 'log' | 'value'
    readonly segmentNumber: number
    readonly epoch: number
  },
): void {
  const { header, path } = file
  requireStore(file, expected.manifest.storeId)
  if (header.segmentNumber !== expected.segmentNumber) {
    throw corrupt(path, 24, `the segment is number ${header.segmentNumber} under another name`)
  }
  const kind = expected.kind === 'log' ? segmentKindLog : segmentKindValue
  if (header.kind !== kind) throw corrupt(path, 64, 'the segment is of another kind than its name')
  if (header.epoch > expected.epoch) {
    throw corrupt(path, 32, `the segment is of epoch ${header.epoch}, later than the manifest`)
  }
}
