/**
 * Background work for a store that several have open: done by exactly one of them. Whoever gets the
 * lock on a file of its own does it; when that one goes, in whatever way, another has the lock at
 * its next look, within a second.
 *
 * Each thread syncs what it wrote within `syncIntervalMs` by itself (sync.ts). What is left to do is
 * the sync for one that died before, giving back what its snapshots held, and checkpoints.
 */
import { join } from 'node:path'
import * as layout from '../format/control-layout.js'
import { backgroundFileName } from '../format/file-names.js'
import type { FileLock } from '../platform/platform.js'
import type { Engine } from './engine.js'
import { scheduleExpiry } from './expiry.js'
import { sweepDropped } from './sweep-keyspaces.js'
import { scheduleSweep } from './sweep-tombstones.js'
import { sync } from './sync.js'
import { endWatching } from './watch.js'

const lookIntervalMs = 500

export class Background {
  readonly #engine: Engine
  #timer: NodeJS.Timeout | undefined
  #lock: FileLock | undefined
  /** Since when there is something that nobody synced, by the clock of this process. */
  #unsyncedSinceMs: number | undefined
  #durable = 0

  constructor(engine: Engine) {
    this.#engine = engine
  }

  /** True while this is the one that does the work. */
  get isOnDuty(): boolean {
    return this.#lock !== undefined
  }

  /** For who cannot wait for the next look. True where this is the one on duty. */
  tryDuty(): boolean {
    const { directory, platform } = this.#engine
    this.#lock ??= platform.tryLock(join(directory, backgroundFileName), 'exclusive')
    return this.#lock !== undefined
  }

  start(): void {
    const { isReadOnly, platform } = this.#engine
    if (isReadOnly || (!platform.isShared && platform.kind !== 'file')) return
    this.#begin()
  }

  /** For a store that only this one has open: little is left to do there. */
  startAlone(): void {
    const { isReadOnly, platform } = this.#engine
    if (!isReadOnly && !platform.isShared && this.#timer === undefined) this.#begin()
  }

  #begin(): void {
    this.#timer = setInterval(() => this.#lookSafely(), lookIntervalMs)
    this.#timer.unref()
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#lock?.release()
    this.#lock = undefined
  }

  /** What those that are gone left behind. */
  #cleanUp(): void {
    this.#engine.attachments.clearDead()
    scheduleSweep(this.#engine)
    sweepDropped(this.#engine)
    scheduleExpiry(this.#engine)
    endWatching(this.#engine)
  }

  /** What fails here fails in no call of the user's: it is told, and tried again. */
  #lookSafely(): void {
    try {
      this.#look()
    } catch (error) {
      this.#engine.onError?.(error)
    }
  }

  #look(): void {
    const { control, platform, syncIntervalMs } = this.#engine
    if (control.isPoisoned) return
    // One that has the store alone has nobody to do anything for.
    if (!platform.isShared) {
      scheduleExpiry(this.#engine)
      if (platform.kind === 'file') {
        void this.#engine.checkpointDuty.runIfDue(() => this.#engine.requireOpen())
      }
      return
    }
    if (!this.tryDuty()) return
    this.#cleanUp()
    // It never rejects.
    void this.#engine.checkpointDuty.runIfDue(() => this.#engine.requireOpen())
    // What lies in memory alone has nothing to be synced to.
    if (platform.kind === 'memory' || syncIntervalMs === 0) return
    const state = control.readState()
    if (state[layout.durable] !== this.#durable || state[layout.tail] === this.#durable) {
      this.#durable = state[layout.durable]
      this.#unsyncedSinceMs = undefined
    }
    if (state[layout.tail] === this.#durable) return
    this.#unsyncedSinceMs ??= performance.now()
    // Whoever wrote it has that long, and a little more, to sync it.
    if (performance.now() - this.#unsyncedSinceMs < syncIntervalMs + lookIntervalMs) return
    this.#unsyncedSinceMs = undefined
    sync(this.#engine).catch((error: unknown) => this.#engine.onError?.(error))
  }
}
