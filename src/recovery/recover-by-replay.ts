/**
 * Opening on another boot, or wherever memory cannot be believed: the log is read, from its beginning
 * or from the newest checkpoint that can be used, and everything else is built from it.
 *
 * Order, for a store that may be written (each step may die and be done again):
 * 1. Checkpoint and log are read and verified. Damage refuses the store here, with nothing changed (I12).
 *    What step 4 then reads of the log, in memory, is what was verified: nobody else has the store open.
 * 2. Segments with records that no sync covered are synced, or, where a sync may have failed on this
 *    boot, copied: the kernel may call pages clean that it never wrote (I10). Then their names are.
 * 3. The manifest with the next epoch and the end of every segment is written and synced: what lies
 *    behind these ends is dead from here on (I2). The old control file, which may be all that proves
 *    the last of these records, is of no more use then, and not before.
 * 4. The volatile parts are made anew; until they are signed nobody believes them.
 * 5. Files of the abandoned timeline are removed.
 * 6. A new segment begins, and the parts are signed.
 */
import { join } from 'node:path'
import type { Control } from '../control/control.js'
import { type Engine, nothingReplayed } from '../engine/engine.js'
import * as layout from '../format/control-layout.js'
import {
  checkpointNextFileName,
  isPreparedFileName,
  parseSegmentFileName,
} from '../format/file-names.js'
import { isDropped, type Manifest, type ManifestSegment } from '../format/manifest.js'
import { segmentKindLog, segmentKindValue } from '../format/segment-header.js'
import { segmentSizeOf } from '../format/superblock.js'
import { sizeAhead } from '../index/hash-build.js'
import { firstRecordOffset } from '../log/roll.js'
import { slotEndBytes } from '../log/slot-table.js'
import { createMemoryPlatform } from '../platform/memory-platform.js'
import { attachAlone } from './attach.js'
import { type CheckpointChoice, chooseCheckpoint } from './choose-checkpoint.js'
import { decide, type Facts, settleRows } from './decision.js'
import { loadCheckpoint } from './load-checkpoint.js'
import { type LogEnd, LogReader, provenDurable, type TailClaim } from './log-reader.js'
import { makeEngine, type StoreFiles, startLog, startSession } from './make-engine.js'
import { adoptSegment, replayStretch } from './replay.js'
import { findSegmentFiles, type SegmentFile, type SegmentFiles } from './segment-files.js'
import { copyDurably, writeManifest } from './store-files.js'
import {
  finishUpdate,
  isToBeMade,
  placeInFile,
  readUnfinishedUpdate,
  type UnfinishedUpdate,
} from './unfinished-update.js'
import {
  closeVolatileParts,
  createVolatileParts,
  isOfOtherBoot,
  isSigned,
  openVolatileParts,
  removeVolatileParts,
  type VolatileParts,
  volatilePartsExist,
} from './volatile-parts.js'

/** `openedBy`: the row that says why memory is not believed. */
export function recoverByReplay(files: StoreFiles, existed: boolean, openedBy: string): Engine {
  const { access, directory, manifest, platform } = files
  const found = findSegmentFiles(platform, directory, manifest)
  const shift = files.superblock.segmentShift
  const checkpoint = chooseCheckpoint({ platform, directory, manifest, shift }, found)
  const announced = readFormerSession(files)
  const former = withPossibleUpdate(files, found, announced)
  const end = readLog(files, { found, former, checkpoint })
  // From here on the store is known to be whole.
  files.announceChange(true)
  const rows = [openedBy, checkpoint.row, end.row]
  let losses = 0
  if (access === 'shared') {
    const used = usedSegments(found, end)
    const { action, label } = decide(settleRows, {
      poison: () => (former.wasPoisoned ? 'set' : 'clear'),
      cache: () => (former.isOfOtherBoot ? 'read' : 'in-doubt'),
      update: () => updateFact(announced, former),
    })
    rows.push(label)
    if (former.update !== undefined) writeUpdate(files, used, former.update)
    settle(files, used, { end, isCopied: action === 'copy' || action === 'update-and-copy' })
    losses = lossesSince(files, used, end)
    writeManifest(platform, directory, nextManifest(files, used, end, losses))
  }
  const isVolatileInMemory = access === 'private' || platform.kind === 'file'
  if (isVolatileInMemory && access === 'shared') removeVolatileParts(platform, directory)
  const parts = createVolatileParts(
    isVolatileInMemory ? createMemoryPlatform() : platform,
    directory,
    segmentSizeOf(files.superblock),
  )
  try {
    const log = { found, former, checkpoint, end, existed, losses, rows }
    return recoverInto(files, parts, isVolatileInMemory, log)
  } catch (error) {
    // Its entry among the attachments must not stay locked.
    closeVolatileParts(parts)
    throw error
  }
}

interface LogSources {
  readonly found: SegmentFiles
  readonly former: FormerSession
  readonly checkpoint: CheckpointChoice
}

interface FoundLog extends LogSources {
  readonly end: LogEnd
  readonly existed: boolean
  /** See the manifest. */
  readonly losses: number
  readonly rows: readonly string[]
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
  /** What is in the page cache came from the medium: the machine was started since. */
  readonly isOfOtherBoot: boolean
  /** What it says survived a sync: true whenever it was written, because the sync came first. */
  readonly durable: number
}

const noFormerSession: FormerSession = {
  claim: undefined,
  update: undefined,
  wasPoisoned: false,
  isOfOtherBoot: false,
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
      durable: syncedAddress(control, superblock.segmentShift),
      claim: {
        tail: control.get(layout.tail),
        digestLow: control.get(layout.digestLow),
        digestHigh: control.get(layout.digestHigh),
      },
      update: readUnfinishedUpdate(parts),
      wasPoisoned: control.isPoisoned,
      isOfOtherBoot: isOfOtherBoot(parts, platform),
    }
  } finally {
    closeVolatileParts(parts)
  }
}

/** Segments that the manifest names are of earlier epochs and do not change any more. */
function withPossibleUpdate(
  { platform, superblock }: StoreFiles,
  found: SegmentFiles,
  former: FormerSession,
): FormerSession {
  const { update } = former
  if (update === undefined) return former
  const isPossible = found.log.some(
    (file) =>
      file.endBytes === undefined && isToBeMade(platform, update, file, superblock.segmentShift),
  )
  return isPossible ? former : { ...former, update: undefined }
}

function updateFact(announced: FormerSession, former: FormerSession): Facts['update'] {
  if (announced.update === undefined) return 'none'
  return former.update === undefined ? 'made' : 'unmade'
}

/**
 * The address below which all is synced, as far as a former control file says. The lesser of both states':
 * neither has a checksum, and a bad bit must not refuse a store.
 */
export function syncedAddress({ doubles, next, state }: Control, shift: number): number {
  return provenDurable(
    Math.min(doubles[state + layout.durable], doubles[next + layout.durable]),
    shift,
  )
}

function readLog(files: StoreFiles, { checkpoint, former, found }: LogSources): LogEnd {
  const { manifest, platform, superblock } = files
  const { chosen } = checkpoint
  const reader = new LogReader({
    platform,
    shift: superblock.segmentShift,
    start: chosen && { ...chosen.header, ends: chosen.ends },
    durable: Math.max(manifest.durable, former.durable, checkpoint.durable),
    claim: former.claim,
    update: former.update,
    values: new Map(found.values.map((file) => [file.header.segmentNumber, file])),
    nextSegmentNumber: manifest.nextSegmentNumber,
    isDropped: (segmentNumber) => isDropped(manifest, segmentNumber),
  })
  return reader.read(found.log)
}

function rebuild(files: StoreFiles, parts: VolatileParts, log: FoundLog): Engine {
  const { access, manifest } = files
  const epoch = access === 'private' ? manifest.epoch : manifest.epoch + 1
  const draft = makeEngine(files, parts, epoch, {
    kind: 'replay',
    rows: [],
    ...nothingReplayed,
  })
  const { chosen } = log.checkpoint
  if (chosen !== undefined) loadCheckpoint(draft, chosen)
  const adopted = new Set(
    Array.from(chosen?.files.values() ?? [], ({ header }) => header.segmentNumber),
  )
  for (const file of log.found.values) {
    if (!adopted.has(file.header.segmentNumber)) adoptSegment(draft, file, 'value')
  }
  const { end } = log
  if (chosen === undefined) sizeAhead(draft.index, end.keyCount)
  let recordsReplayed = 0
  for (const stretch of end.stretches) {
    if (!adopted.has(stretch.file.header.segmentNumber)) adoptSegment(draft, stretch.file, 'log')
    if (log.former.update !== undefined) finishUpdate(draft.log, log.former.update)
    recordsReplayed += replayStretch(draft, stretch)
  }
  const { control } = parts
  for (const [number, endBytes] of end.endBySegment) {
    draft.log.slots.set(draft.log.slotOf(number), slotEndBytes, endBytes)
  }
  control.begin()
  control.set(layout.tail, addressOfEnd(end, files.superblock.segmentShift))
  if (end.endBySegment.size > 0) {
    const first = Math.min(...end.endBySegment.keys())
    const begin = first * draft.log.segmentWords + firstRecordOffset
    control.set(layout.begin, begin)
    control.set(layout.durable, Math.max(begin, end.durable))
  }
  if (access === 'shared') skipSequences(control, usedSegments(log.found, end), log.losses)
  control.set(
    layout.nextSegmentNumber,
    Math.max(control.get(layout.nextSegmentNumber), manifest.nextSegmentNumber, freeNumber(files)),
  )
  control.commit()
  draft.log.close()
  const engine = makeEngine(files, parts, epoch, {
    kind: log.existed ? 'replay' : 'created',
    rows: manifest.epoch === 0 ? ['new-store'] : log.rows,
    recordsReplayed: log.existed ? recordsReplayed : 0,
    bytesDropped: end.bytesDropped,
    checkpoint: chosen?.header.address,
    passedOver: log.checkpoint.passedOver,
  })
  engine.index.adoptBucketCount()
  if (log.former.update !== undefined) finishUpdate(engine.log, log.former.update)
  return engine
}

/** Whoever was told of a change that was lost is told of those that came in its place. */
function skipSequences(control: Control, used: readonly UsedSegment[], losses: number): void {
  // Not those of values: what was left of one that no record refers to says nothing of the log.
  const log = used.filter(({ file: { header } }) => header.kind === segmentKindLog)
  const begun = log.map(({ file: { header } }) => header.firstSequence - 1)
  const sequence = Math.max(control.get(layout.sequence), ...begun)
  const skipped = losses * layout.sequencesPerLoss
  control.set(layout.sequence, sequence + skipped)
  control.set(layout.skippedSequences, skipped)
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

interface Settlement {
  readonly end: LogEnd
  /** Whether what no sync covered is put into new files. */
  readonly isCopied: boolean
}

/** Brings what the manifest is about to name, and did not name before, to the medium. */
function settle(
  files: StoreFiles,
  used: readonly UsedSegment[],
  { end, isCopied }: Settlement,
): void {
  const { directory, manifest, platform } = files
  const named = new Set(manifest.segments.map((segment) => segment.segmentNumber))
  const unnamed = used.filter(({ file }) => !named.has(file.header.segmentNumber))
  for (const { endBytes, file } of unnamed) {
    if (isCopied && !isCovered(file, endBytes, end, files.superblock.segmentShift)) {
      copyDurably(platform, directory, file.path)
      continue
    }
    const handle = platform.openFile(file.path, 'write')
    try {
      handle.syncNow()
    } finally {
      handle.close()
    }
  }
  // Of no sync that ended is it known that it covered their names.
  if (unnamed.length > 0) platform.syncDirectory(directory)
}

/** True where a sync that ended is known to have covered all that counts of a segment. */
function isCovered({ header }: SegmentFile, endBytes: number, end: LogEnd, shift: number): boolean {
  const { segmentNumber } = header
  const address =
    header.kind === segmentKindLog
      ? segmentNumber * 2 ** shift + endBytes / 8
      : (end.referenceByValue.get(segmentNumber) ?? 0)
  return address <= end.durable
}

function addressOfEnd({ endBytes, segmentNumber }: LogEnd, shift: number): number {
  return segmentNumber * 2 ** shift + endBytes / 8
}

/**
 * Without a proper close the last changes may be gone, and somebody may have been told of them. Losses of
 * before count until a segment was made that tells of them.
 */
function lossesSince(
  { manifest, superblock }: StoreFiles,
  used: readonly UsedSegment[],
  end: LogEnd,
): number {
  // A store that is being made.
  if (manifest.epoch === 0) return 0
  const isTold = used.some(
    ({ file: { header } }) => header.kind === segmentKindLog && header.epoch === manifest.epoch,
  )
  const isAtEnd = addressOfEnd(end, superblock.segmentShift) === manifest.durable
  const isWhole = isAtEnd && manifest.isClosed
  return (isTold ? 0 : manifest.losses) + (isWhole ? 0 : 1)
}

function nextManifest(
  files: StoreFiles,
  used: readonly UsedSegment[],
  end: LogEnd,
  losses: number,
): Manifest {
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
    durable: addressOfEnd(end, files.superblock.segmentShift),
    losses,
    isClosed: false,
    segments,
  }
}

function removeDead(files: StoreFiles, found: SegmentFiles, used: readonly UsedSegment[]): void {
  const { directory, platform } = files
  const kept = new Set(used.map(({ file }) => file.path))
  const abandoned = found.log.map(({ path }) => path).filter((path) => !kept.has(path))
  for (const path of [...found.dead, ...abandoned]) platform.remove(path)
  for (const name of platform.list(directory)) {
    const isLeftover = isPreparedFileName(name) || name === checkpointNextFileName
    if (isLeftover) platform.remove(join(directory, name))
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
