/**
 * verify: every byte of a store that has a checksum is read from its file and checked, and the indexes
 * and counts against the log. Nothing is changed, and others go on writing: verification.ts says
 * how what they do is told from damage.
 */
import { StoreError } from '../base/errors.js'
import type { Engine } from '../engine/engine.js'
import * as layout from '../format/control-layout.js'
import { controlFileName, keyspacesFileName, segmentFileName } from '../format/file-names.js'
import type { Manifest } from '../format/manifest.js'
import { systemKeyspaceId } from '../format/record.js'
import { segmentKindLog, segmentKindValue } from '../format/segment-header.js'
import { firstRecordOffset } from '../log/roll.js'
import {
  kindDropped,
  kindLog,
  kindValue,
  slotEndBytes,
  slotEpoch,
  slotKind,
  slotNumber,
  slotPrevious,
  slotSizeBytes,
} from '../log/slot-table.js'
import type { Problem } from './problems.js'
import { inSlices } from './slices.js'
import { Verification } from './verification.js'
import {
  compareManifest,
  type ExpectedSegment,
  verifyCheckpoints,
  verifyHeader,
  verifyManifest,
  verifySuperblock,
} from './verify-files.js'
import { verifyIndex } from './verify-index.js'
import { type ReadableSegments, traceLost, verifyLog } from './verify-log.js'
import { verifyOrder } from './verify-order.js'

export interface VerifyProgress {
  /** Bytes of the log and of values that were read, and how many there are to read. */
  readonly bytes: number
  readonly totalBytes: number
}

export interface VerifyOptions {
  readonly onProgress: ((progress: VerifyProgress) => void) | undefined
  readonly maxBytesPerSecond: number
}

export interface VerifyReport {
  /** True where there is no problem. */
  readonly ok: boolean
  /** Live records that were verified. */
  readonly records: number
  readonly problems: readonly Problem[]
}

export async function verify(engine: Engine, options: VerifyOptions): Promise<VerifyReport> {
  engine.requireOpen()
  const { log } = engine
  const generation = log.slotGeneration
  const verification = new Verification(engine)
  try {
    await inSlices(steps(verification), {
      bytes: () => verification.bytes,
      maxBytesPerSecond: options.maxBytesPerSecond,
      betweenSlices: () => {
        engine.requireOpen()
        if (engine.log !== log) {
          throw new StoreError('STORE_IN_USE', 'the store was opened anew while it was verified')
        }
        const { bytes, totalBytes } = verification
        options.onProgress?.({ bytes: Math.min(bytes, totalBytes), totalBytes })
      },
    })
    log.refreshSlots()
    // One that may not write cannot hold compaction off, and what it did looks like damage.
    if (log.slotGeneration !== generation && log.access === 'private' && !engine.isCopy) {
      throw new StoreError('STORE_IN_USE', 'the store was compacted while it was verified')
    }
  } finally {
    verification.close()
  }
  const { problems } = verification
  let records = 0
  for (const { id, found } of verification.keyspaces.values()) {
    if (id !== systemKeyspaceId) records += found.records
  }
  return { ok: problems.count === 0, records, problems: problems.list() }
}

function* steps(verification: Verification): Generator<void, void> {
  const { engine, problems } = verification
  const { directory, log, platform } = engine
  let manifest: Manifest | undefined
  if (platform.kind !== 'memory') {
    verifySuperblock(platform, directory, log.storeId, problems)
    manifest = verifyManifest(platform, directory, log.storeId, problems)
    yield* verifyCheckpoints(platform, directory, log.storeId, problems)
  }
  const expected = expectedSegments(verification)
  if (manifest !== undefined) {
    compareManifest(directory, manifest, expected, droppedSegments(verification), problems)
  }
  const segments = yield* verifyHeaders(verification, expected)
  // Memory behind the end of a file must not be touched, and without all segments little can be told.
  if (segments.isMemoryWhole) yield* verifyIndex(verification)
  else verification.isIndexUsable = false
  yield* verifyLog(verification, segments)
  if (!verification.isIndexUsable) return
  verification.dropUnnamed()
  if (verification.isComparable()) {
    yield* verifyOrder(verification)
    yield* verifyCounts(verification, segments)
  }
}

/** Numbers of segments that compaction is dropping: the manifest may still name them, or not any more. */
function droppedSegments({ engine: { log }, state }: Verification): ReadonlySet<number> {
  const found = new Set<number>()
  for (let slot = 0; slot < state[layout.slotEnd]; slot++) {
    if (log.slots.get(slot, slotKind) === kindDropped) found.add(log.slots.get(slot, slotNumber))
  }
  return found
}

/** The segments of the slot table, as far as there are records in them that count. */
function expectedSegments({ engine, state }: Verification): ExpectedSegment[] {
  const { log } = engine
  const tailNumber = Math.floor(state[layout.tail] / log.segmentWords)
  const found: ExpectedSegment[] = []
  for (let slot = 0; slot < state[layout.slotEnd]; slot++) {
    const segmentNumber = log.slots.get(slot, slotNumber)
    const slotKindIs = log.slots.get(slot, slotKind)
    if (segmentNumber === 0 || (slotKindIs !== kindLog && slotKindIs !== kindValue)) continue
    // Begun since, in the slot of one that was dropped: its records may still be updated in place.
    if (segmentNumber >= state[layout.nextSegmentNumber]) continue
    const isValue = slotKindIs === kindValue
    const isTail =
      segmentNumber <= tailNumber && tailNumber < segmentNumber + log.partCount(slot) && !isValue
    const tailBytes = (state[layout.tail] - segmentNumber * log.segmentWords) * 8
    found.push({
      path: log.path(segmentFileName(isValue ? 'value' : 'log', segmentNumber)),
      segmentNumber,
      epoch: log.slots.get(slot, slotEpoch),
      kind: isValue ? segmentKindValue : segmentKindLog,
      sizeBytes: log.slots.get(slot, slotSizeBytes),
      previousSegment: log.slots.get(slot, slotPrevious),
      endBytes: isTail ? tailBytes : log.slots.get(slot, slotEndBytes) || undefined,
    })
  }
  return found
}

function* verifyHeaders(
  verification: Verification,
  expected: readonly ExpectedSegment[],
): Generator<void, ReadableSegments> {
  const { engine, problems } = verification
  const { log, platform } = engine
  const readable: ExpectedSegment[] = []
  for (const segment of expected) {
    yield
    if (verifyHeader(platform, segment, log.storeId, problems)) readable.push(segment)
  }
  const isLog = ({ kind }: ExpectedSegment): boolean => kind === segmentKindLog
  const readableLog = readable.filter(isLog).sort((a, b) => a.segmentNumber - b.segmentNumber)
  const isMemoryWhole = readable.length === expected.length
  if (!isMemoryWhole) verification.hasDamagedLog = true
  for (const { endBytes, sizeBytes } of readable) {
    verification.totalBytes += (endBytes ?? sizeBytes) - firstRecordOffset * 8
  }
  return {
    log: readableLog,
    values: new Map(readable.filter((segment) => !isLog(segment)).map((s) => [s.segmentNumber, s])),
    isMemoryWhole,
  }
}

/** What the store counts must be what was found. */
function* verifyCounts(
  verification: Verification,
  segments: ReadableSegments,
): Generator<void, void> {
  const { engine, foundLiveBytes, hasDamagedLog, hasOrphans, keyspaces, problems, state } =
    verification
  // What cannot be read cannot be counted, and was said already.
  if (hasDamagedLog) return
  const before = problems.count
  const tallies = [...keyspaces.values()]
  const isMissing = tallies.some(({ counted, found }) => found.records < counted.records)
  if (isMissing) yield* traceLost(verification, segments)
  if (problems.count > before) return
  const file = engine.log.path(controlFileName)
  for (const { counted, found, name } of tallies) {
    for (const field of ['records', 'keyBytes', 'valueBytes'] as const) {
      if (counted[field] === found[field]) continue
      const what = `of keyspace ${JSON.stringify(name)} it counts ${counted[field]} ${field}, the log has ${found[field]}`
      problems.add(engine.log.path(keyspacesFileName), 0, what)
    }
  }
  if (hasOrphans || problems.count > before) return
  const totals = [
    ['records', state[layout.records], sumOf(tallies, 'records')],
    ['keyBytes', state[layout.keyBytes], sumOf(tallies, 'keyBytes')],
    ['valueBytes', state[layout.valueBytes], sumOf(tallies, 'valueBytes')],
    ['liveBytes', state[layout.liveBytes], foundLiveBytes],
  ] as const
  for (const [field, counted, found] of totals) {
    if (counted === found) continue
    problems.add(file, 0, `it counts ${counted} ${field}, the log has ${found}`)
  }
}

function sumOf(
  tallies: readonly {
    readonly found: Readonly<Record<'records' | 'keyBytes' | 'valueBytes', number>>
  }[],
  field: 'records' | 'keyBytes' | 'valueBytes',
): number {
  return tallies.reduce((sum, { found }) => sum + found[field], 0)
}
