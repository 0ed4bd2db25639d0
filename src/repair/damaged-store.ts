/**
 * What can still be told of a store whose files may be damaged or missing: who it is, and which of its
 * segments count. What one file no longer says is taken from the others.
 */
import { join } from 'node:path'
import { StoreError, systemErrorCode } from '../base/errors.js'
import { Control } from '../control/control.js'
import { segmentShift } from '../format/address.js'
import { controlSizeBytes } from '../format/control-layout.js'
import {
  controlFileName,
  manifestFileName,
  parseSegmentFileName,
  segmentFileName,
  slotsFileName,
  superblockFileName,
} from '../format/file-names.js'
import { decodeManifest, type Manifest } from '../format/manifest.js'
import {
  decodeSegmentHeader,
  isBlankSegmentHeader,
  type SegmentHeader,
  segmentHeaderSizeBytes,
  segmentKindLog,
} from '../format/segment-header.js'
import { decodeSuperblock } from '../format/superblock.js'
import { firstRecordOffset } from '../log/roll.js'
import { lookLarge, lookRecord, type MendedRecord, SegmentReader } from '../log/segment-reader.js'
import { SlotTable } from '../log/slot-table.js'
import { createFilePlatform } from '../platform/file-platform.js'
import type { Platform } from '../platform/platform.js'
import { readWhole } from '../platform/whole-file.js'
import { readUnfinishedUpdate } from '../recovery/unfinished-update.js'
import type { Problems } from '../verify/problems.js'

export interface SalvageSegment {
  readonly path: string
  readonly kind: 'log' | 'value'
  readonly segmentNumber: number
  readonly epoch: number
  readonly sizeBytes: number
  /** Where its records end, if the manifest says so. */
  readonly endBytes: number | undefined
}

export interface DamagedStore {
  readonly storeId: Uint8Array
  /** log2 of the 8-byte words in a segment. */
  readonly shift: number
  /** In order of number. */
  readonly log: readonly SalvageSegment[]
  readonly values: ReadonlyMap<number, SalvageSegment>
  readonly mended: MendedRecord | undefined
}

interface FoundFile {
  readonly path: string
  readonly kind: 'log' | 'value'
  readonly segmentNumber: number
  readonly header: SegmentHeader | undefined
  readonly sizeBytes: number
}

/**
 * `lost`: what is gone. `noted`: what is damaged and could be made up for. Throws `STORE_NOT_FOUND`
 * where there is nothing of a store.
 */
export function readDamagedStore(
  platform: Platform,
  directory: string,
  lost: Problems,
  noted: Problems,
): DamagedStore {
  const files = findFiles(platform, directory, lost)
  const superblock = attempt(join(directory, superblockFileName), noted, (path) =>
    decodeSuperblock(readWhole(platform, path), path, true),
  )
  const manifest = attempt(join(directory, manifestFileName), noted, (path) =>
    decodeManifest(readWhole(platform, path), path),
  )
  const storeId = superblock?.storeId ?? manifest?.storeId ?? commonStoreId(files)
  if (storeId === undefined) {
    throw new StoreError('STORE_NOT_FOUND', `there is nothing of a store in ${directory}`, {
      details: { file: directory },
    })
  }
  const shift = superblock?.segmentShift ?? commonShift(files)
  const isOwn = manifest !== undefined && isSameId(manifest.storeId, storeId)
  const segments = chooseSegments(
    { platform, directory, storeId, shift, manifest: isOwn ? manifest : undefined },
    files,
    lost,
    noted,
  )
  const values = segments.filter(({ kind }) => kind === 'value')
  return {
    storeId,
    shift,
    log: segments.filter(({ kind }) => kind === 'log'),
    values: new Map(values.map((segment) => [segment.segmentNumber, segment])),
    mended: readMended(directory),
  }
}

function findFiles(platform: Platform, directory: string, lost: Problems): FoundFile[] {
  const found: FoundFile[] = []
  for (const name of platform.list(directory)) {
    const parsed = parseSegmentFileName(name)
    if (parsed === undefined) continue
    const path = join(directory, name)
    try {
      const file = platform.openFile(path, 'read')
      try {
        const bytes = new Uint8Array(segmentHeaderSizeBytes)
        const read = file.read(bytes, 0)
        // Made and never put to use.
        if (isBlankSegmentHeader(bytes) && isBlankBehind(file.sizeBytes(), read)) continue
        const header = attemptQuietly(() => decodeSegmentHeader(bytes.subarray(0, read), path))
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

/** A file with a header of zeros is only looked into where there could be something. */
function isBlankBehind(sizeBytes: number, read: number): boolean {
  return sizeBytes <= read
}

interface Known {
  readonly platform: Platform
  readonly directory: string
  readonly storeId: Uint8Array
  readonly shift: number
  readonly manifest: Manifest | undefined
}

function chooseSegments(
  known: Known,
  files: readonly FoundFile[],
  lost: Problems,
  noted: Problems,
): SalvageSegment[] {
  const { directory, manifest, storeId } = known
  const named = new Map(manifest?.segments.map((segment) => [segment.segmentNumber, segment]))
  const chosen: SalvageSegment[] = []
  for (const file of files) {
    const { header, kind, path, sizeBytes } = file
    if (header !== undefined && !isSameId(header.storeId, storeId)) {
      noted.add(path, 8, 'it is of another store and left out')
      continue
    }
    // A header that verifies knows better than a name that was given by hand.
    const segmentNumber = header?.segmentNumber ?? file.segmentNumber
    if (segmentNumber !== file.segmentNumber) noted.add(path, 24, 'it has the name of another one')
    const entry = named.get(segmentNumber)
    named.delete(segmentNumber)
    const isDead =
      manifest !== undefined && entry === undefined && segmentNumber < manifest.nextSegmentNumber
    if (isDead) continue
    const epoch = header?.epoch ?? entry?.epoch ?? findEpoch(known, file, files)
    if (epoch === undefined) {
      if (!isAllZero(known.platform, path))
        lost.add(path, 0, 'its header is damaged, and no record in it verifies')
      continue
    }
    if (header === undefined) noted.add(path, 0, 'its header is damaged')
    const isAbandoned = manifest !== undefined && epoch !== (entry?.epoch ?? manifest.epoch)
    if (isAbandoned) continue
    chosen.push({ path, kind, segmentNumber, epoch, sizeBytes, endBytes: entry?.endBytes })
  }
  for (const { kind, segmentNumber } of named.values()) {
    const name = segmentFileName(kind === segmentKindLog ? 'log' : 'value', segmentNumber)
    lost.add(join(directory, name), 0, 'the segment is missing')
  }
  chosen.sort((a, b) => a.segmentNumber - b.segmentNumber)
  noteGaps(known, files, chosen, lost)
  return chosen
}

/** Segments that the manifest does not name yet are known by those behind them. */
function noteGaps(
  { directory, manifest, shift }: Known,
  files: readonly FoundFile[],
  chosen: readonly SalvageSegment[],
  lost: Problems,
): void {
  const there = new Set(chosen.map(({ segmentNumber }) => segmentNumber))
  const next = manifest?.nextSegmentNumber ?? 0
  const segmentSizeBytes = 2 ** shift * 8
  for (const { header } of files) {
    const previous = header?.previousSegment ?? 0
    if (header === undefined || !there.has(header.segmentNumber) || previous < next) continue
    const isPart = files.some(
      (file) =>
        file.header !== undefined &&
        file.header.segmentNumber <= previous &&
        previous < file.header.segmentNumber + Math.ceil(file.header.sizeBytes / segmentSizeBytes),
    )
    if (previous === 0 || there.has(previous) || isPart) continue
    lost.add(join(directory, segmentFileName('log', previous)), 0, 'the segment is missing')
  }
}

/** The epoch by which the first record of a segment without a header verifies. */
function findEpoch(
  { manifest, platform, shift, storeId }: Known,
  { kind, path, segmentNumber, sizeBytes }: FoundFile,
  files: readonly FoundFile[],
): number | undefined {
  const epochs = new Set(
    files.flatMap(({ header }) => (header === undefined ? [] : [header.epoch])),
  )
  if (manifest !== undefined) epochs.add(manifest.epoch)
  // A value is told by the record that refers to it.
  if (kind === 'value') return manifest?.epoch ?? Math.max(...epochs)
  for (const epoch of epochs) {
    const file = platform.openFile(path, 'read')
    try {
      const identity = { storeId, shift, segmentNumber, epoch }
      const found = new SegmentReader(file, identity, sizeBytes).look(firstRecordOffset)
      if (found === lookRecord || found === lookLarge) return epoch
    } finally {
      file.close()
    }
  }
  return undefined
}

function isAllZero(platform: Platform, path: string): boolean {
  return readWhole(platform, path).every((byte) => byte === 0)
}

/** An update that a killed process left half made: its record lies whole in the control file. */
function readMended(directory: string): MendedRecord | undefined {
  const platform = createFilePlatform()
  const paths = [controlFileName, slotsFileName].map((name) => join(directory, name))
  if (!paths.every((path) => platform.exists(path))) return undefined
  const [controlFile, slotsFile] = paths.map((path) => platform.openFile(path, 'read'))
  if (controlFile.sizeBytes() < controlSizeBytes) return undefined
  const control = new Control(controlFile, 'private', undefined)
  const slots = new SlotTable(slotsFile, 'private', undefined)
  try {
    return readUnfinishedUpdate({ control, slots })
  } finally {
    control.close()
    slots.region.close()
  }
}

function commonStoreId(files: readonly FoundFile[]): Uint8Array | undefined {
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
function commonShift(files: readonly FoundFile[]): number {
  const sizes = files.flatMap(({ header, kind }) =>
    header === undefined || kind === 'value' ? [] : [header.sizeBytes],
  )
  return segmentShift(Math.min(2 ** 30, ...sizes))
}

function attempt<T>(path: string, noted: Problems, read: (path: string) => T): T | undefined {
  try {
    return read(path)
  } catch (error) {
    if (error instanceof StoreError) {
      noted.add(path, error.details.address ?? 0, error.details.what ?? error.message)
    } else if (systemErrorCode(error) === undefined) {
      throw error
    } else {
      noted.addFailure(path, 0, error)
    }
    return undefined
  }
}

function attemptQuietly<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if (error instanceof StoreError) return undefined
    throw error
  }
}

function isSameId(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => b[index] === byte)
}
