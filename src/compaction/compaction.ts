/**
 * Compaction of one attachment: runs that give back the space of dead records, one at a time, when asked or
 * in the background.
 *
 * A run drops what is dead as a whole, and copies what lives in other segments to the tail until they
 * are dead, too. It works in slices of the event loop, each half a millisecond long (three where others write
 * faster than it works), and takes the writer's word for some records at a time. Of all that have the store open
 * one compacts: whoever has the lock on a file of its own. It may die anywhere: the next one finds what it
 * announced in the slot table.
 *
 * Its own memory is a window of a segment and a few numbers for each segment, whatever the store holds.
 *
 * In the background it is looked after some times a second, by the one that does the background work of
 * all, and at each segment that this one begins, so that it also begins while the event loop stands still.
 * What there is to do is done by a thread of its own (compactor.ts), or, where there can be none, in slices
 * of this one. The timers keep no process alive. What fails is told as an event, kept in `compacted.failure` for
 * `stats()`, and thrown by the next `compact()`, or by `close()`; a run that succeeds takes it back.
 */
import { join } from 'node:path'
import { isMainThread } from 'node:worker_threads'
import { StoreError } from '../base/errors.js'
import { betweenCheckpoints, isCheckpointBeingMade } from '../engine/checkpoint.js'
import type { Engine } from '../engine/engine.js'
import { sync } from '../engine/sync.js'
import * as layout from '../format/control-layout.js'
import { compactFileName } from '../format/file-names.js'
import type { FileLock } from '../platform/platform.js'
import { Compactor } from './compactor.js'
import { type CopyTally, copyRecords } from './copy-records.js'
import { dropSegments, removeLeftovers } from './drop-segments.js'
import { segmentBytesOf } from './estimate.js'
import {
  excessBehindDrop,
  excessOf,
  isWithinBound,
  patienceBytesOf,
  roomBelowBound,
} from './occupancy.js'
import { announcedDrops, type SurveyedSegment, surveySegments } from './survey.js'
import { chooseVictim } from './victims.js'
import { WriterPace } from './writer-pace.js'

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

/** The part of a segment that can be given back from which on it is compacted when asked. */
export const minGarbageRatioDefault = 0.5
/** In the background the whole store decides, unless next to nothing would have to be copied. */
const backgroundGarbageRatio = 0.95

const lookIntervalMs = 250
/** After a failure, or where somebody walks along the log. */
const restMs = 5000
const sliceMs = 0.5
/** Where the store grows faster than that allows. */
const sliceMsMax = 3
const backgroundPauseMs = 1
const lockPauseMs = 10
/** Who waits for a checkpoint in another thread looks oftener than that pause is long (checkpoint.ts). */
const giveWayIntervalMs = 500
/** Of copies, given to the medium while the copying goes on. */
const syncAheadBytes = 2 ** 24
const timerMsMax = 2 ** 31 - 1

export class Compaction {
  /** Told of what a run did so far. */
  onProgress: ((event: CompactionEvent) => void) | undefined
  /** Told of the end of each run in the background, and of what it left alone. */
  onRun: ((report: CompactionReport, damaged: ReadonlySet<number>) => void) | undefined
  readonly #engine: Engine
  /** A word that is 1 while it is paused: that of the one for which this one compacts, or its own. */
  readonly #pause: Int32Array
  /** Undefined where there can be none. */
  #compactor: Compactor | undefined
  #timer: NodeJS.Timeout | undefined
  #running: Promise<CompactionReport> | undefined
  #isStopped = false
  /** Its thread does nothing else, and lives until it is told to end. */
  #isOwnThread = false
  #restUntilMs = 0
  /** Of dead segments, when the last run in the background was over. */
  #leftBytes = 0
  #gaveWayAtMs = 0
  #wake: (() => void) | undefined
  /** Numbers of segments in which a record does not verify: the background leaves them alone. */
  readonly #damaged: Set<number> = new Set()

  constructor(engine: Engine, pause: Int32Array = new Int32Array(new SharedArrayBuffer(4))) {
    this.#engine = engine
    this.#pause = pause
    engine.compacted.stop = () => this.#stop()
  }

  get isRunning(): boolean {
    return this.#running !== undefined
  }

  get isPaused(): boolean {
    return Atomics.load(this.#pause, 0) === 1
  }

  set isPaused(isPaused: boolean) {
    Atomics.store(this.#pause, 0, isPaused ? 1 : 0)
  }

  /** Looks after it in the background from now on, with a thread that does it where there can be one. */
  start(): void {
    const engine = this.#engine
    // A thread of a worker's would be ended with it at any moment, and so maybe while it loads: see compactor.ts.
    if (isMainThread && engine.platform.isReachable) {
      this.#compactor = new Compactor(engine, this.#pause, {
        onProgress: (event) => {
          if (event.isDone && event.segmentsDropped > 0) engine.compacted.runCount++
          this.onProgress?.(event)
        },
        onRun: (report, damaged) => this.#note(report, damaged),
        onFailure: (error, damaged) => this.#fail(error, damaged),
        onRefusal: () => {
          this.#compactor = undefined
        },
      })
    }
    this.#startTimer(() => isMine(engine))
    engine.log.rollListeners.push(() => this.#whileWriting(() => this.#lookWhileWriting()))
    const pace = new WriterPace(engine, () => this.#isHelped())
    const wait = (): void => this.#whileWriting(() => pace.wait())
    engine.log.roomListeners.push(() =>
      this.#whileWriting(() => {
        if (pace.look()) engine.afterWrite = wait
      }),
    )
  }

  /** Looks after it in the background from now on, for another one. */
  startFor(): void {
    this.#isOwnThread = true
    this.#startTimer(() => isAble(this.#engine))
  }

  #startTimer(isMine: () => boolean): void {
    this.#timer = setInterval(() => {
      if (isMine()) this.#look()
    }, lookIntervalMs)
    this.#timer.unref()
  }

  /** True where a thread of this one's, or whoever has the duty, compacts while this thread stands still. */
  #isHelped(): boolean {
    const { background, compacted, log, platform } = this.#engine
    if (this.#running !== undefined || this.isPaused || compacted.failure !== undefined)
      return false
    if (performance.now() < this.#restUntilMs || log.access === 'private') return false
    if (this.#compactor !== undefined) return this.#compactor.isAtWork || !background.isOnDuty
    return platform.isShared && !background.isOnDuty
  }

  #lookWhileWriting(): void {
    const engine = this.#engine
    if (this.#compactor === undefined || this.#isStopped) return
    if (isAble(engine) && engine.background.tryDuty()) this.#look()
  }

  /** What fails here must fail in no write. */
  #whileWriting(action: () => void): void {
    try {
      action()
    } catch (error) {
      this.#engine.onError?.(error)
    }
  }

  /** Throws what the background met before, once. */
  async run(minGarbageRatio: number): Promise<CompactionReport> {
    const { compacted } = this.#engine
    const { failure } = compacted
    compacted.failure = undefined
    if (failure !== undefined) throw failure
    // The background, which may be under way, keeps no process alive; who waits here does.
    const waiting = setInterval(() => undefined, timerMsMax)
    try {
      // A checkpoint of this attachment's keeps all that was there when it began.
      for (;;) {
        const before = this.#running ?? this.#engine.checkpointing
        if (before === undefined) break
        await Promise.allSettled([before])
      }
      compacted.isAwaited = true
      return await this.#begin({ minGarbageRatio, isBackground: false })
    } finally {
      compacted.isAwaited = false
      clearInterval(waiting)
    }
  }

  #begin(options: RunOptions): Promise<CompactionReport> {
    const running = this.#run(options).finally(() => {
      this.#running = undefined
    })
    this.#running = running
    return running
  }

  async #stop(): Promise<void> {
    this.#isStopped = true
    clearInterval(this.#timer)
    this.#wake?.()
    await Promise.allSettled([this.#running, this.#compactor?.stop()])
  }

  #look(): void {
    if (this.#running !== undefined || this.isPaused || this.#compactor?.isAtWork === true) return
    if (performance.now() < this.#restUntilMs || !this.#isWorthIt()) return
    if (this.#compactor !== undefined) {
      this.#compactor.start()
      return
    }
    this.#begin({ minGarbageRatio: backgroundGarbageRatio, isBackground: true }).then(
      (report) => this.#note(report, this.#damaged),
      (error: unknown) => this.#fail(error, this.#damaged),
    )
  }

  /** A run in the background is over. */
  #note(report: CompactionReport, damaged: ReadonlySet<number>): void {
    const { compacted } = this.#engine
    compacted.failure = undefined
    if (report.isPostponed) this.#restUntilMs = performance.now() + restMs
    else if (this.#engine.isMapped && !this.isPaused)
      this.#leftBytes = deadBytesOf(surveySegments(this.#engine))
    this.onRun?.(report, damaged)
    this.#leaveAlone(damaged)
  }

  #fail(error: unknown, damaged: ReadonlySet<number>): void {
    const { compacted, onError } = this.#engine
    this.#restUntilMs = performance.now() + restMs
    compacted.failure = error
    this.#leaveAlone(damaged)
    onError?.(error)
  }

  #leaveAlone(damaged: ReadonlySet<number>): void {
    for (const segmentNumber of damaged) this.#damaged.add(segmentNumber)
  }

  get damaged(): ReadonlySet<number> {
    return this.#damaged
  }

  /**
   * What a checkpoint pins for as long as it is made counts as if it were not pinned: beside a busy writer one
   * follows the other, and there would never be anything to do. A run waits for its end.
   */
  #isWorthIt(): boolean {
    const engine = this.#engine
    const segments = surveySegments(engine)
    if (this.#isWorth(segments)) return true
    const unpinned = segments.map((segment) => ({ ...segment, isPinned: false }))
    return this.#isWorth(unpinned) && isCheckpointBeingMade(engine)
  }

  #isWorth(segments: readonly SurveyedSegment[]): boolean {
    const engine = this.#engine
    const excessBytes = excessOf(engine, segments)
    if (excessBytes > 0 && this.#choose(segments, excessBytes, backgroundGarbageRatio)) return true
    const deadBytes = deadBytesOf(segments)
    // What a run left waits for a checkpoint: for less of it none is made.
    this.#leftBytes = Math.min(this.#leftBytes, deadBytes)
    const isMore = deadBytes - this.#leftBytes >= engine.log.segmentSizeBytes
    return isMore || announcedDrops(engine).length > 0
  }

  #choose(
    segments: readonly SurveyedSegment[],
    excessBytes: number,
    minGarbageRatio: number,
    end: number = Number.POSITIVE_INFINITY,
    done: ReadonlySet<number> = new Set(),
  ): SurveyedSegment | undefined {
    const excluded = new Set([...done, ...this.#damaged])
    return chooseVictim(segments, { end, excessBytes, excluded, minGarbageRatio })
  }

  async #run(options: RunOptions): Promise<CompactionReport> {
    const lock = await this.#lock(options.isBackground)
    if (lock === undefined) return nothingDone(this.#engine)
    try {
      removeLeftovers(this.#engine)
      return await this.#runLocked(options)
    } finally {
      lock.release()
    }
  }

  /** Undefined where another one compacts, in the background, or this one is closed meanwhile. */
  async #lock(isBackground: boolean): Promise<FileLock | undefined> {
    const { directory, platform } = this.#engine
    if (!platform.isShared) return alone
    for (;;) {
      const lock = platform.tryLock(join(directory, compactFileName), 'exclusive')
      if (lock !== undefined || isBackground) return lock
      await this.#giveWay(lockPauseMs, false)
      if (this.#isOver(isBackground)) return undefined
    }
  }

  async #runLocked(options: RunOptions): Promise<CompactionReport> {
    const engine = this.#engine
    const { isBackground, minGarbageRatio } = options
    const startedAtMs = performance.now()
    const bytesBefore = segmentBytesOf(engine)
    const tally: CopyTally = { recordsMoved: 0, bytesMoved: 0, isHeld: false }
    let segmentsDropped = 0
    let isHeld = false
    const copied = new Set<number>()
    // What this run fills itself is not looked at again: some of a segment always stays unused.
    const end = engine.control.read(layout.nextSegmentNumber)
    const done = new Set<number>()
    const damage: unknown[] = []
    const report = (): CompactionReport => ({
      bytesBefore,
      bytesAfter: engine.isMapped ? segmentBytesOf(engine) : bytesBefore,
      segmentsDropped,
      recordsMoved: tally.recordsMoved,
      bytesMoved: tally.bytesMoved,
      durationMs: performance.now() - startedAtMs,
      isPostponed: isHeld || tally.isHeld,
    })
    // Who waits for the run has it done sooner with fewer checkpoints.
    const patienceBytes = isBackground
      ? patienceBytesOf(engine, engine.control.read(layout.liveBytes))
      : engine.index.sizeBytes * 4
    const drop = async (mayWaitBytes: number): Promise<void> => {
      const result = await dropSegments(engine, copied, mayWaitBytes)
      segmentsDropped += result.segmentsDropped
      isHeld = result.isHeld
      if (result.segmentsDropped > 0) this.onProgress?.({ ...report(), isDone: false })
    }

    if (!isBackground) this.#damaged.clear()
    await drop(patienceBytes)
    let bytesMovedBefore = 0
    /** Copied as a whole since the last drop. */
    let waitingCount = 0
    let syncing: Promise<void> | undefined
    let bytesMovedAtSync = 0
    let syncFailure: { readonly error: unknown } | undefined
    /** The sync of the next drop finds little left to do. */
    const syncAhead = (): void => {
      if (syncing !== undefined || tally.bytesMoved - bytesMovedAtSync < syncAheadBytes) return
      bytesMovedAtSync = tally.bytesMoved
      syncing = sync(engine)
        .catch((error: unknown) => {
          syncFailure = { error }
        })
        .finally(() => {
          syncing = undefined
        })
    }
    const endSyncAhead = async (): Promise<void> => {
      await syncing
      if (syncFailure !== undefined) throw syncFailure.error
    }
    let hasWaited = false
    while (!this.#isOver(isBackground) && !isHeld && !tally.isHeld) {
      const segments = surveySegments(engine)
      const excessBytes = isBackground
        ? excessOf(engine, segments)
        : excessBehindDrop(engine, segments)
      const victim = this.#choose(segments, excessBytes, minGarbageRatio, end, done)
      if (victim === undefined) {
        if (hasWaited || !isCheckpointBeingMade(engine)) break
        hasWaited = true
        await this.#awaitCheckpoint(isBackground)
        continue
      }
      hasWaited = false
      // Only tombstones count in it, and none if what was copied so far goes first.
      if (victim.liveBytes === 0 && tally.bytesMoved > bytesMovedBefore) {
        bytesMovedBefore = tally.bytesMoved
        waitingCount = 0
        await drop(patienceBytes)
        continue
      }
      done.add(victim.segmentNumber)
      try {
        const isCopied = await this.#copyBetweenCheckpoints(victim, tally, isBackground)
        if (isCopied) copied.add(victim.segmentNumber)
        if (isCopied) waitingCount++
      } catch (error) {
        if (isFull(error) && waitingCount > 0) {
          // What is there twice is the room that this one needs.
          done.delete(victim.segmentNumber)
          waitingCount = 0
          await drop(0)
          continue
        }
        await endSyncAhead()
        if (!isDamage(error)) throw error
        this.#damaged.add(victim.segmentNumber)
        damage.push(error)
      }
      // Each drop costs two flushes, and maybe a checkpoint; on the other hand, what is copied and not dropped
      // yet is there twice: of a run that was asked for as long as that stays within the bound.
      if (tally.bytesMoved - bytesMovedBefore < engine.log.segmentSizeBytes / 2) continue
      if (!isBackground && isWithinBound(engine)) {
        syncAhead()
        continue
      }
      bytesMovedBefore = tally.bytesMoved
      waitingCount = 0
      await drop(patienceBytes)
    }
    await endSyncAhead()
    if (!this.#isOver(isBackground) && !isHeld) await drop(isBackground ? patienceBytes : 0)
    const result = report()
    if (segmentsDropped > 0) engine.compacted.runCount++
    if (segmentsDropped > 0 || tally.recordsMoved > 0) {
      this.onProgress?.({ ...result, isDone: true })
    }
    if (damage.length > 0) throw damage[0]
    return result
  }

  async #awaitCheckpoint(isBackground: boolean): Promise<void> {
    do await this.#giveWay(lockPauseMs, isBackground)
    while (!this.#isOver(isBackground) && isCheckpointBeingMade(this.#engine))
  }

  /** As {@link #copy}; waits for whoever makes a checkpoint, and lets them begin now and then. */
  async #copyBetweenCheckpoints(
    victim: SurveyedSegment,
    tally: CopyTally,
    isBackground: boolean,
  ): Promise<boolean> {
    if (performance.now() - this.#gaveWayAtMs > giveWayIntervalMs) {
      await this.#giveWay(lockPauseMs, isBackground)
      this.#gaveWayAtMs = performance.now()
    }
    while (!this.#isOver(isBackground)) {
      const isCopied = await betweenCheckpoints(this.#engine, () =>
        this.#copy(victim, tally, isBackground),
      )
      if (isCopied !== undefined) return isCopied
      await this.#giveWay(lockPauseMs, isBackground)
      this.#gaveWayAtMs = performance.now()
    }
    return false
  }

  /** True where all that counts in the segment was copied. */
  async #copy(victim: SurveyedSegment, tally: CopyTally, isBackground: boolean): Promise<boolean> {
    const steps = copyRecords(this.#engine, victim, tally)
    const asked = { pauseMs: 0, sliceMs }
    let pace = isBackground ? this.#pace() : asked
    let sliceEndMs = performance.now() + pace.sliceMs
    try {
      for (;;) {
        const isEnd = steps.next().done === true
        if (tally.isHeld) return false
        if (isEnd) return true
        if (performance.now() < sliceEndMs) continue
        await this.#giveWay(pace.pauseMs, isBackground)
        if (this.#isOver(isBackground)) return false
        if (isBackground) pace = this.#pace()
        sliceEndMs = performance.now() + pace.sliceMs
      }
    } finally {
      steps.return()
    }
  }

  /** The more the store takes above its bound, because others write faster than this works. */
  #pace(): Pace {
    const engine = this.#engine
    const roomBytes = roomBelowBound(engine, engine.control.read(layout.liveBytes))
    const excessBytes = excessOf(engine, surveySegments(engine))
    if (excessBytes <= roomBytes / 2) return { pauseMs: backgroundPauseMs, sliceMs }
    return { pauseMs: 0, sliceMs: excessBytes <= roomBytes ? sliceMs : sliceMsMax }
  }

  /** A turn of the event loop at least. In the background it keeps no process alive. */
  #giveWay(ms: number, isBackground: boolean): Promise<void> {
    // Where there is nothing else to do, the event loop sleeps over an immediate that is not referenced.
    const isUnreferenced = isBackground && !this.#isOwnThread
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#wake = undefined
        resolve()
      }
      this.#wake = wake
      if (ms === 0) {
        const immediate = setImmediate(wake)
        if (isUnreferenced) immediate.unref()
      } else {
        const timer = setTimeout(wake, ms)
        if (isUnreferenced) timer.unref()
      }
    })
  }

  #isOver(isBackground: boolean): boolean {
    const { control, isClosed } = this.#engine
    return this.#isStopped || isClosed || control.isPoisoned || (isBackground && this.isPaused)
  }
}

interface Pace {
  readonly pauseMs: number
  readonly sliceMs: number
}

const alone: FileLock = { release: () => undefined, share: () => undefined }

/** One that is alone does all background work; of several the one on duty. */
function isMine(engine: Engine): boolean {
  return isAble(engine) && (!engine.platform.isShared || engine.background.isOnDuty)
}

function isAble({ control, isClosed, isReadOnly }: Engine): boolean {
  return !isClosed && !isReadOnly && !control.isPoisoned
}

function isFull(error: unknown): boolean {
  return error instanceof StoreError && error.code === 'STORE_FULL'
}

/** Of segments that only wait to be dropped. */
function deadBytesOf(segments: readonly SurveyedSegment[]): number {
  let deadBytes = 0
  for (const { isComplete, isPinned, liveBytes, sizeBytes } of segments) {
    if (isComplete && !isPinned && liveBytes === 0) deadBytes += sizeBytes
  }
  return deadBytes
}

function isDamage(error: unknown): boolean {
  return error instanceof StoreError && error.code === 'STORE_CORRUPT'
}

function nothingDone(engine: Engine): CompactionReport {
  const bytes = engine.isMapped ? segmentBytesOf(engine) : 0
  return {
    bytesBefore: bytes,
    bytesAfter: bytes,
    segmentsDropped: 0,
    recordsMoved: 0,
    bytesMoved: 0,
    durationMs: 0,
    isPostponed: false,
  }
}
