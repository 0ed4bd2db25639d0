/**
 * A process of its own that does with a store what it is told, a line of JSON a step, and answers
 * each with a line. It ends with its input, or by being killed.
 */
import { createInterface } from 'node:readline'
import * as layout from '../../src/format/control-layout.js'
import {
  type Attachment,
  open,
  type RangeOptions,
  type Snapshot,
  type Store,
  StoreError,
} from '../../src/store/index.js'
import type { StoreOptions } from '../../src/store/options.js'
import { trapStores } from '../kill/store-traps.js'
import { engineOf, oddBuckets } from '../support/engine-of.js'

export type Step =
  | { readonly do: 'open'; readonly path: string; readonly options: StoreOptions }
  | {
      readonly do: 'put'
      readonly key: string
      readonly value: unknown
      readonly keyspace?: string
    }
  /** So many keys, some updated, every seventh deleted; gives what is left. */
  | { readonly do: 'fill'; readonly keys: number }
  /** Batches that give so many keys one value, with a rest of a millisecond after each. */
  | { readonly do: 'stamp'; readonly keys: number; readonly batches: number }
  | { readonly do: 'get'; readonly key: string; readonly keyspace?: string }
  | { readonly do: 'getMany'; readonly keys: readonly string[] }
  | { readonly do: 'count' }
  | { readonly do: 'delete'; readonly key: string }
  | { readonly do: 'snapshot' }
  | { readonly do: 'countInSnapshot' | 'closeSnapshot' | 'sync' }
  /** Entries of a range, and what else reads keys in order; of the snapshot, where one is told to. */
  | {
      readonly do: 'range' | 'keys' | 'countRange' | 'scan' | 'begin'
      readonly range?: RangeOptions<string>
      readonly keyspace?: string
      readonly inSnapshot?: boolean
    }
  /** The next entries of the range that was begun. */
  | { readonly do: 'next'; readonly count: number }
  | { readonly do: 'getInSnapshot'; readonly key: string }
  | { readonly do: 'lastEntry' }
  /** Ranges, until some states were seen: those with all keys and one value, refusals, and others. */
  | { readonly do: 'watchStamps'; readonly keys: number }
  | { readonly do: 'attachments' }
  | { readonly do: 'recovery' }
  | { readonly do: 'verify' }
  | { readonly do: 'backup'; readonly target: string }
  | { readonly do: 'close' }
  /** Dies in the middle of a put, with the writer's word in its hand and the key's bucket odd. */
  | { readonly do: 'dieInPut'; readonly key: string; readonly value: unknown }
  /** Dies when so many records of a batch of so many new keys are applied. */
  | { readonly do: 'dieInBatch'; readonly keys: number; readonly applied: number }

export interface Answer {
  /** What the step gave; missing for undefined. */
  readonly value?: unknown
  readonly attachments?: readonly Attachment[]
  /** Of an error. */
  readonly code?: string
  readonly message?: string
}

let store: Store | undefined
let snapshot: Snapshot | undefined
let begun: Iterator<[string, unknown]> | undefined

async function take(step: Step): Promise<Answer> {
  if (step.do === 'open') {
    store = open(step.path, step.options)
    return {}
  }
  if (store === undefined) throw new Error('a session begins with the step "open"')
  switch (step.do) {
    case 'put':
      return { value: keyspaceOf(store, step.keyspace).put(step.key, step.value) }
    case 'fill':
      return { value: fill(store, step.keys) }
    case 'stamp':
      return { value: await stamp(store, step.keys, step.batches) }
    case 'get':
      return { value: keyspaceOf(store, step.keyspace).get(step.key) }
    case 'getMany':
      return { value: store.getMany(step.keys) }
    case 'count':
      return { value: store.count() }
    case 'delete':
      return { value: store.delete(step.key) }
    case 'snapshot':
      snapshot = store.snapshot()
      return { value: snapshot.sequence }
    case 'countInSnapshot':
      return { value: snapshot?.count() }
    case 'closeSnapshot':
      snapshot?.close()
      return {}
    case 'sync':
      await store.sync()
      return {}
    case 'getInSnapshot':
      return { value: snapshot?.get(step.key) }
    case 'range':
      return { value: sourceOf(store, step).range(step.range).toArray() }
    case 'keys':
      return { value: sourceOf(store, step).keys(step.range).toArray() }
    case 'countRange':
      return { value: sourceOf(store, step).count(step.range ?? {}) }
    case 'scan':
      return { value: [...store.scan()].map(({ key, value }) => [key, value]) }
    case 'begin':
      begun = sourceOf(store, step).range(step.range)[Symbol.iterator]()
      return {}
    case 'next':
      return { value: Array.from({ length: step.count }, () => begun?.next().value) }
    case 'lastEntry':
      return { value: store.lastEntry()?.key }
    case 'watchStamps':
      return { value: await watchStamps(store, step.keys) }
    case 'dieInBatch':
      return dieInBatch(store, step.keys, step.applied)
    case 'attachments':
      return { attachments: store.attachments() }
    case 'recovery':
      store.has('')
      return { value: store.stats().lastRecovery.kind }
    case 'verify':
      return { value: (await store.verify()).problems }
    case 'backup':
      return { value: (await store.backup(step.target)).segments }
    case 'close':
      await store.close()
      return {}
    case 'dieInPut':
      return dieInPut(store, step.key, step.value)
  }
}

function keyspaceOf(store: Store, name: string | undefined): Pick<Store, 'get' | 'put'> {
  return name === undefined ? store : store.keyspace(name)
}

function fill(store: Store, keys: number): [string, unknown][] {
  const entries = new Map<string, unknown>()
  for (let index = 0; index < keys; index++) {
    const key = `key ${(index * 7919) % keys}`
    const value = 'v'.repeat(index % 300)
    store.put(key, value)
    entries.set(key, value)
    if (index % 7 !== 0) continue
    const other = `key ${index}`
    if (index % 2 === 0) {
      store.delete(other)
      entries.delete(other)
    } else {
      store.put(other, index)
      entries.set(other, index)
    }
  }
  store.delete('key 0')
  entries.delete('key 0')
  store.keyspace('other').put('of another keyspace', 1)
  return [...entries]
}

async function stamp(store: Store, keys: number, batches: number): Promise<void> {
  for (let batch = 1; batch <= batches; batch++) {
    const value = 'v'.repeat(100 + (batch % 50)) + batch
    // In place, before everything and behind everything.
    store.put('0 first', String(batch).padStart(9))
    const names = Array.from({ length: keys }, (_, index) => `stamp ${index}`)
    store.write(names.map((key) => ({ type: 'put' as const, key, value })))
    store.put('z last', String(batch).padStart(9))
    if (batch % 10 === 0) store.put('extra', value)
    if (batch % 10 === 5) store.delete('extra')
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
}

type Source = Pick<Store, 'range' | 'keys' | 'count'>

function sourceOf(
  store: Store,
  { inSnapshot, keyspace }: { readonly inSnapshot?: boolean; readonly keyspace?: string },
): Source {
  if (inSnapshot !== true) return keyspace === undefined ? store : store.keyspace(keyspace)
  if (snapshot === undefined) throw new Error('there is no snapshot')
  return keyspace === undefined ? snapshot : snapshot.keyspace(keyspace)
}

export interface Watched {
  states: number
  refused: number
  readonly torn: string[]
}

async function watchStamps(store: Store, keys: number): Promise<Watched> {
  const watched: Watched = { states: 0, refused: 0, torn: [] }
  const seen = new Set<unknown>()
  for (let tries = 0; tries < 5000 && seen.size < 30; tries++) {
    try {
      // Every other one gives the writer time in the middle of it.
      const range = store.range()
      const entries: [string, unknown][] = []
      if (tries % 2 === 0) entries.push(...range)
      else for await (const entry of range) entries.push(entry)
      const stamped = entries.filter(([key]) => key.startsWith('stamp'))
      const values = new Set(stamped.map(([, value]) => value))
      const first = Number(entries[0][1])
      const last = Number(entries[entries.length - 1][1])
      const isState = values.size === 1 && stamped.length === keys && last <= first
      if (isState && first <= last + 1) seen.add(first)
      else watched.torn.push(`${stamped.length} keys, ${values.size} values, ${first} to ${last}`)
    } catch (error) {
      if (!(error instanceof StoreError && error.code === 'STORE_IN_USE')) throw error
      watched.refused++
    }
    await new Promise(setImmediate)
  }
  watched.states = seen.size
  return watched
}

function dieInBatch(store: Store, keys: number, applied: number): Answer {
  const engine = engineOf(store)
  const recordsBefore = engine.control.read(layout.records)
  trapStores(engine, () => {
    const { control } = engine
    if (control.get(layout.batchFrame) === 0) return
    if (control.get(layout.records) < recordsBefore + applied) return
    process.kill(process.pid, 'SIGKILL')
  })
  const operations = Array.from({ length: keys }, (_, index) => ({
    type: 'put' as const,
    key: `batch ${index}`,
    value: String(index),
  }))
  store.write(operations)
  return {}
}

function dieInPut(store: Store, key: string, value: unknown): Answer {
  const engine = engineOf(store)
  trapStores(engine, () => {
    if (oddBuckets(engine).length > 0) process.kill(process.pid, 'SIGKILL')
  })
  return { value: store.put(key, value) }
}

function asAnswer(error: unknown): Answer {
  if (!(error instanceof Error)) throw error
  const code = error instanceof StoreError ? { code: error.code } : {}
  return { message: error.message, ...code }
}

for await (const line of createInterface({ input: process.stdin })) {
  let answer: Answer
  try {
    answer = await take(JSON.parse(line) as Step)
  } catch (error) {
    answer = asAnswer(error)
  }
  // Whole, however long: a pipe takes some of it at a time.
  process.stdout.write(`${JSON.stringify(answer)}\n`)
}
