/**
 * apply: puts and deletes that were made elsewhere, each with the version that it was given there. Per
 * key the highest version wins, so the same commands in any order, and any of them again, end in the same
 * store. Of equal versions a delete wins, then what expires first, then the greater bytes of the value: a
 * rule of the commands alone.
 *
 * A delete is remembered, also of a key that was never there (remember.ts). What has expired counts as
 * deleted by its own version: taking it out gives the tombstone that version (expiry.ts). That is why of
 * equal versions the earlier expiry wins: a tombstone does not say when what it stands for expired, and
 * whatever else comes with its version would have lost before, or is missing as well.
 */
import * as layout from '../format/control-layout.js'
import { typePut, typeTombstone, versionDouble } from '../format/record.js'
import { noExpiry } from '../log/expiry-table.js'
import { entryOf, liveEntry, noEntry } from './announce-record.js'
import { appendRecord, draft, noBytes } from './append-record.js'
import type { BatchDraft } from './batch-draft.js'
import type { Engine } from './engine.js'
import { enter, leave, mend } from './exclusive.js'
import { hashKey, probe } from './probe.js'
import { createReferenceHeld } from './reference.js'
import { rememberFromNow } from './remember.js'
import { copyFoundValue } from './snapshot.js'
import { scheduleSync } from './sync.js'
import { expiryFound, isExpiredFound } from './time.js'

export type Outcome = 'applied' | 'removed' | 'stale'

/** Versions from here on are refused: one of them would use up those that the store's clock has left. */
export const versionMax = 2 ** 53 - 2 ** 40

/** A command whose key's words are in a draft, and whose value is bytes. */
export interface EncodedCommand {
  readonly type: 'put' | 'delete'
  readonly keyStart: number
  readonly keySizeBytes: number
  readonly value: Uint8Array | string
  readonly valueSizeBytes: number
  readonly version: number
  /** Undefined for now. */
  readonly timestampMs: number | undefined
  /** Of a put. */
  readonly expiresAtMs: number
}

/**
 * Applies commands in their order, each by itself: a crash leaves those that came first. Undefined, and
 * nothing done, where the registry is no longer of `generation`.
 */
export function applyCommands(
  engine: Engine,
  keyspaceId: number,
  generation: number,
  commands: readonly EncodedCommand[],
  keys: BatchDraft,
): Outcome[] | undefined {
  engine.requireWritable()
  if (commands.length === 0) return []
  enter(engine)
  try {
    if (engine.control.words[layout.keyspaceGenerationWord] !== generation) return undefined
    rememberFromNow(engine)
    return commands.map((command) => {
      engine.key.setWords(keys.words, command.keyStart, command.keySizeBytes)
      return applyHeld(engine, keyspaceId, command)
    })
  } catch (error) {
    mend(engine)
    throw error
  } finally {
    leave(engine)
    scheduleSync(engine)
  }
}

function applyHeld(engine: Engine, keyspaceId: number, command: EncodedCommand): Outcome {
  const { log, lookup } = engine
  const hash = hashKey(engine, keyspaceId)
  const entry = entryOf(engine, probe(engine, hash, keyspaceId))
  if (entry !== noEntry) {
    const there = log.doubles[lookup.slot][lookup.offset + versionDouble]
    if (command.version < there) return 'stale'
    if (command.version === there && !winsTie(engine, entry, command)) return 'stale'
  }
  const isPut = command.type === 'put'
  const isLarge = command.valueSizeBytes > engine.inlineValueSizeBytesMax
  draft.reference = isLarge
    ? createReferenceHeld(engine, command.value, command.valueSizeBytes)
    : undefined
  draft.type = isPut ? typePut : typeTombstone
  draft.keyspaceId = keyspaceId
  draft.hash = hash
  draft.entry = entry
  draft.value = isPut ? command.value : noBytes
  draft.valueSizeBytes = command.valueSizeBytes
  draft.expiresAtMs = command.expiresAtMs
  draft.version = command.version
  // Of a tombstone it says how long it is remembered.
  draft.timestampMs = isPut ? command.timestampMs : undefined
  appendRecord(engine)
  return isPut ? 'applied' : 'removed'
}

/** Against the record of the lookup, which has the same version. */
function winsTie(engine: Engine, entry: number, command: EncodedCommand): boolean {
  if (entry !== liveEntry || isExpiredFound(engine)) return false
  if (command.type === 'delete') return true
  const expiresAtMs = expiryFound(engine)
  if (command.expiresAtMs !== expiresAtMs) return isSooner(command.expiresAtMs, expiresAtMs)
  const { value } = command
  const bytes = typeof value === 'string' ? Buffer.from(value) : value
  return Buffer.compare(bytes, copyFoundValue(engine)) > 0
}

function isSooner(expiresAtMs: number, otherMs: number): boolean {
  if (expiresAtMs === noExpiry) return false
  return otherMs === noExpiry || expiresAtMs < otherMs
}
