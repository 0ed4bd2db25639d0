/**
 * A client that dies, or stops, at its n-th step while another one has the store open, and what the
 * other one finds: see every-step.test.ts and hazards.test.ts.
 */
import fs, { existsSync, readFileSync } from 'node:fs'
import { types } from 'node:util'
import * as layout from '../../src/format/control-layout.js'
import { open, type Snapshot, type Store } from '../../src/store/index.js'
import { changes, heldChanges, put } from '../kill/step-changes.js'
import { trapStores } from '../kill/store-traps.js'
import { engineOf } from '../support/engine-of.js'
import {
  applyChange,
  applyChangeNow,
  type BinaryStore,
  type Change,
  differenceSeen,
  emptyState,
  type State,
  type SynchronousChange,
  stateAfter,
} from '../support/state.js'
import { trapSteps } from '../support/step-trap.js'
import { held, openHeld } from './holding-tasks.js'
import type { SharedOptions } from './options.js'

/** The state after each of the changes. */
const states: State[] = [emptyState]
for (const change of changes) states.push(stateAfter(states[states.length - 1], change))

export interface OwnerSetup {
  readonly path: string
  readonly options: SharedOptions
  /** Has a byte for every change that returned. */
  readonly countFile: string
  /** Where it begins to count its steps. */
  readonly from: 'opening' | 'writing'
  /** Steps are beginnings, commits and calls, or every store to shared memory. */
  readonly every: 'step' | 'store'
  /** What it does to itself at which step. */
  readonly step: number
  readonly signal: 'SIGKILL' | 'SIGSTOP'
}

/** Does the changes that the other tests begin with, and keeps the store open. */
export async function prepareSteps(setup: {
  readonly path: string
  readonly options: SharedOptions
}): Promise<void> {
  openHeld(setup)
  for (const change of changes.slice(0, heldChanges)) {
    await applyChange(held(setup.path), change)
  }
}

/** Returns how many steps there were, if it comes to its end. */
export async function runOwner(setup: OwnerSetup): Promise<number> {
  let steps = 0
  let isArmed = false
  const onStep = (): void => {
    if (isArmed && ++steps === setup.step) process.kill(process.pid, setup.signal)
  }
  // Before the traps: it is no step.
  const acknowledge = appendWith(setup.countFile)
  if (setup.every === 'step') trapSteps(onStep)
  isArmed = setup.from === 'opening'
  const store = open<Buffer>(setup.path, { ...setup.options, encoding: 'binary' })
  const release = setup.every === 'store' ? trapEveryStore(store, onStep) : undefined
  isArmed = true
  for (const change of changes.slice(heldChanges)) {
    await applyChange(store, change)
    isArmed = false
    acknowledge()
    isArmed = true
  }
  release?.()
  await store.close()
  isArmed = false
  return steps
}

function appendWith(file: string): () => void {
  const fd = fs.openSync(file, 'a')
  const { writeSync } = fs
  return () => {
    writeSync(fd, '.')
  }
}

/** As `trapStores`, and what compares and exchanges words counts, too. */
function trapEveryStore(store: Store<Buffer>, onStore: () => void): () => void {
  const release = trapStores(engineOf(store), onStore)
  const restore: (() => void)[] = []
  for (const name of ['compareExchange', 'exchange', 'add', 'sub', 'and', 'or'] as const) {
    const original = Atomics[name] as (words: Int32Array, ...args: number[]) => number
    Object.assign(Atomics, {
      [name]: (words: Int32Array, ...args: number[]): number => {
        onStore()
        return original(plainOf(words), ...args)
      },
    })
    restore.push(() => Object.assign(Atomics, { [name]: original }))
  }
  return () => {
    release()
    for (const action of restore) action()
  }
}

/** The words under a proxy, which `Atomics` refuses. */
function plainOf(words: Int32Array): Int32Array {
  if (!types.isProxy(words)) return words
  return new Int32Array(words.buffer, words.byteOffset, words.length)
}

export interface SurvivorSetup {
  readonly path: string
  readonly countFile: string
  /** Puts that came between the owner's, by others: they are in every state. */
  readonly others: readonly string[]
  /** Writes, not only reads. */
  readonly writes: boolean
}

export interface Finding {
  readonly problem: string | undefined
  /** How long the first read and the first write took. */
  readonly readMs: number
  readonly writeMs: number
}

const otherValue = (key: string): Change => put(key, key.length + 5, key.length)

/** A put that is in none of the changes. */
export function putOther({ path, key }: { readonly path: string; readonly key: string }): void {
  applyChangeNow(held(path), otherValue(key) as SynchronousChange)
}

/** What the survivor finds when the owner is gone; undefined where all is as it must be. */
export async function checkSurvivor(setup: SurvivorSetup): Promise<Finding> {
  const store = held(setup.path)
  const done = existsSync(setup.countFile) ? readFileSync(setup.countFile).byteLength : 0
  const reached = heldChanges + done
  const withOthers = (state: State): State =>
    setup.others.reduce((before, key) => stateAfter(before, otherValue(key)), state)
  const allowed = states.slice(reached, reached + 2).map(withOthers)
  const startedMs = performance.now()
  store.get('a')
  const readMs = performance.now() - startedMs
  // Counts are right again when somebody has finished what the owner announced: with the next write.
  const found = stateFound(store, allowed, false)
  if (typeof found === 'string') {
    return { problem: `after ${reached} changes: ${found}`, readMs, writeMs: 0 }
  }
  if (!setup.writes) return { problem: undefined, readMs, writeMs: 0 }
  const more = put('more', 10, 99)
  const writingMs = performance.now()
  await applyChange(store, more)
  const writeMs = performance.now() - writingMs
  // With the write everything that was announced is done; what was seen before is still there.
  const seen = allowed.slice(allowed.indexOf(found)).map((state) => stateAfter(state, more))
  const settled = stateFound(store, seen)
  if (typeof settled === 'string') return { problem: `after a put: ${settled}`, readMs, writeMs }
  let state = settled
  for (let index = 0; index < 300; index++) {
    const another = put(`more${index}`, index * 3, index)
    await applyChange(store, another)
    state = stateAfter(state, another)
  }
  await applyChange(store, { do: 'sync' })
  const last = stateFound(store, [state])
  const problem = typeof last === 'string' ? `after more puts: ${last}` : undefined
  return { problem, readMs, writeMs }
}

/** Whether a store that is opened now holds what the survivor of this path last held. */
export async function compareWith(setup: {
  readonly path: string
  readonly other: string
  readonly options: SharedOptions
}): Promise<string | undefined> {
  const store = open<Buffer>(setup.other, { ...setup.options, encoding: 'binary' })
  const survivor = held(setup.path)
  const problem = differenceBetween(survivor, store)
  await store.close()
  return problem
}

function differenceBetween(one: BinaryStore, other: BinaryStore): string | undefined {
  if (one.count() !== other.count()) return `count() is ${other.count()}, not ${one.count()}`
  const keys = changes.flatMap((change) => ('parts' in change ? change.parts : []))
  for (const { key } of keys) {
    const [found, expected] = [other.get(key), one.get(key)]
    if (found === undefined ? expected !== undefined : !(expected && found.equals(expected))) {
      return `key ${key} differs`
    }
  }
  return undefined
}

function stateFound(
  store: BinaryStore,
  allowed: readonly State[],
  withCounts: boolean = true,
): State | string {
  const differences = allowed.map((state) => differenceSeen(store, state, withCounts))
  // The earliest: without counts a key that is about to be deleted goes unnoticed.
  const index = differences.indexOf(undefined)
  return index >= 0 ? allowed[index] : [...new Set(differences)].join(' / ')
}

/** Dies before its n-th store to shared memory while it applies a batch that counts already. */
export function dieInBatch(setup: {
  readonly path: string
  readonly options: SharedOptions
  readonly keys: readonly string[]
  readonly step: number
}): void {
  const store = open<Buffer>(setup.path, { ...setup.options, encoding: 'binary' })
  const { control } = engineOf(store)
  let steps = 0
  trapEveryStore(store, () => {
    const isApplied = control.get(layout.batchFrame) !== 0
    if (isApplied && ++steps === setup.step) process.kill(process.pid, 'SIGKILL')
  })
  store.write(setup.keys.map((key) => ({ type: 'put', key, value: Buffer.from(key) })))
}

let behind: Snapshot<Buffer> | undefined

/** Deletes a key that a snapshot of this host's shows, so that its tombstone is kept. */
export function deleteBehindSnapshot({
  path,
  key,
}: {
  readonly path: string
  readonly key: string
}): void {
  behind = held(path).snapshot()
  held(path).delete(key)
}

/** Gives that snapshot back; dies before its n-th store since the last tombstone is said to be swept, if it gets there. */
export function dieInSweep({ path, step }: { readonly path: string; readonly step: number }): void {
  const { control } = engineOf(held(path))
  let steps = 0
  const release = trapEveryStore(held(path), () => {
    const isSwept = control.get(layout.tombstones) === 0
    if (isSwept && ++steps === step) process.kill(process.pid, 'SIGKILL')
  })
  behind?.close()
  release()
}
