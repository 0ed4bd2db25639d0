/**
 * Stores as an earlier version left them, whole and damaged, and what must be found in each: they lie
 * in test/format/golden, one directory for each version of the format. Files are compressed one by one; a
 * damaged store is a list of what differs from the whole one.
 */
import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import { open, type Store, StoreError, type StoreOptions } from '../../src/store/index.js'

/** Of the process that runs the tests: the root of the project. */
export const goldenDirectory = join(process.cwd(), 'test', 'format', 'golden')

/** Of each keyspace its records in order of their keys: key, value, version, time of expiry. */
export type GoldenState = Readonly<Record<string, readonly (readonly unknown[])[]>>

/** What opening a store must come to. */
export type Expected =
  /** The contents of that name; so many checkpoints are passed over; files in which verify() finds problems. */
  | {
      readonly contents: string
      readonly passedOver?: number
      readonly problems?: readonly string[]
    }
  /** The refusal, and the file that it names. */
  | { readonly code: 'STORE_CORRUPT' | 'STORE_FORMAT'; readonly file: string }

export interface GoldenStore {
  readonly name: string
  /** The whole store of which this one is a damaged copy. */
  readonly of?: string
  readonly what: string
  /** Files of the whole one that it does not have. */
  readonly removed?: readonly string[]
  readonly expected: Expected
}

/** What golden.json of a version says. */
export interface Golden {
  readonly stores: readonly GoldenStore[]
  readonly contents: Readonly<Record<string, GoldenState>>
}

export function readGolden(version: string): Golden {
  return JSON.parse(readFileSync(join(goldenDirectory, version, 'golden.json'), 'utf8')) as Golden
}

/** Makes the directory of a store as it was kept. */
export function unpack(version: string, golden: Golden, store: GoldenStore, to: string): void {
  mkdirSync(to, { recursive: true })
  const layers = store.of === undefined ? [store.name] : [store.of, store.name]
  for (const layer of layers) {
    const from = join(goldenDirectory, version, layer)
    for (const file of filesOf(from)) {
      if (store.removed?.includes(basename(file, '.gz'))) continue
      writeFileSync(join(to, basename(file, '.gz')), gunzipSync(readFileSync(join(from, file))))
    }
  }
  if (layers.length === 2 && !golden.stores.some(({ name }) => name === store.of)) {
    throw new Error(`${store.name} is a copy of ${store.of}, which is not there`)
  }
}

export function pack(directory: string, name: string, bytes: Uint8Array): void {
  mkdirSync(directory, { recursive: true })
  writeFileSync(join(directory, `${name}.gz`), gzipSync(bytes, { level: 9 }))
}

/** Only what was removed makes a copy that has no directory of its own. */
function filesOf(directory: string): string[] {
  try {
    return readdirSync(directory).sort()
  } catch {
    return []
  }
}

const longSizeBytes = 64

function shown(value: unknown): unknown {
  if (!(value instanceof Uint8Array)) return value
  if (value.byteLength <= longSizeBytes) return `base64:${Buffer.from(value).toString('base64')}`
  return `sha1:${createHash('sha1').update(value).digest('hex')}:${value.byteLength}`
}

export function stateOf(store: Store): GoldenState {
  const state: Record<string, unknown[][]> = {}
  for (const name of ['', ...store.keyspaces().sort()]) {
    const keyspace = name === '' ? store : store.keyspace(name)
    state[name] = keyspace
      .keys()
      .toArray()
      .map((key) => {
        const entry = keyspace.getEntry(key)
        return [key, shown(entry?.value), entry?.version, entry?.expiresAtMs ?? null]
      })
  }
  return state
}

/** What opening a directory comes to: contents and checkpoints passed over, or the refusal. */
export async function foundIn(directory: string, options: StoreOptions): Promise<unknown> {
  let store: Store
  try {
    store = open(directory, { syncIntervalMs: 0, autoCheckpoint: false, ...options })
  } catch (error) {
    if (!(error instanceof StoreError)) throw error
    return { code: error.code, file: basename(error.details.file ?? '') }
  }
  const { problems } = await store.verify()
  const passedOver = store.stats().lastRecovery.passedOver.length
  const contents = stateOf(store)
  await store.close()
  return { contents, passedOver, problems: problems.map(({ file }) => basename(file)) }
}

/** As {@link foundIn} says it. */
export function wantedOf({ contents }: Golden, { expected }: GoldenStore): unknown {
  if ('code' in expected) return expected
  const { passedOver = 0, problems = [] } = expected
  return { contents: contents[expected.contents], passedOver, problems }
}
