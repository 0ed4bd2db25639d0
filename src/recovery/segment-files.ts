/**
 * The segment files of a store as they lie in its directory: which there are, whether each is what
 * its name says, and which of them count.
 */
import { join } from 'node:path'
import { corrupt } from '../base/errors.js'
import { parseSegmentFileName, segmentFileName } from '../format/file-names.js'
import { type Manifest, type ManifestSegment, segmentKindDropped } from '../format/manifest.js'
import { recordHeaderSizeBytes } from '../format/record.js'
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
  const named = new Map<string, ManifestSegment>()
  const dropped = new Set<number>()
  for (const segment of manifest.segments) {
    const { kind, segmentNumber } = segment
    if (kind === segmentKindDropped) dropped.add(segmentNumber)
    else
      named.set(segmentFileName(kind === segmentKindLog ? 'log' : 'value', segmentNumber), segment)
  }
  const files = platform.list(directory).flatMap((name) => {
    const parsed = parseSegmentFileName(name)
    return parsed === undefined ? [] : [{ name, ...parsed }]
  })
  files.sort((a, b) => a.segmentNumber - b.segmentNumber)
  for (const { name, kind, segmentNumber } of files) {
    const path = join(directory, name)
    const entry = named.get(name)
    named.delete(name)
    const file = readHeader(platform, path, entry?.endBytes)
    const isOver = dropped.has(segmentNumber) || segmentNumber < manifest.nextSegmentNumber
    if (entry === undefined && isOver) {
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
  const [missing] = named.keys()
  if (missing !== undefined) throw corrupt(join(directory, missing), 0, 'the segment is missing')
  return withoutUncommitted(platform, { log, values, dead })
}

/**
 * Of two files that claim a number one was never put to use: its maker was killed, the number went to a segment of
 * the other kind, and what removed the first was lost in a crash (roll.ts). Records are written to a log segment
 * that was put to use, or else the next one names it as the one before.
 */
function withoutUncommitted(platform: Platform, files: SegmentFiles): SegmentFiles {
  const unused = new Set<SegmentFile>()
  for (const value of files.values) {
    const { segmentNumber } = value.header
    const log = files.log.find((file) => file.header.segmentNumber === segmentNumber)
    if (log === undefined) continue
    const isLogUsed =
      hasRecords(platform, log) ||
      files.log.some(({ header }) => header.previousSegment === segmentNumber)
    unused.add(isLogUsed ? value : log)
  }
  return {
    log: files.log.filter((file) => !unused.has(file)),
    values: files.values.filter((file) => !unused.has(file)),
    dead: [...files.dead, ...Array.from(unused, ({ path }) => path)],
  }
}

function hasRecords(platform: Platform, { path }: SegmentFile): boolean {
  const file = platform.openFile(path, 'read')
  try {
    const bytes = new Uint8Array(recordHeaderSizeBytes)
    file.read(bytes, segmentHeaderSizeBytes)
    return bytes.some((byte) => byte !== 0)
  } finally {
    file.close()
  }
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
