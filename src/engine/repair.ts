/**
 * What the next to come does for a writer that was killed: the announced change is made again, an
 * unfinished batch is finished, and nothing of an unfinished record stays behind the tail. Each
 * step may itself be killed and done again.
 */
import * as layout from '../format/control-layout.js'
import { applyPending } from './apply.js'
import type { Engine } from './engine.js'
import { applyBatch } from './write-batch.js'

export function repair(engine: Engine, wasClosed: boolean): void {
  const { control, index, log } = engine
  index.adoptBucketCount()
  log.adoptTail()
  applyPending(engine)
  if (control.get(layout.batchFrame) !== 0) applyBatch(engine)
  if (!wasClosed) wipeBehindTail(engine)
}

/**
 * A record that was never committed may lie whole behind the tail, checksum and all; a shorter one
 * written over it would leave its successor standing. Where anything is there, it goes.
 */
function wipeBehindTail(engine: Engine): void {
  const { log } = engine
  const words = log.words[log.tailSlot]
  const limit = engine.control.doubles[layout.writeLimitDouble]
  const end = Math.min(log.tailLimit, limit) * 2
  for (let word = log.tailOffset * 2; word < end; word++) {
    if (words[word] !== 0) words[word] = 0
  }
}
