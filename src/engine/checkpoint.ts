/**
 * checkpoint: the index, as it is at some moment, goes to a file, so that the next recovery on another
 * boot begins there and not at the beginning of the log. Others write meanwhile.
 *
 * Order (I9), and why:
 * 1. The lock of checkpoints is taken: one at a time makes them, and nobody moves records.
 * 2. The moment is taken: address, counts and a pin, in one turn of the writer's word.
 * 3. A sync: everything below the address is on the medium before a file says so.
 * 4. The image is taken in slices and written beside, synced, renamed, the directory synced.
 * Killed anywhere before the rename, there is a file that nobody reads; the next to make a checkpoint,
 * or to open the store, removes it. The pin goes with the one that died.
 *
 * A failure to write the file is the caller's to hear of and nothing else: the log does not depend on it.
 */
import { join } from 'node:path'
import { StoreError } from '../base/errors.js'
import * as layout from '../format/control-layout.js'
import {
  checkpointFileName,
  checkpointLockFileName,
  checkpointNextFileName,
  manifestFileName,
} from '../format/file-names.js'
import { decodeManifest } from '../format/manifest.js'
import type { FileLock, PlatformFile } from '../platform/platform.js'
import { readWhole } from '../platform/whole-file.js'
import { CheckpointFile } from './checkpoint-file.js'
import { CheckpointImage } from './checkpoint-image.js'
import { type CheckpointMoment, releaseMoment, takeMoment } from './checkpoint-moment.js'
import { type CheckpointInfo, infoOf } from './checkpoints.js'
import type { Engine } from './engine.js'
import { sync } from './sync.js'

const pauseMs = 5
/**
 * So much of the image is taken in one turn of the event loop. Of a loop whose turns are long few come by, and nothing
 * is moved or dropped until the image is whole.
 */
const turnMs = 1
/**
 * So many bytes are given to the medium at once. A flush of all at the end would hold up whoever touches
 * a clean page of the log meanwhile.
 */
const syncStepBytes = 2 ** 23

/** Makes a checkpoint; waits where another one is being made, by whomever. */
export async function checkpoint(engine: Engine): Promise<CheckpointInfo> {
  engine.requireWritable()
  return inTurn(engine, async () => {
    engine.requireWritable()
    const lock = tryLock(engine) ?? (await waitForLock(engine))
    try {
      return await make(engine, () => engine.requireOpen())
    } finally {
      lock.release()
    }
  })
}

/**
 * As {@link checkpoint}, by background work and by a close. Undefined where another one is being made.
 * `requireGoingOn` throws where it has to be given up.
 */
export async function checkpointUnasked(
  engine: Engine,
  requireGoingOn: () => void,
): Promise<CheckpointInfo | undefined> {
  if (engine.checkpointing !== undefined && !engine.isMovingRecords) return undefined
  return inTurn(engine, () => whileLocked(engine, () => make(engine, requireGoingOn)))
}

/**
 * Runs `action` while nobody makes a checkpoint: for who moves records. Undefined, and nothing done, where
 * somebody does, or waits for that.
 */
export async function betweenCheckpoints<T>(
  engine: Engine,
  action: () => Promise<T>,
): Promise<T | undefined> {
  if (engine.checkpointing !== undefined || engine.checkpointsWaiting > 0) return undefined
  engine.isMovingRecords = true
  try {
    return await inTurn(engine, () => whileLocked(engine, action))
  } finally {
    engine.isMovingRecords = false
  }
}

/** True where somebody makes one at this moment, which pins the store as it was when that began. */
export function isCheckpointBeingMade(engine: Engine): boolean {
  if (engine.checkpointing !== undefined) return !engine.isMovingRecords
  const lock = tryLock(engine)
  lock?.release()
  return lock === undefined
}

/** Undefined where another one has the lock. */
async function whileLocked<T>(engine: Engine, action: () => Promise<T>): Promise<T | undefined> {
  const lock = tryLock(engine)
  if (lock === undefined) return undefined
  try {
    return await action()
  } finally {
    lock.release()
  }
}

/** One at a time in this thread, where locks may tell nothing. */
async function inTurn<T>(engine: Engine, action: () => Promise<T>): Promise<T> {
  engine.checkpointsWaiting++
  while (engine.checkpointing !== undefined) await Promise.allSettled([engine.checkpointing])
  engine.checkpointsWaiting--
  const running = action()
  engine.checkpointing = running
  try {
    return await running
  } finally {
    engine.checkpointing = undefined
  }
}

function tryLock({ directory, platform }: Engine): FileLock | undefined {
  return platform.tryLock(join(directory, checkpointLockFileName), 'exclusive')
}

async function waitForLock(engine: Engine): Promise<FileLock> {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, pauseMs))
    engine.requireWritable()
    const lock = tryLock(engine)
    if (lock !== undefined) return lock
  }
}

async function make(engine: Engine, requireGoingOn: () => void): Promise<CheckpointInfo> {
  const moment = takeMoment(engine)
  try {
    await sync(engine)
    requireGoingOn()
    // A store without files is never recovered.
    if (engine.platform.kind === 'memory') return infoInMemory(moment)
    const info = await writeCheckpoint(engine, moment, requireGoingOn)
    engine.checkpointCount++
    return info
  } finally {
    releaseMoment(engine)
  }
}

async function writeCheckpoint(
  engine: Engine,
  moment: CheckpointMoment,
  requireGoingOn: () => void,
): Promise<CheckpointInfo> {
  const { directory, platform } = engine
  requireInPlace(engine)
  const next = join(directory, checkpointNextFileName)
  if (platform.exists(next)) platform.remove(next)
  const file = platform.openFile(next, 'create')
  let info: CheckpointInfo
  try {
    info = await writeImage(engine, moment, file, requireGoingOn)
    await file.sync()
    requireGoingOn()
  } catch (error) {
    file.close()
    if (platform.exists(next)) platform.remove(next)
    throw error
  }
  file.close()
  platform.rename(next, join(directory, checkpointFileName(info.id)))
  await platform.syncDirectoryAsync(directory)
  return info
}

/** The directory may have been moved away, or replaced, under the open store. */
function requireInPlace({ directory, epoch, log, platform }: Engine): void {
  const path = join(directory, manifestFileName)
  if (platform.exists(path)) {
    const manifest = decodeManifest(readWhole(platform, path), path)
    const isOwn = log.storeId.every((byte, index) => manifest.storeId[index] === byte)
    if (isOwn && manifest.epoch === epoch) return
  }
  throw new StoreError('STORE_NOT_FOUND', `the open store is no longer in ${directory}`, {
    details: { file: directory },
  })
}

async function writeImage(
  engine: Engine,
  moment: CheckpointMoment,
  file: PlatformFile,
  requireGoingOn: () => void,
): Promise<CheckpointInfo> {
  const { address, createdAtMs, expiries, keyspaces, segments, state } = moment
  const { epoch, log } = engine
  const identity = { storeId: log.storeId, address, createdAtMs }
  const target = new CheckpointFile(file, identity, segments.length)
  target.writeKeyspaces(keyspaces)
  target.writeExpiries(expiries)
  const image = new CheckpointImage(engine, moment)
  // The image goes on meanwhile; the caller's sync, of all of it, comes behind these.
  let syncing: Promise<unknown> = Promise.resolve()
  let failure: { readonly error: unknown } | undefined
  const noteFailure = (error: unknown): void => {
    failure = { error }
  }
  let synced = 0
  let turnEndMs = performance.now() + turnMs
  try {
    for (const _ of image.take(target)) {
      if (performance.now() < turnEndMs) continue
      await new Promise(setImmediate)
      turnEndMs = performance.now() + turnMs
      requireGoingOn()
      if (target.sizeBytes - synced < syncStepBytes) continue
      synced = target.sizeBytes
      await syncing
      if (failure !== undefined) throw failure.error
      syncing = file.sync().catch(noteFailure)
    }
  } finally {
    // No file is closed under its sync: another one may get its descriptor.
    await syncing
  }
  if (failure !== undefined) throw failure.error
  const header = target.finish(
    segments.map((segment, slot) => ({ ...segment, entries: image.entryCounts[slot] })),
    {
      ...identity,
      epoch,
      marker: moment.marker,
      markerChecksum: moment.markerChecksum,
      // What was skipped stands in no record, and is skipped anew where it is loaded.
      sequence: state[layout.sequence] - state[layout.skippedSequences],
      version: state[layout.version],
      records: state[layout.records],
      namedRecords: moment.namedRecords,
      keyBytes: state[layout.keyBytes],
      valueBytes: state[layout.valueBytes],
      liveBytes: state[layout.liveBytes],
      usedBytes: state[layout.usedBytes],
      begin: state[layout.begin],
      lastRecord: state[layout.lastRecord],
      nextSegmentNumber: state[layout.nextSegmentNumber],
      nextKeyspaceId: moment.nextKeyspaceId,
    },
  )
  return infoOf(header)
}

function infoInMemory({
  address,
  createdAtMs,
  namedRecords,
  state,
}: CheckpointMoment): CheckpointInfo {
  const sequence = state[layout.sequence]
  return { id: address, sequence, address, records: namedRecords, bytes: 0, createdAtMs }
}
