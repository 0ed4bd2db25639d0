/** The live records of a keyspace in log order, and the one that was written last. */
import { shown } from '../base/shown.js'
import type { Engine } from '../engine/engine.js'
import { LogReader } from '../engine/scan.js'
import { decodeKey, type StoreKey } from './encoding.js'
import { entryOf, type StoreEntry } from './entry.js'
import type { Keyspace } from './keyspace.js'
import type { Encodings } from './keyspace-encodings.js'

/** How {@link Keyspace.scan} goes through the log. */
export interface ScanOptions {
  /** Newest in the log first. Default false. */
  readonly reverse?: boolean
}

/** Reads record by record; gives the snapshot back at its end, or when it is left. */
export class LogSteps<V, K extends StoreKey> implements Iterator<StoreEntry<V, K>> {
  readonly #engine: Engine
  readonly #reader: LogReader
  readonly #codecs: Encodings

  constructor(engine: Engine, keyspaceId: number, codecs: Encodings, options: ScanOptions) {
    this.#engine = engine
    this.#codecs = codecs
    this.#reader = new LogReader(engine, keyspaceId, isReverse(options))
  }

  next(): IteratorResult<StoreEntry<V, K>> {
    if (!this.#reader.advance()) return { done: true, value: undefined }
    try {
      const record = this.#reader.record()
      const key = keyAtHand<K>(this.#engine, this.#codecs)
      return { done: false, value: entryOf<V, K>(this.#codecs.encoding, key, record) }
    } catch (error) {
      this.#reader.close()
      throw error
    }
  }

  return(): IteratorResult<StoreEntry<V, K>> {
    this.#reader.close()
    return { done: true, value: undefined }
  }
}

/** Not public: the keys alone, also of values that cannot be decoded. */
export function* keysInLog<V, K extends StoreKey>(keyspace: Keyspace<V, K>): Generator<K> {
  const { engine, keyspaceId } = keyspace.rangeSource()
  const reader = new LogReader(engine, keyspaceId, false)
  try {
    while (reader.advance()) yield keyAtHand<K>(engine, keyspace.codecs)
  } finally {
    reader.close()
  }
}

/** The key at hand as its user knows it. */
export function keyAtHand<K extends StoreKey>({ key }: Engine, { keyEncoding }: Encodings): K {
  return decodeKey(keyEncoding, key.bytes.subarray(0, key.sizeBytes)) as K
}

function isReverse(options: ScanOptions): boolean {
  if (typeof options !== 'object' || options === null) {
    throw new TypeError(`options of a scan are ${shown(options)}; accepted: { reverse }`)
  }
  const unknown = Object.keys(options).find((name) => name !== 'reverse')
  if (unknown !== undefined) {
    throw new TypeError(`unknown option "${unknown}" of a scan; accepted: reverse`)
  }
  const { reverse } = options
  if (reverse === undefined || typeof reverse === 'boolean') return reverse ?? false
  throw new TypeError(`option "reverse" is ${shown(reverse)}; accepted: true or false`)
}
