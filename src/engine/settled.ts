/**
 * Reading counts, which change behind the entries that they count, and by batches record by record:
 * what is read while somebody writes does not count.
 */
import { currentWord, tokenBusy, writerWord } from '../format/control-layout.js'
import type { Engine } from './engine.js'
import { takeTurn } from './read.js'

const triesBeforeTurn = 64

/** What `read` gives between two operations, of whomever. */
export function readSettled<T>(engine: Engine, read: () => T): T {
  // The one that writes is this very thread, between two operations.
  if (engine.callbackOf !== '') return read()
  const { words } = engine.control
  for (let tries = 1; ; tries++) {
    const commits = Atomics.load(words, currentWord)
    if ((Atomics.load(words, writerWord) & tokenBusy) === 0) {
      const value = read()
      const isSettled = (Atomics.load(words, writerWord) & tokenBusy) === 0
      if (isSettled && Atomics.load(words, currentWord) === commits) return value
    }
    // A writer that never rests, or is dead: after a turn of one's own it is settled for a moment.
    if (tries % triesBeforeTurn === 0) takeTurn(engine)
  }
}
