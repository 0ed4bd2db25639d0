/**
 * What a store holds, as plain data, for tests that kill writers: which states are allowed after a
 * kill, and whether a store is in one of them. Keys are text, values bytes made from a seed.
 */
import * as layout from '../../src/format/control-layout.js'
import {
  type Keyspace,
  type Snapshot,
  type Store,
  StoreError,
  type WriteOperation,
} from '../../src/store/index.js'
import { engineOf, oddBuckets } from './engine-of.js'
import { checkTree } from './ordered-tree.js'
import { Random } from './random.js'

export interface Value {
  readonly size: number
  readonly seed: number
}

export interface Part {
  readonly space: string
  readonly key: string
  /** Undefined: the key is deleted. */
  readonly value: Value | undefined
}

export type Place = Pick<Part, 'space' | 'key'>

export type Change =
  | { readonly do: 'set'; readonly parts: readonly [Part] }
  | { readonly do: 'write'; readonly parts: readonly Part[] }
  /** One value, by writeStream. */
  | { readonly do: 'stream'; readonly parts: readonly [Part & { readonly value: Value }] }
  | { readonly do: 'make'; readonly space: string }
  | { readonly do: 'drop'; readonly space: string }
  /** The same by update(), by a transaction, and by commands of this version. */
  | { readonly do: 'update'; readonly parts: readonly [Part] }
  | { readonly do: 'transaction'; readonly parts: readonly Part[] }
  | { readonly do: 'command'; readonly parts: readonly [Part]; readonly version: number }
  /** Puts what has expired already; a count takes it out. */
  | { readonly do: 'expire'; readonly parts: readonly [Part] }
  | { readonly do: 'count' }
  | { readonly do: 'rename'; readonly from: Place; readonly to: Place }
  | { readonly do: 'copy'; readonly from: Place; readonly to: Place }
  /** A transaction that throws, and a stream whose source fails: nothing is changed. */
  | { readonly do: 'throw'; readonly parts: readonly Part[] }
  | { readonly do: 'break'; readonly parts: readonly [Part & { readonly value: Value }] }
  | { readonly do: 'sync' }
  | { readonly do: 'compact' }
  /** Builds the ordered index; opens a snapshot; closes it, so that what it held back is swept. */
  | { readonly do: 'order' | 'snapshot' | 'close' }

/** By keyspace, and '' is the default one, then by key. */
export type State = ReadonlyMap<string, ReadonlyMap<string, Value>>

export const emptyState: State = new Map([['', new Map()]])

/** The state after a change; the one before is left as it is. */
export function stateAfter(state: State, change: Change): State {
  const next = new Map(state)
  if (change.do === 'make') {
    next.set(change.space, new Map(state.get(change.space)))
  } else if (change.do === 'drop') {
    next.delete(change.space)
  } else if (change.do === 'rename' || change.do === 'copy') {
    return stateAfter(state, { do: 'write', parts: partsOfTransfer(state, change) })
  } else if (change.do === 'throw' || change.do === 'break') {
    return state
  } else if ('parts' in change) {
    const copied = new Set<string>()
    for (const { space, key, value } of change.parts) {
      if (!copied.has(space)) next.set(space, new Map(next.get(space)))
      copied.add(space)
      const entries = next.get(space) as Map<string, Value>
      if (value === undefined || change.do === 'expire') entries.delete(key)
      else entries.set(key, value)
    }
  }
  return next
}

type Transfer = Extract<Change, { do: 'rename' | 'copy' }>

function partsOfTransfer(state: State, { do: name, from, to }: Transfer): Part[] {
  const value = state.get(from.space)?.get(from.key)
  if (value === undefined) return []
  const put = { ...to, value }
  return name === 'copy' ? [put] : [{ ...from, value: undefined }, put]
}

export function bytesOf(value: Value): Buffer {
  return new Random(value.seed).bytes(value.size)
}

export type BinaryStore = Store<Buffer>

const snapshots = new WeakMap<BinaryStore, Snapshot<Buffer>>()

function keyspaceOf(store: BinaryStore, space: string): Keyspace<Buffer> {
  if (space === '') return store
  return store.keyspace<Buffer>(space, { encoding: 'binary', keyEncoding: 'utf8' })
}

/** Does one change; a sync has reached the medium when this resolves. */
export async function applyChange(store: BinaryStore, change: Change): Promise<void> {
  if (change.do === 'sync') await store.sync()
  else if (change.do === 'compact') await store.compact({ minGarbageRatio: 0.05 })
  else if (change.do === 'stream') await applyStream(store, change.parts[0], undefined)
  else if (change.do === 'break') await applyBroken(store, change.parts[0])
  else applyChangeNow(store, change)
}

const streamedPieceSizeBytes = 100_000

async function applyStream(
  store: BinaryStore,
  { key, space, value }: Part & { readonly value: Value },
  error: Error | undefined,
): Promise<void> {
  const bytes = bytesOf(value)
  const count = Math.ceil(bytes.length / streamedPieceSizeBytes)
  const pieces = Array.from({ length: count }, (_, index) =>
    bytes.subarray(index * streamedPieceSizeBytes, (index + 1) * streamedPieceSizeBytes),
  )
  const source = function* (): Generator<Buffer> {
    yield* pieces
    if (error !== undefined) throw error
  }
  await keyspaceOf(store, space).writeStream(key, source())
}

async function applyBroken(
  store: BinaryStore,
  part: Part & { readonly value: Value },
): Promise<void> {
  const intended = new Error('the source of a value fails')
  try {
    await applyStream(store, part, intended)
  } catch (error) {
    if (error === intended) return
    throw error
  }
  throw new Error('a value was stored whose source failed')
}

/** What is done when it returns. */
export type SynchronousChange = Exclude<Change, { do: 'sync' | 'stream' | 'break' | 'compact' }>

export function applyChangeNow(store: BinaryStore, change: SynchronousChange): void {
  if (change.do === 'order') store.count({})
  else if (change.do === 'snapshot') snapshots.set(store, store.snapshot())
  else if (change.do === 'close') snapshots.get(store)?.close()
  else if (change.do === 'make') keyspaceOf(store, change.space)
  else if (change.do === 'drop') store.dropKeyspace(change.space)
  else if (change.do === 'write') store.write(change.parts.map(asOperation))
  else if (change.do === 'set') {
    const [{ space, key, value }] = change.parts
    if (value === undefined) keyspaceOf(store, space).delete(key)
    else keyspaceOf(store, space).put(key, bytesOf(value))
  } else if (isOperation(change)) applyOperation(store, change)
}

type OperationChange = Extract<
  Change,
  {
    do: 'update' | 'transaction' | 'throw' | 'command' | 'expire' | 'count' | 'rename' | 'copy'
  }
>

/** TypeScript narrows no union by a comparison with several names. */
function isOperation(change: Change): change is OperationChange {
  const names = ['update', 'transaction', 'throw', 'command', 'expire', 'count', 'rename', 'copy']
  return names.includes(change.do)
}

function applyOperation(store: BinaryStore, change: OperationChange): void {
  if (change.do === 'count') {
    store.count()
  } else if (change.do === 'rename') {
    const { from, to } = change
    keyspaceOf(store, from.space).move(from.key, keyspaceOf(store, to.space), to.key)
  } else if (change.do === 'copy') {
    const { from, to } = change
    keyspaceOf(store, from.space).copy(from.key, keyspaceOf(store, to.space), to.key)
  } else if (change.do === 'transaction') {
    applyTransaction(store, change.parts, undefined)
  } else if (change.do === 'throw') {
    const intended = new Error('the function of a transaction throws')
    try {
      applyTransaction(store, change.parts, intended)
    } catch (error) {
      if (error !== intended) throw error
    }
  } else {
    const [{ space, key, value }] = change.parts
    const keyspace = keyspaceOf(store, space)
    const bytes = value === undefined ? undefined : bytesOf(value)
    if (change.do === 'update') keyspace.update(key, () => bytes)
    else if (change.do === 'expire') keyspace.put(key, bytes as Buffer, { expiresAtMs: 1 })
    else if (bytes === undefined) keyspace.apply({ type: 'delete', key, version: change.version })
    else keyspace.apply({ type: 'put', key, value: bytes, version: change.version })
  }
}

function applyTransaction(
  store: BinaryStore,
  parts: readonly Part[],
  error: Error | undefined,
): void {
  store.transaction((tx) => {
    for (const { space, key, value } of parts) {
      const keyspace = space === '' ? tx : tx.keyspace<Buffer>(space)
      if (value === undefined) keyspace.delete(key)
      else keyspace.put(key, bytesOf(value))
      const found = keyspace.get(key)
      const isOwn = value === undefined ? found === undefined : found?.equals(bytesOf(value))
      if (isOwn !== true) throw new Error(`a transaction does not read what it did to ${key}`)
    }
    if (error !== undefined) throw error
  })
}

function asOperation({ space, key, value }: Part): WriteOperation {
  const keyspace = space === '' ? {} : { keyspace: space }
  return value === undefined
    ? { type: 'delete', key, ...keyspace }
    : { type: 'put', key, value: bytesOf(value), ...keyspace }
}

/** What tells the store from the state, in a few words; undefined where nothing does. */
export function differenceOf(store: BinaryStore, state: State): string | undefined {
  const odd = oddBuckets(engineOf(store))
  // A read of a key in such a bucket would never end.
  if (odd.length > 0) return `buckets ${odd.join()} are left odd: reads of their keys wait for ever`
  return differenceSeen(store, state)
}

/** As {@link differenceOf}, for a store that others may be writing to: only what readers see. */
export function differenceSeen(
  store: BinaryStore,
  state: State,
  withCounts: boolean = true,
): string | undefined {
  const names = [...state.keys()].filter((name) => name !== '').sort()
  if (store.keyspaces().join() !== names.join()) {
    return `keyspaces are "${store.keyspaces().join()}", not "${names.join()}"`
  }
  let records = 0
  for (const [space, entries] of state) {
    const keyspace = keyspaceOf(store, space)
    records += entries.size
    if (withCounts && keyspace.count() !== entries.size) {
      return `count() of "${space}" is ${keyspace.count()}, not ${entries.size}`
    }
    for (const [key, value] of entries) {
      const found = differenceOfEntry(keyspace, key, value)
      if (found !== undefined) return `"${space}" key ${JSON.stringify(key)}: ${found}`
    }
  }
  const { records: counted } = store.stats()
  if (counted !== records && withCounts) return `stats().records is ${counted}, not ${records}`
  const engine = engineOf(store)
  const isBuilt = engine.control.read(layout.orderBuilt) === 1
  return isBuilt && withCounts ? differenceOfOrder(store, state) : undefined
}

/** The ordered index is whole and has the keys of the hash index, and ranges have the state's. */
function differenceOfOrder(store: BinaryStore, state: State): string | undefined {
  const { control, order } = engineOf(store)
  const inOrder = checkTree(order).keys.length
  const inIndex = control.read(layout.records) + control.read(layout.tombstones)
  if (inOrder !== inIndex) return `the ordered index has ${inOrder} keys, the hash index ${inIndex}`
  for (const [space, entries] of state) {
    const keys = keyspaceOf(store, space).keys().toArray()
    const expected = [...entries.keys()].sort((a, b) =>
      Buffer.compare(Buffer.from(a), Buffer.from(b)),
    )
    if (keys.join() === expected.join()) continue
    return `keys of "${space}" are "${keys.join().slice(0, 200)}", not "${expected.join().slice(0, 200)}"`
  }
  return undefined
}

function differenceOfEntry(
  keyspace: Keyspace<Buffer>,
  key: string,
  value: Value,
): string | undefined {
  const entry = keyspace.getEntry(key)
  if (entry === undefined) return 'is missing'
  if (entry.value.byteLength !== value.size) {
    return `has ${entry.value.byteLength} bytes, not ${value.size}`
  }
  if (!entry.value.equals(bytesOf(value))) return 'has other bytes'
  return entry.version > 0 && entry.sequence > 0 ? undefined : 'has no version'
}

/** As {@link differenceOf}; a refusal to read counts as a difference. */
export function differenceOrRefusal(store: BinaryStore, state: State): string | undefined {
  try {
    return differenceOf(store, state)
  } catch (error) {
    if (error instanceof StoreError) return `${error.code}: ${error.message}`
    throw error
  }
}
