/**
 * What a record does to the index and the counts, once it is written: the same for a single put or
 * delete and for one of a batch. Between `begin` and `commit` only; the key is the one at hand.
 *
 * A key that was deleted while a snapshot is open, or deletes are remembered, keeps its entry in the hash
 * index, which then leads to the tombstone, and its place in the ordered index: the snapshot finds the
 * value behind it.
 * Hot path: `bench/compare`, rows "load", "random update", "delete", "batch".
 */
import * as layout from '../format/control-layout.js'
import { kindWord, typeTombstone } from '../format/record.js'
import { accountInsert, accountRemove, accountReplace, announceDeath } from './account.js'
import type { Engine } from './engine.js'
import { announceOrderedInsert, announceOrderedRemove } from './order.js'
import { announceInsert, announceRemove, announceReplace } from './publish.js'
import { countTombstone, rememberMs } from './tombstones.js'

/** What the index has of a key: nothing, a live record, or a tombstone. */
export const noEntry = 0
export const liveEntry = 1
export const deadEntry = 2

/** Which of these the lookup found. */
export function entryOf(engine: Engine, found: boolean): number {
  if (!found) return noEntry
  const { offset, recordWords } = engine.lookup
  return (recordWords[(offset << 1) + kindWord] & 0xff) === typeTombstone ? deadEntry : liveEntry
}

/** Where a snapshot sees behind it, or a late command must not. */
function isTombstoneKept(engine: Engine): boolean {
  return engine.attachments.lowestPin() !== Number.POSITIVE_INFINITY || rememberMs(engine) > 0
}

/** A put whose record is at `slot` and `offset`; `bytes` is what it and its value segment take. */
export function announcePut(
  engine: Engine,
  keyspaceId: number,
  hash: number,
  entry: number,
  slot: number,
  offset: number,
  valueSizeBytes: number,
  bytes: number,
): void {
  if (entry === liveEntry) {
    accountReplace(engine, keyspaceId, valueSizeBytes, bytes)
    announceReplace(engine, hash, slot, offset)
    return
  }
  accountInsert(engine, keyspaceId, valueSizeBytes, bytes)
  if (entry === noEntry) {
    announceInsert(engine, hash, slot, offset)
    announceOrderedInsert(engine, keyspaceId)
  } else {
    announceDeath(engine, 0)
    announceReplace(engine, hash, slot, offset)
    engine.control.doubles[engine.control.next + layout.tombstones] -= 1
  }
}

/**
 * A delete whose tombstone is at `slot` and `offset`: of a live key, or, by a command, of one that is not
 * there.
 */
export function announceTombstone(
  engine: Engine,
  keyspaceId: number,
  hash: number,
  entry: number,
  slot: number,
  offset: number,
): void {
  if (entry === liveEntry) accountRemove(engine, keyspaceId)
  if (entry === noEntry) {
    announceInsert(engine, hash, slot, offset)
    announceOrderedInsert(engine, keyspaceId)
  } else if (entry === deadEntry || isTombstoneKept(engine)) {
    announceReplace(engine, hash, slot, offset)
  } else {
    announceRemove(engine)
    announceOrderedRemove(engine, keyspaceId)
    return
  }
  if (entry !== deadEntry) countTombstone(engine, engine.log.starts[slot] + offset)
}
