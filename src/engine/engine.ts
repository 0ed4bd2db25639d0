/**
 * The parts of an open store, and what every operation asks of them first. No algorithm is here:
 * each operation is a file of its own in this folder.
 */
import type { Worker } from 'node:worker_threads'
import { StoreError } from '../base/errors.js'
import type { Attachment, Attachments } from '../control/attachments.js'
import type { Control } from '../control/control.js'
import type { KeyspaceCounts } from '../control/keyspace-counts.js'
import type { HashIndex } from '../index/hash-index.js'
import type { OrderedIndex } from '../index/ordered-index.js'
import type { ExpiryTable } from '../log/expiry-table.js'
import type { Log } from '../log/log.js'
import type { MendedRecord } from '../log/segment-reader.js'
import { ValueViews } from '../log/value-views.js'
import type { MappingSpace, Platform } from '../platform/platform.js'
import { AutoCheckpoint } from './auto-checkpoint.js'
import { Background } from './background.js'
import { Clock } from './clock.js'
import { HotRecord } from './hot-record.js'
import { Key } from './key.js'
import { Lookup } from './lookup.js'
import { MemoryBudget } from './memory-budget.js'
import type { OwnOrder } from './own-order.js'
import { noPace, type Pace } from './pace.js'
import { Pins } from './pins.js'
import type { RangeMemory } from './range-memory.js'
import { SyncQueue } from './sync-queue.js'

export interface EngineParts {
  readonly platform: Platform
  readonly directory: string
  readonly control: Control
  readonly log: Log
  readonly index: HashIndex
  readonly counts: KeyspaceCounts
  readonly order: OrderedIndex
  readonly expiries: ExpiryTable
  readonly hashSeedLow: number
  readonly hashSeedHigh: number
  readonly epoch: number
  readonly isReadOnly: boolean
  readonly renewal: Renewal | undefined
  readonly syncIntervalMs: number
  /** Every record that is read is verified. */
  readonly verifiesReads: boolean
  /** Checkpoints are made when they are due. */
  readonly autoCheckpoint: boolean
  readonly memoryBudgetBytes: number | undefined
  /** What says that the store is open. */
  readonly session: Session
  readonly attachments: Attachments
  /** How long another one that writes and stands still is waited for. */
  readonly lockTimeoutMs: number
  /** Where everything is mapped; closed last. */
  readonly space: MappingSpace | undefined
  readonly lastRecovery: RecoveryReport
}

/** The locks of one that has the store open. */
export interface Session {
  /** Gives them up. `whenLast` runs before, where nobody else has the store open, or can open it. */
  end(whenLast: () => void): void
}

/** For a reader of what it cannot follow: files that may be replaced, or a copy of its own. */
export interface Renewal {
  /** True where the store is no longer what the reader has. */
  isDue(): boolean
  open(): Engine
  close(): void
}

/** What opening found and did. */
export interface RecoveryReport {
  /**
   * `created`: a new store. `attached`: it was open elsewhere. `clean`: closed properly on this
   * boot. `same-boot`: the process was killed; memory was as it left it. `replay`: the log was read
   * again, from its beginning or from a checkpoint.
   */
  readonly kind: 'created' | 'attached' | 'clean' | 'same-boot' | 'replay'
  /** The rows of the decision tables that took it, in their order: see docs/durability.md. */
  readonly rows: readonly string[]
  readonly durationMs: number
  readonly recordsReplayed: number
  readonly bytesDropped: number
  /** The id of the checkpoint that replay began with; undefined for none. */
  readonly checkpoint: number | undefined
  /** Checkpoints that could not be used, the newest first. */
  readonly passedOver: readonly PassedOver[]
}

/** What compaction did and met in this attachment since opening. */
export interface Compacted {
  /** Runs that dropped something. */
  runCount: number
  /** True while somebody waits for a run, which makes a checkpoint at its end. */
  isAwaited: boolean
  /** Of the background, until a run succeeds: the next `compact()`, or `close()`, reports it. */
  failure: unknown
  /** That does it in the background; undefined where none does, or this one itself. */
  thread: Worker | undefined
  /** After this long without anything to do the thread ends; starting another one takes some 50 ms. */
  idleMsMax: number
  /** Ends what is under way; set while there is something that could be. */
  stop: (() => Promise<void>) | undefined
}

/** A checkpoint that recovery could not use. */
export interface PassedOver {
  readonly id: number
  readonly file: string
  readonly what: string
}

/** What a recovery has to tell that reads nothing. */
export const nothingReplayed = {
  recordsReplayed: 0,
  bytesDropped: 0,
  checkpoint: undefined,
  passedOver: [],
} as const

export class Engine {
  readonly platform: Platform
  readonly directory: string
  readonly control: Control
  readonly log: Log
  readonly index: HashIndex
  readonly counts: KeyspaceCounts
  readonly order: OrderedIndex
  readonly expiries: ExpiryTable
  readonly hashSeedLow: number
  readonly hashSeedHigh: number
  readonly epoch: number
  readonly isReadOnly: boolean
  readonly syncIntervalMs: number
  readonly verifiesReads: boolean
  readonly autoCheckpoint: boolean
  readonly memoryBudgetBytes: number | undefined
  /** Set when the store is attached. */
  session: Session
  readonly attachments: Attachments
  readonly writerToken: number
  readonly lockTimeoutMs: number
  /** Told of a wait for another one that writes, while it lasts. */
  onWait: ((holder: Attachment, waitedMs: number) => void) | undefined
  /** Told when this one has built the ordered index. */
  onBuilt: ((built: { readonly keys: number; readonly durationMs: number }) => void) | undefined
  /** The key of these bytes as the caller of the store knows it. */
  describeKey: (keyspaceId: number, bytes: Buffer) => unknown = (_, bytes) => bytes
  /** Told of a failure of background work. */
  onError: ((error: unknown) => void) | undefined
  /** Told of what works and should not be so. */
  onWarning: ((warning: string) => void) | undefined
  /** What runs code of the caller's with the writer's word in hand; see `beginCallback`. */
  callbackOf = ''
  outerInCallback: Engine | undefined
  /** True while a transaction commits: the writer's word is in hand already. */
  isCommitting = false
  /** The key at hand of an operation, while it runs code of the caller's. */
  asideKey: Key | undefined
  /** Reads that met a change and were made again. */
  unstableReads = 0
  /** An update that was finished in memory of this one's own, and not in the file. */
  mended: MendedRecord | undefined
  readonly space: MappingSpace | undefined
  /** Completed when opening is done. */
  lastRecovery: RecoveryReport
  readonly clock: Clock
  readonly key: Key = new Key()
  readonly lookup: Lookup = new Lookup()
  readonly hot: HotRecord = new HotRecord()
  readonly syncQueue: SyncQueue = new SyncQueue()
  readonly pins: Pins = new Pins()
  /** How far the watchers of this one have come. */
  readonly watched: Pins = new Pins()
  readonly views: ValueViews = new ValueViews()
  /** Of a range that is over, for the next one. */
  spareRangeMemory: RangeMemory | undefined
  /** The ordered index of one that may not write, from when it had to build one. */
  ownOrder: OwnOrder | undefined
  readonly background: Background
  readonly checkpointDuty: AutoCheckpoint
  readonly memoryBudget: MemoryBudget
  /** Values above this get a segment of their own. */
  readonly inlineValueSizeBytesMax: number
  /** The checkpoint that this one is making. */
  checkpointing: Promise<unknown> | undefined
  /** How many wait for that to end, to make one. */
  checkpointsWaiting = 0
  /** What {@link checkpointing} is then: nobody makes one, so that records may be moved. */
  isMovingRecords = false
  /** Checkpoints that this one has made. */
  checkpointCount = 0
  isClosed = false
  /** False when memory was given back: nothing of the store may be touched then. */
  isMapped = true
  readonly compacted: Compacted = {
    runCount: 0,
    isAwaited: false,
    idleMsMax: 10_000,
    failure: undefined,
    thread: undefined,
    stop: undefined,
  }
  /** See compaction/writer-pace.ts. */
  pace: Pace = noPace()
  /** Called once by who gives the writer's word back. */
  afterWrite: (() => void) | undefined
  /** See sweep-tombstones.ts. */
  isSweepScheduled = false
  /** See expiry.ts. */
  isExpiryScheduled = false
  /** Rows of the expiry table before it were looked at not long ago: a hint. */
  expiryRow = 0
  /** The latest time at which a record was found expired by one that may not say so in the control file. */
  ownSeenMs = 0
  /** The registry's generation for which no dropped keyspace is left in the indexes; see sweep-keyspaces.ts. */
  sweptGeneration = -1
  #renewal: Renewal | undefined
  constructor(parts: EngineParts) {
    this.platform = parts.platform
    this.clock = new Clock(parts.platform.nowMs)
    this.directory = parts.directory
    this.control = parts.control
    this.log = parts.log
    this.index = parts.index
    this.counts = parts.counts
    this.order = parts.order
    this.expiries = parts.expiries
    this.hashSeedLow = parts.hashSeedLow
    this.hashSeedHigh = parts.hashSeedHigh
    this.epoch = parts.epoch
    this.isReadOnly = parts.isReadOnly
    this.syncIntervalMs = parts.syncIntervalMs
    this.verifiesReads = parts.verifiesReads
    this.autoCheckpoint = parts.autoCheckpoint
    this.memoryBudgetBytes = parts.memoryBudgetBytes
    this.session = parts.session
    this.attachments = parts.attachments
    this.writerToken = parts.attachments.token
    this.lockTimeoutMs = parts.lockTimeoutMs
    this.space = parts.space
    this.lastRecovery = parts.lastRecovery
    this.inlineValueSizeBytesMax = parts.log.segmentSizeBytes / 4
    this.#renewal = parts.renewal
    this.log.onForget = (slot) => this.views.forget(slot)
    this.memoryBudget = new MemoryBudget(this, parts.memoryBudgetBytes)
    this.background = new Background(this)
    this.checkpointDuty = new AutoCheckpoint(this)
  }

  requireOpen(): void {
    if (this.isClosed) throw new StoreError('STORE_CLOSED', 'the store is closed')
    // A snapshot shows what the copy has, and another one would not have.
    if (this.#renewal === undefined || this.pins.count > 0) return
    if (this.#renewal.isDue()) this.#renew(this.#renewal)
  }

  /** Goes on as the engine of the store as it is now. */
  #renew(renewal: Renewal): void {
    const fresh = renewal.open()
    this.session.end(() => undefined)
    this.closeParts()
    const { describeKey, key, onBuilt, onError, onWait, onWarning } = this
    Object.assign(this, fresh, { describeKey, key, onBuilt, onError, onWait, onWarning })
    this.#renewal = fresh.#renewal
  }

  /** Gives back everything that is mapped or open. */
  closeParts(): void {
    this.isMapped = false
    this.memoryBudget.stop()
    this.ownOrder = undefined
    this.views.close()
    const { control, counts, expiries, index, log, order } = this
    log.close()
    index.homes.close()
    index.overflows.close()
    log.slots.region.close()
    counts.region.close()
    order.region.close()
    expiries.region.close()
    control.close()
    this.space?.close()
    this.platform.close()
    this.#renewal?.close()
  }

  /** True where memory is this one's own: nobody writes to it, and changes stay in it. */
  get isCopy(): boolean {
    const { kind } = this.lastRecovery
    const isRecovered = kind === 'same-boot' || kind === 'replay'
    return this.log.access === 'private' && (isRecovered || !this.platform.isShared)
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
