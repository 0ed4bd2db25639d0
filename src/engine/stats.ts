/** The numbers of a store, from memory: nothing is read from the log. */
import * as layout from '../format/control-layout.js'
import { systemKeyspaceId } from '../format/record.js'
import { segmentHeaderSizeBytes } from '../format/segment-header.js'
import type { Log } from '../log/log.js'
import { deadBytesOf, isPinned } from '../log/sealed-segment.js'
import {
  kindLog,
  kindPart,
  kindValue,
  slotEndBytes,
  slotKind,
  slotNumber,
  slotSizeBytes,
  slotTombstoneBytes,
} from '../log/slot-table.js'
import type { Engine, RecoveryReport } from './engine.js'
import { readCounts } from './expiry.js'
import { fileBytesOf } from './file-bytes.js'
import { measureResidency } from './residency.js'
import { unsweptIds } from './sweep-keyspaces.js'
import { unreadSegments } from './unread.js'

export interface StoreStats {
  /** Live keys. */
  readonly records: number
  readonly keyBytes: number
  readonly valueBytes: number
  /** Bytes that live records take in the log and in segments of their own. */
  readonly liveBytes: number
  /** Bytes of superseded and deleted records, markers included. */
  readonly garbageBytes: number
  /**
   * Of `garbageBytes`, what deletes left: compaction keeps of it what is remembered, and what keeps an older
   * record from coming back.
   */
  readonly tombstoneBytes: number
  /** `garbageBytes` as a part of all record bytes, 0 to 1. */
  readonly garbageRatio: number
  /**
   * Bytes reserved for segments on disk (in memory, for `:memory:`), the one included that is prepared to be
   * the next.
   */
  readonly fileBytes: number
  readonly indexBytes: number
  readonly segments: number
  /** Bytes of the log that may still be updated in place. */
  readonly mutableBytes: number
  /** Bytes of the log that never change again. */
  readonly readOnlyBytes: number
  /**
   * Of these, bytes that are not in memory: a read of them waits for the medium. As the system sees it, by
   * samples where the log has more than 256 MiB.
   */
  readonly coldBytes: number
  /** Bytes of the log that are in memory, whoever brought them there: with `coldBytes` all of it. */
  readonly residentBytes: number
  /** Addresses, in 8-byte words of the log. */
  readonly tail: number
  readonly durable: number
  readonly begin: number
  /** The highest version seen. */
  readonly version: number
  /** The sequence of the last commit. */
  readonly sequence: number
  /** Bytes of segments in which there is something that only snapshots or watchers need: these wait for them. */
  readonly pinnedBytes: number
  /** Snapshots that this attachment has open, those of unfinished iterations included. */
  readonly snapshots: number
  /** What the oldest open snapshot of all attachments shows; undefined where there is none. */
  readonly oldestSnapshotSequence: number | undefined
  /** Flushes that this attachment completed since opening. */
  readonly syncs: number
  /** Compactions that gave something back, of this attachment since opening. */
  readonly compactions: number
  /** What stopped compaction in the background, until it goes on; undefined for nothing. */
  readonly compactionFailure: unknown
  /** Checkpoints that this attachment has made since opening. */
  readonly checkpoints: number
  readonly lastRecovery: RecoveryReport
  /** Threads and processes that have the store open. */
  readonly attachments: number
  readonly poisoned: boolean
  /** How files are reached. */
  readonly mapping: 'mmap' | 'file' | 'memory'
  readonly segmentSizeBytes: number
}

export function stats(engine: Engine): StoreStats {
  engine.requireOpen()
  const { attachments, control, counts, index, log, order, pins } = engine
  const unnamedIds = [systemKeyspaceId, ...unsweptIds(engine).map(([id]) => id)]
  const { due, state, unnamed } = readCounts(
    engine,
    (id) => !unnamedIds.includes(id),
    (left) => ({
      due: left,
      state: control.readState(),
      // The registry, and what dropped keyspaces left that is not swept out yet.
      unnamed: ([0, 1, 2] as const).map((field) =>
        unnamedIds.reduce((sum, id) => sum + counts.get(id, field), 0),
      ),
    }),
  )
  const oldest = attachments.lowestPin()
  const residency = measureResidency(engine)
  const { segments, usedBytes, pinnedBytes, tombstoneBytes } = measureSegments(
    engine,
    state,
    oldest,
  )
  const liveBytes = state[layout.liveBytes]
  const garbageBytes = usedBytes - liveBytes
  const logBytes = state[layout.tail] - state[layout.readOnly]
  const mutableBytes = log.isAppendOnly ? 0 : logBytes * 8
  return {
    records: state[layout.records] - unnamed[0] - due[0],
    keyBytes: state[layout.keyBytes] - unnamed[1] - due[1],
    valueBytes: state[layout.valueBytes] - unnamed[2] - due[2],
    liveBytes,
    garbageBytes,
    tombstoneBytes,
    garbageRatio: usedBytes === 0 ? 0 : garbageBytes / usedBytes,
    fileBytes: fileBytesOf(engine),
    indexBytes: index.sizeBytes + order.sizeBytes + (engine.ownOrder?.index.sizeBytes ?? 0),
    segments,
    mutableBytes,
    readOnlyBytes: Math.max(0, usedBytes - mutableBytes),
    coldBytes: residency.coldBytes,
    residentBytes: residency.residentBytes,
    tail: state[layout.tail],
    durable: state[layout.durable],
    begin: state[layout.begin],
    version: state[layout.version],
    sequence: state[layout.sequence],
    pinnedBytes,
    snapshots: pins.count,
    oldestSnapshotSequence: oldest === Number.POSITIVE_INFINITY ? undefined : oldest,
    syncs: engine.syncQueue.completedCount,
    compactions: engine.compacted.runCount,
    compactionFailure: engine.compacted.failure,
    checkpoints: engine.checkpointCount,
    lastRecovery: engine.lastRecovery,
    // One that reads from a copy of its own is in no list.
    attachments: Math.max(1, attachments.list().length),
    poisoned: control.isPoisoned,
    mapping: log.platform.kind,
    segmentSizeBytes: log.segmentSizeBytes,
  }
}

interface Measures {
  segments: number
  /** Bytes of records, live or dead, and of values in segments of their own. */
  usedBytes: number
  pinnedBytes: number
  tombstoneBytes: number
}

function measureSegments(engine: Engine, state: Float64Array, lowestPin: number): Measures {
  const { log } = engine
  const unread = unreadSegments(engine)
  const { slots } = log
  const tombstoneBytes = state[layout.tailTombstoneBytes]
  const measures = { segments: 0, usedBytes: 0, pinnedBytes: 0, tombstoneBytes }
  for (let slot = 0; slot < state[layout.slotEnd]; slot++) {
    const kind = slots.get(slot, slotKind)
    if (slots.get(slot, slotNumber) === 0 || kind === kindPart) continue
    const sizeBytes = slots.get(slot, slotSizeBytes)
    measures.segments++
    if (kind === kindValue) measures.usedBytes += sizeBytes
    if (kind === kindLog)
      measures.usedBytes += endBytesOf(log, slot, state) - segmentHeaderSizeBytes
    measures.tombstoneBytes += slots.get(slot, slotTombstoneBytes)
    const isKept = isPinned(log, slot, lowestPin) || unread.has(slots.get(slot, slotNumber))
    if (isKept) measures.pinnedBytes += deadBytesOf(log, slot)
  }
  return measures
}

/** Where the records of a log segment end, the tail's at the tail. */
function endBytesOf({ slots, segmentWords }: Log, slot: number, state: Float64Array): number {
  const endBytes = slots.get(slot, slotEndBytes)
  return endBytes !== 0
    ? endBytes
    : (state[layout.tail] - slots.get(slot, slotNumber) * segmentWords) * 8
}
