/**
 * What the next to come does for a writer that was killed: the announced change is made again, an
 * unfinished batch is finished, and nothing of an unfinished record stays behind the tail. Each
 * step may itself be killed and done again.
 */
import * as layout from '../format/control-layout.js'
import { applyPending } from './apply.js'
import type { Engine } from './engine.js'
import { applyBatch } from './write-batch.js'

const wipeChunkSizeBytes = 65_536

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
  const limit = engine.control.doubles[layout.writeLimitDouble]
  const end = Math.min(log.tailLimit, limit) * 8
  const bytes = log.bytes[log.tailSlot]
  const zeros = Buffer.alloc(wipeChunkSizeBytes)
  // Compared before it is written: most of it is zero, and a write would make pages dirty.
  for (let start = log.tailOffset * 8; start < end; start += wipeChunkSizeBytes) {
    const chunk = bytes.subarray(start, Math.min(end, start + wipeChunkSizeBytes))
    if (!chunk.equals(zeros.subarray(0, chunk.length))) chunk.fill(0)
  }
}
