/**
 * What can still be told of a store whose files may be damaged or missing: who it is, and which of its
 * segments count. What one file no longer says is taken from the others.
 */
import { join } from 'node:path'
import { StoreError } from '../base/errors.js'
import { Control } from '../control/control.js'
import { controlSizeBytes, epochDouble } from '../format/control-layout.js'
import {
  controlFileName,
  manifestFileName,
  segmentFileName,
  slotsFileName,
  superblockFileName,
} from '../format/file-names.js'
import { decodeManifest, type Manifest } from '../format/manifest.js'
import { segmentKindLog } from '../format/segment-header.js'
import {
  decodeSuperblock,
  hasIntactSuperblock,
  isSameId,
  type Superblock,
} from '../format/superblock.js'
import type { MendedRecord } from '../log/segment-reader.js'
import { SlotTable } from '../log/slot-table.js'
import { createFilePlatform } from '../platform/file-platform.js'
import type { Platform } from '../platform/platform.js'
import { syncedAddress } from '../recovery/recover-by-replay.js'
import { readUnfinishedUpdate } from '../recovery/unfinished-update.js'
import { isSigned } from '../recovery/volatile-parts.js'
import type { Problems } from '../verify/problems.js'
import { verifySuperblock } from '../verify/verify-files.js'
import {
  commonShift,
  commonStoreId,
  type FoundSegment,
  findEpoch,
  findSegments,
} from './found-segments.js'
import { openPatiently } from './patient-file.js'

export interface SalvageSegment {
  readonly path: string
  readonly segmentNumber: number
  readonly epoch: number
  readonly sizeBytes: number
  /** What the file is to have, which may be more. */
  readonly wholeSizeBytes: number
  /** Where its records end, if the manifest says so. */
  readonly endBytes: number | undefined
  /** A record of this sequence or a higher one is of an end that a recovery cut. */
  readonly cutSequence: number
}

export interface DamagedStore {
  readonly directory: string
  readonly storeId: Uint8Array
  /** log2 of the 8-byte words in a segment. */
  readonly shift: number
  /** Address below which everything survived a sync, as far as that is known. */
  readonly durable: number
  /** In order of number. */
  readonly log: readonly SalvageSegment[]
  /** By number. Which value is whose, and of which epoch, the records say that refer to them. */
  readonly values: ReadonlyMap<number, FoundSegment>
  readonly mended: MendedRecord | undefined
}

/** Where to say what is gone, and what is damaged and could be made up for. */
export interface Findings {
  readonly lost: Problems
  readonly noted: Problems
}

interface Known {
  readonly platform: Platform
  readonly directory: string
  readonly storeId: Uint8Array
  readonly shift: number
  readonly manifest: Manifest | undefined
  /** Segments of this store, with the number that is theirs. */
  readonly files: readonly FoundSegment[]
}

/**
 * Throws `STORE_NOT_FOUND` where there is nothing of a store, `STORE_FORMAT` where it is of a format
 * that this version does not know.
 */
export function readDamagedStore(
  platform: Platform,
  directory: string,
  findings: Findings,
): DamagedStore {
  const { noted } = findings
  const found = findSegments(platform, directory, findings.lost)
  const superblock = readSuperblock(platform, directory, noted)
  const manifestPath = join(directory, manifestFileName)
  const manifest = attempt(manifestPath, noted, () =>
    decodeManifest(readPatiently(platform, manifestPath, noted), manifestPath),
  )
  const storeId = superblock?.storeId ?? manifest?.storeId ?? commonStoreId(found)
  if (storeId === undefined) {
    throw new StoreError('STORE_NOT_FOUND', `there is nothing of a store in ${directory}`, {
      details: { file: directory },
    })
  }
  const shift = superblock?.segmentShift ?? commonShift(found)
  const files = ownSegments(found, storeId, noted)
  const own = { platform, directory, storeId, shift, files }
  const known = { ...own, manifest: believedManifest(manifest, own, noted) }
  const control = attempt(join(directory, controlFileName), noted, () => readControl(known))
  const durable = Math.max(known.manifest?.durable ?? 0, control?.durable ?? 0)
  return {
    directory,
    storeId,
    shift,
    durable,
    ...chooseSegments({ ...known, durable }, findings),
    mended: control?.mended,
  }
}

function readSuperblock(
  platform: Platform,
  directory: string,
  noted: Problems,
): Superblock | undefined {
  const path = join(directory, superblockFileName)
  const bytes = attempt(path, noted, () => readPatiently(platform, path, noted))
  if (bytes === undefined) return undefined
  // Not damaged, but perhaps of another version: its records are not to be guessed at.
  if (hasIntactSuperblock(bytes)) {
    const superblock = decodeSuperblock(bytes, path, true)
    verifySuperblock(platform, directory, superblock.storeId, noted)
    return superblock
  }
  return attempt(path, noted, () => decodeSuperblock(bytes, path, true))
}

function readPatiently(platform: Platform, path: string, problems: Problems): Uint8Array {
  const file = openPatiently(platform, path, problems)
  try {
    const bytes = new Uint8Array(file.sizeBytes())
    return bytes.subarray(0, file.read(bytes, 0))
  } finally {
    file.close()
  }
}

/** A header that verifies knows better than a name, which may have been given by hand. */
function ownSegments(
  found: readonly FoundSegment[],
  storeId: Uint8Array,
  noted: Problems,
): FoundSegment[] {
  const own: FoundSegment[] = []
  for (const file of found) {
    const { header, path } = file
    if (header !== undefined && !isSameId(header.storeId, storeId)) {
      noted.add(path, 8, 'it is of another store and left out')
      continue
    }
    const segmentNumber = header?.segmentNumber ?? file.segmentNumber
    if (segmentNumber !== file.segmentNumber) noted.add(path, 24, 'it has the name of another one')
    if (header === undefined) noted.add(path, 0, 'its header is damaged')
    own.push({ ...file, segmentNumber })
  }
  return own
}

/** Undefined where it does not speak of the segments that are there. */
function believedManifest(
  manifest: Manifest | undefined,
  { directory, files, storeId }: Omit<Known, 'manifest'>,
  noted: Problems,
): Manifest | undefined {
  if (manifest === undefined) return undefined
  const path = join(directory, manifestFileName)
  if (!isSameId(manifest.storeId, storeId)) {
    noted.add(path, 8, 'it is of another store and left out')
    return undefined
  }
  // An epoch stands in a manifest before the first segment has it.
  if (files.some(({ header }) => header !== undefined && header.epoch > manifest.epoch)) {
    noted.add(path, 24, 'it is older than the segments')
    return undefined
  }
  return manifest
}

function chooseSegments(
  known: Known & { readonly durable: number },
  { lost, noted }: Findings,
): Pick<DamagedStore, 'log' | 'values'> {
  const { directory, files, manifest } = known
  const named = new Map(manifest?.segments.map((segment) => [segment.segmentNumber, segment]))
  const log: SalvageSegment[] = []
  const values = new Map<number, FoundSegment>()
  for (const file of files) {
    const { header, kind, path, segmentNumber, sizeBytes } = file
    const entry = named.get(segmentNumber)
    named.delete(segmentNumber)
    if (kind === 'value') {
      if (header !== undefined || !values.has(segmentNumber)) values.set(segmentNumber, file)
      continue
    }
    const isDead =
      manifest !== undefined && entry === undefined && segmentNumber < manifest.nextSegmentNumber
    if (isDead) continue
    const epoch = header?.epoch ?? entry?.epoch ?? epochOf(known, file, lost)
    if (epoch === undefined) {
      lost.add(path, 0, 'no record in it verifies')
      continue
    }
    const isAbandoned = manifest !== undefined && epoch !== (entry?.epoch ?? manifest.epoch)
    if (isAbandoned) continue
    log.push({
      path,
      segmentNumber,
      epoch,
      sizeBytes,
      wholeSizeBytes: header?.sizeBytes ?? Math.max(sizeBytes, 2 ** known.shift * 8),
      endBytes: entry?.endBytes,
      cutSequence: cutSequenceOf(epoch, files),
    })
  }
  for (const { kind, segmentNumber } of named.values()) {
    // Of a value that is missing the record tells that refers to it.
    if (kind !== segmentKindLog) continue
    const path = join(directory, segmentFileName('log', segmentNumber))
    lost.add(path, 0, 'the segment is missing')
  }
  log.sort((a, b) => a.segmentNumber - b.segmentNumber)
  noteGaps(known, log, lost)
  if (!named.has(numberOf(known.durable, known.shift))) noteLostEnd(known, log, lost)
  if (manifest === undefined && log.some(({ epoch }) => epoch !== log[0].epoch)) {
    const path = join(directory, manifestFileName)
    noted.add(path, 0, 'without it, what a recovery cut is told by sequences alone')
  }
  return { log, values }
}

/** Every epoch says which sequence was the last one that was believed. */
function cutSequenceOf(epoch: number, files: readonly FoundSegment[]): number {
  const later = files.flatMap(({ header }) =>
    header !== undefined && header.epoch > epoch ? [header.sequenceBefore + 1] : [],
  )
  return later.reduce((least, sequence) => Math.min(least, sequence), Number.POSITIVE_INFINITY)
}

/** Segments that the manifest does not name yet are known by those behind them. */
function noteGaps(
  { directory, files, manifest, shift }: Known,
  log: readonly SalvageSegment[],
  lost: Problems,
): void {
  const there = new Set(log.map(({ segmentNumber }) => segmentNumber))
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

/** The segment that syncs had come to is known by how far they had come. */
function noteLostEnd(
  { directory, durable, shift }: Known & { readonly durable: number },
  log: readonly SalvageSegment[],
  lost: Problems,
): void {
  const isThere = log.some(({ segmentNumber, wholeSizeBytes }) => {
    const offset = durable - segmentNumber * 2 ** shift
    return offset >= 0 && offset * 8 <= wholeSizeBytes
  })
  if (durable === 0 || isThere) return
  const path = join(directory, segmentFileName('log', numberOf(durable, shift)))
  lost.add(path, 0, 'the segment is missing')
}

/** Of the segment, or part of one, that what lies before an address is in. */
function numberOf(address: number, shift: number): number {
  return Math.floor((address - 1) / 2 ** shift)
}

function epochOf(
  { files, manifest, platform, shift, storeId }: Known,
  { path, segmentNumber }: FoundSegment,
  lost: Problems,
): number | undefined {
  const epochs = new Set(
    files.flatMap(({ header }) => (header === undefined ? [] : [header.epoch])),
  )
  if (manifest !== undefined) epochs.add(manifest.epoch)
  const file = openPatiently(platform, path, lost)
  try {
    return findEpoch(file, { storeId, shift, segmentNumber }, epochs)
  } finally {
    file.close()
  }
}

/** What an earlier boot, or a killed process, left in the control file: see recovery/recover-by-replay.ts. */
function readControl({
  directory,
  manifest,
  shift,
  storeId,
}: Known): Pick<DamagedStore, 'durable' | 'mended'> | undefined {
  const platform = createFilePlatform()
  const paths = [controlFileName, slotsFileName].map((name) => join(directory, name))
  if (!paths.every((path) => platform.exists(path))) return undefined
  const [controlFile, slotsFile] = paths.map((path) => platform.openFile(path, 'read'))
  try {
    if (controlFile.sizeBytes() < controlSizeBytes) return undefined
    const control = new Control(controlFile, 'private', undefined)
    const slots = new SlotTable(slotsFile, 'private', undefined)
    const epoch = control.doubles[epochDouble]
    if (!isSigned({ control }, storeId) || epoch !== (manifest?.epoch ?? epoch)) return undefined
    return {
      durable: syncedAddress(control, shift),
      mended: readUnfinishedUpdate({ control, slots }),
    }
  } finally {
    controlFile.close()
    slotsFile.close()
  }
}

/** What cannot be had because it is damaged or cannot be read is said, and undefined. */
function attempt<T>(path: string, noted: Problems, read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if (error instanceof StoreError) {
      noted.add(path, error.details.address ?? 0, error.details.what ?? error.message)
    } else {
      noted.addFailure(path, 0, error)
    }
    return undefined
  }
}
