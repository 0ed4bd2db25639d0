/** Several values at once: what their keys and bytes are, for engine/get-many.ts. */
import { shown } from '../base/shown.js'
import type { Engine } from '../engine/engine.js'
import { giveGroup, groupSizeMax, takeGroup } from '../engine/get-many.js'
import { getBytes, getText } from '../engine/read.js'
import { decodeValueOf, type StoreKey, setKey } from './encoding.js'
import type { Encodings } from './keyspace.js'

/** Iterates, which may run the caller's code. Throws `TypeError` for one key in the place of several. */
export function keysOf<K extends StoreKey>(keys: Iterable<K>): readonly K[] {
  if (Array.isArray(keys)) return keys as K[]
  const given: unknown = keys
  const isObject = typeof given === 'object' && given !== null && !ArrayBuffer.isView(given)
  if (isObject && Symbol.iterator in given) return Array.from(keys)
  throw new TypeError(`keys are ${shown(given)}; accepted: an array of keys, or another iterable`)
}

/** The values of `keys`, in order. */
export function readMany(
  engine: Engine,
  keyspaceId: number,
  { encoding, keyEncoding }: Encodings,
  keys: readonly StoreKey[],
): unknown[] {
  const values: unknown[] = []
  const group = takeGroup()
  try {
    for (let first = 0; first < keys.length; first += groupSizeMax) {
      const end = Math.min(keys.length, first + groupSizeMax)
      group.clear()
      for (let index = first; index < end; index++) {
        setKey(engine.key, keyEncoding, keys[index])
        group.add(engine, keyspaceId)
      }
      group.fetchAhead(engine)
      for (let index = first; index < end; index++) {
        group.takeKey(engine, index - first)
        values.push(readOne(engine, keyspaceId, encoding, keys[index]))
      }
    }
  } finally {
    giveGroup(group)
  }
  return values
}

function readOne(
  engine: Engine,
  keyspaceId: number,
  encoding: Encodings['encoding'],
  key: StoreKey,
): unknown {
  if (encoding === 'binary') return getBytes(engine, keyspaceId)
  if (encoding === 'utf8') return getText(engine, keyspaceId)
  const bytes = getBytes(engine, keyspaceId)
  return bytes === undefined ? undefined : decodeValueOf(encoding, key, bytes)
}
