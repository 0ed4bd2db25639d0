/**
 * Holding a writer back that fills the log faster than compaction gives space back: between two of its writes, and
 * only where a thread or another process compacts meanwhile.
 *
 * From half of what the bound allows on it waits for some milliseconds every 2 MiB of log, the longer the
 * nearer it is; from the bound on until compaction has caught up, though no longer than {@link waitMsMax} at a
 * time. So who writes less than compaction can take never waits, and who writes without a pause is slowed down
 * to it (`bench/compaction.mjs`, "without a pause").
 *
 * How far it is, is looked at where a segment is begun, with the writer's word in hand; the wait comes when
 * the word was given back, because compaction needs it.
 */
import { pause } from '../base/pause.js'
import type { Engine } from '../engine/engine.js'
import * as layout from '../format/control-layout.js'
import { surveySegments } from './survey.js'
import { excessOf } from './victims.js'

/** Of the live bytes: sealed segments this far above what starts compaction are twice what is live. */
const excessPartMax = 0.2
/** Smaller stores are given the same room. */
const liveSegmentsMin = 4
const pauseMsMax = 25
const waitMsMax = 250
/** Until then a thread that compacts has long begun. */
const waitsInVainMax = 12
const lookIntervalMs = 2

export class WriterPace {
  readonly #engine: Engine
  /** True where somebody compacts while this thread stands still. */
  readonly #isHelped: () => boolean
  #tailSlot = -1
  /** 0 where there is room, 1 at the bound. */
  #nearness = 0
  /** Waits at the bound that brought nothing, one after the other: after some, nobody waits again before there was room. */
  #waitsInVain = 0
  /** How long this attachment's writers were held back so far. */
  waitedMs = 0

  constructor(engine: Engine, isHelped: () => boolean) {
    this.#engine = engine
    this.#isHelped = isHelped
  }

  /** Somebody writes on, with the writer's word in hand, and gives it back soon. */
  look(): void {
    const { log } = this.#engine
    if (log.tailSlot !== this.#tailSlot) {
      this.#tailSlot = log.tailSlot
      this.#nearness = this.#isHelped() ? this.#measure() : 0
    }
    if (this.#nearness <= 0.5) this.#waitsInVain = 0
    else if (this.#waitsInVain < waitsInVainMax) this.#engine.afterWrite = () => this.#wait()
  }

  /** Also by what is dead and waits to be dropped: that takes its space, too. */
  #measure(): number {
    const { control, log } = this.#engine
    const liveBytes = control.read(layout.liveBytes)
    const segments = surveySegments(this.#engine)
    let excessBytes = excessOf(segments, liveBytes)
    for (const segment of segments) {
      const { isComplete, isPinned, sizeBytes, tombstoneBytes } = segment
      const isDead = segment.liveBytes === 0 && tombstoneBytes === 0
      if (isComplete && !isPinned && isDead) excessBytes += sizeBytes
    }
    return (
      excessBytes / (Math.max(liveBytes, liveSegmentsMin * log.segmentSizeBytes) * excessPartMax)
    )
  }

  #wait(): void {
    const startedAtMs = performance.now()
    if (this.#nearness < 1) {
      pause(pauseMsMax * (2 * this.#nearness - 1))
    } else {
      const before = this.#nearness
      while (this.#nearness >= 1 && this.#isHelped()) {
        if (performance.now() - startedAtMs >= waitMsMax) break
        pause(lookIntervalMs)
        this.#nearness = this.#measure()
      }
      this.#waitsInVain = this.#nearness < before ? 0 : this.#waitsInVain + 1
    }
    this.waitedMs += performance.now() - startedAtMs
  }
}
