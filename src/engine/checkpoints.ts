/**
 * The checkpoints that lie in a store's directory: which there are, what each leads into, and taking
 * old ones away.
 */
import { join } from 'node:path'
import { StoreError, systemErrorCode } from '../base/errors.js'
import {
  type CheckpointHeader,
  type CheckpointSegment,
  checkpointHeaderSizeBytes,
  chunkElementsMax,
  chunkHeaderSizeBytes,
  decodeCheckpointHeader,
  decodeCheckpointSegment,
  elementSizeBytes,
} from '../format/checkpoint.js'
import { checkpointFileName, parseCheckpointFileName } from '../format/file-names.js'
import { kindValue } from '../log/slot-table.js'
import type { Platform, PlatformFile } from '../platform/platform.js'
import type { Engine } from './engine.js'

/** A checkpoint: a place from which the next recovery on another boot can begin. */
export interface CheckpointInfo {
  /** Rises, and never comes twice in the life of a store. */
  readonly id: number
  /** Of the last commit that it has. */
  readonly sequence: number
  /** Address of the log behind what it has; replay begins there. */
  readonly address: number
  /** Live keys that it has. */
  readonly records: number
  /** Size of its file. */
  readonly bytes: number
  /** Wall clock, milliseconds since 1970. */
  readonly createdAtMs: number
}

export function infoOf(header: CheckpointHeader): CheckpointInfo {
  const { address, createdAtMs, namedRecords, sequence, sizeBytes } = header
  return { id: address, sequence, address, records: namedRecords, bytes: sizeBytes, createdAtMs }
}

/** Ids by the names of files, the newest first. Whether any of them is whole is not looked at. */
export function checkpointIds(platform: Platform, directory: string): number[] {
  return platform
    .list(directory)
    .flatMap((name) => parseCheckpointFileName(name) ?? [])
    .sort((a, b) => b - a)
}

/**
 * Those of this store whose header is whole, the oldest first.
 * Cost: a few system calls for each; the rest of the file is not read.
 */
export function listCheckpoints({ directory, log, platform }: Engine): CheckpointInfo[] {
  return checkpointIds(platform, directory)
    .flatMap((id) => readOwnHeader(platform, directory, log.storeId, id) ?? [])
    .map(infoOf)
    .reverse()
}

/** The newest one of this store whose header is whole. */
export function newestHeader(
  platform: Platform,
  directory: string,
  storeId: Uint8Array,
): CheckpointHeader | undefined {
  for (const id of checkpointIds(platform, directory)) {
    const header = readOwnHeader(platform, directory, storeId, id)
    if (header !== undefined) return header
  }
  return undefined
}

/**
 * Removes all but the newest `keep` of those that {@link listCheckpoints} gives, and what is damaged and
 * of this store. Returns those that were removed, the oldest first. They are gone for good when it
 * returns: a crash does not bring one back that leads into a segment which was dropped meanwhile.
 */
export function pruneCheckpoints(engine: Engine, keep: number): CheckpointInfo[] {
  engine.requireWritable()
  return removeOld(engine, keep)
}

/** {@link pruneCheckpoints}, also within a close. */
export function removeOld(engine: Engine, keep: number): CheckpointInfo[] {
  const { directory, log, platform } = engine
  const removed: CheckpointInfo[] = []
  let kept = 0
  let isChanged = false
  for (const id of checkpointIds(platform, directory)) {
    const header = readOwnHeader(platform, directory, log.storeId, id)
    if (header !== undefined && kept++ < keep) continue
    // Not to be told from somebody else's file: it stays.
    if (header === undefined && !isDamagedOwn(platform, directory, log.storeId, id)) continue
    if (!removeIfThere(platform, join(directory, checkpointFileName(id)))) continue
    isChanged = true
    if (header !== undefined) removed.push(infoOf(header))
  }
  if (isChanged) platform.syncDirectory(directory)
  return removed.reverse()
}

/**
 * The checkpoints of which an entry leads into a segment, by the number of its first part, or whose marker
 * lies there: such a one is of no use where the segment is gone. So before a segment is dropped there must
 * be one that does not, and those that do must have been pruned.
 */
export function checkpointsReferring(engine: Engine, segmentNumber: number): CheckpointInfo[] {
  const { directory, log, platform } = engine
  return checkpointIds(platform, directory).flatMap((id) => {
    const header = readOwnHeader(platform, directory, log.storeId, id)
    if (header === undefined) return []
    const segments = readSegments(platform, join(directory, checkpointFileName(id)), header)
    const parts = Math.ceil(
      (segments.find((segment) => segment.segmentNumber === segmentNumber)?.sizeBytes ?? 0) /
        log.segmentSizeBytes,
    )
    const markerNumber = Math.floor(header.marker / log.segmentWords)
    const isReferring = segments.some(
      (segment) =>
        segment.segmentNumber >= segmentNumber &&
        segment.segmentNumber < segmentNumber + Math.max(1, parts) &&
        (isReferredTo(segment) || segment.segmentNumber === markerNumber),
    )
    return isReferring ? [infoOf(header)] : []
  })
}

/** True where something live at the checkpoint lies in the segment. */
export function isReferredTo({ deadBytes, entries, kind, sizeBytes }: CheckpointSegment): boolean {
  return kind === kindValue ? deadBytes < sizeBytes : entries > 0
}

/** Undefined where it is not whole, not this store's, or gone meanwhile. */
function readOwnHeader(
  platform: Platform,
  directory: string,
  storeId: Uint8Array,
  id: number,
): CheckpointHeader | undefined {
  const path = join(directory, checkpointFileName(id))
  try {
    return withFile(platform, path, (file) => {
      const header = readCheckpointHeader(file)
      return isSameId(header.storeId, storeId) && header.address === id ? header : undefined
    })
  } catch (error) {
    if (error instanceof StoreError || systemErrorCode(error) === 'ENOENT') return undefined
    throw error
  }
}

/** True for a file of this store by its first bytes, whose header is damaged all the same. */
function isDamagedOwn(
  platform: Platform,
  directory: string,
  storeId: Uint8Array,
  id: number,
): boolean {
  const path = join(directory, checkpointFileName(id))
  if (!platform.exists(path)) return false
  return withFile(platform, path, (file) => {
    const bytes = new Uint8Array(24)
    file.read(bytes, 0)
    return isSameId(bytes.subarray(8), storeId)
  })
}

export function readCheckpointHeader(file: PlatformFile): CheckpointHeader {
  const bytes = new Uint8Array(checkpointHeaderSizeBytes)
  return decodeCheckpointHeader(bytes.subarray(0, file.read(bytes, 0)), file.path)
}

/** The segments by slot, unverified. */
function readSegments(
  platform: Platform,
  path: string,
  { slotCount }: CheckpointHeader,
): CheckpointSegment[] {
  return withFile(platform, path, (file) => {
    const found: CheckpointSegment[] = []
    let position = checkpointHeaderSizeBytes
    for (let first = 0; first < slotCount; first += chunkElementsMax) {
      const count = Math.min(chunkElementsMax, slotCount - first)
      const bytes = new Uint8Array(count * elementSizeBytes)
      file.read(bytes, position + chunkHeaderSizeBytes)
      const view = new DataView(bytes.buffer)
      for (let index = 0; index < count; index++) {
        found.push(decodeCheckpointSegment(view, index * elementSizeBytes))
      }
      position += chunkHeaderSizeBytes + bytes.byteLength
    }
    return found
  })
}

function withFile<T>(platform: Platform, path: string, read: (file: PlatformFile) => T): T {
  const file = platform.openFile(path, 'read')
  try {
    return read(file)
  } finally {
    file.close()
  }
}

function removeIfThere(platform: Platform, path: string): boolean {
  try {
    platform.remove(path)
    return true
  } catch (error) {
    // Pruned by another one at the same time.
    if (systemErrorCode(error) === 'ENOENT') return false
    throw error
  }
}

function isSameId(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => b[index] === byte)
}
