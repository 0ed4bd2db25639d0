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
import { checkpointUnasked } from './checkpoint.js'
import { newestHeader, removeOld } from './checkpoints.js'
import type { Engine } from './engine.js'

/** Replayed in some tenths of a second. */
const replayBytesMin = 2 ** 26
/** What makes one due after {@link agedMs}, as a part of what makes one due at once. */
const agedPart = 1 / 4
const agedMs = 10 * 60_000
/** The newest, and one to fall back on. */
const kept = 2
/** After a failure, as on a full disk. */
const retryMs = 60_000

/** What is known of the newest one. */
type Newest = Pick<CheckpointHeader, 'address' | 'createdAtMs' | 'usedBytes'>

export class AutoCheckpoint {
  readonly #engine: Engine
  /** As last looked up; others may have made one since. */
  #newest: Newest | undefined
  #notBeforeMs = 0

  constructor(engine: Engine) {
    this.#engine = engine
  }

  /** Makes one where it is due, and prunes old ones. Resolves when that is done; never rejects. */
  async runIfDue(requireGoingOn: () => void): Promise<void> {
    const engine = this.#engine
    if (!engine.autoCheckpoint || engine.isReadOnly || engine.platform.kind === 'memory') return
    const { checkpointing, control } = engine
    if (checkpointing !== undefined || control.isPoisoned) return
    if (performance.now() < this.#notBeforeMs) return
    try {
      if (!this.#isDue()) return
      const info = await checkpointUnasked(engine, requireGoingOn)
      if (info !== undefined) removeOld(engine, kept)
    } catch (error) {
      if (engine.isClosed && error instanceof StoreError && error.code === 'STORE_CLOSED') return
      this.#notBeforeMs = performance.now() + retryMs
      engine.onError?.(error)
    }
  }

  #isDue(): boolean {
    // Most stores never come this far, and are never looked at.
    if (!this.#isDueBehind(this.#newest)) return false
    this.#newest = this.#lookUp()
    return this.#isDueBehind(this.#newest)
  }

  #isDueBehind(newest: Newest | undefined): boolean {
    const { max, now } = this.#replayBytes(newest)
    if (now >= max) return true
    const ageMs = newest === undefined ? agedMs : this.#engine.platform.nowMs() - newest.createdAtMs
    return now >= max * agedPart && ageMs >= agedMs
  }

  /** What a recovery would replay, and at most should. */
  #replayBytes(newest: Newest | undefined): { now: number; max: number } {
    const state = this.#engine.control.readState()
    const from = Math.max(newest?.address ?? 0, state[layout.begin])
    const buckets = state[layout.bucketCount] + state[layout.overflowEnd]
    return {
      // Values in segments of their own are in no address of the log; what is dropped leaves the other.
      now: Math.max(
        (state[layout.tail] - from) * 8,
        state[layout.usedBytes] - (newest?.usedBytes ?? 0),
      ),
      max: Math.max(replayBytesMin, buckets * bucketSizeBytes),
    }
  }

  /** Where there is none, time runs from the first look. */
  #lookUp(): Newest {
    const { directory, log, platform } = this.#engine
    const newest = newestHeader(platform, directory, log.storeId)
    return newest ?? this.#newest ?? { address: 0, createdAtMs: platform.nowMs(), usedBytes: 0 }
  }
}
