/**
 * A process of its own that does with a store what it is told, a line of JSON a step, and answers
 * each with a line. It ends with its input, or by being killed.
 */
import { writeSync } from 'node:fs'
import { createInterface } from 'node:readline'
import {
  type Attachment,
  open,
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
  | { readonly do: 'get'; readonly key: string; readonly keyspace?: string }
  | { readonly do: 'getMany'; readonly keys: readonly string[] }
  | { readonly do: 'count' }
  | { readonly do: 'delete'; readonly key: string }
  | { readonly do: 'snapshot' }
  | { readonly do: 'countInSnapshot' }
  | { readonly do: 'attachments' }
  | { readonly do: 'recovery' }
  | { readonly do: 'verify' }
  | { readonly do: 'backup'; readonly target: string }
  | { readonly do: 'close' }
  /** Dies in the middle of a put, with the writer's word in its hand and the key's bucket odd. */
  | { readonly do: 'dieInPut'; readonly key: string; readonly value: unknown }

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

async function take(step: Step): Promise<Answer> {
  if (step.do === 'open') {
    store = open(step.path, step.options)
    return {}
  }
  if (store === undefined) throw new Error('a session begins with the step "open"')
  switch (step.do) {
    case 'put':
      return { value: keyspaceOf(store, step.keyspace).put(step.key, step.value) }
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
  writeSync(1, `${JSON.stringify(answer)}\n`)
}
