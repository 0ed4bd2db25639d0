/** A snapshot: the store, in all its keyspaces, as it was at one moment. */
import { StoreError } from '../base/errors.js'
import type { Engine } from '../engine/engine.js'
import { closeSnapshot, findAt, getBytesAt, getRecordAt, openSnapshot } from '../engine/snapshot.js'
import { type StoreKey, setKey } from './encoding.js'
import type { Keyspace, StoreEntry } from './keyspace.js'
import { Lazy } from './lazy.js'
import {
  countRangeOf,
  type RangeOptions,
  type RangeSource,
  RangeSteps,
  resolveRange,
} from './range.js'

/** What a snapshot pins; shared by its views of several keyspaces. */
export class Pin {
  readonly engine: Engine
  readonly sequence: number
  #isOpen = true

  constructor(engine: Engine) {
    this.engine = engine
    this.sequence = openSnapshot(engine)
  }

  requireOpen(): void {
    if (!this.#isOpen) throw new StoreError('STORE_CLOSED', 'the snapshot is closed')
    this.engine.requireOpen()
  }

  close(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    closeSnapshot(this.engine, this.sequence)
  }
}

/** One keyspace as a snapshot shows it. */
export class KeyspaceSnapshot<V = unknown, K extends StoreKey = string> {
  protected readonly pin: Pin
  readonly #keyspace: Keyspace<V, K>

  /** @internal */
  constructor(pin: Pin, keyspace: Keyspace<V, K>) {
    this.pin = pin
    this.#keyspace = keyspace
  }

  /** The order of commits that it shows: everything up to this one, and nothing after. */
  get sequence(): number {
    return this.pin.sequence
  }

  get(key: K): V | undefined {
    const { engine, keyspaceId } = this.#source()
    this.#setKey(key)
    const bytes = getBytesAt(engine, keyspaceId, this.pin.sequence)
    return bytes === undefined ? undefined : this.#keyspace.decodeValue(key, bytes)
  }

  getMany(keys: Iterable<K>): (V | undefined)[] {
    return Array.from(keys, (key) => this.get(key))
  }

  has(key: K): boolean {
    const { engine, keyspaceId } = this.#source()
    this.#setKey(key)
    return findAt(engine, keyspaceId, this.pin.sequence)
  }

  getEntry(key: K): StoreEntry<V, K> | undefined {
    const { engine, keyspaceId } = this.#source()
    this.#setKey(key)
    const record = getRecordAt(engine, keyspaceId, this.pin.sequence)
    return record === undefined ? undefined : this.#keyspace.entryOf(key, record)
  }

  range(options: RangeOptions<K> = {}): Lazy<[K, V]> {
    return new Lazy(() => new RangeSteps<[K, V]>(this.#source(), this.#range(options), 'entries'))
  }

  keys(options: RangeOptions<K> = {}): Lazy<K> {
    return new Lazy(() => new RangeSteps<K>(this.#source(), this.#range(options), 'keys'))
  }

  values(options: RangeOptions<K> = {}): Lazy<V> {
    return new Lazy(() => new RangeSteps<V>(this.#source(), this.#range(options), 'values'))
  }

  /** Keys, or those of a range. Cost: O(keys counted). */
  count(options: RangeOptions<K> = {}): number {
    return countRangeOf(this.#source(), this.#range(options))
  }

  #setKey(key: K): void {
    setKey(this.pin.engine.key, this.#keyspace.encodings.keyEncoding, key)
  }

  #range(options: RangeOptions<K>): ReturnType<typeof resolveRange> {
    const { engine, keyEncoding, keyspaceId } = this.#source()
    return resolveRange(engine.key, keyspaceId, keyEncoding, options as RangeOptions)
  }

  #source(): RangeSource {
    this.pin.requireOpen()
    return { ...this.#keyspace.rangeSource(), sequence: this.pin.sequence }
  }
}

/**
 * Made by {@link Store.snapshot}. It holds back what it needs until it is closed: space of records
 * that were replaced or deleted since.
 */
export class Snapshot<V = unknown, K extends StoreKey = string> extends KeyspaceSnapshot<V, K> {
  /** Another keyspace at the same moment. */
  keyspace<W = unknown, L extends StoreKey = string>(
    keyspace: Keyspace<W, L>,
  ): KeyspaceSnapshot<W, L> {
    this.pin.requireOpen()
    return new KeyspaceSnapshot(this.pin, keyspace)
  }

  /** Idempotent. Reads throw `STORE_CLOSED` from then on. */
  close(): void {
    this.pin.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }
}
