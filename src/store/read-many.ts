/** Several values at once: what their keys and bytes are, for engine/get-many.ts. */
import { shown } from '../base/shown.js'
import type { Engine } from '../engine/engine.js'
import { giveGroup, groupSizeMax, takeGroup } from '../engine/get-many.js'
import { decodeValueOf, type StoreKey, setKey } from './encoding.js'
import type { Encodings } from './keyspace-encodings.js'

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
        group.add(engine)
      }
      group.read(engine, keyspaceId, encoding === 'utf8')
      for (let index = first; index < end; index++) {
        values.push(decodeRead(encoding, keys[index], group.values[index - first]))
      }
    }
  } finally {
    giveGroup(group)
  }
  return values
}

function decodeRead(
  encoding: Encodings['encoding'],
  key: StoreKey,
  value: Buffer | string | undefined,
): unknown {
  if (value === undefined || typeof value === 'string') return value
  return decodeValueOf(encoding, key, value)
}
