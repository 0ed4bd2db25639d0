/** Opening the store that a command line names. */
import { resolve } from 'node:path'
import type { CustomEncoding, ValueEncodingName } from '../store/encoding.js'
import {
  type KeyEncoding,
  type Keyspace,
  open,
  type Store,
  type StoreKey,
  type StoreOptions,
} from '../store/index.js'
import { Failure, UsageError } from './failure.js'
import { quoted, textAsLine } from './text.js'

export type AnyStore = Store<unknown, StoreKey>
export type AnyKeyspace = Keyspace<unknown, StoreKey>

export interface Encodings {
  readonly encoding?: ValueEncodingName
  readonly keyEncoding?: KeyEncoding
}

/** For values that a program encoded in its own way: they are shown as the bytes they are. */
const storedBytes: CustomEncoding<unknown> = {
  encode: () => {
    throw new Failure('values here are encoded by a program of its own, which alone can write them')
  },
  decode: (bytes) => bytes,
}

export function openForReading(path: string): AnyStore {
  return openAsStored(path, { readOnly: true, createIfMissing: false })
}

/** Opens a store that must be there. */
export function openForWriting(path: string): AnyStore {
  return openAsStored(path, { createIfMissing: false })
}

/** Opens a store, or makes one. The encodings are those of the keyspace that is to be written. */
export function openOrCreate(
  path: string,
  keyspace: string | undefined,
  encodings: Encodings,
): AnyStore {
  requireDirectoryPath(path)
  const isDefaultGiven = keyspace === undefined && Object.keys(encodings).length > 0
  return isDefaultGiven ? open<unknown, StoreKey>(path, encodings) : openAsStored(path, {})
}

function openAsStored(path: string, options: StoreOptions): AnyStore {
  requireDirectoryPath(path)
  return withStoredEncoding((encoding) =>
    open<unknown, StoreKey>(path, { ...options, ...encoding }),
  )
}

/** The keyspace of a name, or the store itself for no name. It must be there. */
export function existingKeyspace(store: AnyStore, name: string | undefined): AnyKeyspace {
  if (name === undefined) return store
  const names = store.keyspaces()
  if (!names.includes(name)) {
    const known = names.length === 0 ? 'it has none' : `it has ${names.map(textAsLine).join(', ')}`
    throw new Failure(`there is no keyspace ${quoted(name)} in ${resolve(store.path)}; ${known}`)
  }
  return withStoredEncoding((encoding) => store.keyspace<unknown, StoreKey>(name, encoding))
}

/** The keyspace of a name, made where it is missing, or the store itself for no name. */
export function keyspaceOrNew(
  store: AnyStore,
  name: string | undefined,
  encodings: Encodings,
): AnyKeyspace {
  return name === undefined ? store : store.keyspace<unknown, StoreKey>(name, encodings)
}

/** The store remembers its encodings, but of a program's own one only that it was such a one. */
function withStoredEncoding<T>(
  openWith: (options: { encoding?: CustomEncoding<unknown> }) => T,
): T {
  try {
    return openWith({})
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    return openWith({ encoding: storedBytes })
  }
}

/** The command's own processes could never see a store in memory again. */
export function requireDirectoryPath(path: string, name = 'PATH'): void {
  if (path === '') throw new UsageError(`${name} is empty; it must be a directory`)
  if (path !== ':memory:') return
  throw new UsageError(`a store in memory ends with its process; ${name} must be a directory`)
}
