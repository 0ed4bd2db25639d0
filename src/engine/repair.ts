/**
 * What the next to come does for a writer that was killed, with the writer's word in its hand: the
 * announced change is made again, an unfinished batch is finished, and nothing of an unfinished
 * record stays behind the tail. Each step may itself be killed and done again.
 */

import { versionWordInBucket } from '../format/bucket.js'
import * as layout from '../format/control-layout.js'
import { wordOf } from '../index/hash-index.js'
import { oldHomeOf } from '../index/split.js'
import { freeUncommitted } from '../log/roll.js'
import { applyPending, makeEven } from './apply.js'
import { applyBatch } from './apply-batch.js'
import type { Engine } from './engine.js'

const wipeChunkSizeBytes = 65_536

/** `isTailClean`: nothing can lie behind the tail, because nobody was killed. */
export function repair(engine: Engine, isTailClean: boolean): void {
  const { control, index, log } = engine
  freeUncommitted(log)
  log.adoptTail()
  applyPending(engine)
  index.publishBucketCount(control.get(layout.bucketCount))
  index.adoptBucketCount()
  if (control.get(layout.batchFrame) !== 0) applyBatch(engine)
  // Killed between a change of the registry and its announcement: whoever has a handle looks again.
  Atomics.add(control.words, layout.keyspaceGenerationWord, 1)
  releaseSplit(engine)
  if (!isTailClean) wipeBehindTail(engine)
}

/**
 * A split makes its two buckets odd before it is committed. Killed in between they are odd and
 * nothing announces it; but which they would be follows from the size of the table.
 */
function releaseSplit(engine: Engine): void {
  const { index } = engine
  const newHome = index.bucketCount
  for (const home of [oldHomeOf(newHome), newHome]) {
    if (home >= index.homes.reservedCount) continue
    const words = index.wordsOf(home)
    const version = wordOf(home) + versionWordInBucket
    if ((words[version] & 1) === 1) makeEven(words, version)
  }
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
