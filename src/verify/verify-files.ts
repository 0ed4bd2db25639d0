/** Verifying the small files, and the headers of all segments. */
import { join } from 'node:path'
import { checksumBytes } from '../base/checksum.js'
import { StoreError } from '../base/errors.js'
import { checkpointIds, readCheckpointHeader } from '../engine/checkpoints.js'
import {
  checkpointFileName,
  manifestFileName,
  segmentFileName,
  superblockFileName,
} from '../format/file-names.js'
import { decodeManifest, type Manifest, segmentKindDropped } from '../format/manifest.js'
import {
  decodeSegmentHeader,
  type SegmentHeader,
  segmentHeaderSizeBytes,
  segmentKindLog,
} from '../format/segment-header.js'
import { decodeSuperblock, isSameId, superblockSizeBytes } from '../format/superblock.js'
import type { Platform } from '../platform/platform.js'
import { readWhole } from '../platform/whole-file.js'
import { readChunks } from '../recovery/checkpoint-reader.js'
import type { Problems } from './problems.js'

/** A segment that must be there. */
export interface ExpectedSegment {
  readonly path: string
  readonly segmentNumber: number
  readonly epoch: number
  readonly kind: number
  readonly sizeBytes: number
  /** Number of the log segment before; 0 for the first of an epoch. */
  readonly previousSegment: number
  /** Where its records end, where that is known. */
  readonly endBytes: number | undefined
}

export function verifySuperblock(
  platform: Platform,
  directory: string,
  storeId: Uint8Array,
  problems: Problems,
): void {
  const path = join(directory, superblockFileName)
  let bytes: Uint8Array
  try {
    bytes = readWhole(platform, path)
  } catch (error) {
    problems.addFailure(path, 0, error)
    return
  }
  const copySizeBytes = superblockSizeBytes / 2
  for (const start of [0, copySizeBytes]) {
    const copy = bytes.slice(start, start + copySizeBytes)
    const checksumOffset = copySizeBytes - 4
    const isWhole =
      copy.byteLength === copySizeBytes &&
      checksumBytes(copy.subarray(0, checksumOffset), 0) ===
        new DataView(copy.buffer).getInt32(checksumOffset, true)
    if (!isWhole) problems.add(path, start, 'a copy of the superblock does not verify')
  }
  say(problems, path, () => {
    const superblock = decodeSuperblock(bytes, path, true)
    if (!isSameId(superblock.storeId, storeId)) {
      problems.add(path, 40, 'the superblock is of another store')
    }
  })
}

/** Undefined where it does not verify. */
export function verifyManifest(
  platform: Platform,
  directory: string,
  storeId: Uint8Array,
  problems: Problems,
): Manifest | undefined {
  const path = join(directory, manifestFileName)
  return say(problems, path, () => {
    const manifest = decodeManifest(readWhole(platform, path), path)
    if (isSameId(manifest.storeId, storeId)) return manifest
    problems.add(path, 8, 'the manifest is of another store')
    return undefined
  })
}

/** Every chunk of every checkpoint of the store: a step for each file. */
export function* verifyCheckpoints(
  platform: Platform,
  directory: string,
  storeId: Uint8Array,
  problems: Problems,
): Generator<void, void> {
  for (const id of checkpointIds(platform, directory)) {
    const path = join(directory, checkpointFileName(id))
    yield
    try {
      for (const isOwn of checkCheckpoint(platform, path, storeId)) {
        if (!isOwn) break
        yield
      }
    } catch (error) {
      // Pruned meanwhile.
      if (!platform.exists(path)) continue
      const details = error instanceof StoreError ? error.details : undefined
      if (details === undefined) problems.addFailure(path, 0, error)
      else problems.add(path, details.address ?? 0, details.what ?? String(error))
    }
  }
}

/** True for each chunk that is read; false, and no more, for a file of another store. */
function* checkCheckpoint(
  platform: Platform,
  path: string,
  storeId: Uint8Array,
): Generator<boolean, void> {
  const file = platform.openFile(path, 'read')
  try {
    const header = readCheckpointHeader(file)
    if (!isSameId(header.storeId, storeId)) yield false
    for (const _ of readChunks(file, header)) yield true
  } finally {
    file.close()
  }
}

/** True where the segment is what it must be and as long as it says. */
export function verifyHeader(
  platform: Platform,
  expected: ExpectedSegment,
  storeId: Uint8Array,
  problems: Problems,
): boolean {
  const { path } = expected
  const before = problems.count
  say(problems, path, () => {
    const file = platform.openFile(path, 'read')
    try {
      const bytes = new Uint8Array(segmentHeaderSizeBytes)
      const read = file.read(bytes, 0)
      compareHeader(decodeSegmentHeader(bytes.subarray(0, read), path), expected, storeId, problems)
      const sizeBytes = file.sizeBytes()
      if (sizeBytes < expected.sizeBytes) problems.add(path, sizeBytes, 'the file is cut short')
    } finally {
      file.close()
    }
  })
  return problems.count === before
}

function compareHeader(
  header: SegmentHeader,
  expected: ExpectedSegment,
  storeId: Uint8Array,
  problems: Problems,
): void {
  const { path } = expected
  if (!isSameId(header.storeId, storeId)) problems.add(path, 8, 'the segment is of another store')
  if (header.segmentNumber !== expected.segmentNumber) {
    problems.add(path, 24, `the segment is number ${header.segmentNumber} under another name`)
  }
  if (header.epoch !== expected.epoch) {
    problems.add(path, 32, `the segment is of epoch ${header.epoch}, not ${expected.epoch}`)
  }
  if (header.sizeBytes !== expected.sizeBytes) {
    problems.add(path, 56, `the segment has ${header.sizeBytes} bytes, not ${expected.sizeBytes}`)
  }
  if (header.kind !== expected.kind) {
    problems.add(path, 64, 'the segment is of another kind than its name')
  }
}

/** What the manifest names must be what there is. */
export function compareManifest(
  directory: string,
  manifest: Manifest,
  expected: readonly ExpectedSegment[],
  dropped: ReadonlySet<number>,
  problems: Problems,
): void {
  const byNumber = new Map(expected.map((segment) => [segment.segmentNumber, segment]))
  for (const { segmentNumber, epoch, kind } of manifest.segments) {
    const segment = byNumber.get(segmentNumber)
    const name = segmentFileName(kind === segmentKindLog ? 'log' : 'value', segmentNumber)
    if (kind === segmentKindDropped || dropped.has(segmentNumber)) continue
    if (segment === undefined) {
      problems.add(
        join(directory, name),
        0,
        'the manifest names it, and the store does not have it',
      )
    } else if (segment.epoch !== epoch || segment.kind !== kind) {
      problems.add(join(directory, name), 0, 'the manifest says another epoch or kind of it')
    }
  }
}

/** Runs `look`; what it throws of damage, or of the system, is a problem. */
function say<T>(problems: Problems, path: string, look: () => T): T | undefined {
  try {
    return look()
  } catch (error) {
    if (!(error instanceof StoreError)) {
      problems.addFailure(path, 0, error)
    } else {
      const { address, what } = error.details
      problems.add(path, address ?? 0, what ?? error.message)
    }
    return undefined
  }
}
