/** Stores for the conformance tests: small ones in directories of their own, and what becomes of them. */
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import {
  open,
  type Snapshot,
  type Store,
  type StoreKey,
  type StoreOptions,
} from '../../src/store/index.js'
import { copyStore, temporaryDirectory } from '../support/directory.js'
import { atEnd, type Ending } from '../support/ending.js'

export const small = { segmentSizeBytes: 2 ** 20, syncIntervalMs: 0 } as const

/** Opens a store of small segments, which is closed when the test ends. */
export function openAt<V = unknown, K extends StoreKey = string>(
  test: Ending,
  path: string,
  options: StoreOptions<V> = {},
): Store<V, K> {
  const store = open<V, K>(path, { syncIntervalMs: 0, segmentSizeBytes: 2 ** 20, ...options })
  atEnd(test, () => store.close())
  return store
}

/** A store in a fresh directory. */
export function openFresh<V = unknown, K extends StoreKey = string>(
  test: Ending,
  options: StoreOptions<V> = {},
): Store<V, K> {
  return openAt<V, K>(test, join(temporaryDirectory(test), 'store'), options)
}

/**
 * The store as the next boot of the machine finds it where everything has reached the disk: a copy of
 * its directory, in which nothing but the log and the checkpoints is believed.
 */
export function onAnotherBoot<V = unknown, K extends StoreKey = string>(
  test: Ending,
  store: Store<V, K>,
  options: StoreOptions<V> = {},
): Store<V, K> {
  const copy = `${store.path}-${randomUUID()}`
  copyStore(store.path, copy)
  return openAt<V, K>(test, copy, options)
}

/** What a snapshot exports, in one piece. */
export async function exportOf(snapshot: Snapshot<never, never>): Promise<Buffer> {
  const chunks: Buffer[] = []
  const target = new Writable({
    write(chunk: Buffer, _encoding, done) {
      chunks.push(Buffer.from(chunk))
      done()
    },
  })
  await snapshot.export(target)
  return Buffer.concat(chunks)
}

/** Keys and values as an array of pairs, in the order of the keys. */
export function entriesOf<V, K extends StoreKey>(store: {
  range(): { toArray(): [K, V][] }
}): [K, V][] {
  return store.range().toArray()
}

export function numbered(prefix: string, index: number): string {
  return `${prefix}${String(index).padStart(8, '0')}`
}
