/** Holding a store open, and doing single things with it when asked. */
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { open, type Store, StoreError } from '../../src/store/index.js'
import { Random } from '../support/random.js'
import type { Failure } from './hosts.js'
import type { SharedOptions } from './options.js'
import type { Tell } from './tasks.js'

const stores = new Map<string, Store<Buffer>>()

interface AtPath {
  readonly path: string
}

/** The store that this host holds. */
export function held(path: string): Store<Buffer> {
  const store = stores.get(path)
  if (store === undefined) throw new Error(`this host does not hold ${path}`)
  return store
}

export function openHeld({ path, options }: AtPath & { readonly options: SharedOptions }): string {
  stores.set(path, open<Buffer>(path, { ...options, encoding: 'binary' }))
  return held(path).stats().lastRecovery.kind
}

export async function closeHeld({ path }: AtPath): Promise<void> {
  await held(path).close()
  stores.delete(path)
}

export async function syncHeld({ path }: AtPath): Promise<void> {
  await held(path).sync()
}

export function putHeld(setup: AtPath & { readonly key: string; readonly value: string }): number {
  const startedMs = performance.now()
  held(setup.path).put(setup.key, Buffer.from(setup.value))
  return performance.now() - startedMs
}

export function getHeld({ path, key }: AtPath & { readonly key: string }): string | undefined {
  return held(path).get(key)?.toString()
}

export function countHeld({ path }: AtPath): number {
  return held(path).count()
}

export function attachmentsOf({ path }: AtPath): number {
  return held(path).stats().attachments
}

export function isPoisoned({ path }: AtPath): boolean {
  return held(path).stats().poisoned
}

export interface Attempt {
  readonly refusal: Pick<Failure, 'code' | 'message' | 'holder'> | undefined
  readonly tookMs: number
  /** What the event `wait` said meanwhile. */
  readonly waits: readonly { readonly processId: number; readonly waitedMs: number }[]
}

interface WaitInfo {
  readonly holder: { readonly processId: number; readonly threadId: number }
  readonly waitedMs: number
}

interface WithEvents {
  on(event: 'wait', listener: (info: WaitInfo) => void): unknown
}

/** A put that may be refused. */
export function tryPut(setup: AtPath & { readonly key: string; readonly value: string }): Attempt {
  const store = held(setup.path)
  const waits: { processId: number; waitedMs: number }[] = []
  ;(store as unknown as WithEvents).on('wait', ({ holder, waitedMs }) => {
    waits.push({ processId: holder.processId, waitedMs })
  })
  const startedMs = performance.now()
  try {
    store.put(setup.key, Buffer.from(setup.value))
    return { refusal: undefined, tookMs: performance.now() - startedMs, waits }
  } catch (error) {
    if (!(error instanceof StoreError)) throw error
    const { code, message, details } = error
    const { holder } = details
    const known = holder && { processId: holder.processId, threadId: holder.threadId }
    return {
      refusal: { code, message, holder: known },
      tookMs: performance.now() - startedMs,
      waits,
    }
  }
}

/** Writes without a pause, and returns how long the slowest put took. */
export async function writeFor(
  setup: AtPath & { readonly prefix: string; readonly durationMs: number; readonly keys: number },
): Promise<{ readonly puts: number; readonly slowestMs: number }> {
  const store = held(setup.path)
  const endMs = performance.now() + setup.durationMs
  let puts = 0
  let slowestMs = 0
  while (performance.now() < endMs) {
    const startedMs = performance.now()
    store.put(`${setup.prefix}${puts % setup.keys}`, Buffer.from(String(puts)))
    slowestMs = Math.max(slowestMs, performance.now() - startedMs)
    if (++puts % 100 === 0) await nextTurn()
  }
  return { puts, slowestMs }
}

/** Puts new keys `prefix0`, `prefix1`, ... as fast as it can; says so once in a while. */
export async function insertMany(
  setup: AtPath & { readonly prefix: string; readonly count: number },
  tell: Tell,
): Promise<void> {
  const store = held(setup.path)
  for (let index = 0; index < setup.count; index++) {
    store.put(`${setup.prefix}${index}`, Buffer.from(String(index)))
    if (index % 500 === 0) {
      tell(index)
      await nextTurn()
    }
  }
}

/** Reads keys that are always there until told by a key `stop`; returns what was not. */
export async function readMany(
  setup: AtPath & { readonly prefix: string; readonly count: number },
): Promise<{ readonly reads: number; readonly missing: readonly string[] }> {
  const store = held(setup.path)
  const missing: string[] = []
  let reads = 0
  while (store.get('stop') === undefined) {
    for (let index = 0; index < setup.count; index++) {
      const key = `${setup.prefix}${index}`
      if (store.get(key)?.toString() !== String(index)) missing.push(key)
      reads++
    }
    await nextTurn()
  }
  return { reads, missing: missing.slice(0, 10) }
}

/** Puts and syncs by turns until it is killed. */
export async function putForEver({ path }: AtPath, tell: Tell): Promise<void> {
  const store = held(path)
  tell('begun')
  for (let count = 0; ; count++) {
    store.put(`e${count % 50}`, Buffer.alloc(count % 700, 'e'))
    if (count % 64 === 0) await nextTurn()
  }
}

export async function syncForEver({ path }: AtPath, tell: Tell): Promise<void> {
  const store = held(path)
  tell('begun')
  for (let count = 0; ; count++) {
    store.put(`y${count % 50}`, Buffer.alloc(count % 700, 'y'))
    await store.sync()
  }
}

export async function openForEver(
  { path, options }: AtPath & { readonly options: SharedOptions },
  tell: Tell,
): Promise<void> {
  tell('begun')
  for (let count = 0; ; count++) {
    const store = open<Buffer>(path, { ...options, encoding: 'binary' })
    store.put(`o${count % 50}`, Buffer.alloc(count % 700, 'o'))
    await store.close()
  }
}

/** Starts a process that outlives this one, and returns its id. */
export function startSleeper(_argument: undefined): number {
  const sleeper = spawn('sleep', ['60'], { detached: true, stdio: 'ignore' })
  sleeper.unref()
  return sleeper.pid as number
}

/** A sync whose flush the device refuses. */
export async function failSync({ path }: AtPath): Promise<void> {
  const refuse = (_fd: number, done: (error: Error) => void): void => {
    setImmediate(done, Object.assign(new Error('EIO: i/o error, fdatasync'), { code: 'EIO' }))
  }
  Object.assign(fs, { fdatasync: refuse, fsync: refuse })
  syncBuiltinESMExports()
  await held(path).sync()
}

interface Stamps extends AtPath {
  readonly keys: number
}

/** Writes the next number under all keys at once, again and again. */
export async function writeStamps(setup: Stamps & { readonly times: number }): Promise<void> {
  const store = held(setup.path)
  for (let count = 0; count < setup.times; count++) {
    const last = Number(store.get('stamp0')?.toString() ?? 0)
    const value = Buffer.from(String(last + 1))
    const keys = Array.from({ length: setup.keys }, (_, index) => `stamp${index}`)
    store.write(keys.map((key) => ({ type: 'put', key, value })))
    if (count % 10 === 0) await nextTurn()
  }
}

/** Reads the numbers in any order, until told by a key `stop`: they must never fall. */
export async function readStamps(
  setup: Stamps & { readonly seed: number },
): Promise<{ readonly reads: number; readonly problem: string | undefined }> {
  const store = held(setup.path)
  const random = new Random(setup.seed)
  let highest = 0
  let reads = 0
  while (store.get('stop') === undefined) {
    for (let left = 500; left > 0; left--) {
      const key = `stamp${random.below(setup.keys)}`
      const stamp = Number(store.get(key)?.toString() ?? Number.NaN)
      reads++
      if (!(stamp >= highest)) {
        return { reads, problem: `${key} is ${stamp}, when ${highest} was seen before` }
      }
      highest = stamp
    }
    await nextTurn()
  }
  return { reads, problem: undefined }
}

/** Puts all keys and deletes all keys by turns, a batch for each. */
export async function toggleBatch(setup: Stamps & { readonly times: number }): Promise<void> {
  const store = held(setup.path)
  const keys = Array.from({ length: setup.keys }, (_, index) => `toggled${index}`)
  const value = Buffer.from('on')
  for (let count = 0; count < setup.times; count++) {
    const isOn = count % 2 === 0
    store.write(keys.map((key) => (isOn ? { type: 'put', key, value } : { type: 'delete', key })))
    if (count % 10 === 0) await nextTurn()
  }
  store.put('stop', value)
}

/** Every count of keys that was seen until told by a key `stop`, which counts itself. */
export async function watchCount({ path }: AtPath): Promise<number[]> {
  const store = held(path)
  const seen = new Set<number>()
  while (store.get('stop') === undefined) {
    for (let left = 200; left > 0; left--) seen.add(store.count())
    await nextTurn()
  }
  return [...seen].sort((one, other) => one - other)
}
