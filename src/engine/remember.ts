/**
 * Remembered deletes: how long a tombstone stays in the index, so that a command with a lower version,
 * which comes late, is known to be stale.
 *
 * For ever, once commands were applied to the store; nothing before that; or for as long as an option
 * says, the longest of all that have the store open. That commands were applied is a record of the
 * system's keyspace; both are in the control file, for everybody to see with a load.
 *
 * A remembered tombstone is in the indexes as one that a snapshot needs (announce-record.ts), and its
 * `timestampMs` is when it was written here, whatever the command said.
 */
import * as layout from '../format/control-layout.js'
import {
  kindWord,
  sequenceDouble,
  systemKeyspaceId,
  timestampDouble,
  typeTombstone,
} from '../format/record.js'
import { noExpiry } from '../log/expiry-table.js'
import { LogWalk } from '../log/log-walk.js'
import { recordKeyspace } from '../log/record-fields.js'
import { applyPending } from './apply.js'
import type { Engine } from './engine.js'
import { exclusively } from './exclusive.js'
import { getRecord } from './get-entry.js'
import { readRegistry } from './keyspaces.js'
import { announceOrderedInsert } from './order.js'
import { hashKey, probe } from './probe.js'
import { announceInsert, announceReplace, grow } from './publish.js'
import { anyVersion, putHeld } from './put.js'
import { has } from './read.js'
import { takeKey } from './take-key.js'
import { countTombstone, isRemembered, rememberMs } from './tombstones.js'

const appliedKey = 'applied'

/** Before the first command is applied: deletes count from here on. With the writer's word in hand. */
export function rememberFromNow(engine: Engine): void {
  const { control, key } = engine
  if (control.words[layout.appliedWord] !== 0) return
  key.setText(appliedKey)
  putHeld(engine, systemKeyspaceId, '', 0, undefined, anyVersion, noExpiry)
  Atomics.store(control.words, layout.appliedWord, 1)
}

/** After opening for writing: what the store and the option say; nobody else writes yet. */
export function adoptRemembered(engine: Engine, askedMs: number | undefined): void {
  const { control, key, lastRecovery } = engine
  if (askedMs !== undefined) control.raise(layout.rememberDouble, askedMs + 1)
  key.setText(appliedKey)
  if (has(engine, systemKeyspaceId)) Atomics.store(control.words, layout.appliedWord, 1)
  if (lastRecovery.kind === 'replay' && rememberMs(engine) > 0) {
    exclusively(engine, () => recall(engine))
  }
}

/**
 * Puts the tombstones that the log has and that are still needed back into the index: recovery leaves
 * only live keys there. Reads all of the log.
 */
function recall(engine: Engine): void {
  const { control, log } = engine
  const named = new Set(Object.values(readRegistry(engine).keyspaces).map(({ id }) => id))
  const fromSequence = control.doubles[layout.rememberDouble] === 0 ? firstApplied(engine) : 0
  const walk = new LogWalk(log, control.get(layout.begin), control.get(layout.tail))
  while (walk.next()) {
    const { offset, slot, type } = walk
    if (type !== typeTombstone) continue
    if (!named.has(recordKeyspace(log.words[slot], offset * 2))) continue
    if (log.doubles[slot][offset + sequenceDouble] < fromSequence) continue
    if (isRemembered(engine, log.doubles[slot][offset + timestampDouble])) recallOne(engine, walk)
  }
}

/** The sequence from which on deletes count, where nobody asked for a time. */
function firstApplied(engine: Engine): number {
  engine.key.setText(appliedKey)
  return getRecord(engine, systemKeyspaceId)?.sequence ?? Number.POSITIVE_INFINITY
}

function recallOne(engine: Engine, { address, offset, slot }: LogWalk): void {
  const { control, log, lookup } = engine
  const words = log.words[slot]
  const keyspaceId = recordKeyspace(words, offset * 2)
  takeKey(engine, words, offset * 2)
  const hash = hashKey(engine, keyspaceId)
  const isFound = probe(engine, hash, keyspaceId)
  if (isFound && !isOlderTombstone(engine, log.doubles[slot][offset + sequenceDouble])) return
  control.begin()
  if (isFound) {
    announceReplace(engine, hash, slot, offset)
  } else {
    announceInsert(engine, hash, slot, offset)
    announceOrderedInsert(engine, keyspaceId)
    countTombstone(engine, address)
  }
  control.commit()
  applyPending(engine)
  if (!isFound) grow(engine)
  // The lookup is of no more use.
  lookup.slot = 0
}

function isOlderTombstone({ log, lookup }: Engine, sequence: number): boolean {
  const { offset, recordWords, slot } = lookup
  if ((recordWords[(offset << 1) + kindWord] & 0xff) !== typeTombstone) return false
  return log.doubles[slot][offset + sequenceDouble] < sequence
}
