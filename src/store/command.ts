/** Commands: puts and deletes that were made elsewhere, with their versions. */
import { shown } from '../base/shown.js'
import {
  applyCommands,
  type EncodedCommand,
  type Outcome,
  versionMax,
} from '../engine/apply-command.js'
import { BatchDraft, ownCopy } from '../engine/batch-draft.js'
import type { Engine } from '../engine/engine.js'
import { sizeOfValue } from '../engine/put.js'
import type { StoreKey } from './encoding.js'
import type { Keyspace } from './keyspace.js'

/** A put or a delete with the version that it was given where it was made. */
export type Command<V = unknown, K = StoreKey> =
  | {
      readonly type: 'put'
      readonly key: K
      readonly value: V
      /** A whole number from 0 to 2^53 - 2^40. */
      readonly version: number
      /** When it was made, in milliseconds since 1970; for `getEntry`. Default: now. */
      readonly timestampMs?: number
      /** From when on the key is missing, in milliseconds since 1970. Default: never. */
      readonly expiresAtMs?: number
    }
  | {
      readonly type: 'delete'
      readonly key: K
      readonly version: number
      readonly timestampMs?: number
    }

const deleteFields = ['type', 'key', 'version', 'timestampMs']
const putFields = [...deleteFields, 'value', 'expiresAtMs']
const timeMsMax = 8_640_000_000_000_000

/** Every command is looked at before the first one is applied. */
export function applyAll<V, K extends StoreKey>(
  keyspace: Keyspace<V, K>,
  commands: readonly Command<V, K>[],
): Outcome[] {
  const source = keyspace as unknown as Keyspace<unknown, StoreKey>
  const { engine } = source.rangeSource()
  engine.requireWritable()
  const draft = new BatchDraft()
  const encoded = commands.map((command) => encode(engine, source, command, draft))
  for (;;) {
    const id = keyspace.idToWrite()
    const outcomes = applyCommands(engine, id, keyspace.generation, encoded, draft)
    if (outcomes !== undefined) return outcomes
  }
}

function encode(
  engine: Engine,
  keyspace: Keyspace<unknown, StoreKey>,
  command: Command,
  draft: BatchDraft,
): EncodedCommand {
  checkCommand(command)
  const { key, timestampMs, type, version } = command
  const value = type === 'put' ? command.value : undefined
  const expiresAtMs = type === 'put' ? command.expiresAtMs : undefined
  if (type === 'put' && value === undefined) {
    throw new TypeError('value is undefined; a command of type "delete" removes a key')
  }
  const bytes = ownCopy(keyspace.encodeOperation(key, value))
  return {
    type,
    keyStart: draft.addKey(engine.key),
    keySizeBytes: engine.key.sizeBytes,
    value: bytes,
    valueSizeBytes: sizeOfValue(bytes),
    version,
    timestampMs,
    expiresAtMs: keyspace.expiryOf(expiresAtMs === undefined ? {} : { expiresAtMs }),
  }
}

function checkCommand(command: unknown): asserts command is Command {
  if (typeof command !== 'object' || command === null) {
    throw new TypeError(`a command is ${shown(command)}; accepted: { type, key, value, version }`)
  }
  const { expiresAtMs, timestampMs, type, version } = command as Record<string, unknown>
  if (type !== 'put' && type !== 'delete') {
    throw new TypeError(`type of a command is ${shown(type)}; accepted: "put", "delete"`)
  }
  const fields = type === 'put' ? putFields : deleteFields
  for (const [field, given] of Object.entries(command)) {
    if (fields.includes(field) || given === undefined) continue
    throw new TypeError(
      `unknown field "${field}" of a command of type "${type}"; accepted: ${fields.join(', ')}`,
    )
  }
  requireWhole('version', version, versionMax, '2^53 - 2^40')
  for (const [name, timeMs] of Object.entries({ timestampMs, expiresAtMs })) {
    if (timeMs !== undefined) requireWhole(name, timeMs, timeMsMax, String(timeMsMax))
  }
}

function requireWhole(name: string, value: unknown, most: number, shownMost: string): void {
  const isNumber = typeof value === 'number'
  if (isNumber && Number.isInteger(value) && value >= 0 && value <= most) return
  const message = `${name} of a command is ${shown(value)}; accepted: a whole number from 0 to ${shownMost}`
  throw isNumber ? new RangeError(message) : new TypeError(message)
}
