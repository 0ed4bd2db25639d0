/**
 * When a checkpoint is due without anybody's asking: so that what the next recovery on another boot has
 * to replay stays in proportion to what it has to load.
 *
 * By bytes: as much log as the index is large, so checkpoints never write more than the log does, and at
 * least so much that a store which is opened faster by replay never makes one. By time: much less log
 * than that, if it lies there for long.
 */

import { StoreError } from '../base/errors.js'
import { bucketSizeBytes } from '../format/bucket.js'
import type { CheckpointHeader } from '../format/checkpoint.js'
import * as layout from '../format/control-layout.js'
import {
  kindLog,
  kindValue,
  slotEndBytes,
  slotKind,
  slotNumber,
  slotSizeBytes,
} from '../log/slot-table.js'
import { checkpointUnasked } from './checkpoint.js'
import { newestHeader, removeOld } from './checkpoints.js'
import type { Engine } from './engine.js'

/** Replayed in some tenths of a second. */
const replayBytesMin = 2 ** 26
/** What makes one due after {@link agedMs}, as a part of what makes one due at once. */
const agedPart = 1 / 4
const agedMs = 10 * 60_000
/** While somebody waits for a compaction, which makes one at its end: no other within its first seconds. */
const compactingFactor = 8
/** The newest, and one to fall back on. */
const kept = 2
/** After a failure, as on a full disk. */
const retryMs = 60_000

/** What is known of the newest one. */
type Newest = Pick<CheckpointHeader, 'address' | 'createdAtMs' | 'nextSegmentNumber'>

export class AutoCheckpoint {
  readonly #engine: Engine
  /** As last looked up; others may have made one since. */
  #newest: Newest | undefined
  #notBeforeMs = 0
  #isMaking = false

  constructor(engine: Engine) {
    this.#engine = engine
  }

  /** Makes one where it is due, and prunes old ones. Resolves when that is done; never rejects. */
  async runIfDue(requireGoingOn: () => void): Promise<void> {
    const engine = this.#engine
    if (!engine.autoCheckpoint || engine.isReadOnly || engine.platform.kind === 'memory') return
    if (this.#isMaking || engine.control.isPoisoned) return
    if (performance.now() < this.#notBeforeMs) return
    try {
      if (!this.#isDue()) return
      this.#isMaking = true
      const info = await checkpointUnasked(engine, requireGoingOn)
      if (info !== undefined) removeOld(engine, kept)
    } catch (error) {
      if (engine.isClosed && error instanceof StoreError && error.code === 'STORE_CLOSED') return
      this.#notBeforeMs = performance.now() + retryMs
      engine.onError?.(error)
    } finally {
      this.#isMaking = false
    }
  }

  #isDue(): boolean {
    // Most stores never come this far, and are never looked at.
    if (!this.#isDueBehind(this.#newest)) return false
    this.#newest = this.#lookUp()
    return this.#isDueBehind(this.#newest)
  }

  #isDueBehind(newest: Newest | undefined): boolean {
    const { max: maxAlone, now } = this.#replayBytes(newest)
    const max = this.#engine.compacted.isAwaited ? maxAlone * compactingFactor : maxAlone
    if (now >= max) return true
    const ageMs = newest === undefined ? agedMs : this.#engine.platform.nowMs() - newest.createdAtMs
    return now >= max * agedPart && ageMs >= agedMs
  }

  /** What a recovery would replay, and at most should. */
  #replayBytes(newest: Newest | undefined): { now: number; max: number } {
    const state = this.#engine.control.readState()
    const buckets = state[layout.bucketCount] + state[layout.overflowEnd]
    return {
      now: this.#bytesBehind(newest, state),
      max: Math.max(replayBytesMin, buckets * bucketSizeBytes),
    }
  }

  /** Of the log segments and values behind it that are there: compaction leaves gaps between them. */
  #bytesBehind(newest: Newest | undefined, state: Float64Array): number {
    const { segmentWords, slots } = this.#engine.log
    const from = newest?.address ?? 0
    const firstValue = newest?.nextSegmentNumber ?? 0
    let bytes = 0
    for (let slot = 0; slot < state[layout.slotEnd]; slot++) {
      const kind = slots.get(slot, slotKind)
      const segmentNumber = slots.get(slot, slotNumber)
      const sizeBytes = slots.get(slot, slotSizeBytes)
      if (kind === kindValue && segmentNumber >= firstValue) bytes += sizeBytes
      if (kind !== kindLog) continue
      const start = segmentNumber * segmentWords
      const endBytes = slots.get(slot, slotEndBytes) || sizeBytes
      const end = Math.min(start + endBytes / 8, state[layout.tail])
      bytes += Math.max(0, end - Math.max(start, from)) * 8
    }
    return bytes
  }

  /** Where there is none, time runs from the first look. */
  #lookUp(): Newest {
    const { directory, log, platform } = this.#engine
    const newest = newestHeader(platform, directory, log.storeId)
    return (
      newest ?? this.#newest ?? { address: 0, createdAtMs: platform.nowMs(), nextSegmentNumber: 0 }
    )
  }
}
