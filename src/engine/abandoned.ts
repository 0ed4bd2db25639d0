/**
 * Snapshots, and ranges that were begun, that nobody closed and nobody can reach any more: when their
 * memory is collected, their pins are given back.
 *
 * A range is watched only from its second batch on: shorter ones are over before, and watching costs
 * as much as reading ten keys.
 */
import type { Engine } from './engine.js'
import { closeSnapshot } from './snapshot.js'

interface Held {
  readonly engine: Engine
  readonly sequence: number
  /** What to tell the user; nothing for a range, which is left all the time. */
  readonly warning: string | undefined
  readonly release: (() => void) | undefined
}

const watched = new FinalizationRegistry<Held>(({ engine, sequence, warning, release }) => {
  if (engine.isClosed) return
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
): void {
  watched.register(owner, { engine, sequence, warning, release }, owner)
}

/** The owner gave its pin back itself. */
export function unwatchPin(owner: object): void {
  watched.unregister(owner)
}
