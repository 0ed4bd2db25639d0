/**
 * Holding the log as it is: for those who walk along it segment by segment and compare where records lie
 * (scan, verify, backup). While anybody holds it compaction moves no record and drops no segment;
 * snapshots need no such thing, and hold back only what they show.
 *
 * Taken with the writer's word, under which compaction asks for it. It counts in the entry of the
 * attachment, so it goes with the thread that took it.
 */
import type { Engine } from './engine.js'
import { enter, leave } from './exclusive.js'

/** True where there is something to hold: a copy does not change, and who may not write holds nothing. */
function mayHold({ log }: Engine): boolean {
  return log.access !== 'private'
}

/** Returns what lets go again, once. */
export function holdLog(engine: Engine): () => void {
  if (!mayHold(engine)) return () => undefined
  enter(engine)
  engine.attachments.changeHolds(1)
  leave(engine)
  let isHeld = true
  return () => {
    if (!isHeld || engine.isClosed) return
    isHeld = false
    engine.attachments.changeHolds(-1)
  }
}
