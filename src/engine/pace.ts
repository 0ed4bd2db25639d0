/**
 * Where compaction is asked whether it can follow. Who puts asks at each stretch of log that is filled
 * (log/roll.ts); who deletes makes much more garbage than log, and asks here, at each stretch of it.
 *
 * The answer is a wait when the writer's word was given back. What expires waits for nothing: until it is taken
 * out nobody sees that it is garbage.
 */
import * as layout from '../format/control-layout.js'
import type { Engine } from './engine.js'

export interface Pace {
  /** Live bytes below which {@link askForDeletes} asks again. */
  askBelowBytes: number
  /** With the writer's word in hand, which the caller gives back soon: that may then take a while. */
  askToPut(): void
  /** As {@link askToPut}. */
  askToDelete(): void
}

/** Nobody compacts in the background. */
export function noPace(): Pace {
  const follow = (): void => undefined
  return {
    askBelowBytes: Number.NEGATIVE_INFINITY,
    askToPut: follow,
    askToDelete: follow,
  }
}

/** Behind deletes, with the writer's word in hand. */
export function askForDeletes({ control, pace }: Engine): void {
  if (control.get(layout.liveBytes) < pace.askBelowBytes) pace.askToDelete()
}
