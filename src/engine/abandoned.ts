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
}

const watched = new FinalizationRegistry<Held>(({ engine, sequence, warning }) => {
  if (engine.isClosed) return
  try {
    closeSnapshot(engine, sequence)
  } catch (error) {
    engine.onError?.(error)
  }
  if (warning !== undefined) engine.onWarning?.(warning)
})

/** Gives the pin back when `owner` is collected. `owner` must not be reachable from the engine. */
export function watchPin(
  owner: object,
  engine: Engine,
  sequence: number,
  warning: string | undefined,
): void {
  watched.register(owner, { engine, sequence, warning }, owner)
}

/** The owner gave its pin back itself. */
export function unwatchPin(owner: object): void {
  watched.unregister(owner)
}
