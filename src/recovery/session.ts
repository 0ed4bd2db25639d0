/**
 * The locks of those that have a store open.
 *
 * `lock` is held together by all that share the store through mapped memory, and alone by one that
 * has it open without a mapping. `lifecycle` is held for the moment of attaching or detaching, and
 * for a recovery: under it, whoever can have `lock` alone knows that nobody else is there.
 *
 * The lifecycle lock is never held across a turn of the event loop: a thread that waits for it
 * stands still, and could be the one that holds it.
 *
 * The lifecycle file holds two counters, of openings by one that found nobody there, and of those
 * that made the volatile parts anew. One that may not write sees by them that what it has mapped, or
 * copied, is old.
 */
import { hostname } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { threadId } from 'node:worker_threads'
import { type LockHolder, StoreError } from '../base/errors.js'
import { pause } from '../base/pause.js'
import type { Attachments } from '../control/attachments.js'
import type { Session } from '../engine/engine.js'
import { lifecycleFileName, lockFileName } from '../format/file-names.js'
import { lockedBy } from '../platform/lock.js'
import type { FileLock, Platform, PlatformFile } from '../platform/platform.js'

const pauseMs = 1

/** Where the locks of a store are. */
export interface SessionPlace {
  readonly platform: Platform
  readonly directory: string
  readonly isWritable: boolean
  readonly lockTimeoutMs: number
}

/** Runs `action` while nobody else attaches, detaches or recovers. */
export function underLifecycle<T>(place: SessionPlace, action: () => T): T {
  const lock = waitForLifecycle(place)
  try {
    return action()
  } finally {
    lock.release()
  }
}

function waitForLifecycle({ platform, directory, lockTimeoutMs }: SessionPlace): FileLock {
  const path = join(directory, lifecycleFileName)
  const startedAtMs = performance.now()
  for (;;) {
    const lock = platform.tryLock(path, 'exclusive')
    if (lock !== undefined) return lock
    if (performance.now() - startedAtMs >= lockTimeoutMs) {
      throw new StoreError(
        'STORE_LOCKED',
        `somebody has been opening, closing or recovering ${directory} for ${lockTimeoutMs} ms`,
        { details: { file: path } },
      )
    }
    pause(pauseMs)
  }
}

/** The lock of a store in hand. */
export interface StoreLock {
  readonly lock: FileLock
  /** Nobody else has the store open. */
  readonly isAlone: boolean
}

/** Under the lifecycle lock. Throws `STORE_LOCKED` where somebody has the store open unshared. */
export function takeStoreLock({ platform, directory }: SessionPlace): StoreLock {
  const path = join(directory, lockFileName)
  platform.holders.refuseClaim(path)
  const alone = platform.tryLock(path, 'exclusive')
  if (alone !== undefined) return { lock: alone, isAlone: true }
  const shared = platform.tryLock(path, 'shared')
  if (shared === undefined) throw lockedBy(path, platform.holders.read(path))
  return { lock: shared, isAlone: false }
}

/** The session of one that shares the store, from when it is attached. */
export function beginSession(
  place: SessionPlace,
  { lock, isAlone }: StoreLock,
  attachments: Attachments,
): Session {
  const { isWritable, platform } = place
  const path = join(place.directory, lockFileName)
  if (isAlone) lock.share()
  if (isWritable) platform.holders.sign(path, thisHolder())
  platform.attach()
  return {
    end: (whenLast) => {
      try {
        // Nobody else's store is touched where another one took its place.
        if (!attachments.isInPlace()) return
        underLifecycle(place, () => {
          lock.release()
          leaveStore(place, path, whenLast)
          attachments.give()
        })
      } finally {
        lock.release()
        attachments.give()
      }
    },
  }
}

function leaveStore({ platform, isWritable }: SessionPlace, path: string, act: () => void): void {
  const alone = platform.tryLock(path, 'exclusive')
  try {
    if (alone === undefined) return
    act()
    if (isWritable) platform.holders.unsign(path)
  } finally {
    platform.detach(alone !== undefined)
    alone?.release()
  }
}

export function thisHolder(): LockHolder {
  return {
    processId: process.pid,
    threadId,
    hostname: hostname(),
    since: new Date().toISOString(),
  }
}

interface Openings {
  /** By one that found nobody there. */
  readonly count: number
  /** Of these, the ones that made the volatile parts anew. */
  readonly rebuildCount: number
}

function readOpenings(file: PlatformFile | undefined): Openings {
  const counters = new Float64Array(2)
  file?.read(new Uint8Array(counters.buffer), 0)
  return { count: counters[0], rebuildCount: counters[1] }
}

/** For one that may not write: tells whether the store was opened for writing since. */
export class OpeningsWatch {
  readonly #file: PlatformFile | undefined
  readonly #before: Openings

  constructor({ platform, directory }: SessionPlace) {
    const path = join(directory, lifecycleFileName)
    // Where there is none, nobody who shares the store has ever opened it.
    this.#file = platform.exists(path) ? platform.openFile(path, 'read') : undefined
    this.#before = readOpenings(this.#file)
  }

  wasOpened(): boolean {
    return readOpenings(this.#file).count !== this.#before.count
  }

  wasRebuilt(): boolean {
    return readOpenings(this.#file).rebuildCount !== this.#before.rebuildCount
  }

  close(): void {
    this.#file?.close()
  }
}

/** Under the lifecycle lock, before anything is changed. */
export function countOpening(place: SessionPlace, isRebuild: boolean): void {
  const file = place.platform.openFile(join(place.directory, lifecycleFileName), 'write')
  try {
    const { count, rebuildCount } = readOpenings(file)
    const counters = Float64Array.of(count + 1, rebuildCount + (isRebuild ? 1 : 0))
    file.write(new Uint8Array(counters.buffer), 0)
  } finally {
    file.close()
  }
}
