/**
 * Building the ordered index, when a range is first asked for.
 *
 * Others read and write meanwhile: the keys are collected from the hash index a slice of buckets at a
 * time, then sorted and laid out without anybody waiting. What came or went since is in the log behind
 * the tail of the beginning: whatever key has a record there is looked up again, at last with the
 * writer's word in hand, and then the index counts as built. A bucket that is split meanwhile shares
 * with one that is still to come, so no key is missed; one that is met twice counts once.
 *
 * A lock of its own keeps two from building at once. Killed anywhere, nothing counts, and the next
 * range begins anew.
 */
import { join } from 'node:path'
import { pause } from '../base/pause.js'
import { entriesPerBucket, entryWords, linkWordInBucket } from '../format/bucket.js'
import * as layout from '../format/control-layout.js'
import { buildFileName } from '../format/file-names.js'
import { typePut, typeTombstone } from '../format/record.js'
import { wordOf } from '../index/hash-index.js'
import { KeyList } from '../index/key-list.js'
import { applyOrderedChange } from '../index/ordered-apply.js'
import { planBuild } from '../index/ordered-build.js'
import type { OrderedIndex } from '../index/ordered-index.js'
import { planInsert } from '../index/ordered-insert.js'
import { planRemove } from '../index/ordered-remove.js'
import { LogWalk } from '../log/log-walk.js'
import { recordKeyspace } from '../log/record-fields.js'
import type { FileLock } from '../platform/platform.js'
import type { Engine } from './engine.js'
import { exclusively } from './exclusive.js'
import { requireOwnOrder } from './own-order.js'
import { hashKey, probe } from './probe.js'
import { takeKey } from './take-key.js'

/** Buckets collected while others wait: less than a millisecond. */
const bucketsAtOnce = 512
/** Records looked up again while others wait. */
const recordsAtOnce = 1024
const pauseMs = 1

/**
 * The ordered index, with the key of every live record: a second or so for a million keys, where it
 * has to be built.
 */
export function requireOrder(engine: Engine): OrderedIndex {
  if (engine.control.read(layout.orderBuilt) === 1) return engine.order
  const { directory, log, order, platform } = engine
  if (log.access === 'private') return requireOwnOrder(engine)
  let lock: FileLock | undefined
  for (;;) {
    lock = platform.tryLock(join(directory, buildFileName), 'exclusive')
    if (engine.control.read(layout.orderBuilt) === 1 || lock !== undefined) break
    pause(pauseMs)
  }
  try {
    if (engine.control.read(layout.orderBuilt) !== 1) build(engine)
  } finally {
    lock?.release()
  }
  return order
}

/**
 * Asked with the writer's word in hand: who begins to build waits for that. What leaves no record in the
 * log does not happen meanwhile, because the builder would not learn of it: see the sweeps.
 */
export function isOrderBeingBuilt({ control, directory, platform }: Engine): boolean {
  if (!platform.isShared || control.get(layout.orderBuilt) === 1) return false
  const lock = platform.tryLock(join(directory, buildFileName), 'exclusive')
  lock?.release()
  return lock === undefined
}

function build(engine: Engine): void {
  const startedAtMs = performance.now()
  const { order } = engine
  const redo = new Int32Array(layout.redoSizeBytes / 4)
  let address = exclusively(engine, () => engine.control.get(layout.tail))
  const keys = new KeyList()
  for (let home = 0; home < engine.index.bucketCount; home += bucketsAtOnce) {
    exclusively(engine, () => collectHomes(engine, keys, home))
  }
  keys.sort()
  // Nobody seeks in it before it counts as built, but a range may be on its way in an old one.
  Atomics.add(engine.control.words, layout.orderGenerationWord, 1)
  order.initialize()
  if (planBuild(order, keys, redo) > 0) applyOrderedChange(order, redo)
  for (let isBuilt = false; !isBuilt; ) {
    isBuilt = exclusively(engine, () => {
      address = catchUp(engine, redo, address)
      return finish(engine, address)
    })
  }
  engine.onBuilt?.({ keys: order.keyCount, durationMs: performance.now() - startedAtMs })
}

function collectHomes(engine: Engine, keys: KeyList, first: number): void {
  const { index } = engine
  const end = Math.min(index.bucketCount, first + bucketsAtOnce)
  for (let home = first; home < end; home++) {
    let words = index.wordsOf(home)
    let start = wordOf(home)
    for (;;) {
      collectBucket(engine, keys, words, start)
      const link = words[start + linkWordInBucket]
      if (link === 0) break
      words = index.overflowWordsOf(link)
      start = wordOf(link)
    }
  }
}

function collectBucket(engine: Engine, keys: KeyList, words: Int32Array, start: number): void {
  const { key, log } = engine
  for (let entry = 0; entry < entriesPerBucket * entryWords; entry += entryWords) {
    const low = words[start + entry]
    const high = words[start + entry + 1]
    if (high === 0 && (low & 0xff) === 0) continue
    const slot = ((low & 0xff) << (32 - log.shift)) | (high >>> log.shift)
    const record = (high & log.offsetMask) * 2
    if (log.words[slot] === undefined) log.mapSlot(slot)
    takeKey(engine, log.words[slot], record)
    keys.add(recordKeyspace(log.words[slot], record), key.words, 0, key.sizeBytes)
  }
}

/** Looks up the keys of some records from `from` on again. Returns where the next one is. */
function catchUp(engine: Engine, redo: Int32Array, from: number): number {
  const { control, key, log, order } = engine
  const tail = control.get(layout.tail)
  const walk = new LogWalk(log, from, tail)
  for (let count = 0; count < recordsAtOnce; count++) {
    if (!walk.next()) return tail
    if (walk.type !== typePut && walk.type !== typeTombstone) continue
    const words = log.words[walk.slot]
    const keyspaceId = recordKeyspace(words, walk.offset * 2)
    takeKey(engine, words, walk.offset * 2)
    const plan = probe(engine, hashKey(engine, keyspaceId), keyspaceId) ? planInsert : planRemove
    const sizeWords = plan(order, keyspaceId, key.words, 0, key.sizeBytes, redo)
    if (sizeWords > 0) applyOrderedChange(order, redo)
  }
  return walk.address
}

/** True where nothing is left to catch up with: from here on every change is followed. */
function finish(engine: Engine, address: number): boolean {
  const { control } = engine
  if (address !== control.get(layout.tail)) return false
  control.begin()
  control.set(layout.orderBuilt, 1)
  control.commit()
  return true
}
