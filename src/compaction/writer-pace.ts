/**
 * Holding back who makes garbage faster than compaction gives space back: between two writes, and only where a
 * thread or another process compacts meanwhile.
 *
 * - Who puts waits for some milliseconds at every 2 MiB of log from where {@link nearPart} is left of the way between
 *   where compaction begins and the bound, the longer the less is left; at the bound until compaction has caught up,
 *   though no longer than {@link waitMsMax} at a time. So who writes less than compaction can take hardly waits,
 *   and who writes without a pause is slowed down.
 * - Who deletes lowers what files may take by twice of what he deletes, and does so faster than anybody puts: he
 *   waits longer, at every {@link deleteStrideBytes}.
 *
 * How far it is, is looked at with the writer's word in hand; the wait comes when the word was given back, because
 * compaction needs it.
 */
import { pause } from '../base/pause.js'
import type { Engine } from '../engine/engine.js'
import type { Pace } from '../engine/pace.js'
import * as layout from '../format/control-layout.js'
import { excessOf, liveSegmentsMin, roomBelowBound } from './occupancy.js'
import { surveySegments } from './survey.js'

/** Of the way between where compaction begins and the bound. */
const nearPart = 1 / 4
const pauseMsMax = 10
const waitMsMax = 100
/** Until then a thread that compacts has long begun. */
const waitsInVainMax = 30
const lookIntervalMs = 2
const deleteStrideBytes = 2 ** 19
/** At the bound, for each stride: 12 MB of deletes a second are left. */
const deletePauseMs = 40
/** Of a segment: so much more or less has to live until it is measured again. */
const measuredPart = 1 / 16

/** Whoever compacts beside the one that writes. */
export interface PaceHelper {
  /** True where it does while this thread stands still. */
  isAtWork(): boolean
  /** Something was written or deleted: there may be something to compact soon. */
  getReady(): void
}

export class WriterPace implements Pace {
  /** Asked at once: who opens a store and deletes puts nothing before. */
  askBelowBytes = Number.POSITIVE_INFINITY
  readonly #engine: Engine
  readonly #helper: PaceHelper
  #tailSlot = -1
  #liveBytes = 0
  /** Below 0 where there is room, 1 at the bound. */
  #lag = -1
  /** Waits that brought nothing, one after the other: after some, nobody waits again before there was room. */
  #waitsInVain = 0

  constructor(engine: Engine, helper: PaceHelper) {
    this.#engine = engine
    this.#helper = helper
  }

  askToPut(): void {
    whileWriting(this.#engine, () => this.#look())
    if (this.#lag > 0 && this.#isOfUse()) this.#engine.afterWrite = this.#waitToPut
  }

  askToDelete(): void {
    whileWriting(this.#engine, () => this.#look())
    // Of a smaller store not much can be deleted, and no bound is promised for it.
    if (this.#liveBytes < liveSegmentsMin * this.#engine.log.segmentSizeBytes) return
    if (this.#lag > 0 && this.#isOfUse()) this.#engine.afterWrite = this.#waitToDelete
  }

  #isOfUse(): boolean {
    return this.#waitsInVain < waitsInVainMax
  }

  /** Where there is room, once in a part of a segment: measuring takes the longer the more segments there are. */
  #look(): void {
    const { control, log } = this.#engine
    const liveBytes = control.get(layout.liveBytes)
    this.askBelowBytes = liveBytes - deleteStrideBytes
    const changedBytes = Math.abs(liveBytes - this.#liveBytes)
    const isLittle = changedBytes < log.segmentSizeBytes * measuredPart
    if (this.#lag <= 0 && log.tailSlot === this.#tailSlot && isLittle) return
    this.#tailSlot = log.tailSlot
    this.#liveBytes = liveBytes
    this.#helper.getReady()
    this.#measure()
  }

  #measure(): void {
    this.#lag = -1
    if (this.#helper.isAtWork()) {
      const engine = this.#engine
      const { segmentSizeBytes } = engine.log
      const liveBytes = engine.control.read(layout.liveBytes)
      const sizeBytes = Math.max(liveBytes, liveSegmentsMin * segmentSizeBytes)
      const roomBytes = roomBelowBound(engine, sizeBytes)
      const excessBytes = excessOf(engine, surveySegments(engine))
      this.#lag = 1 - (roomBytes - excessBytes) / (roomBytes * nearPart)
    }
    if (this.#lag <= 0) this.#waitsInVain = 0
  }

  readonly #waitToPut = (): void => {
    if (this.#lag < 1) pause(pauseMsMax * this.#lag)
    else this.#waitUntil(() => this.#lag < 1)
  }

  readonly #waitToDelete = (): void => {
    // No longer than any other wait.
    const endMs = performance.now() + deletePauseMs * this.#lag
    this.#waitUntil(() => performance.now() >= endMs)
  }

  #waitUntil(isDone: () => boolean): void {
    const endMs = performance.now() + waitMsMax
    const before = this.#lag
    whileWriting(this.#engine, () => {
      do {
        pause(lookIntervalMs)
        this.#measure()
      } while (!isDone() && this.#lag > 0 && performance.now() < endMs)
    })
    this.#waitsInVain = this.#lag < before ? 0 : this.#waitsInVain + 1
  }
}

/** What fails in `action` must fail in no write: it is told. */
export function whileWriting(engine: Engine, action: () => void): void {
  try {
    action()
  } catch (error) {
    engine.onError?.(error)
  }
}
