/**
 * The parts of an open store, and what every operation asks of them first. No algorithm is here:
 * each operation is a file of its own in this folder.
 */
import { StoreError } from '../base/errors.js'
import type { Control } from '../control/control.js'
import type { KeyspaceCounts } from '../control/keyspace-counts.js'
import type { HashIndex } from '../index/hash-index.js'
import type { Log } from '../log/log.js'
import type { Lock, MappingSpace, Platform } from '../platform/platform.js'
import { Clock } from './clock.js'
import { Key } from './key.js'
import { Lookup } from './lookup.js'
import { SyncQueue } from './sync-queue.js'

export interface EngineParts {
  readonly platform: Platform
  readonly directory: string
  readonly control: Control
  readonly log: Log
  readonly index: HashIndex
  readonly counts: KeyspaceCounts
  readonly hashSeedLow: number
  readonly hashSeedHigh: number
  readonly epoch: number
  readonly isReadOnly: boolean
  readonly syncIntervalMs: number
  readonly lock: Lock | undefined
  /** Where everything is mapped; closed last. */
  readonly space: MappingSpace | undefined
  readonly lastRecovery: RecoveryReport
}

/** What opening found and did. */
export interface RecoveryReport {
  /**
   * `created`: a new store. `clean`: closed properly on this boot. `same-boot`: the process was
   * killed; memory was as it left it. `replay`: the log was read again from its beginning.
   */
  readonly kind: 'created' | 'clean' | 'same-boot' | 'replay'
  readonly durationMs: number
  readonly recordsReplayed: number
  readonly bytesDropped: number
}

export class Engine {
  readonly platform: Platform
  readonly directory: string
  readonly control: Control
  readonly log: Log
  readonly index: HashIndex
  readonly counts: KeyspaceCounts
  readonly hashSeedLow: number
  readonly hashSeedHigh: number
  readonly epoch: number
  readonly isReadOnly: boolean
  readonly syncIntervalMs: number
  readonly lock: Lock | undefined
  readonly space: MappingSpace | undefined
  readonly lastRecovery: RecoveryReport
  readonly clock: Clock
  readonly key: Key = new Key()
  readonly lookup: Lookup = new Lookup()
  readonly syncQueue: SyncQueue = new SyncQueue()
  /** Values above this get a segment of their own. */
  readonly inlineValueSizeBytesMax: number
  isClosed = false

  constructor(parts: EngineParts) {
    this.platform = parts.platform
    this.clock = new Clock(parts.platform.nowMs)
    this.directory = parts.directory
    this.control = parts.control
    this.log = parts.log
    this.index = parts.index
    this.counts = parts.counts
    this.hashSeedLow = parts.hashSeedLow
    this.hashSeedHigh = parts.hashSeedHigh
    this.epoch = parts.epoch
    this.isReadOnly = parts.isReadOnly
    this.syncIntervalMs = parts.syncIntervalMs
    this.lock = parts.lock
    this.space = parts.space
    this.lastRecovery = parts.lastRecovery
    this.inlineValueSizeBytesMax = parts.log.segmentSizeBytes / 4
  }

  requireOpen(): void {
    if (this.isClosed) throw new StoreError('STORE_CLOSED', 'the store is closed')
  }

  requireWritable(): void {
    if (this.isClosed) throw new StoreError('STORE_CLOSED', 'the store is closed')
    if (this.isReadOnly) {
      throw new StoreError('STORE_READ_ONLY', 'the store is open with readOnly: true')
    }
    if (this.control.isPoisoned) throw poisonedError(this)
  }
}

export function poisonedError(engine: Engine): StoreError {
  const cause = engine.syncQueue.failure ?? new Error(engine.control.poisonCause())
  return new StoreError(
    'STORE_POISONED',
    'an earlier write or sync failed; close the store and open it again',
    { cause },
  )
}
