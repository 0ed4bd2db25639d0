/**
 * The part of a store's API that the conformance suite tests and the model has: points, batches, ranges,
 * snapshots, counts, expiry, transactions, keyspaces. A `Store` is one, and so may be what somebody else
 * makes in front of one.
 */
import type { StoreKey } from '../store/encoding.js'
import type { DeleteOptions, ExpiryOptions, KeyspaceOptions, PutOptions } from '../store/options.js'
import type { RangeOptions } from '../store/range.js'

export interface KeyValueEntry<V, K> {
  readonly key: K
  readonly value: V
  readonly version: number
  readonly sequence: number
  readonly timestampMs: number
  readonly expiresAtMs?: number
}

export interface KeyValueList<T> extends Iterable<T> {
  toArray(): T[]
}

export interface KeyValueReads<V, K extends StoreKey> {
  get(key: K): V | undefined
  getMany(keys: Iterable<K>): (V | undefined)[]
  has(key: K): boolean
  getEntry(key: K): KeyValueEntry<V, K> | undefined
  range(options?: RangeOptions<K>): KeyValueList<[K, V]>
  keys(options?: RangeOptions<K>): KeyValueList<K>
  values(options?: RangeOptions<K>): KeyValueList<V>
  count(options?: RangeOptions<K>): number
}

export interface KeyValueSnapshot<V, K extends StoreKey> extends KeyValueReads<V, K> {
  keyspace<W = unknown, L extends StoreKey = string>(name: string): KeyValueReads<W, L>
  close(): void
}

/** What the function of a transaction works with. */
export interface KeyValueTransaction<V, K extends StoreKey> {
  get(key: K): V | undefined
  has(key: K): boolean
  put(key: K, value: V, options?: PutOptions): boolean
  delete(key: K, options?: DeleteOptions): boolean
  update<R extends V | undefined>(key: K, change: (current: V | undefined) => R): R
  getOrInsert(key: K, value: V | (() => V)): V
  increment(key: K, by?: number): number
}

/** Of a store: also of its other keyspaces. */
export interface KeyValueStoreTransaction<V, K extends StoreKey> extends KeyValueTransaction<V, K> {
  keyspace<W = unknown, L extends StoreKey = string>(name: string): KeyValueTransaction<W, L>
}

export interface KeyValueKeyspace<V, K extends StoreKey> extends KeyValueReads<V, K> {
  put(key: K, value: V, options?: PutOptions): boolean
  delete(key: K, options?: DeleteOptions): boolean
  update<R extends V | undefined>(key: K, change: (current: V | undefined) => R): R
  getOrInsert(key: K, value: V | (() => V), options?: ExpiryOptions): V
  increment(key: K, by?: number): number
  rename(from: K, to: K, options?: { readonly ifAbsent?: boolean }): boolean
  clear(options?: RangeOptions<K>): void
  lastEntry(): KeyValueEntry<V, K> | undefined
}

/** An operation of `write`. */
export type KeyValueOperation =
  | ({
      readonly type: 'put'
      readonly key: StoreKey
      readonly value: unknown
      readonly keyspace?: string
    } & ExpiryOptions)
  | { readonly type: 'delete'; readonly key: StoreKey; readonly keyspace?: string }

export interface KeyValueStore<V, K extends StoreKey> extends KeyValueKeyspace<V, K> {
  write(operations: Iterable<KeyValueOperation>): void
  transaction<T>(action: (tx: KeyValueStoreTransaction<V, K>) => T): T
  keyspace<W = unknown, L extends StoreKey = string>(
    name: string,
    options?: KeyspaceOptions<W>,
  ): KeyValueKeyspace<W, L>
  keyspaces(): string[]
  dropKeyspace(name: string): boolean
  snapshot(): KeyValueSnapshot<V, K>
  close(): void | Promise<void>
}
