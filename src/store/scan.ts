/**
 * The keys of a keyspace in log order, for the command `varve`. Not public: a scan that lasts while
 * others write needs snapshots, which this version does not have.
 */
import { readRegistry } from '../engine/keyspaces.js'
import { scanKeys } from '../engine/scan.js'
import { decodeOrderedKey, type KeyEncoding, type StoreKey } from './encoding.js'
import type { Keyspace } from './keyspace.js'

/** Live keys, the one whose record lies first in the log first. The store must not change. */
export function* scan<V, K extends StoreKey>(keyspace: Keyspace<V, K>): Generator<K> {
  if (keyspace.count() === 0) return
  // biome-ignore lint/complexity/useLiteralKeys: it is protected, and this file belongs to the class
  const engine = keyspace['engine']
  const { id } = readRegistry(engine).keyspaces[keyspace.name]
  const { keyEncoding } = keyspace.encodings
  for (const bytes of scanKeys(engine, id)) yield decodeKey(keyEncoding, bytes) as K
}

function decodeKey(encoding: KeyEncoding, bytes: Buffer): StoreKey {
  if (encoding === 'utf8') return bytes.toString('utf8')
  return encoding === 'binary' ? bytes : decodeOrderedKey(bytes)
}
