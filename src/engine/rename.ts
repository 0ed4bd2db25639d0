/**
 * Putting what a key has under another key of the same store, in whatever keyspace, and removing the
 * first one: as one batch, so that nobody sees both or neither, and no crash leaves that.
 */
import * as layout from '../format/control-layout.js'
import { noExpiry } from '../log/expiry-table.js'
import type { BatchDraft, EncodedOperation } from './batch-draft.js'
import type { Engine } from './engine.js'
import { enter, leave, mend } from './exclusive.js'
import { hashKey, probe } from './probe.js'
import { absent, holds } from './put.js'
import { scheduleSync } from './sync.js'
import { isLiveFound } from './time.js'
import { writeBatchHeld } from './write-batch.js'

/** A key whose words are in a draft. */
export interface KeyPlace {
  readonly keyspaceId: number
  readonly keyStart: number
  readonly keySizeBytes: number
}

export interface Renaming {
  readonly from: KeyPlace
  /** What was read of it before: another version now is another value. */
  readonly version: number
  readonly to: KeyPlace
  readonly value: Uint8Array | string
  readonly valueSizeBytes: number
  readonly expiresAtMs: number
  /** False for a copy. */
  readonly removes: boolean
  /** Nothing is done where the other key is there. */
  readonly ifAbsent: boolean
}

/**
 * True where it was done, false where the other key is there and must not be. Undefined, and nothing
 * done, where the first key has another version by now, or the registry is no longer of `generation`.
 */
export function rename(
  engine: Engine,
  generation: number,
  renaming: Renaming,
  keys: BatchDraft,
): boolean | undefined {
  engine.requireWritable()
  enter(engine)
  let isDone = false
  try {
    if (engine.control.words[layout.keyspaceGenerationWord] !== generation) return undefined
    const { from, to, ifAbsent, version } = renaming
    if (!holds(engine, find(engine, from, keys), version)) return undefined
    if (ifAbsent && !holds(engine, find(engine, to, keys), absent)) return false
    if (!isSame(from, to, keys)) {
      writeBatchHeld(engine, operationsOf(renaming), keys)
      isDone = true
    }
    return true
  } catch (error) {
    mend(engine)
    throw error
  } finally {
    leave(engine)
    if (isDone) scheduleSync(engine)
  }
}

function find(engine: Engine, place: KeyPlace, { words }: BatchDraft): boolean {
  engine.key.setWords(words, place.keyStart, place.keySizeBytes)
  const hash = hashKey(engine, place.keyspaceId)
  return isLiveFound(engine, probe(engine, hash, place.keyspaceId))
}

function isSame(a: KeyPlace, b: KeyPlace, { words }: BatchDraft): boolean {
  if (a.keyspaceId !== b.keyspaceId || a.keySizeBytes !== b.keySizeBytes) return false
  const count = (a.keySizeBytes + 3) >>> 2
  for (let word = 0; word < count; word++) {
    if (words[a.keyStart + word] !== words[b.keyStart + word]) return false
  }
  return true
}

function operationsOf(renaming: Renaming): EncodedOperation[] {
  const { expiresAtMs, from, removes, to, value, valueSizeBytes } = renaming
  const put: EncodedOperation = {
    ...{ type: 'put', ...to, value, valueStart: 0 },
    ...{ valueSizeBytes, expiresAtMs },
  }
  const remove: EncodedOperation = {
    ...{ type: 'delete', ...from, value: undefined, valueStart: 0 },
    ...{ valueSizeBytes: 0, expiresAtMs: noExpiry },
  }
  return removes ? [put, remove] : [put]
}
