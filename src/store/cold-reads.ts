/** Keys whose records are to be brought into memory: see engine/cold.ts. */
import { bringIn } from '../engine/cold.js'
import type { Engine } from '../engine/engine.js'
import { hashKey } from '../engine/probe.js'
import { type KeyEncoding, type StoreKey, setKey } from './encoding.js'

/** Keys that may be changed by their owner while one waits are copied. */
export function ownKey<K extends StoreKey>(key: K): K {
  if (key instanceof Uint8Array) return Buffer.from(key) as Uint8Array as K
  return (Array.isArray(key) ? [...key] : key) as K
}

/** Throws for a key that is none before anything is waited for. */
export function bringInKeys(
  engine: Engine,
  keyspaceId: number,
  keyEncoding: KeyEncoding,
  keys: readonly StoreKey[],
): Promise<void> {
  const hashes = keys.map((key) => {
    setKey(engine.key, keyEncoding, key)
    return hashKey(engine, keyspaceId)
  })
  return bringIn(engine, hashes)
}
