/**
 * sync: everything written so far reaches the medium.
 *
 * Order (I4, I5, I9), and why:
 * 1. A marker with the digest of all records since the last one goes to the tail, and the read-only
 *    boundary moves up to it: what the flush writes does not change under it.
 * 2. The value segments and log segments that hold [durable, tail) are flushed. The set comes from
 *    the boundaries and the slot table, in shared memory, so a flush that died is made again.
 * 3. Where segment files were made, their directory is flushed.
 * 4. Only then does `durable` move to the marker.
 * A crash before 4 leaves a marker without a completed flush: its digest tells recovery whether all
 * of it arrived.
 *
 * A failed flush is never tried again (I10): the kernel may have dropped the pages and call them
 * clean. The store is poisoned.
 */
import { StoreError } from '../base/errors.js'
import { noAddress } from '../format/address.js'
import * as layout from '../format/control-layout.js'
import {
  kindWordOf,
  markerDigestHighWord,
  markerDigestLowWord,
  markerDurableDouble,
  markerEpochDouble,
  markerMagicHigh,
  markerMagicLow,
  markerPreviousDouble,
  markerSizeWords,
  markerValueSizeBytes,
  recordHeaderSizeBytes,
  typeMarker,
} from '../format/record.js'
import {
  advanceTail,
  type RecordTarget,
  seal,
  targetTail,
  writeSizes,
  writeStamp,
} from '../log/append.js'
import { firstRecordOffset, makeRoomForMarker } from '../log/roll.js'
import {
  kindLog,
  kindValue,
  slotKind,
  slotNumber,
  slotUnsynced,
  unsyncedFilling,
} from '../log/slot-table.js'
import type { PlatformFile } from '../platform/platform.js'
import { accountOverhead } from './account.js'
import { asWriteFailure } from './append-record.js'
import { type Engine, poisonedError } from './engine.js'
import { enter, leave, mend } from './exclusive.js'

const target: RecordTarget = {
  words: new Int32Array(0),
  doubles: new Float64Array(0),
  bytes: Buffer.alloc(0),
  offset: 0,
  seed: 0,
}

/** Resolves when every write, by whomever, that returned before the call is on the medium. */
export function sync(engine: Engine): Promise<void> {
  // Without the right to write there is nothing of one's own; what others wrote can be synced all the
  // same where the files can be reached.
  if (engine.log.access === 'private') return Promise.resolve()
  return engine.syncQueue.run((isForced) => flush(engine, isForced), false)
}

/**
 * The last sync of a session. A marker tells only how far the sync before it had come; so that
 * damage in the last stretch is not taken for a sync that never finished, one more marker follows.
 */
export async function finalSync(engine: Engine): Promise<void> {
  await sync(engine)
  if (!engine.isReadOnly && lacksEvidence(engine)) {
    await engine.syncQueue.run((isForced) => flush(engine, isForced), true)
  }
}

/**
 * What {@link finalSync} may have left, for the one that has the store to itself: others may have
 * written meanwhile, and died. It does not wait, because nobody may attach before it is done.
 */
export function finalSyncNow(engine: Engine): void {
  for (;;) {
    const begun = beginFlush(engine, lacksEvidence(engine))
    if (begun === undefined) return
    try {
      for (const { file } of begun.segments) file.syncNow()
      if (begun.needsDirectory) engine.platform.syncDirectory(engine.log.directory)
    } catch (error) {
      throw asSyncFailure(engine, error)
    }
    endFlush(engine, begun)
  }
}

/** {@link sync} that does not turn to the event loop: for an operation that must be on the medium first. */
export function syncNow(engine: Engine): void {
  if (engine.platform.kind === 'memory') return
  const begun = beginFlush(engine, false)
  if (begun === undefined) return
  try {
    for (const { file } of begun.segments) file.syncNow()
    if (begun.needsDirectory) engine.platform.syncDirectory(engine.log.directory)
  } catch (error) {
    throw asSyncFailure(engine, error)
  }
  endFlush(engine, begun)
}

/** True where no marker names the last one as synced. */
function lacksEvidence(engine: Engine): boolean {
  const { control, log } = engine
  const lastMarker = control.read(layout.lastMarker)
  if (lastMarker === 0) return false
  const { slot, offset } = log.locate(lastMarker)
  const value = offset + recordHeaderSizeBytes / 8
  return log.doubles[slot][value + markerDurableDouble] !== lastMarker
}

/** Sees to it that what was just written is synced within `syncIntervalMs`. */
export function scheduleSync(engine: Engine): void {
  const { syncQueue, syncIntervalMs } = engine
  if (syncQueue.timer !== undefined || syncIntervalMs === 0) return
  if (engine.platform.kind === 'memory') return
  syncQueue.timer = setTimeout(() => {
    syncQueue.timer = undefined
    if (engine.isClosed) return
    // A failure is kept: it poisons the store, and every later write and the close report it.
    sync(engine).catch((error: unknown) => {
      if (engine.control.isPoisoned) syncQueue.failure ??= error
      engine.onError?.(error)
    })
  }, syncIntervalMs)
  syncQueue.timer.unref()
}

/** Below this, telling the other processors page by page costs less than the call. */
const adviseOutBytesMin = 2 ** 16

/** A flush that is under way: the writer's word is free meanwhile. */
interface Flush {
  /** What lies below was flushed before. */
  readonly start: number
  /** Behind its marker. */
  readonly end: number
  readonly segments: readonly FlushedSegment[]
  readonly needsDirectory: boolean
}

interface FlushedSegment {
  readonly slot: number
  /** By then the slot may be another segment's. */
  readonly segmentNumber: number
  readonly file: PlatformFile
}

/** `isForced`: also where nothing was written since the last one. */
async function flush(engine: Engine, isForced: boolean): Promise<void> {
  const begun = beginFlush(engine, isForced)
  if (begun === undefined) return
  const { log } = engine
  log.flushCount++
  try {
    await Promise.all(begun.segments.map(({ file }) => file.sync()))
    if (begun.needsDirectory) await log.platform.syncDirectoryAsync(log.directory)
  } catch (error) {
    throw asSyncFailure(engine, error)
  } finally {
    log.flushCount--
  }
  endFlush(engine, begun)
}

/** Steps 1 and 2. Undefined where there is nothing to sync. */
function beginFlush(engine: Engine, isForced: boolean): Flush | undefined {
  const begun = writeAndCollect(engine, isForced)
  if (begun !== undefined) adviseOut(engine, begun)
  return begun
}

/**
 * A page that is mapped and was written to becomes read-only before its bytes go to the medium, and each time all
 * processors on which a thread of this process runs are interrupted to hear of it: with 4096 pages of copies that was
 * most of what a sync took, and a pause of 80 ms for whoever worked beside it. So the pages leave this thread's
 * address space first, all at once. No record below the marker is written to again; a reader that comes back finds
 * the page where it was, in the page cache.
 * Measured by `bench/compaction.mjs`, "speed": a sync of 16 MiB takes 17 ms, with the pages mapped 85.
 */
function adviseOut({ log }: Engine, { end, segments, start }: Flush): void {
  for (const { slot } of segments) {
    const isLog = log.slots.get(slot, slotKind) === kindLog
    if (isLog && (end - start) * 8 < adviseOutBytesMin) continue
    const mapping = log.mappingOf(slot)
    if (mapping === undefined) continue
    // Whole pages of any size; what was made resident ahead of the tail is written out, too.
    const startBytes = isLog ? Math.max(0, start - log.starts[slot]) * 8 : 0
    const firstBytes = Math.floor(startBytes / adviseOutBytesMin) * adviseOutBytesMin
    if (firstBytes < mapping.sizeBytes) {
      mapping.adviseOut(firstBytes, mapping.sizeBytes - firstBytes)
    }
  }
}

function writeAndCollect(engine: Engine, isForced: boolean): Flush | undefined {
  const { control } = engine
  // Waited behind a close, whose own sync covers what this one was asked for.
  if (!engine.isMapped) {
    if (engine.syncQueue.failure === undefined) return undefined
    throw poisonedError(engine)
  }
  enter(engine)
  try {
    if (control.isPoisoned) throw poisonedError(engine)
    const start = control.get(layout.durable)
    if (!isForced && start === control.get(layout.tail)) return undefined
    writeMarker(engine)
    const slots = unsyncedSlots(engine)
    const { log } = engine
    // Opened by now: an error of the medium is told to the files that were open when it happened.
    const segments = slots.map((slot) => ({
      slot,
      segmentNumber: log.slots.get(slot, slotNumber),
      file: log.fileOf(slot),
    }))
    const needsDirectory = slots.some((slot) => isNewFile(engine, slot))
    return { start, end: control.get(layout.tail), segments, needsDirectory }
  } catch (error) {
    mend(engine)
    throw error
  } finally {
    leave(engine)
  }
}

/** Step 4. Another attachment's sync may have come further. */
function endFlush(engine: Engine, { end, segments }: Flush): void {
  const { control, log } = engine
  enter(engine)
  try {
    for (const { slot, segmentNumber } of segments) {
      const isSame = log.slots.get(slot, slotNumber) === segmentNumber
      // Of one that is being filled the rest comes later.
      const isFilled = log.slots.get(slot, slotUnsynced) < unsyncedFilling
      if (isSame && isFilled) log.slots.set(slot, slotUnsynced, 0)
      if (!isSame || slot !== log.firstSlotOf(log.tailSlot)) log.releaseFile(segmentNumber)
    }
    if (end > control.get(layout.durable)) {
      control.begin()
      control.set(layout.durable, end)
      control.commit()
    }
  } finally {
    leave(engine)
  }
  engine.syncQueue.completedCount++
}

function asSyncFailure(engine: Engine, error: unknown): StoreError {
  engine.syncQueue.failure = error
  engine.control.poison(String(error))
  return new StoreError('STORE_POISONED', 'a sync failed; the store accepts no more writes', {
    cause: error,
  })
}

/** The first slots of all segments that hold bytes which no completed sync covered. */
function unsyncedSlots(engine: Engine): number[] {
  const { control, log } = engine
  const oldest = Math.floor(control.get(layout.durable) / log.segmentWords)
  const slots: number[] = []
  const slotEnd = control.get(layout.slotEnd)
  for (let slot = 0; slot < slotEnd; slot++) {
    const kind = log.slots.get(slot, slotKind)
    const isUnsyncedValue = kind === kindValue && log.slots.get(slot, slotUnsynced) !== 0
    const isUnsyncedLog = kind === kindLog && lastNumberOf(engine, slot) >= oldest
    if (isUnsyncedValue || isUnsyncedLog) slots.push(slot)
  }
  return slots
}

/** True where the file may have been made since the last completed sync. */
function isNewFile(engine: Engine, slot: number): boolean {
  const { control, log } = engine
  if (log.slots.get(slot, slotKind) === kindValue) return true
  // A session begins with `durable` at the first record of its first segment.
  const firstRecord = log.slots.get(slot, slotNumber) * log.segmentWords + firstRecordOffset
  return firstRecord >= control.get(layout.durable)
}

/** The number of the last part of the log segment in `slot`. */
function lastNumberOf(engine: Engine, slot: number): number {
  const { log } = engine
  return log.slots.get(slot, slotNumber) + log.partCount(slot) - 1
}

/** Puts a marker at the tail and moves the read-only boundary behind it. The writer's word is held. */
export function writeMarker(engine: Engine): void {
  const { control, log } = engine
  makeRoomForMarker(log, engine.epoch)
  const nowMs = engine.clock.nowMs()
  targetTail(log, target, false)
  const { offset, words, doubles } = target
  writeStamp(target, control.get(layout.version), control.get(layout.sequence), nowMs, noAddress)
  writeSizes(target, kindWordOf(typeMarker, 0, 0), 0, markerValueSizeBytes, 0)
  const value = offset + recordHeaderSizeBytes / 8
  words[value * 2] = markerMagicLow
  words[value * 2 + 1] = markerMagicHigh
  doubles[value + markerDurableDouble] = control.get(layout.durable)
  doubles[value + markerPreviousDouble] = control.get(layout.lastMarker)
  doubles[value + markerEpochDouble] = engine.epoch
  words[value * 2 + markerDigestLowWord] = control.get(layout.digestLow)
  words[value * 2 + markerDigestHighWord] = control.get(layout.digestHigh)
  seal(target, markerSizeWords)
  try {
    if (log.isAppendOnly) log.writeThrough(log.tailSlot, offset, markerSizeWords)
  } catch (error) {
    throw asWriteFailure(engine, error)
  }
  const marker = control.get(layout.tail)
  control.begin()
  control.set(layout.lastMarker, marker)
  control.set(layout.tail, marker + markerSizeWords)
  control.set(layout.usedBytes, control.get(layout.usedBytes) + markerSizeWords * 8)
  accountOverhead(control, markerSizeWords, false)
  control.set(layout.readOnly, marker + markerSizeWords)
  control.set(layout.digestLow, 0)
  control.set(layout.digestHigh, 0)
  control.commit()
  advanceTail(log, markerSizeWords)
}
