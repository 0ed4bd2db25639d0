/**
 * Opening on another boot, or wherever memory cannot be believed: the log is read from its
 * beginning and everything else is built from it.
 *
 * Order, for a store that may be written (each step may die and be done again):
 * 1. The log is read and verified. Damage refuses the store here, with nothing changed (I12).
 * 2. Segments with records that no sync covered are synced, or, after a failed sync, copied: the
 *    kernel may call pages clean that it never wrote (I10).
 * 3. The manifest with the next epoch and the end of every segment is written and synced: what lies
 *    behind these ends is dead from here on (I2). The old control file, which may be all that proves
 *    the last of these records, is of no more use then, and not before.
 * 4. The volatile parts are made anew; until they are signed nobody believes them.
 * 5. Files of the abandoned timeline are removed.
 * 6. A new segment begins, and the parts are signed.
 */
import { join } from 'node:path'
import type { Control } from '../control/control.js'
import type { Engine } from '../engine/engine.js'
import * as layout from '../format/control-layout.js'
import { isPreparedFileName, parseSegmentFileName } from '../format/file-names.js'
import { isDropped, type Manifest, type ManifestSegment } from '../format/manifest.js'
import { segmentKindLog, segmentKindValue } from '../format/segment-header.js'
import { segmentSizeOf } from '../format/superblock.js'
import { firstRecordOffset } from '../log/roll.js'
import { createMemoryPlatform } from '../platform/memory-platform.js'
import { attachAlone } from './attach.js'
import { type LogEnd, LogReader, type TailClaim } from './log-reader.js'
import { makeEngine, type StoreFiles, startLog, startSession } from './make-engine.js'
import { adoptSegment, replayStretch, sealReplayed } from './replay.js'
import { findSegmentFiles, type SegmentFile, type SegmentFiles } from './segment-files.js'
import { copyDurably, writeManifest } from './store-files.js'
import {
  finishUpdate,
  placeInFile,
  readUnfinishedUpdate,
  type UnfinishedUpdate,
} from './unfinished-update.js'
import {
  closeVolatileParts,
  createVolatileParts,
  isSigned,
  openVolatileParts,
  removeVolatileParts,
  type VolatileParts,
  volatilePartsExist,
} from './volatile-parts.js'

export function recoverByReplay(files: StoreFiles, existed: boolean): Engine {
  const { access, directory, manifest, platform } = files
  const found = findSegmentFiles(platform, directory, manifest)
  const former = withPossibleUpdate(files, found, readFormerSession(files))
  const end = readLog(files, found, former, () => undefined)
  // From here on the store is known to be whole.
  files.announceChange(true)
  if (access === 'shared') {
    const used = usedSegments(found, end)
    if (former.update !== undefined) writeUpdate(files, used, former.update)
    settle(files, used, former.wasPoisoned)
    writeManifest(platform, directory, nextManifest(files, used, end))
  }
  const isVolatileInMemory = access === 'private' || platform.kind === 'file'
  if (isVolatileInMemory && access === 'shared') removeVolatileParts(platform, directory)
  const parts = createVolatileParts(
    isVolatileInMemory ? createMemoryPlatform() : platform,
    directory,
    segmentSizeOf(files.superblock),
  )
  try {
    return recoverInto(files, parts, isVolatileInMemory, { found, former, end, existed })
  } catch (error) {
    // Its entry among the attachments must not stay locked.
    closeVolatileParts(parts)
    throw error
  }
}

interface FoundLog {
  readonly found: SegmentFiles
  readonly former: FormerSession
  readonly end: LogEnd
  readonly existed: boolean
}

/** Steps 4 to 6. */
function recoverInto(
  files: StoreFiles,
  parts: VolatileParts,
  isVolatileInMemory: boolean,
  log: FoundLog,
): Engine {
  if (!isVolatileInMemory) attachAlone(files, parts)
  const engine = rebuild(files, parts, log)
  if (files.access === 'private') {
    engine.mended = log.former.update
    return engine
  }
  removeDead(files, log.found, usedSegments(log.found, log.end))
  startLog(engine)
  if (!isVolatileInMemory) startSession(files, parts, engine.epoch)
  return engine
}

interface FormerSession {
  readonly claim: TailClaim | undefined
  readonly update: UnfinishedUpdate | undefined
  readonly wasPoisoned: boolean
  /** What it says survived a sync: true whenever it was written, because the sync came first. */
  readonly durable: number
}

const noFormerSession: FormerSession = {
  claim: undefined,
  update: undefined,
  wasPoisoned: false,
  durable: 0,
}

/** What a control file of an earlier boot, or of a copied store, still tells. */
function readFormerSession(files: StoreFiles): FormerSession {
  const { directory, manifest, platform, superblock } = files
  if (!volatilePartsExist(platform, directory)) return noFormerSession
  const parts = openVolatileParts(platform, directory, segmentSizeOf(superblock), 'read')
  try {
    const { control } = parts
    const isOfThisEpoch = control.doubles[layout.epochDouble] === manifest.epoch
    if (!isSigned(parts, superblock.storeId) || !isOfThisEpoch) return noFormerSession
    return {
      // The lesser of both states': neither has a checksum, and a bad bit must not refuse a store.
      durable: Math.min(
        syncedAddress(control, control.state),
        syncedAddress(control, control.next),
      ),
      claim: {
        tail: control.get(layout.tail),
        digestLow: control.get(layout.digestLow),
        digestHigh: control.get(layout.digestHigh),
      },
      update: readUnfinishedUpdate(parts),
      wasPoisoned: control.isPoisoned,
    }
  } finally {
    closeVolatileParts(parts)
  }
}

/** Segments that the manifest names are of earlier epochs and do not change any more. */
function withPossibleUpdate(
  files: StoreFiles,
  found: SegmentFiles,
  former: FormerSession,
): FormerSession {
  const { update } = former
  if (update === undefined) return former
  const isPossible = found.log.some(
    (file) =>
      file.endBytes === undefined &&
      placeInFile(update, file, files.superblock.segmentShift) !== undefined,
  )
  return isPossible ? former : { ...former, update: undefined }
}

/** Before the first sync of a session only the manifest knows what is durable. */
function syncedAddress(control: Control, state: number): number {
  const hasSynced = control.doubles[state + layout.lastMarker] !== 0
  return hasSynced ? control.doubles[state + layout.durable] : 0
}

function readLog(
  files: StoreFiles,
  found: SegmentFiles,
  former: FormerSession,
  believe: ConstructorParameters<typeof LogReader>[1],
): LogEnd {
  const { manifest, platform, superblock } = files
  const reader = new LogReader(
    {
      platform,
      shift: superblock.segmentShift,
      durable: Math.max(manifest.durable, former.durable),
      claim: former.claim,
      update: former.update,
      values: new Map(found.values.map((file) => [file.header.segmentNumber, file])),
      nextSegmentNumber: manifest.nextSegmentNumber,
      isDropped: (segmentNumber) => isDropped(manifest, segmentNumber),
    },
    believe,
  )
  return reader.read(found.log)
}

function rebuild(files: StoreFiles, parts: VolatileParts, log: FoundLog): Engine {
  const { access, manifest } = files
  const epoch = access === 'private' ? manifest.epoch : manifest.epoch + 1
  const draft = makeEngine(files, parts, epoch, {
    kind: 'replay',
    recordsReplayed: 0,
    bytesDropped: 0,
  })
  for (const file of log.found.values) adoptSegment(draft, file, 'value')
  const adopted = new Set<number>()
  let recordsReplayed = 0
  const end = readLog(files, log.found, log.former, (stretch) => {
    const { segmentNumber } = stretch.file.header
    if (!adopted.has(segmentNumber)) adoptSegment(draft, stretch.file, 'log')
    adopted.add(segmentNumber)
    if (log.former.update !== undefined) finishUpdate(draft.log, log.former.update)
    recordsReplayed += replayStretch(draft, stretch)
  })
  for (const [segmentNumber, endBytes] of end.endBySegment) {
    if (adopted.has(segmentNumber)) sealReplayed(draft, segmentNumber, endBytes)
  }
  const { control } = parts
  control.begin()
  control.set(layout.tail, end.segmentNumber * draft.log.segmentWords + end.endBytes / 8)
  if (end.endBySegment.size > 0) {
    const first = Math.min(...end.endBySegment.keys())
    const begin = first * draft.log.segmentWords + firstRecordOffset
    control.set(layout.begin, begin)
    control.set(layout.durable, Math.max(begin, end.durable))
  }
  control.set(
    layout.nextSegmentNumber,
    Math.max(control.get(layout.nextSegmentNumber), manifest.nextSegmentNumber, freeNumber(files)),
  )
  control.commit()
  draft.log.close()
  const engine = makeEngine(files, parts, epoch, {
    kind: log.existed ? 'replay' : 'created',
    recordsReplayed: log.existed ? recordsReplayed : 0,
    bytesDropped: end.bytesDropped,
  })
  engine.index.adoptBucketCount()
  if (log.former.update !== undefined) finishUpdate(engine.log, log.former.update)
  return engine
}

interface UsedSegment {
  readonly file: SegmentFile
  readonly endBytes: number
}

/** The segments that hold something which counts, each with the end of its records. */
function usedSegments(found: SegmentFiles, end: LogEnd): UsedSegment[] {
  const log = found.log.flatMap((file) => {
    const endBytes = end.endBySegment.get(file.header.segmentNumber)
    return endBytes === undefined ? [] : [{ file, endBytes }]
  })
  return [...log, ...found.values.map((file) => ({ file, endBytes: file.header.sizeBytes }))]
}

/** Only where it lies in what is believed: behind that there is nothing any more. */
function writeUpdate(
  files: StoreFiles,
  used: readonly UsedSegment[],
  update: UnfinishedUpdate,
): void {
  for (const { file, endBytes } of used) {
    const place = placeInFile(update, file, files.superblock.segmentShift)
    if (file.endBytes !== undefined || place === undefined || place * 8 >= endBytes) continue
    const handle = files.platform.openFile(file.path, 'write')
    try {
      handle.write(new Uint8Array(update.words.buffer), place * 8)
    } finally {
      handle.close()
    }
  }
}

/** Brings what the manifest is about to name, and did not name before, to the medium. */
function settle(files: StoreFiles, used: readonly UsedSegment[], wasPoisoned: boolean): void {
  const { directory, manifest, platform } = files
  const named = new Set(manifest.segments.map((segment) => segment.segmentNumber))
  for (const { file } of used) {
    if (named.has(file.header.segmentNumber)) continue
    if (wasPoisoned) {
      copyDurably(platform, directory, file.path)
    } else {
      const handle = platform.openFile(file.path, 'write')
      handle.syncNow()
      handle.close()
    }
  }
}

function nextManifest(files: StoreFiles, used: readonly UsedSegment[], end: LogEnd): Manifest {
  const segments: ManifestSegment[] = used.map(({ file, endBytes }) => ({
    segmentNumber: file.header.segmentNumber,
    epoch: file.header.epoch,
    endBytes,
    kind: file.header.kind === segmentKindLog ? segmentKindLog : segmentKindValue,
  }))
  segments.sort((a, b) => a.segmentNumber - b.segmentNumber)
  return {
    storeId: files.superblock.storeId,
    epoch: files.manifest.epoch + 1,
    nextSegmentNumber: Math.max(files.manifest.nextSegmentNumber, freeNumber(files)),
    durable: end.segmentNumber * 2 ** files.superblock.segmentShift + end.endBytes / 8,
    segments,
  }
}

function removeDead(files: StoreFiles, found: SegmentFiles, used: readonly UsedSegment[]): void {
  const { directory, platform } = files
  const kept = new Set(used.map(({ file }) => file.path))
  const abandoned = found.log.map(({ path }) => path).filter((path) => !kept.has(path))
  for (const path of [...found.dead, ...abandoned]) platform.remove(path)
  for (const name of platform.list(directory)) {
    if (isPreparedFileName(name)) platform.remove(join(directory, name))
  }
}

/**
 * A number above that of every segment file there is, dead ones too, and of every one that was dropped:
 * none is used twice, and records may still refer to a value that nobody needs.
 */
function freeNumber(files: StoreFiles): number {
  const { directory, manifest, platform, superblock } = files
  const segmentSizeBytes = segmentSizeOf(superblock)
  let free = 1
  for (const { segmentNumber } of manifest.segments) free = Math.max(free, segmentNumber + 1)
  for (const name of platform.list(directory)) {
    const parsed = parseSegmentFileName(name)
    if (parsed === undefined) continue
    const file = platform.openFile(join(directory, name), 'read')
    const parts = Math.max(1, Math.ceil(file.sizeBytes() / segmentSizeBytes))
    file.close()
    free = Math.max(free, parsed.segmentNumber + parts)
  }
  return free
}
