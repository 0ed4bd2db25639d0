/**
 * Dropping segments in which nothing counts any more, without reading them.
 *
 * Order (I9), and why:
 * 1. Those that can go are noted, and a sync follows. So whatever superseded or replaced a record in them
 *    is on the medium before anything else is done.
 * 2. With the writer's word in hand each of them is announced in its slot, by one store: from here on
 *    nobody walks into it. Not while somebody walks along the log (engine/hold.ts), or builds the ordered
 *    index out of it.
 * 3. The manifest names what is left, and is synced, as is its directory.
 * 4. With the writer's word in hand the slots are freed, and the generation raised by which everybody
 *    who has a segment mapped sees that it is gone. Not while somebody walks along the log: what began
 *    between 2 and 4 may have read the former manifest.
 * 5. The files are removed, by threads of Node's pool: nobody refers to them any more.
 *
 * A slot is freed as every change of more than one word is made: announced by a commit, then applied. Killed
 * before 2, nothing happened. Killed between 2 and 4, the next to compact goes on at 3. Killed between 4
 * and 5, the file is one that nothing names; the next opening removes it, and so does the next to compact.
 * On another boot the manifest decides: a file that it does not name is dead, one that it names and that
 * is missing is damage.
 *
 * Markers that go with a segment are not missed: the manifest says how far syncs have come. Images of the
 * index that name a dropped segment stay good where entries into it are left out: whatever counted in it
 * was superseded or copied later in the log.
 */
import { StoreError, systemErrorCode } from '../base/errors.js'
import { applyPending } from '../engine/apply.js'
import { isOrderBeingBuilt } from '../engine/build-order.js'
import { checkpoint } from '../engine/checkpoint.js'
import { checkpointsReferring, removeOld } from '../engine/checkpoints.js'
import type { Engine } from '../engine/engine.js'
import { exclusively } from '../engine/exclusive.js'
import { sync } from '../engine/sync.js'
import * as layout from '../format/control-layout.js'
import { parseSegmentFileName, segmentFileName } from '../format/file-names.js'
import { type Manifest, type ManifestSegment, segmentKindDropped } from '../format/manifest.js'
import {
  segmentHeaderSizeBytes,
  segmentKindLog,
  segmentKindValue,
} from '../format/segment-header.js'
import { dropAnyPrepared } from '../log/prepared-segment.js'
import {
  kindDropped,
  kindLog,
  kindValue,
  slotEndBytes,
  slotEpoch,
  slotIsUsed,
  slotKind,
  slotNumber,
  slotSizeBytes,
  slotUnsynced,
} from '../log/slot-table.js'
import { readManifest, writeManifestAsync } from '../recovery/store-files.js'
import { announcedDrops, type SurveyedSegment, surveySegments } from './survey.js'

export interface DropResult {
  readonly segmentsDropped: number
  /** Somebody walks along the log: nothing can be dropped before that is over. */
  readonly isHeld: boolean
}

/**
 * Drops all that can go. `copied`: numbers of segments out of which all that counts was copied, tombstones
 * included. What a checkpoint leads into waits until it is `patienceBytes`, so that it is worth another checkpoint.
 */
export async function dropSegments(
  engine: Engine,
  copied: ReadonlySet<number>,
  patienceBytes: number,
): Promise<DropResult> {
  const isLeft = announcedDrops(engine).length > 0
  const dead = exclusively(engine, () => deadSegments(engine, copied, () => false))
  const noted = await withoutReferences(engine, dead, patienceBytes)
  if (engine.isClosed) return { segmentsDropped: 0, isHeld: false }
  if (noted.size === 0 && !isLeft) return { segmentsDropped: 0, isHeld: false }
  await sync(engine)
  if (engine.isClosed) return { segmentsDropped: 0, isHeld: false }
  if (!announce(engine, copied, noted) && !isLeft) return { segmentsDropped: 0, isHeld: true }
  await nameWhatIsLeft(engine)
  if (engine.isClosed) return { segmentsDropped: 0, isHeld: false }
  return free(engine)
}

/**
 * Numbers of those that no checkpoint leads into. Where one does, another one is made first: these segments
 * are dead by now, so it does not; and the older ones go.
 */
async function withoutReferences(
  engine: Engine,
  dead: readonly SurveyedSegment[],
  patienceBytes: number,
): Promise<ReadonlySet<number>> {
  const referred = dead.filter(
    ({ segmentNumber }) => checkpointsReferring(engine, segmentNumber).length > 0,
  )
  const all = new Set(dead.map(({ segmentNumber }) => segmentNumber))
  if (referred.length === 0) return all
  const referredBytes = referred.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  if (referredBytes < patienceBytes) {
    for (const { segmentNumber } of referred) all.delete(segmentNumber)
    return all
  }
  try {
    await checkpoint(engine)
    removeOld(engine, 1)
  } catch (error) {
    if (engine.isClosed) return new Set()
    // On a full disk the log alone has to do: it is whole.
    if (!(error instanceof StoreError && error.code === 'STORE_FULL')) throw error
    removeOld(engine, 0)
  }
  return all
}

/**
 * Nothing in them counts, for anybody. One that is dead and has to stay, as long as a checkpoint leads into
 * it, needs the tombstones behind it as any other: a recovery without that checkpoint reads all of the log.
 */
function deadSegments(
  engine: Engine,
  copied: ReadonlySet<number>,
  isStaying: (segment: SurveyedSegment) => boolean,
): SurveyedSegment[] {
  const isRemembering = engine.control.get(layout.tombstones) > 0
  let isBehindDead = false
  const found: SurveyedSegment[] = []
  for (const segment of surveySegments(engine)) {
    const { hasDeadPuts, isComplete, isPinned, kind, liveBytes, segmentNumber } = segment
    // What goes together needs no tombstones of each other.
    const mayNeedTombstones = isBehindDead || isRemembering
    const keepsTombstones =
      mayNeedTombstones && segment.tombstoneBytes > 0 && !copied.has(segmentNumber)
    const isDead = isComplete && !isPinned && liveBytes === 0 && !keepsTombstones
    if (isDead && !isStaying(segment)) found.push(segment)
    else if (kind === 'log' && hasDeadPuts) isBehindDead = true
  }
  return found
}

/** Step 2. False where it has to wait. */
function announce(
  engine: Engine,
  copied: ReadonlySet<number>,
  noted: ReadonlySet<number>,
): boolean {
  const { attachments, log } = engine
  return exclusively(engine, () => {
    // Whoever builds the ordered index reads what was written meanwhile, in the segments from its beginning on.
    if (attachments.isLogHeld() || isOrderBeingBuilt(engine)) return false
    const boundary = namedBelow(engine)
    // The manifest must be able to tell that it is gone: see `segmentKindDropped` for the others.
    const isStaying = ({ kind, segmentNumber }: SurveyedSegment): boolean =>
      !noted.has(segmentNumber) || (kind === 'log' && segmentNumber >= boundary)
    for (const { slot } of deadSegments(engine, copied, isStaying)) {
      log.slots.set(slot, slotKind, kindDropped)
    }
    return true
  })
}

/**
 * The manifest names the segments below this number; those from there on are told by their headers. It is
 * that of the log segment in which `durable` lies, so that the first marker there is known to be synced;
 * and no value segment below it may be one that is not.
 */
function namedBelow({ control, log }: Engine): number {
  const { slots } = log
  const durableIn = log.slotOf(Math.floor((control.get(layout.durable) - 1) / log.segmentWords))
  let boundary =
    durableIn === -1
      ? control.get(layout.nextSegmentNumber)
      : slots.get(log.firstSlotOf(durableIn), slotNumber)
  const slotEnd = control.get(layout.slotEnd)
  for (let slot = 0; slot < slotEnd; slot++) {
    if (slots.get(slot, slotKind) !== kindValue || slots.get(slot, slotUnsynced) === 0) continue
    boundary = Math.min(boundary, slots.get(slot, slotNumber))
  }
  return boundary
}

/** Step 3. */
async function nameWhatIsLeft(engine: Engine): Promise<void> {
  const { directory, log, platform } = engine
  // What lies in memory has no other boot.
  if (platform.kind === 'memory') return
  const former = readManifest(platform, directory, log.storeId)
  if (former === undefined || former.epoch !== engine.epoch) {
    throw new StoreError('STORE_IN_USE', `${directory} is no longer the store that was opened`)
  }
  const manifest = exclusively(engine, () => manifestOf(engine, former))
  try {
    await writeManifestAsync(platform, directory, manifest)
  } catch (error) {
    if (!(error instanceof StoreError && error.code === 'STORE_FULL')) throw error
    // The blocks of a next segment that is not begun are more than it takes.
    exclusively(engine, () => dropAnyPrepared(engine.log))
    await writeManifestAsync(platform, directory, manifest)
  }
}

function manifestOf(engine: Engine, former: Manifest): Manifest {
  const { control, log } = engine
  const { slots } = log
  const boundary = Math.max(namedBelow(engine), former.nextSegmentNumber)
  const segments: ManifestSegment[] = former.segments.filter(
    ({ kind, segmentNumber }) => kind === segmentKindDropped && segmentNumber >= boundary,
  )
  const known = new Set(segments.map(({ segmentNumber }) => segmentNumber))
  let logEnd = 0
  const slotEnd = control.get(layout.slotEnd)
  for (let slot = 0; slot < slotEnd; slot++) {
    const kind = slots.get(slot, slotKind)
    const segmentNumber = slots.get(slot, slotNumber)
    const epoch = slots.get(slot, slotEpoch)
    if (segmentNumber >= boundary) {
      if (kind !== kindDropped || known.has(segmentNumber)) continue
      segments.push({ segmentNumber, epoch, endBytes: 0, kind: segmentKindDropped })
    } else if (kind === kindLog) {
      const endBytes = slots.get(slot, slotEndBytes)
      segments.push({ segmentNumber, epoch, endBytes, kind: segmentKindLog })
      logEnd = Math.max(logEnd, segmentNumber * log.segmentWords + endBytes / 8)
    } else if (kind === kindValue) {
      const endBytes = slots.get(slot, slotSizeBytes)
      segments.push({ segmentNumber, epoch, endBytes, kind: segmentKindValue })
    }
  }
  segments.sort((a, b) => a.segmentNumber - b.segmentNumber)
  // Without a marker `durable` is where an empty segment begins: behind the end of the log.
  const hasMarker = control.get(layout.lastMarker) !== 0
  return {
    storeId: log.storeId,
    epoch: engine.epoch,
    nextSegmentNumber: boundary,
    durable: hasMarker ? control.get(layout.durable) : logEnd,
    losses: former.losses,
    isClosed: false,
    segments,
  }
}

/** Steps 4 and 5. */
async function free(engine: Engine): Promise<DropResult> {
  const { attachments, control, log } = engine
  const names = exclusively(engine, () => {
    if (attachments.isLogHeld()) return undefined
    const dropped = announcedDrops(engine)
    const freed = dropped.map(({ segmentNumber, slot }) => {
      const kind = log.slots.fileKindOf(slot)
      control.begin()
      control.set(layout.usedBytes, control.get(layout.usedBytes) - usedBytesOf(engine, slot))
      control.set(layout.begin, oldestRecord(engine))
      control.set(layout.pendingFreedSlot, slot)
      control.commit()
      applyPending(engine)
      return segmentFileName(kind, segmentNumber)
    })
    Atomics.add(control.words, layout.slotGenerationWord, 1)
    log.forgetDropped()
    return freed
  })
  if (names === undefined) return { segmentsDropped: 0, isHeld: true }
  await Promise.all(names.map((name) => remove(engine, log.path(name))))
  return { segmentsDropped: names.length, isHeld: false }
}

/** Others write meanwhile, and the store may be closed: nothing refers to the file any more. */
async function remove({ platform }: Engine, path: string): Promise<void> {
  try {
    await platform.removeAsync(path)
  } catch (error) {
    // An opening may have removed it.
    if (systemErrorCode(error) !== 'ENOENT') throw error
  }
}

/** What `usedBytes` has counted of a segment. */
function usedBytesOf({ log: { slots } }: Engine, slot: number): number {
  const endBytes = slots.get(slot, slotEndBytes)
  if (endBytes !== 0) return endBytes - segmentHeaderSizeBytes
  return slots.get(slot, slotIsUsed) === 1 ? slots.get(slot, slotSizeBytes) : 0
}

function oldestRecord({ control, log }: Engine): number {
  const slotEnd = control.get(layout.slotEnd)
  let oldest = Number.POSITIVE_INFINITY
  for (let slot = 0; slot < slotEnd; slot++) {
    if (log.slots.get(slot, slotKind) !== kindLog) continue
    oldest = Math.min(oldest, log.slots.get(slot, slotNumber))
  }
  return oldest * log.segmentWords + segmentHeaderSizeBytes / 8
}

/** Files of segments that one who was killed had dropped: no slot names them, and none ever will. */
export function removeLeftovers(engine: Engine): void {
  const { directory, log, platform } = engine
  const names = platform.list(directory)
  exclusively(engine, () => {
    const next = engine.control.get(layout.nextSegmentNumber)
    for (const name of names) {
      const parsed = parseSegmentFileName(name)
      if (parsed === undefined || parsed.segmentNumber >= next) continue
      if (log.slotOf(parsed.segmentNumber) === -1 && platform.exists(log.path(name))) {
        platform.remove(log.path(name))
      }
    }
  })
}
