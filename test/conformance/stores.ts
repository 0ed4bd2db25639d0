/** Stores for the conformance tests: small ones in directories of their own, and what becomes of them. */
import { randomUUID } from 'node:crypto'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import {
  open,
  type Snapshot,
  type Store,
  type StoreKey,
  type StoreOptions,
} from '../../src/store/index.js'
import { copyStore, removeDirectory } from '../support/directory.js'

export const small = { segmentSizeBytes: 2 ** 20, syncIntervalMs: 0 } as const

/** A test, at whose end its stores are closed and its directories removed. */
export interface Closing {
  after(action: () => void | Promise<void>): void
}

const endings = new WeakMap<Closing, (() => void | Promise<void>)[]>()

/** Runs `action` when the test ends: what was begun last ends first. */
export function atEnd(test: Closing, action: () => void | Promise<void>): void {
  const known = endings.get(test)
  if (known !== undefined) {
    known.push(action)
    return
  }
  const actions = [action]
  endings.set(test, actions)
  test.after(async () => {
    for (const ending of actions.reverse()) await ending()
  })
}

export function freshDirectory(test: Closing): string {
  const directory = mkdtempSync(join(tmpdir(), 'varve-'))
  atEnd(test, () => removeDirectory(directory))
  return directory
}

/** Opens a store of small segments, which is closed when the test ends. */
export function openAt<V = unknown, K extends StoreKey = string>(
  test: Closing,
  path: string,
  options: StoreOptions<V> = {},
): Store<V, K> {
  const store = open<V, K>(path, { syncIntervalMs: 0, segmentSizeBytes: 2 ** 20, ...options })
  atEnd(test, () => store.close())
  return store
}

/** A store in a fresh directory. */
export function openFresh<V = unknown, K extends StoreKey = string>(
  test: Closing,
  options: StoreOptions<V> = {},
): Store<V, K> {
  return openAt<V, K>(test, join(freshDirectory(test), 'store'), options)
}

/**
 * The store as the next boot of the machine finds it where everything has reached the disk: a copy of
 * its directory, in which nothing but the log and the checkpoints is believed.
 */
export function onAnotherBoot<V = unknown, K extends StoreKey = string>(
  test: Closing,
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
