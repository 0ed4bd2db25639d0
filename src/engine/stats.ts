/** The numbers of a store, from memory: nothing is read from the log. */
import * as layout from '../format/control-layout.js'
import { systemKeyspaceId } from '../format/record.js'
import { kindPart, slotKind, slotNumber, slotSizeBytes } from '../log/slot-table.js'
import type { Engine, RecoveryReport } from './engine.js'

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
  /** Bytes kept for snapshots; 0 in this version, which has none. */
  readonly pinnedBytes: number
  /** Flushes completed since opening. */
  readonly syncs: number
  readonly compactions: number
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
  const { control, counts, index, log } = engine
  const usedBytes = control.get(layout.usedBytes)
  const liveBytes = control.get(layout.liveBytes)
  const logBytes = control.get(layout.tail) - control.get(layout.readOnly)
  const { segments, fileBytes } = measureSegments(engine)
  const mutableBytes = log.isAppendOnly ? 0 : logBytes * 8
  return {
    records: control.get(layout.records) - counts.get(systemKeyspaceId, 0),
    keyBytes: control.get(layout.keyBytes) - counts.get(systemKeyspaceId, 1),
    valueBytes: control.get(layout.valueBytes) - counts.get(systemKeyspaceId, 2),
    liveBytes,
    garbageBytes: usedBytes - liveBytes,
    garbageRatio: usedBytes === 0 ? 0 : (usedBytes - liveBytes) / usedBytes,
    fileBytes,
    indexBytes: index.sizeBytes,
    segments,
    mutableBytes,
    readOnlyBytes: Math.max(0, usedBytes - mutableBytes),
    coldBytes: 0,
    tail: control.get(layout.tail),
    durable: control.get(layout.durable),
    begin: control.get(layout.begin),
    version: control.get(layout.version),
    sequence: control.get(layout.sequence),
    pinnedBytes: 0,
    syncs: engine.syncQueue.completedCount,
    compactions: 0,
    checkpoints: 0,
    lastRecovery: engine.lastRecovery,
    attachments: 1,
    poisoned: control.isPoisoned,
    mapping: log.platform.kind,
    segmentSizeBytes: log.segmentSizeBytes,
  }
}

function measureSegments(engine: Engine): { segments: number; fileBytes: number } {
  const { control, log } = engine
  let segments = 0
  let fileBytes = 0
  const slotEnd = control.get(layout.slotEnd)
  for (let slot = 0; slot < slotEnd; slot++) {
    if (log.slots.get(slot, slotNumber) === 0 || log.slots.get(slot, slotKind) === kindPart)
      continue
    segments++
    fileBytes += log.slots.get(slot, slotSizeBytes)
  }
  if (log.prepared !== undefined) fileBytes += log.segmentSizeBytes
  return { segments, fileBytes }
}
