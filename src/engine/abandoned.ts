/**
 * Snapshots, and ranges that were begun, that nobody closed and nobody can reach any more: when their
 * memory is collected, their pins are given back.
 *
 * A range is watched only from its second batch on: shorter ones are over before. See range-memory.ts.
 */
import type { Engine } from './engine.js'
import { closeSnapshot } from './snapshot.js'

export interface WatchedPin {
  /** Undefined where there is nothing to give back. */
  engine: Engine | undefined
  sequence: number
  /** What to tell the user; nothing for a range, which is left all the time. */
  readonly warning: string | undefined
  readonly release: (() => void) | undefined
}

const watched = new FinalizationRegistry<WatchedPin>(({ engine, sequence, warning, release }) => {
  if (engine === undefined || engine.isClosed) return
  try {
    release?.()
    closeSnapshot(engine, sequence)
  } catch (error) {
    engine.onError?.(error)
  }
  if (warning !== undefined) engine.onWarning?.(warning)
})

/**
 * Gives the pin back when `owner` is collected, and calls `release`. `owner` must not be reachable from
 * the engine, nor from `release`.
 */
export function watchPin(
  owner: object,
  engine: Engine,
  sequence: number,
  warning: string | undefined,
  release?: () => void,
): WatchedPin {
  const pin = { engine, sequence, warning, release }
  watched.register(owner, pin, owner)
  return pin
}

/** The owner gave its pin back itself. */
export function unwatchPin(owner: object): void {
  watched.unregister(owner)
}
