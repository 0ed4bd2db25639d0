/**
 * update: the value of a key becomes what a function makes of it, with nobody's write in between: the
 * writer's word is held while the function runs. It may read; whatever would write throws.
 *
 * Nothing is begun before the function has returned, so one that throws leaves all as it was.
 * Hot path: `bench/operations.mjs`, rows "update" and "increment".
 */
import * as layout from '../format/control-layout.js'
import { recordHeaderWords } from '../format/record.js'
import { noExpiry } from '../log/expiry-table.js'
import { recordKeySize } from '../log/record-fields.js'
import { entryOf, liveEntry } from './announce-record.js'
import { ownVersion } from './append-record.js'
import { removeFound } from './delete.js'
import type { Engine } from './engine.js'
import { beginCallback, endCallback, enter, leave, mend } from './exclusive.js'
import { Key } from './key.js'
import { askForDeletes } from './pace.js'
import { hashKey, probe } from './probe.js'
import { noSlack, putFound, sizeOfValue, slackInPlace, updateInPlace } from './put.js'
import { createReferenceHeld } from './reference.js'
import { scheduleSync } from './sync.js'
import { expiryFound, isExpiredFound } from './time.js'
import { verifyFound } from './verified-read.js'

/**
 * The next value: bytes, `undefined` for none, or {@link unchanged}. Where `isThere`, the lookup has
 * the record of the value that there is, and keeps it until the store is asked for another one.
 */
export type NextValue = (isThere: boolean) => Uint8Array | string | undefined

/** Leaves the key as it is. */
export const unchanged: Uint8Array = new Uint8Array(0)

/**
 * Updates the key at hand. False, and nothing done, where the registry is no longer of `generation`.
 * `operation` is what the caller called, for messages. A key that is there keeps its expiry, one that is
 * not gets `newExpiresAtMs`.
 */
export function update(
  engine: Engine,
  keyspaceId: number,
  generation: number,
  operation: string,
  next: NextValue,
  newExpiresAtMs: number = noExpiry,
): boolean {
  engine.requireWritable()
  enter(engine)
  let isWritten = false
  try {
    if (engine.control.words[layout.keyspaceGenerationWord] !== generation) return false
    isWritten = updateHeld(engine, keyspaceId, operation, next, newExpiresAtMs)
  } finally {
    leave(engine)
  }
  if (isWritten) scheduleSync(engine)
  return true
}

/**
 * {@link update} of the record that was updated in place last, if nothing of the store was changed since.
 * False, and nothing done, where it was; `next` has not run then.
 */
export function updateHot(
  engine: Engine,
  generation: number,
  operation: string,
  next: NextValue,
): boolean {
  engine.requireWritable()
  enter(engine)
  let isWritten = false
  try {
    const { control, hot } = engine
    if (control.commits !== hot.commits) return false
    if (control.words[layout.keyspaceGenerationWord] !== generation) return false
    isWritten = updateHotHeld(engine, operation, next)
  } finally {
    leave(engine)
  }
  if (isWritten) scheduleSync(engine)
  return true
}

function updateHotHeld(engine: Engine, operation: string, next: NextValue): boolean {
  const { control, hot, key } = engine
  const { commits, keyspaceId, offset, recordWords } = hot
  lookUpHot(engine)
  const value = callNext(engine, operation, next, true)
  if (value === unchanged) return false
  const sizeBytes = value === undefined ? 0 : sizeOfValue(value)
  const start = offset << 1
  // What ran meanwhile may have taken the key at hand, and the lookup.
  key.setWords(recordWords, start + recordHeaderWords, recordKeySize(recordWords, start))
  lookUpHot(engine)
  try {
    const isSame = value !== undefined && control.commits === commits
    const slack = isSame ? slackInPlace(engine, sizeBytes, 0) : noSlack
    if (isSame && slack !== noSlack) {
      updateInPlace(engine, keyspaceId, value, sizeBytes, slack, noExpiry)
      hot.commits = control.commits
    } else {
      const hash = hashKey(engine, keyspaceId)
      const entry = entryOf(engine, probe(engine, hash, keyspaceId))
      writeFound(engine, keyspaceId, hash, entry, value, noExpiry)
    }
  } catch (error) {
    mend(engine)
    throw error
  }
  return true
}

/** What the lookup of a hot record would find, as far as its value and an update in place need it. */
function lookUpHot({ hot, lookup }: Engine): void {
  lookup.home = hot.home
  lookup.slot = hot.slot
  lookup.offset = hot.offset
  lookup.recordWords = hot.recordWords
}

function callNext(
  engine: Engine,
  operation: string,
  next: NextValue,
  isThere: boolean,
): Uint8Array | string | undefined {
  beginCallback(engine, operation)
  try {
    return next(isThere)
  } finally {
    endCallback(engine)
  }
}

/** Puts the value of the key at hand, or removes it; `entry` and the lookup are what the index has. */
function writeFound(
  engine: Engine,
  keyspaceId: number,
  hash: number,
  entry: number,
  value: Uint8Array | string | undefined,
  expiresAtMs: number,
): void {
  if (value === undefined) {
    removeFound(engine, keyspaceId, hash, ownVersion)
    askForDeletes(engine)
    return
  }
  const sizeBytes = sizeOfValue(value)
  const isLarge = sizeBytes > engine.inlineValueSizeBytesMax
  const reference = isLarge ? createReferenceHeld(engine, value, sizeBytes) : undefined
  putFound(engine, keyspaceId, hash, entry, value, sizeBytes, reference, expiresAtMs)
}

/** A home bucket that no lookup has: it stands there as long as none was made. */
const noHome = -1

function updateHeld(
  engine: Engine,
  keyspaceId: number,
  operation: string,
  next: NextValue,
  newExpiresAtMs: number,
): boolean {
  const { key, lookup } = engine
  const hash = hashKey(engine, keyspaceId)
  let entry = entryOf(engine, probe(engine, hash, keyspaceId))
  if (engine.verifiesReads && entry === liveEntry) verifyFound(engine, keyspaceId)
  const isThere = entry === liveEntry && !isExpiredFound(engine)
  const expiresAtMs = isThere ? expiryFound(engine) : newExpiresAtMs
  engine.asideKey ??= new Key()
  const aside = engine.asideKey
  aside.setWords(key.words, 0, key.sizeBytes)
  const { home } = lookup
  lookup.home = noHome
  const value = callNext(engine, operation, next, isThere)
  if (value === unchanged) return false
  key.setWords(aside.words, 0, aside.sizeBytes)
  if (lookup.home === noHome) lookup.home = home
  else entry = entryOf(engine, probe(engine, hash, keyspaceId))
  if (value === undefined && !isThere) return false
  try {
    writeFound(engine, keyspaceId, hash, entry, value, expiresAtMs)
  } catch (error) {
    mend(engine)
    throw error
  }
  return true
}
