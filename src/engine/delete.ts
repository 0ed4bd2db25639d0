/** delete: a tombstone at the tail, and the key's entry leaves the index. */
import { keyspaceGenerationWord } from '../format/control-layout.js'
import { typeTombstone } from '../format/record.js'
import { entryOf, liveEntry } from './announce-record.js'
import { appendRecord, draft, noBytes, ownVersion } from './append-record.js'
import type { Engine } from './engine.js'
import { enter, leave, mend } from './exclusive.js'
import { askForDeletes } from './pace.js'
import { hashKey, probe } from './probe.js'
import { anyVersion, holds } from './put.js'
import { scheduleSync } from './sync.js'
import { isExpiredFound } from './time.js'

/**
 * Removes the key at hand. False where it has no record, or not the version asked for; undefined as
 * `put`.
 */
export function remove(
  engine: Engine,
  keyspaceId: number,
  generation: number,
  condition: number,
): boolean | undefined {
  engine.requireWritable()
  enter(engine)
  let isDone = false
  try {
    if (engine.control.words[keyspaceGenerationWord] !== generation) return undefined
    isDone = removeHeld(engine, keyspaceId, condition)
  } catch (error) {
    mend(engine)
    throw error
  } finally {
    leave(engine)
  }
  if (isDone) scheduleSync(engine)
  return isDone
}

function removeHeld(engine: Engine, keyspaceId: number, condition: number): boolean {
  const hash = hashKey(engine, keyspaceId)
  const entry = entryOf(engine, probe(engine, hash, keyspaceId))
  if (entry !== liveEntry || isExpiredFound(engine)) return false
  if (condition !== anyVersion && !holds(engine, true, condition)) return false
  removeFound(engine, keyspaceId, hash, ownVersion)
  askForDeletes(engine)
  return true
}

/** Removes the key whose live record the lookup has; `version` as of a {@link RecordDraft}. */
export function removeFound(
  engine: Engine,
  keyspaceId: number,
  hash: number,
  version: number,
): void {
  draft.type = typeTombstone
  draft.keyspaceId = keyspaceId
  draft.hash = hash
  draft.entry = liveEntry
  draft.value = noBytes
  draft.valueSizeBytes = 0
  draft.reference = undefined
  draft.version = version
  appendRecord(engine)
}
