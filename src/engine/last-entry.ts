/** lastEntry: the live record of a keyspace that was written last. */
import * as layout from '../format/control-layout.js'
import { sequenceDouble, typePut } from '../format/record.js'
import { recordKeyspace, recordType } from '../log/record-fields.js'
import type { Engine } from './engine.js'
import { getRecord, type RecordFacts } from './get-entry.js'
import { findNewest } from './scan.js'
import { takeKey } from './take-key.js'

/** Its key is the key at hand then. Undefined where there is none. */
export function getNewest(engine: Engine, keyspaceId: number): RecordFacts | undefined {
  engine.requireOpen()
  if (engine.counts.get(keyspaceId, 0) === 0) return undefined
  return newestOfStore(engine, keyspaceId) ?? findNewest(engine, keyspaceId)
}

/** The record of the last commit, if it is one of the keyspace and still the last when it was read. */
function newestOfStore(engine: Engine, keyspaceId: number): RecordFacts | undefined {
  const { control, log } = engine
  const state = control.readState()
  const address = state[layout.lastRecord]
  if (address === 0) return undefined
  const place = log.find(address)
  // Dropped: a tombstone, or a record that was moved.
  if (place === undefined) return undefined
  const { slot, offset } = place
  const words = log.words[slot]
  if (recordType(words, offset * 2) !== typePut) return undefined
  if (recordKeyspace(words, offset * 2) !== keyspaceId) return undefined
  if (log.doubles[slot][offset + sequenceDouble] < state[layout.sequence]) return undefined
  takeKey(engine, words, offset * 2)
  const record = getRecord(engine, keyspaceId)
  // Written again meanwhile, it is the last one all the more, unless others were, too.
  return record !== undefined && record.sequence === control.read(layout.sequence)
    ? record
    : undefined
}
