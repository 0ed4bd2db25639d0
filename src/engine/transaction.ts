/**
 * transaction: a function of the caller's runs with the writer's word in hand, so that nobody writes
 * between what it reads and what it writes; what it writes is kept aside until it has returned, and
 * then goes to the log as one batch (I6). Killed, or thrown out of, before that, nothing happened.
 */
import type { Engine } from './engine.js'
import { beginCallback, endCallback, enter, leave, mend, requireNoCallback } from './exclusive.js'
import { scheduleSync } from './sync.js'

/**
 * Runs `run`, then `commit`, which writes what there is to be written and says whether there was
 * anything. Where `run` throws, `commit` is not called.
 */
export function transact<T>(engine: Engine, run: () => T, commit: () => boolean): T {
  engine.requireWritable()
  requireNoCallback(engine)
  enter(engine)
  let isWritten = false
  try {
    const result = runWithin(engine, run)
    // Poisoned meanwhile by a sync of another one.
    engine.requireWritable()
    isWritten = commitHeld(engine, commit)
    return result
  } finally {
    leave(engine)
    if (isWritten) scheduleSync(engine)
  }
}

function runWithin<T>(engine: Engine, run: () => T): T {
  beginCallback(engine, 'transaction()')
  try {
    return run()
  } finally {
    endCallback(engine)
  }
}

function commitHeld(engine: Engine, commit: () => boolean): boolean {
  engine.isCommitting = true
  try {
    return commit()
  } catch (error) {
    mend(engine)
    throw error
  } finally {
    engine.isCommitting = false
  }
}
