/** close: the last sync, the mark of a proper end, and every resource given back. */
import * as layout from '../format/control-layout.js'
import type { Engine } from './engine.js'
import { finalSync, finalSyncNow, sync } from './sync.js'

/**
 * After this nothing of the engine is used again. Where the last sync fails the store is closed
 * all the same, without the mark of a proper end, and the failure is thrown.
 *
 * Only who is the last one leaves that mark, under the lock without which nobody can attach. It is
 * never held across a turn of the event loop: this very thread may be waiting for it to open.
 */
export async function close(engine: Engine): Promise<void> {
  if (engine.isClosed) return
  engine.isClosed = true
  clearTimeout(engine.syncQueue.timer)
  let failure: unknown
  try {
    if (!engine.isReadOnly) await (isAlone(engine) ? finalSync(engine) : sync(engine))
  } catch (error) {
    failure = error
  }
  try {
    engine.log.dropPrepared()
    engine.session.end(() => {
      if (engine.isReadOnly || failure !== undefined || engine.control.isPoisoned) return
      finalSyncNow(engine)
      engine.control.setSessionOpen(false)
    })
  } catch (error) {
    failure ??= error
  } finally {
    engine.closeParts()
  }
  if (failure !== undefined) throw failure
}

/** A guess: others come and go until the lifecycle lock is held. */
function isAlone(engine: Engine): boolean {
  return engine.attachments.list().length <= 1
}

/** Gives an engine back that was opened and cannot be used: nothing was written through it. */
export function abandon(engine: Engine): void {
  const { control } = engine
  engine.isClosed = true
  engine.log.dropPrepared()
  engine.session.end(() => {
    const isSynced = control.read(layout.durable) === control.read(layout.tail)
    if (!engine.isReadOnly && isSynced) control.setSessionOpen(false)
  })
  engine.closeParts()
}
