/**
 * The directory that a backup is made in: empty, or with an older backup of the same store that
 * nobody has opened for writing since.
 */
import { existsSync, realpathSync } from 'node:fs'
import { basename, dirname, join, sep } from 'node:path'
import { StoreError } from '../base/errors.js'
import { shown } from '../base/shown.js'
import {
  backgroundFileName,
  checkpointLockFileName,
  compactFileName,
  isAttachmentFileName,
  isPreparedFileName,
  lifecycleFileName,
  lockFileName,
  manifestFileName,
  manifestNextFileName,
  parseSegmentFileName,
  superblockFileName,
  superblockNextFileName,
} from '../format/file-names.js'
import type { Manifest, ManifestSegment } from '../format/manifest.js'
import {
  decodeSegmentHeader,
  type SegmentHeader,
  segmentHeaderSizeBytes,
} from '../format/segment-header.js'
import { isSameId, type Superblock } from '../format/superblock.js'
import { createFilePlatform } from '../platform/file-platform.js'
import { loadLibc } from '../platform/libc.js'
import { createMmapPlatform } from '../platform/mmap-platform.js'
import type { Lock, Platform } from '../platform/platform.js'
import { thisHolder } from '../recovery/session.js'
import { readManifest, readSuperblock } from '../recovery/store-files.js'

/** A file is written under this name beside its own, and renamed when it is whole. */
export const copySuffix = '.copy'

/** Names that reading a backup leaves in it. */
const harmlessNames = [
  lockFileName,
  lifecycleFileName,
  backgroundFileName,
  checkpointLockFileName,
  compactFileName,
  'lock.claim',
]

export interface BackupTarget {
  readonly platform: Platform
  readonly directory: string
  /** Undefined for a first backup, and where that was cut short. */
  readonly superblock: Superblock | undefined
  readonly manifest: Manifest | undefined
  /** What the manifest names, by number. */
  readonly named: ReadonlyMap<number, ManifestSegment>
  /** Headers of the segment files that are there, by name. */
  readonly headers: ReadonlyMap<string, SegmentHeader>
  readonly lock: Lock
}

/** Throws a RangeError where `target` would lie among the files of the store in `directory`. */
export function requireOutside(directory: string, target: string): void {
  if (!realPath(target).startsWith(realPath(directory) + sep)) return
  throw new RangeError(
    `the target is ${shown(target)}, inside the store ${shown(directory)}; accepted: a directory outside it`,
  )
}

/** Without symbolic links, as far as there is something at the path. */
function realPath(path: string): string {
  const parent = dirname(path)
  if (existsSync(path)) return realpathSync(path)
  return parent === path ? path : join(realPath(parent), basename(path))
}

/** For the files of a backup: nothing is mapped, but locks are as those of stores. */
export function backupPlatform(): Platform {
  const libc = loadLibc()
  return libc === undefined ? createFilePlatform() : createMmapPlatform(libc)
}

/** Throws `STORE_EXISTS`, and changes nothing, where the directory has something else in it. */
export function openTarget(directory: string, storeId: Uint8Array): BackupTarget {
  const platform = backupPlatform()
  if (platform.exists(directory)) {
    if (!platform.isDirectory(directory)) throw occupied(directory, 'it is a file')
    surveyTarget(platform, directory, storeId)
  } else {
    platform.createDirectory(directory)
  }
  // As a store's: who opens the backup meanwhile is told so.
  const lock = platform.lock(join(directory, lockFileName), 'write', thisHolder())
  try {
    return { platform, directory, lock, ...surveyTarget(platform, directory, storeId) }
  } catch (error) {
    lock.release()
    throw error
  }
}

function surveyTarget(
  platform: Platform,
  directory: string,
  storeId: Uint8Array,
): Pick<BackupTarget, 'superblock' | 'manifest' | 'named' | 'headers'> {
  const names = platform.list(directory)
  for (const name of names) {
    if (!isBackupName(name)) throw occupied(directory, `there is a file ${name}`)
  }
  const superblock = names.includes(superblockFileName)
    ? readSuperblock(platform, directory, true)
    : undefined
  if (superblock !== undefined && !isSameId(superblock.storeId, storeId)) {
    throw occupied(directory, 'there is another store')
  }
  const manifest = readManifest(platform, directory, storeId)
  const headers = new Map<string, SegmentHeader>()
  for (const name of names) {
    if (parseSegmentFileName(name) === undefined) continue
    const header = readHeader(platform, join(directory, name))
    if (header === undefined || !isSameId(header.storeId, storeId)) {
      // Of an older backup of this store it is copied again.
      if (superblock !== undefined) continue
      throw occupied(directory, `${name} is not of this store`)
    }
    if (manifest !== undefined && header.epoch >= manifest.epoch) {
      throw occupied(directory, 'the backup in it was opened for writing since it was made')
    }
    headers.set(name, header)
  }
  const named = new Map(manifest?.segments.map((segment) => [segment.segmentNumber, segment]))
  return { superblock, manifest, named, headers }
}

function isBackupName(name: string): boolean {
  const ownNames = [
    superblockFileName,
    superblockNextFileName,
    manifestFileName,
    manifestNextFileName,
  ]
  const ofSegment = name.endsWith(copySuffix) ? name.slice(0, -copySuffix.length) : name
  return (
    ownNames.includes(name) ||
    harmlessNames.includes(name) ||
    parseSegmentFileName(ofSegment) !== undefined ||
    (isAttachmentFileName(name) && !isPreparedFileName(name))
  )
}

/** Undefined where it is none. */
function readHeader(platform: Platform, path: string): SegmentHeader | undefined {
  const file = platform.openFile(path, 'read')
  try {
    const bytes = new Uint8Array(segmentHeaderSizeBytes)
    return decodeSegmentHeader(bytes.subarray(0, file.read(bytes, 0)), path)
  } catch (error) {
    if (error instanceof StoreError) return undefined
    throw error
  } finally {
    file.close()
  }
}

export function occupied(directory: string, what: string): StoreError {
  return new StoreError('STORE_EXISTS', `no backup can be made in ${directory}: ${what}`, {
    details: { file: directory, what },
  })
}
