/**
 * Holding a writer back that fills the log faster than compaction gives space back: between two of its writes, and
 * only where a thread or another process compacts meanwhile.
 *
 * From where the sealed segments take twice what is live it waits for some milliseconds every 2 MiB of log, the
 * longer the more they take; from {@link farSegments} above that on until compaction has caught up, though no longer
 * than {@link waitMsMax} at a time. So neither who writes less than compaction can take waits, nor a burst of a
 * segment or two, and who writes without a pause is slowed down.
 *
 * How far it is, is looked at where a segment is begun, with the writer's word in hand; the wait comes when
 * the word was given back, because compaction needs it.
 */
import { pause } from '../base/pause.js'
import type { Engine } from '../engine/engine.js'
import * as layout from '../format/control-layout.js'
import { excessOf, roomBelowBound } from './occupancy.js'
import { surveySegments } from './survey.js'

/** So many segments above twice what is live writers wait for compaction … */
const farSegments = 2
/** … or, where that is less, this part of what is live. */
const farPart = 0.2
/** Smaller stores are given the same room. */
const liveSegmentsMin = 4
const pauseMsMax = 10
const waitMsMax = 100
/** Until then a thread that compacts has long begun. */
const waitsInVainMax = 30
const lookIntervalMs = 2

export class WriterPace {
  readonly #engine: Engine
  /** True where somebody compacts while this thread stands still. */
  readonly #isHelped: () => boolean
  #tailSlot = -1
  /** Below 0 where there is room, 1 where compaction is far behind. */
  #lag = -1
  /** Waits at the bound that brought nothing, one after the other: after some, nobody waits again before there was room. */
  #waitsInVain = 0

  constructor(engine: Engine, isHelped: () => boolean) {
    this.#engine = engine
    this.#isHelped = isHelped
  }

  /**
   * Somebody writes on, with the writer's word in hand, and gives it back soon. True where {@link wait} is to be
   * called then.
   */
  look(): boolean {
    const { log } = this.#engine
    if (log.tailSlot !== this.#tailSlot) {
      this.#tailSlot = log.tailSlot
      this.#lag = this.#isHelped() ? this.#measure() : -1
    }
    if (this.#lag <= 0) this.#waitsInVain = 0
    return this.#lag > 0 && this.#waitsInVain < waitsInVainMax
  }

  #measure(): number {
    const engine = this.#engine
    const { segmentSizeBytes } = engine.log
    const liveBytes = engine.control.read(layout.liveBytes)
    const sizeBytes = Math.max(liveBytes, liveSegmentsMin * segmentSizeBytes)
    const excessBytes = excessOf(engine, surveySegments(engine)) - roomBelowBound(engine, sizeBytes)
    return excessBytes / Math.min(farSegments * segmentSizeBytes, farPart * sizeBytes)
  }

  wait(): void {
    if (this.#lag < 1) {
      pause(pauseMsMax * this.#lag)
    } else {
      const endMs = performance.now() + waitMsMax
      const before = this.#lag
      while (this.#lag >= 1 && this.#isHelped() && performance.now() < endMs) {
        pause(lookIntervalMs)
        this.#lag = this.#measure()
      }
      this.#waitsInVain = this.#lag < before ? 0 : this.#waitsInVain + 1
    }
  }
}
