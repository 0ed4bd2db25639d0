/**
 * close: the last sync, the mark of a proper end, and every resource given back.
 *
 * Before all that, a checkpoint that is due is made: where the background had no time for it, because the
 * store is opened for short whiles only, the log would otherwise grow without one. One that is under way
 * is given up.
 *
 * Order: 1. The last sync. 2. The manifest names how far it came: only now is that true (I5, I9).
 * 3. The mark. A kill before 2 leaves what a kill after any sync leaves; within 2, the manifest of
 * before or the new one, and both say what is true.
 */
import { join } from 'node:path'
import { StoreError, systemErrorCode } from '../base/errors.js'
import * as layout from '../format/control-layout.js'
import { manifestFileName, manifestNextFileName } from '../format/file-names.js'
import { decodeManifest, encodeManifest } from '../format/manifest.js'
import { dropPrepared } from '../log/prepared-segment.js'
import { readWhole, replaceFile } from '../platform/whole-file.js'
import type { Engine } from './engine.js'
import { keepTime } from './expiry.js'
import { finalSync, finalSyncNow, sync } from './sync.js'

/**
 * After this nothing of the engine is used again. Where the last sync fails the store is closed
 * all the same, without the mark of a proper end, and the failure is thrown; so is one of compaction in the
 * background, which takes nothing from a proper end.
 *
 * Only who is the last one leaves that mark, under the lock without which nobody can attach. It is
 * never held across a turn of the event loop: this very thread may be waiting for it to open.
 */
export async function close(engine: Engine): Promise<void> {
  if (engine.isClosed) return
  let failure: unknown
  try {
    keepTime(engine)
  } catch (error) {
    failure = error
  }
  const { checkpointing } = engine
  // It has what it needs of the open store when the call returns.
  const due = isAlone(engine) ? engine.checkpointDuty.runIfDue(() => undefined) : undefined
  engine.isClosed = true
  clearTimeout(engine.syncQueue.timer)
  await engine.compacted.stop?.()
  engine.background.stop()
  // The failure of one that was under way belongs to who asked for it.
  await Promise.allSettled([checkpointing, due])
  try {
    if (!engine.isReadOnly) await (isAlone(engine) ? finalSync(engine) : sync(engine))
  } catch (error) {
    failure ??= error
  }
  let leftover: unknown
  try {
    dropPrepared(engine.log)
  } catch (error) {
    // It takes nothing from a proper end: the next opening removes the file.
    leftover = error
  }
  try {
    engine.session.end(() => {
      if (engine.isReadOnly || failure !== undefined || engine.control.isPoisoned) return
      finalSyncNow(engine)
      nameDurable(engine)
      engine.control.setSessionOpen(false)
    })
  } catch (error) {
    failure ??= error
  } finally {
    engine.closeParts()
  }
  failure ??= leftover
  // A full disk is told by the writes that it refuses.
  const { failure: former } = engine.compacted
  if (!(former instanceof StoreError && former.code === 'STORE_FULL')) failure ??= former
  if (failure !== undefined) throw failure
}

/** A guess: others come and go until the lifecycle lock is held. */
function isAlone({ attachments, compacted }: Engine): boolean {
  const others = attachments.list().filter(({ processId, threadId }) => {
    const isOfThread = processId === process.pid && threadId === compacted.thread?.threadId
    return !isOfThread
  })
  return others.length <= 1
}

const noSpaceCodes = ['STORE_FULL', 'ENOSPC', 'EDQUOT']

/**
 * Writes into the manifest how far syncs have come; nobody else can be reading it. Markers lie in
 * the log: damage that takes the last records may take the markers behind them, too, and would look
 * like a sync that never ended.
 */
function nameDurable(engine: Engine): void {
  const { control, directory, platform } = engine
  // Without a marker nothing was ever written, and `durable` is where an empty segment begins: behind the
  // end of the log.
  const durable = control.get(layout.lastMarker) === 0 ? 0 : control.get(layout.durable)
  const path = join(directory, manifestFileName)
  // A directory that was moved away, or replaced, under the open store: nobody else's is written.
  if (!platform.exists(path)) return
  const manifest = decodeManifest(readWhole(platform, path), path)
  const { storeId } = engine.log
  const isOwn = storeId.every((byte, index) => manifest.storeId[index] === byte)
  if (!isOwn || manifest.epoch !== engine.epoch) return
  if (manifest.durable >= durable && manifest.isClosed) return
  const closed = {
    ...manifest,
    durable: Math.max(manifest.durable, durable),
    isClosed: true,
  }
  const names = { name: manifestFileName, nextName: manifestNextFileName }
  try {
    replaceFile(platform, directory, names, encodeManifest(closed))
  } catch (error) {
    // On a full disk the former manifest stays: it names less, and everything is synced all the same.
    if (!noSpaceCodes.includes(systemErrorCode(error) ?? '')) throw error
  }
}

/** Gives an engine back that was opened and cannot be used: nothing was written through it. */
export function abandon(engine: Engine): void {
  const { control } = engine
  engine.isClosed = true
  void engine.compacted.stop?.()
  engine.background.stop()
  dropPrepared(engine.log)
  engine.session.end(() => {
    const isSynced = control.read(layout.durable) === control.read(layout.tail)
    if (!engine.isReadOnly && isSynced) control.setSessionOpen(false)
  })
  engine.closeParts()
}
