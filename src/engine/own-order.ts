/**
 * The ordered index of one that may not write, where the store's own is not built: in memory of this
 * one's own, from the hash index, when a range is first asked for.
 *
 * Invariants:
 * - It has the key of every live record that lies below `address` in the log, and perhaps others, which
 *   a range passes over: it looks every key up.
 * - Nothing outside of it is written, and nobody waits for it.
 *
 * Others may write meanwhile. Buckets are read as any reader reads them; what came or went since the
 * beginning is in the log behind the tail of that moment. The log is followed by what its records say
 * and not by what the hash index has: of a record that is committed, its entry may still be on its way.
 */
import { loadWordFirst } from '../base/shared-words.js'
import {
  entriesPerBucket,
  entryWords,
  linkWordInBucket,
  versionWordInBucket,
} from '../format/bucket.js'
import * as layout from '../format/control-layout.js'
import { orderFileName } from '../format/file-names.js'
import { typePut, typeTombstone } from '../format/record.js'
import { wordOf } from '../index/hash-index.js'
import { KeyList } from '../index/key-list.js'
import { applyOrderedChange } from '../index/ordered-apply.js'
import { planBuild } from '../index/ordered-build.js'
import { OrderedIndex } from '../index/ordered-index.js'
import { planInsert } from '../index/ordered-insert.js'
import { planRemove } from '../index/ordered-remove.js'
import { LogWalk } from '../log/log-walk.js'
import { recordKeyspace } from '../log/record-fields.js'
import { createMemoryPlatform } from '../platform/memory-platform.js'
import type { Engine } from './engine.js'
import { isStable } from './read.js'
import { readSettled } from './settled.js'
import { takeKey } from './take-key.js'

export interface OwnOrder {
  readonly index: OrderedIndex
  /** How far the log was followed. */
  address: number
  readonly redo: Int32Array
}

/** The index with every key that is live now. Cost: as build-order.ts, and then what was written since. */
export function requireOwnOrder(engine: Engine): OrderedIndex {
  engine.ownOrder ??= build(engine)
  followLog(engine, engine.ownOrder)
  return engine.ownOrder.index
}

function build(engine: Engine): OwnOrder {
  const startedAtMs = performance.now()
  const file = createMemoryPlatform().openFile(orderFileName, 'create')
  const index = new OrderedIndex(file, 'shared', undefined)
  const redo = new Int32Array(layout.redoSizeBytes / 4)
  const address = readSettled(engine, () => engine.control.read(layout.tail))
  const keys = collectKeys(engine)
  keys.sort()
  index.initialize()
  if (planBuild(index, keys, redo) > 0) applyOrderedChange(index, redo)
  engine.onBuilt?.({ keys: index.keyCount, durationMs: performance.now() - startedAtMs })
  return { index, address, redo }
}

function collectKeys(engine: Engine): KeyList {
  const { index } = engine
  const keys = new KeyList()
  const entries: number[] = []
  index.adoptBucketCount()
  for (let home = 0; home < index.bucketCount; home++) {
    copyChain(engine, home, entries)
    for (let at = 0; at < entries.length; at += entryWords) {
      collectKey(engine, keys, entries[at], entries[at + 1])
    }
    // A bucket that was split meanwhile shares with one at the end, which was not there before.
    if (home === index.bucketCount - 1) index.adoptBucketCount()
  }
  return keys
}

/** The entries under a home bucket, as they are at one moment. */
function copyChain(engine: Engine, home: number, entries: number[]): void {
  const { index, lookup } = engine
  const homeWords = index.wordsOf(home)
  const homeStart = wordOf(home)
  lookup.homeWords = homeWords
  lookup.homeStart = homeStart
  do {
    lookup.version = loadWordFirst(homeWords, homeStart + versionWordInBucket)
    entries.length = 0
    let words = homeWords
    let start = homeStart
    for (;;) {
      copyEntries(words, start, entries)
      const link = words[start + linkWordInBucket]
      if (link === 0) break
      words = index.overflowWordsOf(link)
      start = wordOf(link)
    }
  } while (!isStable(engine))
}

function copyEntries(words: Int32Array, start: number, entries: number[]): void {
  for (let entry = 0; entry < entriesPerBucket * entryWords; entry += entryWords) {
    const low = words[start + entry]
    const high = words[start + entry + 1]
    if (high !== 0 || (low & 0xff) !== 0) entries.push(low, high)
  }
}

function collectKey(engine: Engine, keys: KeyList, low: number, high: number): void {
  const { key, log } = engine
  const slot = ((low & 0xff) << (32 - log.shift)) | (high >>> log.shift)
  const record = (high & log.offsetMask) * 2
  if (log.words[slot] === undefined) log.mapSlot(slot)
  takeKey(engine, log.words[slot], record)
  keys.add(recordKeyspace(log.words[slot], record), key.words, 0, key.sizeBytes)
}

function followLog(engine: Engine, own: OwnOrder): void {
  const { control, key, log } = engine
  const { index, redo } = own
  const tail = control.read(layout.tail)
  if (own.address === tail) return
  const walk = new LogWalk(log, own.address, tail)
  while (walk.next()) {
    if (walk.type !== typePut && walk.type !== typeTombstone) continue
    const words = log.words[walk.slot]
    takeKey(engine, words, walk.offset * 2)
    const plan = walk.type === typePut ? planInsert : planRemove
    const keyspaceId = recordKeyspace(words, walk.offset * 2)
    const sizeWords = plan(index, keyspaceId, key.words, 0, key.sizeBytes, redo)
    if (sizeWords > 0) applyOrderedChange(index, redo)
  }
  own.address = tail
}
