/**
 * Compaction of one attachment: runs that give back the space of dead records, one at a time, when asked or
 * in the background.
 *
 * Of all that have the store open one compacts: whoever has the lock on a file of its own. It may die anywhere:
 * the next one finds what it announced in the slot table. What a run does, run.ts says.
 *
 * In the background it is looked after some times a second, by the one that does the background work of
 * all, and at each segment that this one begins, so that it also begins while the event loop stands still.
 * What there is to do is done by a thread of its own (compactor.ts), or, where there can be none, in slices
 * of this one. The timers keep no process alive. What fails is told as an event, kept in `compacted.failure` for
 * `stats()`, and thrown by the next `compact()`, or by `close()`; a run that succeeds takes it back.
 */
import { join } from 'node:path'
import { isMainThread } from 'node:worker_threads'
import { isCheckpointBeingMade } from '../engine/checkpoint.js'
import type { Engine } from '../engine/engine.js'
import * as layout from '../format/control-layout.js'
import { compactFileName } from '../format/file-names.js'
import type { FileLock } from '../platform/platform.js'
import { Compactor } from './compactor.js'
import { removeLeftovers } from './drop-segments.js'
import { segmentBytesOf } from './estimate.js'
import { excessOf, liveSegmentsMin } from './occupancy.js'
import {
  type CompactionEvent,
  type CompactionReport,
  CompactionRun,
  type RunOptions,
} from './run.js'
import { announcedDrops, type SurveyedSegment, surveySegments } from './survey.js'
import { chooseVictim } from './victims.js'
import { WriterPace, whileWriting } from './writer-pace.js'

/** The part of a segment that can be given back from which on it is compacted when asked. */
export const minGarbageRatioDefault = 0.5
/** In the background the whole store decides, unless next to nothing would have to be copied. */
const backgroundGarbageRatio = 0.95

const anySegment = { end: Number.POSITIVE_INFINITY, minGarbageRatio: backgroundGarbageRatio }

const lookIntervalMs = 250
/** A thread that does nothing else; who deletes has 6 MB of garbage more by then. */
const ownThreadLookIntervalMs = 100
/** After a failure, or where somebody walks along the log. */
const restMs = 5000
const lockPauseMs = 10
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
    engine.log.rollListeners.push(() => whileWriting(engine, () => this.#lookWhileWriting()))
    engine.pace = new WriterPace(engine, {
      isAtWork: () => this.#isHelped(),
      getReady: () => this.#startThreadAhead(),
    })
    engine.log.roomListeners.push(() => engine.pace.askToPut())
  }

  /** Looks after it in the background from now on, for another one. */
  startFor(): void {
    this.#isOwnThread = true
    this.#startTimer(() => isAble(this.#engine))
  }

  #startTimer(isMine: () => boolean): void {
    const intervalMs = this.#isOwnThread ? ownThreadLookIntervalMs : lookIntervalMs
    this.#timer = setInterval(() => {
      if (isMine()) this.#look()
    }, intervalMs)
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

  /**
   * It takes a quarter of a second to come up: who deletes has the files a segment nearer to the bound by then. Only
   * who writes asks for it, so a store at rest has no thread that goes and comes; a small store does without.
   */
  #startThreadAhead(): void {
    const engine = this.#engine
    if (this.#compactor === undefined || this.#compactor.isAtWork) return
    if (this.#running !== undefined || this.isPaused) return
    if (performance.now() < this.#restUntilMs || this.#isStopped || !isAble(engine)) return
    const { segmentSizeBytes } = engine.log
    if (engine.control.read(layout.liveBytes) < liveSegmentsMin * segmentSizeBytes) return
    if (!this.#isWorthIt(segmentSizeBytes) || !engine.background.tryDuty()) return
    this.#compactor.start()
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
   *
   * `aheadBytes`: as if the segments took so much more.
   */
  #isWorthIt(aheadBytes = 0): boolean {
    const engine = this.#engine
    const segments = surveySegments(engine)
    if (this.#isWorth(segments, aheadBytes)) return true
    const unpinned = segments.map((segment) => ({ ...segment, isPinned: false }))
    return this.#isWorth(unpinned, aheadBytes) && isCheckpointBeingMade(engine)
  }

  #isWorth(segments: readonly SurveyedSegment[], aheadBytes: number): boolean {
    const engine = this.#engine
    const excessBytes = excessOf(engine, segments) + aheadBytes
    const rule = { ...anySegment, excessBytes, excluded: this.#damaged }
    if (excessBytes > 0 && chooseVictim(segments, rule) !== undefined) return true
    const deadBytes = deadBytesOf(segments)
    // What a run left waits for a checkpoint: for less of it none is made.
    this.#leftBytes = Math.min(this.#leftBytes, deadBytes)
    const isMore = deadBytes - this.#leftBytes >= engine.log.segmentSizeBytes
    return isMore || announcedDrops(engine).length > 0
  }

  async #run(options: RunOptions): Promise<CompactionReport> {
    const lock = await this.#lock(options.isBackground)
    if (lock === undefined) return nothingDone(this.#engine)
    try {
      removeLeftovers(this.#engine)
      return await new CompactionRun(this.#engine, options, this.#damaged, {
        isOver: () => this.#isOver(options.isBackground),
        hasOwnThread: this.#isOwnThread,
        giveWay: (ms) => this.#giveWay(ms, options.isBackground),
        onProgress: (event) => this.onProgress?.(event),
      }).run()
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

const alone: FileLock = { release: () => undefined, share: () => undefined }

/** One that is alone does all background work; of several the one on duty. */
function isMine(engine: Engine): boolean {
  return isAble(engine) && (!engine.platform.isShared || engine.background.isOnDuty)
}

function isAble({ control, isClosed, isReadOnly }: Engine): boolean {
  return !isClosed && !isReadOnly && !control.isPoisoned
}

/** Of segments that only wait to be dropped. */
function deadBytesOf(segments: readonly SurveyedSegment[]): number {
  let deadBytes = 0
  for (const { isComplete, isPinned, liveBytes, sizeBytes } of segments) {
    if (isComplete && !isPinned && liveBytes === 0) deadBytes += sizeBytes
  }
  return deadBytes
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
