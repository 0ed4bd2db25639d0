/**
 * One run of compaction: drops what is dead as a whole, and copies what lives in other segments to the tail until
 * they are dead, too.
 *
 * It works in slices of the event loop, each half a millisecond long (three where others write faster than it works),
 * and takes the writer's word for some records at a time. Its own memory is a window of a segment and a few numbers
 * for each segment, whatever the store holds.
 *
 * - A segment is looked at once in a run, and none that the run fills itself: some of a segment always stays unused.
 * - What is copied is there twice until the next drop. Each drop costs two flushes, and maybe a checkpoint: a run
 *   that was asked for drops as seldom as the bound on space allows, the background at each half of a segment, and
 *   behind each segment where it is near the bound.
 */
import { StoreError } from '../base/errors.js'
import { betweenCheckpoints, isCheckpointBeingMade } from '../engine/checkpoint.js'
import type { Engine } from '../engine/engine.js'
import { sync } from '../engine/sync.js'
import * as layout from '../format/control-layout.js'
import { type CopyTally, copyRecords } from './copy-records.js'
import { dropSegments } from './drop-segments.js'
import { segmentBytesOf } from './estimate.js'
import {
  excessBehindDrop,
  excessOf,
  isWithinBound,
  patienceBytesOf,
  roomBelowBound,
} from './occupancy.js'
import { type SurveyedSegment, surveySegments } from './survey.js'
import { chooseVictim } from './victims.js'

export interface CompactionReport {
  /** Bytes of all segment files, before and after. */
  readonly bytesBefore: number
  readonly bytesAfter: number
  readonly segmentsDropped: number
  /** Live records that were copied out of segments that were worth it, and their bytes. */
  readonly recordsMoved: number
  readonly bytesMoved: number
  readonly durationMs: number
  /**
   * True where it ended early because somebody walks along the log: a `scan`, a `verify` or a `backup` that
   * is under way.
   */
  readonly isPostponed: boolean
}

export interface CompactionEvent extends CompactionReport {
  /** False while the run goes on. */
  readonly isDone: boolean
}

export interface RunOptions {
  readonly minGarbageRatio: number
  readonly isBackground: boolean
}

/** What a run needs of who began it. */
export interface RunHost {
  /** True where the run is to end early. */
  readonly isOver: () => boolean
  /** Nothing else is done by the thread that runs it. */
  readonly hasOwnThread: boolean
  /** A turn of the event loop at least. */
  readonly giveWay: (ms: number) => Promise<void>
  readonly onProgress: (event: CompactionEvent) => void
}

const sliceMs = 0.5
/** Where the store grows faster than that allows. */
const sliceMsMax = 3
const backgroundPauseMs = 1
const checkpointPauseMs = 10
/** Who waits for a checkpoint in another thread looks oftener than that pause is long (checkpoint.ts). */
const giveWayIntervalMs = 500
/** Of copies, given to the medium while the copying goes on. */
const syncAheadBytes = 2 ** 23
/** Near the bound: the next segment that is sealed, by copies or by others, and what is written meanwhile may pass it. */
const nearSegments = 1.25
/** In indexes, the most that waits for a checkpoint of a run that somebody waits for. */
const patienceIndexes = 4

export class CompactionRun {
  readonly #engine: Engine
  readonly #options: RunOptions
  readonly #host: RunHost
  /** Numbers of segments in which a record does not verify: {@link run} adds those that it finds. */
  readonly #damaged: Set<number>
  readonly #tally: CopyTally = { recordsMoved: 0, bytesMoved: 0, isHeld: false }
  readonly #startedAtMs = performance.now()
  readonly #bytesBefore: number
  readonly #patienceBytes: number
  readonly #nearBytes: number
  /** The first number of a segment that this run may fill itself. */
  readonly #end: number
  readonly #done: Set<number> = new Set()
  /** Of these every record that counts was copied. */
  readonly #copied: Set<number> = new Set()
  #segmentsDropped = 0
  /** Somebody walks along the log: nothing can be dropped. */
  #isHeld = false
  #bytesMovedAtDrop = 0
  /** Segments that were copied since the last drop. */
  #waitingCount = 0
  #bytesMovedAtSync = 0
  #syncing: Promise<void> | undefined
  #syncFailure: { readonly error: unknown } | undefined
  #gaveWayAtMs = 0

  constructor(engine: Engine, options: RunOptions, damaged: Set<number>, host: RunHost) {
    this.#engine = engine
    this.#options = options
    this.#host = host
    this.#damaged = damaged
    this.#bytesBefore = segmentBytesOf(engine)
    // Who waits for the run has it done sooner with fewer checkpoints.
    this.#patienceBytes = options.isBackground
      ? patienceBytesOf(engine, engine.control.read(layout.liveBytes))
      : engine.index.sizeBytes * patienceIndexes
    this.#nearBytes = nearSegments * engine.log.segmentSizeBytes
    this.#end = engine.control.read(layout.nextSegmentNumber)
    if (!options.isBackground) damaged.clear()
  }

  /** Throws `STORE_CORRUPT` at its end where a segment is damaged, which it leaves alone. */
  async run(): Promise<CompactionReport> {
    const engine = this.#engine
    const { isBackground } = this.#options
    const damage: unknown[] = []
    await this.#drop(this.#patienceBytes)
    for (;;) {
      const victim = await this.#nextVictim()
      if (victim === undefined) break
      // Only tombstones count in it, and none if what was copied so far goes first.
      if (victim.liveBytes === 0 && this.#tally.bytesMoved > this.#bytesMovedAtDrop) {
        await this.#drop(this.#patienceBytes)
        continue
      }
      try {
        if (!(await this.#makeDead(victim))) continue
      } catch (error) {
        await this.#endSyncAhead()
        if (!isDamage(error)) throw error
        this.#damaged.add(victim.segmentNumber)
        damage.push(error)
      }
      const bytesWaiting = this.#tally.bytesMoved - this.#bytesMovedAtDrop
      const isNear = isBackground && this.#leftBytes() < this.#nearBytes
      if (bytesWaiting < engine.log.segmentSizeBytes / 2 && !isNear) continue
      if (!isBackground && isWithinBound(engine)) this.#syncAhead()
      else await this.#drop(isNear ? engine.index.sizeBytes : this.#patienceBytes)
    }
    await this.#endSyncAhead()
    if (!this.#host.isOver() && !this.#isHeld)
      await this.#drop(isBackground ? this.#patienceBytes : 0)
    const report = this.#report()
    if (report.segmentsDropped > 0) engine.compacted.runCount++
    if (report.segmentsDropped > 0 || report.recordsMoved > 0) {
      this.#host.onProgress({ ...report, isDone: true })
    }
    if (damage.length > 0) throw damage[0]
    return report
  }

  #report(): CompactionReport {
    const { recordsMoved, bytesMoved, isHeld } = this.#tally
    return {
      bytesBefore: this.#bytesBefore,
      bytesAfter: this.#engine.isMapped ? segmentBytesOf(this.#engine) : this.#bytesBefore,
      segmentsDropped: this.#segmentsDropped,
      recordsMoved,
      bytesMoved,
      durationMs: performance.now() - this.#startedAtMs,
      isPostponed: this.#isHeld || isHeld,
    }
  }

  /** `patienceBytes`: what may wait for a checkpoint, before one is made. */
  async #drop(patienceBytes: number): Promise<void> {
    this.#bytesMovedAtDrop = this.#tally.bytesMoved
    this.#waitingCount = 0
    const { isHeld, segmentsDropped } = await dropSegments(
      this.#engine,
      this.#copied,
      patienceBytes,
    )
    this.#segmentsDropped += segmentsDropped
    this.#isHeld = isHeld
    if (segmentsDropped > 0) this.#host.onProgress({ ...this.#report(), isDone: false })
  }

  /** Undefined where the run ends. What only a checkpoint that is being made pins is waited for, once. */
  async #nextVictim(): Promise<SurveyedSegment | undefined> {
    if (this.#isOver()) return undefined
    const victim = this.#choose()
    if (victim !== undefined || !isCheckpointBeingMade(this.#engine)) return victim
    do await this.#host.giveWay(checkpointPauseMs)
    while (!this.#isOver() && isCheckpointBeingMade(this.#engine))
    return this.#isOver() ? undefined : this.#choose()
  }

  #choose(): SurveyedSegment | undefined {
    const engine = this.#engine
    const { isBackground, minGarbageRatio } = this.#options
    const segments = surveySegments(engine)
    const excessBytes = isBackground
      ? excessOf(engine, segments)
      : excessBehindDrop(engine, segments)
    const excluded = new Set([...this.#done, ...this.#damaged])
    return chooseVictim(segments, { end: this.#end, excessBytes, excluded, minGarbageRatio })
  }

  /** False where the disk is full: what was there twice has made room, and it is to be chosen again. */
  async #makeDead(victim: SurveyedSegment): Promise<boolean> {
    this.#done.add(victim.segmentNumber)
    try {
      if (await this.#copyBetweenCheckpoints(victim)) {
        this.#copied.add(victim.segmentNumber)
        this.#waitingCount++
      }
    } catch (error) {
      if (!isFull(error) || this.#waitingCount === 0) throw error
      this.#done.delete(victim.segmentNumber)
      await this.#drop(0)
      return false
    }
    return true
  }

  /** As {@link #copy}; waits for whoever makes a checkpoint, and lets them begin now and then. */
  async #copyBetweenCheckpoints(victim: SurveyedSegment): Promise<boolean> {
    if (performance.now() - this.#gaveWayAtMs > giveWayIntervalMs) await this.#letCheckpointBegin()
    while (!this.#host.isOver()) {
      const isCopied = await betweenCheckpoints(this.#engine, () => this.#copy(victim))
      if (isCopied !== undefined) return isCopied
      await this.#letCheckpointBegin()
    }
    return false
  }

  async #letCheckpointBegin(): Promise<void> {
    await this.#host.giveWay(checkpointPauseMs)
    this.#gaveWayAtMs = performance.now()
  }

  /** True where all that counts in the segment was copied. */
  async #copy(victim: SurveyedSegment): Promise<boolean> {
    const steps = copyRecords(this.#engine, victim, this.#tally)
    let pace = this.#pace()
    let sliceEndMs = performance.now() + pace.sliceMs
    try {
      for (;;) {
        const isEnd = steps.next().done === true
        if (this.#tally.isHeld) return false
        if (isEnd) return true
        if (performance.now() < sliceEndMs) continue
        if (!this.#options.isBackground) this.#syncAhead()
        await this.#host.giveWay(pace.pauseMs)
        if (this.#host.isOver()) return false
        pace = this.#pace()
        sliceEndMs = performance.now() + pace.sliceMs
      }
    } finally {
      steps.return()
    }
  }

  /** In the background: faster where the store is near its bound, and where it is above, others write faster. */
  #pace(): Pace {
    if (!this.#options.isBackground) return { pauseMs: 0, sliceMs }
    const leftBytes = this.#leftBytes()
    if (leftBytes < 0) return { pauseMs: 0, sliceMs: sliceMsMax }
    const isUrgent = leftBytes < (this.#host.hasOwnThread ? this.#nearBytes : this.#roomBytes() / 2)
    return { pauseMs: isUrgent ? 0 : backgroundPauseMs, sliceMs }
  }

  /** What the files may still take up to the bound. */
  #leftBytes(): number {
    return this.#roomBytes() - excessOf(this.#engine, surveySegments(this.#engine))
  }

  #roomBytes(): number {
    return roomBelowBound(this.#engine, this.#engine.control.read(layout.liveBytes))
  }

  /** The sync of the next drop finds little left to do. */
  #syncAhead(): void {
    const { bytesMoved } = this.#tally
    if (this.#syncing !== undefined || bytesMoved - this.#bytesMovedAtSync < syncAheadBytes) return
    this.#bytesMovedAtSync = bytesMoved
    this.#syncing = sync(this.#engine)
      .catch((error: unknown) => {
        this.#syncFailure = { error }
      })
      .finally(() => {
        this.#syncing = undefined
      })
  }

  /** Throws what failed meanwhile. */
  async #endSyncAhead(): Promise<void> {
    await this.#syncing
    if (this.#syncFailure !== undefined) throw this.#syncFailure.error
  }

  #isOver(): boolean {
    return this.#host.isOver() || this.#isHeld || this.#tally.isHeld
  }
}

interface Pace {
  readonly pauseMs: number
  readonly sliceMs: number
}

function isFull(error: unknown): boolean {
  return error instanceof StoreError && error.code === 'STORE_FULL'
}

function isDamage(error: unknown): boolean {
  return error instanceof StoreError && error.code === 'STORE_CORRUPT'
}
