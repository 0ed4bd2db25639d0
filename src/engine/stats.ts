/** The numbers of a store, from memory: nothing is read from the log. */
import * as layout from '../format/control-layout.js'
import { systemKeyspaceId } from '../format/record.js'
import { kindPart, slotKind, slotNumber, slotSizeBytes } from '../log/slot-table.js'
import type { Engine, RecoveryReport } from './engine.js'
import { readCounts } from './expiry.js'
import { unsweptIds } from './sweep-keyspaces.js'

export interface StoreStats {
  /** Live keys. */
  readonly records: number
  readonly keyBytes: number
  readonly valueBytes: number
  /** Bytes that live records take in the log and in segments of their own. */
  readonly liveBytes: number
  /** Bytes of superseded and deleted records, markers included. */
  readonly garbageBytes: number
  /** `garbageBytes` as a part of all record bytes, 0 to 1. */
  readonly garbageRatio: number
  /** Bytes reserved for segments on disk (in memory, for `:memory:`). */
  readonly fileBytes: number
  readonly indexBytes: number
  readonly segments: number
  /** Bytes of the log that may still be updated in place. */
  readonly mutableBytes: number
  /** Bytes of the log that never change again. */
  readonly readOnlyBytes: number
  /** Bytes of the log not in memory; 0 in this version, which leaves that to the page cache. */
  readonly coldBytes: number
  /** Addresses, in 8-byte words of the log. */
  readonly tail: number
  readonly durable: number
  readonly begin: number
  /** The highest version seen. */
  readonly version: number
  /** The sequence of the last commit. */
  readonly sequence: number
  /**
   * What the oldest open snapshot of all attachments holds back, at most: bytes of records that were
   * replaced or deleted since it was made. 0 where there is none. This version does not compact, and
   * gives them back to nobody when it is closed either.
   */
  readonly pinnedBytes: number
  /** Snapshots that this attachment has open, those of unfinished iterations included. */
  readonly snapshots: number
  /** What the oldest open snapshot of all attachments shows; undefined where there is none. */
  readonly oldestSnapshotSequence: number | undefined
  /** Flushes that this attachment completed since opening. */
  readonly syncs: number
  readonly compactions: number
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
  const usedBytes = state[layout.usedBytes]
  const liveBytes = state[layout.liveBytes]
  const garbageBytes = usedBytes - liveBytes
  const garbageAtPin = attachments.garbageAtLowestPin()
  const logBytes = state[layout.tail] - state[layout.readOnly]
  const { segments, fileBytes } = measureSegments(engine, state[layout.slotEnd])
  const mutableBytes = log.isAppendOnly ? 0 : logBytes * 8
  return {
    records: state[layout.records] - unnamed[0] - due[0],
    keyBytes: state[layout.keyBytes] - unnamed[1] - due[1],
    valueBytes: state[layout.valueBytes] - unnamed[2] - due[2],
    liveBytes,
    garbageBytes,
    garbageRatio: usedBytes === 0 ? 0 : garbageBytes / usedBytes,
    fileBytes,
    indexBytes: index.sizeBytes + order.sizeBytes + (engine.ownOrder?.index.sizeBytes ?? 0),
    segments,
    mutableBytes,
    readOnlyBytes: Math.max(0, usedBytes - mutableBytes),
    coldBytes: 0,
    tail: state[layout.tail],
    durable: state[layout.durable],
    begin: state[layout.begin],
    version: state[layout.version],
    sequence: state[layout.sequence],
    pinnedBytes: garbageAtPin === undefined ? 0 : Math.max(0, garbageBytes - garbageAtPin),
    snapshots: pins.count,
    oldestSnapshotSequence: oldest === Number.POSITIVE_INFINITY ? undefined : oldest,
    syncs: engine.syncQueue.completedCount,
    compactions: 0,
    checkpoints: engine.checkpointCount,
    lastRecovery: engine.lastRecovery,
    // One that reads from a copy of its own is in no list.
    attachments: Math.max(1, attachments.list().length),
    poisoned: control.isPoisoned,
    mapping: log.platform.kind,
    segmentSizeBytes: log.segmentSizeBytes,
  }
}

function measureSegments(engine: Engine, slotEnd: number): { segments: number; fileBytes: number } {
  const { log } = engine
  let segments = 0
  let fileBytes = 0
  for (let slot = 0; slot < slotEnd; slot++) {
    if (log.slots.get(slot, slotNumber) === 0 || log.slots.get(slot, slotKind) === kindPart)
      continue
    segments++
    fileBytes += log.slots.get(slot, slotSizeBytes)
  }
  if (log.prepared !== undefined) fileBytes += log.segmentSizeBytes
  return { segments, fileBytes }
}
