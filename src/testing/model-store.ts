/**
 * The model: what a store must answer, by Maps and sorting, in memory. A reference to compare a store
 * with, and a stand-in for one in the tests of a program. Slow where a store is fast, and so short that it
 * can be read: ranges look at every key, a snapshot and a transaction copy everything.
 */
import { StoreError } from '../base/errors.js'
import { shown } from '../base/shown.js'
import { Key } from '../engine/key.js'
import {
  decodeBytes,
  decodeKey,
  encodeValue,
  type KeyEncoding,
  type StoreKey,
  setKey,
  setPrefix,
  type ValueEncoding,
} from '../store/encoding.js'
import {
  checkDeleteOptions,
  checkExpiryOptions,
  checkKeyspaceOptions,
  checkPutOptions,
  type DeleteOptions,
  type ExpiryOptions,
  expiryOf,
  type KeyspaceOptions,
  type PutOptions,
} from '../store/options.js'
import type { RangeOptions } from '../store/range.js'
import {
  requireFiniteNumber,
  requireFunction,
  requireNoPromise,
  sum,
} from '../store/read-modify-write.js'
import type {
  KeyValueEntry,
  KeyValueKeyspace,
  KeyValueOperation,
  KeyValueReads,
  KeyValueSnapshot,
  KeyValueStore,
  KeyValueStoreTransaction,
} from './key-value-store.js'
import { selectRange } from './model-range.js'

interface ModelRecord {
  readonly keyBytes: Buffer
  readonly valueBytes: Buffer
  readonly version: number
  readonly sequence: number
  readonly timestampMs: number
  /** 0 for never. */
  readonly expiresAtMs: number
}

/** What all keyspaces of a model have in common. */
interface Clock {
  version: number
  sequence: number
  readonly nowMs: () => number
  /** The latest time seen: what has expired stays so when the clock goes back. */
  timeMs: number
}

interface Codecs {
  readonly encoding: ValueEncoding<never>
  readonly keyEncoding: KeyEncoding
}

const atHand = new Key()

/** The keys of one keyspace at one moment, or as they are. */
class ModelReads<V, K extends StoreKey> implements KeyValueReads<V, K> {
  /** By the bytes of the key, as text of one character for each. */
  protected records: Map<string, ModelRecord>
  protected readonly codecs: Codecs
  readonly #timeMs: () => number
  readonly #requireOpen: () => void

  constructor(
    records: Map<string, ModelRecord>,
    codecs: Codecs,
    timeMs: () => number,
    requireOpen: () => void,
  ) {
    this.records = records
    this.codecs = codecs
    this.#timeMs = timeMs
    this.#requireOpen = requireOpen
  }

  get(key: K): V | undefined {
    const record = this.find(key)
    return record === undefined ? undefined : this.valueOf(record)
  }

  getMany(keys: Iterable<K>): (V | undefined)[] {
    return Array.from(keys, (key) => this.get(key))
  }

  has(key: K): boolean {
    return this.find(key) !== undefined
  }

  getEntry(key: K): KeyValueEntry<V, K> | undefined {
    const record = this.find(key)
    return record === undefined ? undefined : this.entryOf(record)
  }

  range(options: RangeOptions<K> = {}): [K, V][] & { toArray(): [K, V][] } {
    return listOf(
      this.select(options).map((record): [K, V] => [this.keyOf(record), this.valueOf(record)]),
    )
  }

  keys(options: RangeOptions<K> = {}): K[] & { toArray(): K[] } {
    return listOf(this.select(options).map((record) => this.keyOf(record)))
  }

  values(options: RangeOptions<K> = {}): V[] & { toArray(): V[] } {
    return listOf(this.select(options).map((record) => this.valueOf(record)))
  }

  count(options: RangeOptions<K> = {}): number {
    return this.select(options).length
  }

  protected find(key: K): ModelRecord | undefined {
    const record = this.records.get(this.nameOf(key))
    return record !== undefined && this.isLive(record) ? record : undefined
  }

  protected isLive({ expiresAtMs }: ModelRecord): boolean {
    return expiresAtMs === 0 || expiresAtMs > this.#timeMs()
  }

  protected select(options: RangeOptions<K>): ModelRecord[] {
    this.#requireOpen()
    const { gt, gte, limit, lt, lte, prefix, reverse } = options
    const at = (key: K | undefined): Buffer | undefined =>
      key === undefined ? undefined : this.bytesOf(key)
    let start: Buffer | undefined
    const exact = at(prefix)
    if (prefix !== undefined) {
      setPrefix(atHand, this.codecs.keyEncoding, prefix)
      start = Buffer.from(atHand.bytes.subarray(0, atHand.sizeBytes))
    }
    const isWanted = ({ keyBytes }: ModelRecord): boolean =>
      start === undefined ||
      keyBytes.subarray(0, start.length).equals(start) ||
      keyBytes.equals(exact as Buffer)
    const live = [...this.records.values()].filter((record) => this.isLive(record))
    return selectRange(live, ({ keyBytes }) => keyBytes, {
      ...{ gt: at(gt), gte: at(gte), lt: at(lt), lte: at(lte) },
      ...{ hasPrefix: isWanted, limit, reverse },
    })
  }

  protected bytesOf(key: K): Buffer {
    this.#requireOpen()
    setKey(atHand, this.codecs.keyEncoding, key)
    return Buffer.from(atHand.bytes.subarray(0, atHand.sizeBytes))
  }

  protected nameOf(key: K): string {
    return this.bytesOf(key).toString('latin1')
  }

  protected keyOf({ keyBytes }: ModelRecord): K {
    return decodeKey(this.codecs.keyEncoding, keyBytes) as K
  }

  protected valueOf({ valueBytes }: ModelRecord): V {
    return decodeBytes(this.codecs.encoding, Buffer.from(valueBytes)) as V
  }

  protected entryOf(record: ModelRecord): KeyValueEntry<V, K> {
    const { expiresAtMs, sequence, timestampMs, version } = record
    const entry = {
      key: this.keyOf(record),
      value: this.valueOf(record),
      version,
      sequence,
      timestampMs,
    }
    return expiresAtMs === 0 ? entry : { ...entry, expiresAtMs }
  }
}

/** A keyspace of a model. */
export class ModelKeyspace<V = unknown, K extends StoreKey = string>
  extends ModelReads<V, K>
  implements KeyValueKeyspace<V, K>
{
  readonly #clock: Clock

  /** @internal Use {@link ModelStore}. */
  constructor(clock: Clock, codecs: Codecs, requireOpen: () => void) {
    super(new Map(), codecs, () => timeOf(clock), requireOpen)
    this.#clock = clock
  }

  put(key: K, value: V, options: PutOptions = {}): boolean {
    const valueBytes = this.encode(value)
    checkPutOptions(options)
    const expiresAtMs = expiryOf(options, () => timeOf(this.#clock))
    const there = this.getEntry(key)
    if (options.ifAbsent === true && there !== undefined) return false
    if (options.ifVersion !== undefined && there?.version !== options.ifVersion) return false
    this.set(key, valueBytes, expiresAtMs)
    return true
  }

  delete(key: K, options: DeleteOptions = {}): boolean {
    checkDeleteOptions(options)
    const there = this.getEntry(key)
    if (there === undefined) return false
    if (options.ifVersion !== undefined && there.version !== options.ifVersion) return false
    this.remove(key)
    return true
  }

  update<R extends V | undefined>(key: K, change: (current: V | undefined) => R): R {
    requireFunction('change', change)
    const there = this.getEntry(key)
    const next = change(there?.value)
    requireNoPromise('update()', next)
    if (next !== undefined) this.set(key, this.encode(next), there?.expiresAtMs ?? 0)
    else if (there !== undefined) this.remove(key)
    return next
  }

  getOrInsert(key: K, value: V | (() => V), options: ExpiryOptions = {}): V {
    checkExpiryOptions(options)
    const there = this.get(key)
    if (there !== undefined) return there
    const made = typeof value === 'function' ? (value as () => V)() : value
    requireNoPromise('getOrInsert()', made)
    this.put(key, made, options)
    return made
  }

  increment(key: K, by = 1): number {
    requireFiniteNumber(by)
    return this.update(key, (current) => sum(current ?? 0, by) as V & number)
  }

  rename(from: K, to: K, options: { readonly ifAbsent?: boolean } = {}): boolean {
    const record = this.find(from)
    if (record === undefined) return false
    if (this.nameOf(from) === this.nameOf(to)) return options.ifAbsent !== true
    if (options.ifAbsent === true && this.has(to)) return false
    this.set(to, record.valueBytes, record.expiresAtMs)
    this.remove(from)
    return true
  }

  clear(options: RangeOptions<K> = {}): void {
    for (const record of this.select(options)) this.remove(this.keyOf(record))
  }

  lastEntry(): KeyValueEntry<V, K> | undefined {
    const newest = this.select({}).sort((a, b) => b.sequence - a.sequence)[0]
    return newest === undefined ? undefined : this.entryOf(newest)
  }

  /** @internal */
  encode(value: V): Buffer {
    const bytes = encodeValue(this.codecs.encoding, value)
    return Buffer.from(bytes as Uint8Array)
  }

  /** @internal */
  set(key: K, valueBytes: Buffer, expiresAtMs: number): void {
    const keyBytes = this.bytesOf(key)
    this.#clock.sequence++
    this.#clock.version++
    const { sequence, version } = this.#clock
    const timestampMs = this.#clock.nowMs()
    const record = { keyBytes, valueBytes, version, sequence, timestampMs, expiresAtMs }
    this.records.set(keyBytes.toString('latin1'), record)
  }

  /** @internal */
  remove(key: K): void {
    this.#clock.sequence++
    this.#clock.version++
    this.records.delete(this.nameOf(key))
  }

  /** @internal A keyspace that has these records and changes with nobody. */
  at(timeMs: number, requireOpen: () => void): KeyValueReads<V, K> {
    return new ModelReads<V, K>(new Map(this.records), this.codecs, () => timeMs, requireOpen)
  }

  /** @internal What brings it back to what it is now. */
  saved(): () => void {
    const records = new Map(this.records)
    return () => {
      this.records = records
    }
  }
}

export interface ModelStoreOptions<V = unknown> extends KeyspaceOptions<V> {
  /** Milliseconds since 1970. Default `Date.now`. */
  readonly nowMs?: () => number
}

/** The model of a store. Encodings, conditions, expiry and errors of arguments are those of a store. */
export class ModelStore<V = unknown, K extends StoreKey = string>
  extends ModelKeyspace<V, K>
  implements KeyValueStore<V, K>
{
  readonly #clock: Clock
  readonly #keyspaces = new Map<string, ModelKeyspace<unknown, StoreKey>>()
  readonly #state: { isOpen: boolean }

  constructor({ nowMs = Date.now, ...options }: ModelStoreOptions<V> = {}) {
    requireFunction('option "nowMs"', nowMs)
    checkKeyspaceOptions(options)
    const clock: Clock = { version: 0, sequence: 0, nowMs, timeMs: 0 }
    const state = { isOpen: true }
    super(clock, codecsOf(options as KeyspaceOptions), () => requireOpen(state))
    this.#clock = clock
    this.#state = state
  }

  write(operations: Iterable<KeyValueOperation>): void {
    const all = [...operations]
    this.#wholeOrNot(() => {
      for (const operation of all) {
        const { type, keyspace: name } = operation as { type: unknown; keyspace?: string }
        if (type !== 'put' && type !== 'delete') {
          throw new TypeError(`type of an operation is ${shown(type)}; accepted: "put", "delete"`)
        }
        const keyspace = name === undefined ? this.#asAny() : this.#keyspaceOf(name)
        if (operation.type === 'delete') {
          keyspace.delete(operation.key)
          continue
        }
        const { expiresAtMs, key, ttlMs, value } = operation
        keyspace.put(key, value, {
          ...(ttlMs === undefined ? {} : { ttlMs }),
          ...(expiresAtMs === undefined ? {} : { expiresAtMs }),
        })
      }
    })
  }

  transaction<T>(action: (tx: KeyValueStoreTransaction<V, K>) => T): T {
    requireFunction('action', action)
    return this.#wholeOrNot(() => {
      const result = action(this as unknown as KeyValueStoreTransaction<V, K>)
      requireNoPromise('transaction()', result)
      return result
    })
  }

  keyspace<W = unknown, L extends StoreKey = string>(
    name: string,
    options: KeyspaceOptions<W> = {},
  ): ModelKeyspace<W, L> {
    requireOpen(this.#state)
    checkKeyspaceOptions(options)
    let keyspace = this.#keyspaces.get(name)
    if (keyspace === undefined) {
      const state = this.#state
      keyspace = new ModelKeyspace(this.#clock, codecsOf(options as KeyspaceOptions), () =>
        requireOpen(state),
      )
      this.#keyspaces.set(name, keyspace)
    }
    return keyspace as unknown as ModelKeyspace<W, L>
  }

  keyspaces(): string[] {
    requireOpen(this.#state)
    return [...this.#keyspaces.keys()].sort()
  }

  dropKeyspace(name: string): boolean {
    requireOpen(this.#state)
    return this.#keyspaces.delete(name)
  }

  snapshot(): KeyValueSnapshot<V, K> {
    requireOpen(this.#state)
    const state = { isOpen: true }
    const check = (): void => {
      if (!state.isOpen) throw new StoreError('STORE_CLOSED', 'the snapshot is closed')
      requireOpen(this.#state)
    }
    const timeMs = timeOf(this.#clock)
    const keyspaces = new Map(
      [...this.#keyspaces].map(([name, keyspace]) => [name, keyspace.at(timeMs, check)]),
    )
    const none = new ModelKeyspace<unknown, StoreKey>(this.#clock, codecsOf({}), check)
    const keyspaceOf = (name: string): unknown => {
      check()
      return keyspaces.get(name) ?? none
    }
    return Object.assign(this.at(timeMs, check), {
      keyspace: keyspaceOf as KeyValueSnapshot<V, K>['keyspace'],
      close: () => {
        state.isOpen = false
      },
    })
  }

  close(): void {
    this.#state.isOpen = false
  }

  #wholeOrNot<T>(action: () => T): T {
    const saved = [this.#asAny(), ...this.#keyspaces.values()].map((keyspace) => keyspace.saved())
    const names = new Map(this.#keyspaces)
    try {
      return action()
    } catch (error) {
      for (const restore of saved) restore()
      for (const name of this.#keyspaces.keys()) {
        if (!names.has(name)) this.#keyspaces.delete(name)
      }
      throw error
    }
  }

  #asAny(): ModelKeyspace<unknown, StoreKey> {
    return this as unknown as ModelKeyspace<unknown, StoreKey>
  }

  #keyspaceOf(name: string): ModelKeyspace<unknown, StoreKey> {
    return this.keyspace<unknown, StoreKey>(name)
  }
}

function codecsOf({ encoding = 'msgpack', keyEncoding = 'utf8' }: KeyspaceOptions): Codecs {
  // A store of its own keeps the names of fields once; what a value is decoded to is the same.
  const name = encoding === 'msgpack-shared' ? 'msgpack' : encoding
  return { encoding: name as ValueEncoding<never>, keyEncoding }
}

function requireOpen({ isOpen }: { readonly isOpen: boolean }): void {
  if (!isOpen) throw new StoreError('STORE_CLOSED', 'the store is closed')
}

function timeOf(clock: Clock): number {
  clock.timeMs = Math.max(clock.timeMs, clock.nowMs())
  return clock.timeMs
}

function listOf<T>(items: T[]): T[] & { toArray(): T[] } {
  return Object.assign(items, { toArray: () => [...items] })
}
