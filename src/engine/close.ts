/** close: the last sync, the mark of a proper end, and every resource given back. */
import * as layout from '../format/control-layout.js'
import type { Engine } from './engine.js'
import { finalSync } from './sync.js'

/**
 * After this nothing of the engine is used again. Where the last sync fails the store is closed
 * all the same, without the mark of a proper end, and the failure is thrown.
 */
export async function close(engine: Engine): Promise<void> {
  if (engine.isClosed) return
  engine.isClosed = true
  const { control, syncQueue } = engine
  clearTimeout(syncQueue.timer)
  try {
    if (!engine.isReadOnly) {
      await finalSync(engine)
      control.setSessionOpen(false)
    }
  } finally {
    release(engine)
  }
}

/** Gives an engine back that was opened and cannot be used: nothing was written through it. */
export function abandon(engine: Engine): void {
  const { control } = engine
  engine.isClosed = true
  const isSynced = control.get(layout.durable) === control.get(layout.tail)
  if (!engine.isReadOnly && isSynced) control.setSessionOpen(false)
  release(engine)
}

function release(engine: Engine): void {
  const { control, counts, index, log } = engine
  log.close()
  index.homes.close()
  index.overflows.close()
  log.slots.region.close()
  counts.region.close()
  control.close()
  engine.space?.close()
  engine.lock?.release()
}
