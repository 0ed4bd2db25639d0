/**
 * Opening a store, as a story: find it or make it, lock it, decide whether memory is as the last
 * instruction left it, and recover the one way or the other. Nothing is modified before everything
 * that could refuse the store has been looked at (I12).
 */
import { randomBytes } from 'node:crypto'
import { join, resolve } from 'node:path'
import {
  corrupt,
  notWritableCodes,
  StoreError,
  systemErrorCode,
  wrongFormat,
} from '../base/errors.js'
import { type Engine, nothingReplayed } from '../engine/engine.js'
import { leave } from '../engine/exclusive.js'
import { adoptTime } from '../engine/expiry.js'
import { adoptRemembered } from '../engine/remember.js'
import { sweepDropped } from '../engine/sweep-keyspaces.js'
import { segmentShift } from '../format/address.js'
import * as layout from '../format/control-layout.js'
import {
  backgroundFileName,
  buildFileName,
  checkpointLockFileName,
  checkpointNextFileName,
  compactFileName,
  isAttachmentFileName,
  lifecycleFileName,
  lockFileName,
  manifestFileName,
  manifestNextFileName,
  parseCheckpointFileName,
  parseSegmentFileName,
  superblockFileName,
  superblockNextFileName,
  volatileFileNames,
} from '../format/file-names.js'
import type { Manifest } from '../format/manifest.js'
import { type Superblock, segmentSizeOf } from '../format/superblock.js'
import { createFilePlatform } from '../platform/file-platform.js'
import { unmappableFileSystem } from '../platform/file-system.js'
import { libcFailure, loadLibc } from '../platform/libc.js'
import { createMemfdPlatform, joinMemfdPlatform } from '../platform/memfd-platform.js'
import { createMemoryPlatform } from '../platform/memory-platform.js'
import { createMmapPlatform } from '../platform/mmap-platform.js'
import type { MapAccess, MemoryHandle, Platform } from '../platform/platform.js'
import { attachToLive } from './attach.js'
import { decide, type Facts, manifestRows } from './decision.js'
import { makeEngine, type OpenOptions, type StoreFiles, startLog } from './make-engine.js'
import { refuseOtherDatabase } from './other-databases.js'
import { recoverByReplay } from './recover-by-replay.js'
import { openFromMemory } from './recover-on-same-boot.js'
import {
  beginSession,
  countOpening,
  OpeningsWatch,
  type SessionPlace,
  takeStoreLock,
  thisHolder,
  underLifecycle,
} from './session.js'
import { readManifest, readSuperblock, readWhole, writeSuperblock } from './store-files.js'
import { createVolatileParts } from './volatile-parts.js'

export const memoryPath = ':memory:'
const segmentSizeBytesDefault = 64 * 2 ** 20

/** `memory`: what leads to a store that another thread has in memory; the path is its then. */
export function openStore(path: string, options: OpenOptions, memory?: MemoryHandle): Engine {
  const startedAtMs = performance.now()
  if (memory !== undefined) return joinInMemory(memory, options, startedAtMs)
  if (path === memoryPath) return openInMemory(options, startedAtMs)
  const directory = resolve(path)
  try {
    return openDirectory(directory, options, startedAtMs)
  } catch (error) {
    throw options.readOnly ? error : asReadOnly(error, directory)
  }
}

function openDirectory(directory: string, options: OpenOptions, startedAtMs: number): Engine {
  return openFiles(choosePlatform(directory, options), directory, options, startedAtMs)
}

/** Opens a store on a platform that the caller made, in a directory of that. */
export function openOn(platform: Platform, directory: string, options: OpenOptions): Engine {
  return openFiles(platform, directory, options, performance.now())
}

function openFiles(
  platform: Platform,
  directory: string,
  options: OpenOptions,
  startedAtMs: number,
): Engine {
  const exists = findStore(platform, directory, options)
  // Looked at before a lock file is made or written: what is not a store stays as it is.
  if (exists) readSuperblock(platform, directory, options.readOnly)
  const place: SessionPlace = {
    platform,
    directory,
    isWritable: !options.readOnly || platform.isWritable(directory),
    lockTimeoutMs: options.lockTimeoutMs,
  }
  return platform.isShared
    ? underLifecycle(place, () => openShared(place, options, startedAtMs))
    : openAlone(place, options, startedAtMs)
}

/** Under the lifecycle lock: nobody attaches, detaches or recovers meanwhile. */
function openShared(place: SessionPlace, options: OpenOptions, startedAtMs: number): Engine {
  const { directory, platform } = place
  // Another one may have made the store while this one waited.
  const exists = findStore(platform, directory, options)
  const storeLock = takeStoreLock(place)
  let engine: Engine | undefined
  try {
    const access = place.isWritable ? 'shared' : 'private'
    const files = readStoreFiles(place, { options, access, exists, startedAtMs })
    engine = options.readOnly
      ? openToRead(place, files, storeLock.isAlone)
      : openToWrite(place, files, storeLock.isAlone, exists)
    engine.session = beginSession(place, storeLock, engine.attachments)
    engine.background.start()
    engine.memoryBudget.start()
    return engine
  } catch (error) {
    engine?.attachments.give()
    storeLock.lock.release()
    throw error
  }
}

function openToWrite(
  place: SessionPlace,
  files: StoreFiles,
  isAlone: boolean,
  exists: boolean,
): Engine {
  const announceChange = (isRebuild: boolean): void => countOpening(place, isRebuild)
  const counted = { ...files, announceChange }
  const opened = openFromMemory(counted, () => (isAlone ? undefined : attachToLive(files)))
  if (opened.engine?.lastRecovery.kind === 'attached') {
    adoptRemembered(opened.engine, files.options.rememberDeletesMs)
    return opened.engine
  }
  const engine = opened.engine ?? recoverByReplay(counted, exists, opened.row)
  leave(engine)
  sweepDropped(engine)
  adoptTime(engine)
  adoptRemembered(engine, files.options.rememberDeletesMs)
  return engine
}

/**
 * What is open elsewhere, or was closed or left on this boot, is read where it lies, and what a dead
 * writer began is finished where this process may do that. Otherwise the reader recovers in memory
 * of its own, leaves the files as they are, and opens again as soon as somebody wrote to them.
 */
function openToRead(place: SessionPlace, files: StoreFiles, isAlone: boolean): Engine {
  const { directory, options, platform } = files
  const openings = new OpeningsWatch(place)
  let isCopied = true
  const own: StoreFiles = {
    ...files,
    announceChange: (isRebuild) => {
      if (files.access === 'shared' && !isRebuild) countOpening(place, false)
    },
    renewal: {
      isDue: () => openings.wasRebuilt() || (isCopied && openings.wasOpened()),
      open: () => openOn(platform, directory, options),
      close: () => openings.close(),
    },
  }
  // One that is attached has files that nobody replaces.
  const followed = files.access === 'private' ? own : { ...own, renewal: undefined }
  const opened = openFromMemory(followed, () => (isAlone ? undefined : attachToLive(followed)))
  const kind = opened.engine?.lastRecovery.kind
  isCopied = kind === undefined || (files.access === 'private' && kind === 'same-boot')
  const engine = opened.engine ?? recoverByReplay({ ...own, access: 'private' }, true, opened.row)
  // Whoever opens the store to write may drop segments: a copy keeps what it has mapped.
  if (kind !== 'attached' && engine.log.access === 'private') mapAll(engine)
  if (kind !== 'attached' && (isCopied || files.access === 'shared')) {
    leave(engine)
    sweepDropped(engine)
    adoptTime(engine)
  }
  return engine
}

function mapAll({ control, log }: Engine): void {
  for (let slot = 0; slot < control.get(layout.slotEnd); slot++) {
    if (log.words[slot] === undefined && log.isInUse(slot)) log.mapSlot(slot)
  }
}

/** A store that nobody else can have open meanwhile. */
function openAlone(place: SessionPlace, options: OpenOptions, startedAtMs: number): Engine {
  const { directory, platform } = place
  const mode = options.readOnly ? 'read' : 'write'
  const lock = platform.lock(join(directory, lockFileName), mode, thisHolder())
  try {
    const exists = findStore(platform, directory, options)
    const access = options.readOnly ? 'private' : 'shared'
    const files = readStoreFiles(place, { options, access, exists, startedAtMs })
    // Whoever else had it open would have the lock.
    const opened = openFromMemory(files, () => undefined)
    const engine = opened.engine ?? recoverByReplay(files, exists, opened.row)
    sweepDropped(engine)
    adoptTime(engine)
    if (!options.readOnly) adoptRemembered(engine, options.rememberDeletesMs)
    engine.session = {
      end: (whenLast) => {
        try {
          whenLast()
        } finally {
          lock.release()
        }
      },
    }
    engine.background.start()
    engine.memoryBudget.start()
    return engine
  } catch (error) {
    lock.release()
    throw error
  }
}

function readStoreFiles(
  { directory, platform }: SessionPlace,
  wanted: {
    readonly options: OpenOptions
    readonly access: MapAccess
    readonly exists: boolean
    readonly startedAtMs: number
  },
): StoreFiles {
  const { access, exists, options, startedAtMs } = wanted
  const superblock = exists
    ? readSuperblock(platform, directory, options.readOnly)
    : createStoreFiles(platform, directory, options)
  requireSegmentSize(superblock, options)
  const manifest = readOrBeginManifest(platform, directory, superblock)
  const alone = { renewal: undefined, announceChange: (): void => undefined }
  return { platform, directory, superblock, manifest, options, access, ...alone, startedAtMs }
}

/** A directory that may not be written: the caller can still read. */
function asReadOnly(error: unknown, directory: string): unknown {
  if (!notWritableCodes.includes(systemErrorCode(error) ?? '')) return error
  return new StoreError(
    'STORE_READ_ONLY',
    `${directory} cannot be written; a store in it can be opened with readOnly: true`,
    { details: { file: directory }, cause: error },
  )
}

/** A new store without a path: one that threads can share, where there is what that takes. */
function openInMemory(options: OpenOptions, startedAtMs: number): Engine {
  const platform = createSharedMemory(options)
  if (platform === undefined) return openInOwnMemory(options, startedAtMs)
  try {
    return openFiles(platform, memoryPath, { ...options, createIfMissing: true }, startedAtMs)
  } catch (error) {
    platform.detach(true)
    platform.close()
    throw error
  }
}

function createSharedMemory(options: OpenOptions): Platform | undefined {
  const libc = loadLibc()
  // One that nobody can write to has nothing to share.
  if (libc === undefined || options.mapping === 'file' || options.readOnly) return undefined
  try {
    return createMemfdPlatform(libc)
  } catch (error) {
    // Not Linux, no /proc, or a sandbox that forbids it: there the store is this thread's alone.
    if (systemErrorCode(error) === undefined) throw error
    return undefined
  }
}

/** A store that another thread of this process has in memory. */
function joinInMemory(memory: MemoryHandle, options: OpenOptions, startedAtMs: number): Engine {
  const libc = loadLibc()
  if (libc === undefined) {
    throw new TypeError(
      'the handle is of a store in memory, which cannot be mapped here; accepted: the handle of a store in a directory',
      { cause: libcFailure() },
    )
  }
  const platform = joinMemfdPlatform(libc, memory)
  try {
    return openFiles(platform, memoryPath, { ...options, createIfMissing: false }, startedAtMs)
  } catch (error) {
    platform.close()
    throw error
  }
}

/** A store that no other thread can reach. */
function openInOwnMemory(options: OpenOptions, startedAtMs: number): Engine {
  const platform = createMemoryPlatform()
  const directory = memoryPath
  const superblock = newSuperblock(options, platform.nowMs())
  const parts = createVolatileParts(platform, directory, segmentSizeOf(superblock))
  const files: StoreFiles = {
    platform,
    directory,
    superblock,
    manifest: firstManifest(superblock),
    options,
    access: 'shared',
    renewal: undefined,
    announceChange: () => undefined,
    startedAtMs,
  }
  const engine = makeEngine(files, parts, 1, {
    kind: 'created',
    rows: ['new-store'],
    ...nothingReplayed,
  })
  startLog(engine)
  adoptRemembered(engine, options.rememberDeletesMs)
  return engine
}

function choosePlatform(directory: string, options: OpenOptions): Platform {
  if (options.mapping === 'file') return createFilePlatform()
  const libc = loadLibc()
  const required = options.mapping === 'mmap'
  if (libc === undefined) {
    if (!required) return createFilePlatform()
    throw new TypeError(
      'option "mapping" is "mmap", but memory cannot be mapped here; accepted: "auto", "file"',
      { cause: libcFailure() },
    )
  }
  const platform = createMmapPlatform(libc)
  const unmappable = unmappableFileSystem(directory)
  if (unmappable === undefined) return platform
  if (!required) return createFilePlatform()
  throw new TypeError(
    `option "mapping" is "mmap", but ${directory} lies on ${unmappable}, which must not be mapped; accepted: "auto", "file"`,
  )
}

/** True where there is a store. Throws where there is something else, or must (not) be one. */
function findStore(platform: Platform, directory: string, options: OpenOptions): boolean {
  if (platform.exists(directory) && !platform.isDirectory(directory)) {
    throw wrongFormat(directory, 'it is a file; a store is a directory')
  }
  const exists = platform.exists(join(directory, superblockFileName))
  if (exists && options.errorIfExists) {
    throw new StoreError('STORE_EXISTS', `there is a store in ${directory} already`, {
      details: { file: directory },
    })
  }
  if (exists) return true
  refuseOtherDatabase(platform, directory)
  try {
    refuseHeadless(platform, directory)
  } catch (error) {
    // Others may be making it this moment.
    if (platform.exists(join(directory, superblockFileName))) return true
    throw error
  }
  if (!options.createIfMissing || options.readOnly) {
    throw new StoreError('STORE_NOT_FOUND', `there is no store in ${directory}`, {
      details: { file: directory },
    })
  }
  platform.createDirectory(directory)
  return false
}

/** Names that a store has only once it has a superblock. */
const namesBehindSuperblock = [
  manifestFileName,
  manifestNextFileName,
  checkpointNextFileName,
  ...volatileFileNames,
]
/** Those of locks that one who makes a store may have left. */
const lockNames = [
  lockFileName,
  lifecycleFileName,
  buildFileName,
  backgroundFileName,
  checkpointLockFileName,
  compactFileName,
]

/**
 * Before a store is made in a directory: a store whose superblock is gone must not be taken for an
 * empty directory, and a file of somebody else's must not be written over because of its name.
 */
function refuseHeadless(platform: Platform, directory: string): void {
  if (!platform.exists(directory)) return
  const superblock = join(directory, superblockFileName)
  for (const name of platform.list(directory)) {
    const isOfStore =
      name === manifestFileName ||
      parseSegmentFileName(name) !== undefined ||
      parseCheckpointFileName(name) !== undefined
    if (isOfStore) {
      throw corrupt(superblock, 0, `the superblock is missing, but there is a file ${name}`)
    }
    const isForeign =
      namesBehindSuperblock.includes(name) ||
      (mayBeLeft(name) && !isOwnLeftover(platform, directory, name))
    if (isForeign) {
      throw wrongFormat(join(directory, name), 'a store would use this name, and it is not a store')
    }
  }
}

function mayBeLeft(name: string): boolean {
  return isAttachmentFileName(name) || name === superblockNextFileName || lockNames.includes(name)
}

/** What a kill in the middle of making a store leaves: nothing yet, or what it begins with. */
function isOwnLeftover(platform: Platform, directory: string, name: string): boolean {
  let bytes: Uint8Array
  try {
    bytes = readWhole(platform, join(directory, name))
  } catch (error) {
    // Renamed into place by who is making the store.
    if (systemErrorCode(error) === 'ENOENT') return true
    throw error
  }
  const beginnings = ['VARVSTOR', '{"processId":', '\0']
  const text = Buffer.from(bytes.subarray(0, 16)).toString('latin1')
  return text === '' || beginnings.some((beginning) => text.startsWith(beginning))
}

function newSuperblock(options: OpenOptions, nowMs: number): Superblock {
  const random = randomBytes(40)
  return {
    segmentShift: segmentShift(options.segmentSizeBytes ?? segmentSizeBytesDefault),
    storeId: Uint8Array.from(random.subarray(0, 16)),
    lineageId: Uint8Array.from(random.subarray(16, 32)),
    hashSeedLow: random.readInt32LE(32),
    hashSeedHigh: random.readInt32LE(36),
    createdAtMs: nowMs,
  }
}

function createStoreFiles(platform: Platform, directory: string, options: OpenOptions): Superblock {
  const superblock = newSuperblock(options, platform.nowMs())
  writeSuperblock(platform, directory, superblock)
  return superblock
}

function requireSegmentSize(superblock: Superblock, options: OpenOptions): void {
  const { segmentSizeBytes } = options
  const actual = segmentSizeOf(superblock)
  if (segmentSizeBytes === undefined || segmentSizeBytes === actual) return
  throw new RangeError(
    `option "segmentSizeBytes" is ${segmentSizeBytes}, but the store was created with ${actual}; accepted: ${actual}, or leave it out`,
  )
}

function firstManifest(superblock: Superblock): Manifest {
  return {
    storeId: superblock.storeId,
    epoch: 0,
    nextSegmentNumber: 1,
    durable: 0,
    losses: 0,
    isClosed: false,
    segments: [],
  }
}

interface ManifestFound {
  readonly state: Facts['manifest']
  readonly manifest: Manifest | undefined
  readonly failure: unknown
}

/** A store without a manifest was being created when its maker died: it holds nothing yet. */
function readOrBeginManifest(
  platform: Platform,
  directory: string,
  superblock: Superblock,
): Manifest {
  const { failure, manifest, state } = lookForManifest(platform, directory, superblock)
  const { action } = decide(manifestRows, { manifest: () => state })
  if (action === 'refuse') throw failure
  return manifest ?? firstManifest(superblock)
}

function lookForManifest(
  platform: Platform,
  directory: string,
  { storeId }: Superblock,
): ManifestFound {
  try {
    const manifest = readManifest(platform, directory, storeId)
    if (manifest !== undefined) return { state: 'whole', manifest, failure: undefined }
  } catch (failure) {
    if (!(failure instanceof StoreError)) throw failure
    return { state: 'damaged', manifest: undefined, failure }
  }
  const segment = platform.list(directory).find((name) => parseSegmentFileName(name) !== undefined)
  if (segment === undefined) return { state: 'none', manifest: undefined, failure: undefined }
  const what = `it is missing, but there is ${segment}`
  const failure = corrupt(join(directory, manifestFileName), 0, what)
  return { state: 'missing', manifest: undefined, failure }
}
