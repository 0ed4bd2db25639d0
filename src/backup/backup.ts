/**
 * backup: a copy of the store as it was at a sync, made while others write; opened it is a store.
 *
 * What lies below `durable` never changes, so it is copied without any lock. It is verified on its
 * way: a backup of damage is refused with `STORE_CORRUPT`, and so is one whose copy does not verify.
 *
 * Order, each step with its files synced: 1. Segments. Of an older backup in the directory, what it
 * names is left as it is: a segment that grew is written on behind its end, any other is made beside
 * and renamed. 2. The manifest, which names all segments with their ends. 3. For a first backup, the
 * superblock. Killed before 2 there is the older backup, or no store; behind it, the new one.
 *
 * The manifest's epoch is far above those of the store. So files that a killed backup left count as
 * dead for whoever opens the older one, and what is written to a backup that is opened as a store never
 * verifies in the store that it was made of, or in another copy of it (I2).
 */
import { randomBytes, randomInt } from 'node:crypto'
import { join, resolve } from 'node:path'
import type { Engine } from '../engine/engine.js'
import { holdLog } from '../engine/hold.js'
import { sync } from '../engine/sync.js'
import * as layout from '../format/control-layout.js'
import { segmentFileName } from '../format/file-names.js'
import type { ManifestSegment } from '../format/manifest.js'
import { segmentKindLog, segmentKindValue } from '../format/segment-header.js'
import type { Superblock } from '../format/superblock.js'
import {
  kindLog,
  kindValue,
  slotEndBytes,
  slotEpoch,
  slotKind,
  slotNumber,
  slotPrevious,
  slotSizeBytes,
} from '../log/slot-table.js'
import { readSuperblock, writeManifest, writeSuperblock } from '../recovery/store-files.js'
import { inSlices } from '../verify/slices.js'
import {
  type BackupTarget,
  copySuffix,
  occupied,
  openTarget,
  requireOutside,
} from './backup-target.js'
import { SegmentCopier, type SegmentSource } from './copy-segment.js'

export interface BackupOptions {
  readonly onProgress: ((progress: BackupProgress) => void) | undefined
  readonly maxBytesPerSecond: number
}

export interface BackupProgress {
  /** Bytes of the log and of values that are dealt with, and how many there are. */
  readonly bytes: number
  readonly totalBytes: number
}

export interface BackupReport {
  /** Segment files that the backup has, and how many of them were copied, or written on, this time. */
  readonly segments: number
  readonly segmentsCopied: number
  readonly bytesCopied: number
  /** Address up to which it has the log: see `durable` of `stats()`. */
  readonly durable: number
}

const epochRaiseMin = 2 ** 20
const epochRaiseMax = 2 ** 40

export async function backup(
  engine: Engine,
  path: string,
  options: BackupOptions,
): Promise<BackupReport> {
  engine.requireOpen()
  const directory = resolve(path)
  if (engine.platform.kind !== 'memory') requireOutside(engine.directory, directory)
  await sync(engine)
  engine.requireOpen()
  // No segment goes before it is copied.
  const release = holdLog(engine)
  try {
    const plan = planBackup(engine)
    const target = openTarget(directory, engine.log.storeId)
    try {
      requireSameHistory(target, plan)
      return await copyAll(engine, plan, target, options)
    } finally {
      target.lock.release()
    }
  } finally {
    release()
  }
}

interface BackupPlan {
  readonly superblock: Superblock
  /** Log segments in order. */
  readonly log: readonly SegmentSource[]
  readonly values: ReadonlyMap<number, SegmentSource>
  readonly totalBytes: number
  /** Of the store: no segment has this number or a higher one. */
  readonly nextSegmentNumber: number
}

function planBackup(engine: Engine): BackupPlan {
  const { control, directory, log, platform } = engine
  const state = control.readState()
  // A copy in memory has all that recovery believed, and it does not change.
  const end = engine.isCopy ? state[layout.tail] : state[layout.durable]
  const isInMemory = platform.kind === 'memory'
  const logSegments: SegmentSource[] = []
  const values = new Map<number, SegmentSource>()
  for (let slot = 0; slot < state[layout.slotEnd]; slot++) {
    const segmentNumber = log.slots.get(slot, slotNumber)
    const kind = log.slots.get(slot, slotKind)
    if (segmentNumber === 0 || (kind !== kindLog && kind !== kindValue)) continue
    const sizeBytes = log.slots.get(slot, slotSizeBytes)
    const untilEndBytes = (end - segmentNumber * log.segmentWords) * 8
    const fileKind = kind === kindValue ? 'value' : 'log'
    const source = {
      name: segmentFileName(fileKind, segmentNumber),
      segmentNumber,
      epoch: log.slots.get(slot, slotEpoch),
      kind: kind === kindValue ? segmentKindValue : segmentKindLog,
      sizeBytes,
      previousSegment: log.slots.get(slot, slotPrevious),
      endBytes: backedUpEnd(log.slots.get(slot, slotEndBytes), untilEndBytes, sizeBytes),
    }
    if (kind === kindValue) values.set(segmentNumber, source)
    else if (untilEndBytes > 0) logSegments.push(source)
  }
  logSegments.sort((a, b) => a.segmentNumber - b.segmentNumber)
  return {
    superblock: isInMemory ? superblockOf(engine) : readSuperblock(platform, directory, true),
    log: logSegments,
    values,
    nextSegmentNumber: state[layout.nextSegmentNumber],
    totalBytes: logSegments.reduce(
      (sum, { endBytes, sizeBytes }) => sum + (endBytes ?? sizeBytes),
      0,
    ),
  }
}

/** Undefined for the segment of the tail, if all of it is to be copied. */
function backedUpEnd(
  endBytes: number,
  untilEndBytes: number,
  sizeBytes: number,
): number | undefined {
  if (endBytes !== 0) return Math.min(endBytes, untilEndBytes)
  return untilEndBytes <= sizeBytes ? untilEndBytes : undefined
}

/** A store in memory has no file that says who it is. */
function superblockOf({ hashSeedHigh, hashSeedLow, log, platform }: Engine): Superblock {
  const { shift, storeId } = log
  const createdAtMs = platform.nowMs()
  return {
    segmentShift: shift,
    storeId,
    lineageId: storeId,
    hashSeedLow,
    hashSeedHigh,
    createdAtMs,
  }
}

/** The store may have begun anew from a backup, and the target be one of its former future. */
function requireSameHistory({ directory, named }: BackupTarget, plan: BackupPlan): void {
  const { log, nextSegmentNumber, values } = plan
  const sources = new Map(
    [...log, ...values.values()].map((source) => [source.segmentNumber, source]),
  )
  for (const { segmentNumber, epoch } of named.values()) {
    const source = sources.get(segmentNumber)
    const isOther =
      source === undefined ? segmentNumber >= nextSegmentNumber : source.epoch !== epoch
    if (isOther) throw occupied(directory, 'the backup in it is of another history of the store')
  }
}

async function copyAll(
  engine: Engine,
  plan: BackupPlan,
  target: BackupTarget,
  options: BackupOptions,
): Promise<BackupReport> {
  const { directory, platform } = target
  const copier = new SegmentCopier(engine, target, plan.values)
  const steps = copier.copy(plan.log)
  const segments = await inSlices(steps, {
    bytes: () => copier.bytes,
    maxBytesPerSecond: options.maxBytesPerSecond,
    betweenSlices: () => {
      engine.requireOpen()
      const { totalBytes } = plan
      options.onProgress?.({ bytes: Math.min(copier.bytes, totalBytes), totalBytes })
    },
  })
  for (const name of copier.changedNames) {
    const file = platform.openFile(join(directory, name), 'write')
    try {
      await file.sync()
    } finally {
      file.close()
    }
  }
  await platform.syncDirectoryAsync(directory)
  const durable = writeHead(plan, target, segments)
  removeUnnamed(target, segments)
  return {
    segments: segments.length,
    segmentsCopied: copier.changedNames.size,
    bytesCopied: copier.bytesCopied,
    durable,
  }
}

/** Steps 2 and 3. */
function writeHead(
  plan: BackupPlan,
  target: BackupTarget,
  segments: readonly ManifestSegment[],
): number {
  const { directory, manifest, platform } = target
  const { segmentShift, storeId } = plan.superblock
  // Above that of every segment that the store dropped, too: records that refer to one are here.
  const nextSegmentNumber = Math.max(plan.nextSegmentNumber, manifest?.nextSegmentNumber ?? 1)
  let epoch = 0
  let durable = 0
  for (const { segmentNumber, endBytes, epoch: epochOf, kind } of segments) {
    epoch = Math.max(epoch, epochOf)
    if (kind === segmentKindLog) durable = segmentNumber * 2 ** segmentShift + endBytes / 8
  }
  if (manifest !== undefined && manifest.epoch > epoch) epoch = manifest.epoch
  else epoch += randomInt(epochRaiseMin, epochRaiseMax)
  const losses = 0
  writeManifest(platform, directory, {
    storeId,
    epoch,
    nextSegmentNumber,
    durable,
    losses,
    isClosed: true,
    segments,
  })
  if (target.superblock === undefined) {
    const lineageId = Uint8Array.from(randomBytes(16))
    writeSuperblock(platform, directory, { ...plan.superblock, lineageId })
  }
  return durable
}

/** What only the older backup had, and what one that was killed left. */
function removeUnnamed(target: BackupTarget, segments: readonly ManifestSegment[]): void {
  const { directory, platform } = target
  const names = new Set(
    segments.map(({ kind, segmentNumber }) =>
      segmentFileName(kind === segmentKindLog ? 'log' : 'value', segmentNumber),
    ),
  )
  for (const name of platform.list(directory)) {
    const isOld = /^(segment|value)-/.test(name) && !names.has(name)
    if (isOld || name.endsWith(copySuffix)) platform.remove(join(directory, name))
  }
}
