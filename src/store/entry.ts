import type { RecordFacts } from '../engine/get-entry.js'
import { decodeValueOf, type StoreKey, type ValueEncoding } from './encoding.js'

/** A value with everything that is known of its record. */
export interface StoreEntry<V, K> {
  readonly key: K
  readonly value: V
  /** For `ifVersion`; rises with every write of the key. */
  readonly version: number
  /** The order in which this store committed it. */
  readonly sequence: number
  /** Wall clock of the write. */
  readonly timestampMs: number
  readonly expiresAtMs?: number
  /** Bytes of the record in the log. */
  readonly sizeBytes: number
}

/** @internal */
export function entryOf<V, K extends StoreKey>(
  encoding: ValueEncoding<never>,
  key: K,
  record: RecordFacts,
): StoreEntry<V, K> {
  const { expiresAtMs, ...facts } = record
  const value = decodeValueOf(encoding, key, record.value) as V
  return { key, ...facts, value, ...(expiresAtMs === undefined ? {} : { expiresAtMs }) }
}
