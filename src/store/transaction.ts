/**
 * What the function given to `store.transaction` works with: the store as it is, with what the
 * transaction has written so far before it. Writes are kept in memory until the function has returned.
 */
import { StoreError } from '../base/errors.js'
import type { BatchDraft } from '../engine/batch-draft.js'
import type { Engine } from '../engine/engine.js'
import { writeBatchHeld } from '../engine/write-batch.js'
import { noExpiry } from '../log/expiry-table.js'
import { decodeValueOf, type StoreKey, setKey } from './encoding.js'
import type { StoreEntry } from './entry.js'
import type { Keyspace } from './keyspace.js'
import { draftOperation, type OperationDraft } from './operation-draft.js'
import {
  checkDeleteOptions,
  checkPutOptions,
  type DeleteOptions,
  type PutOptions,
} from './options.js'
import { requireFiniteNumber, requireFunction, requireNoPromise, sum } from './read-modify-write.js'

/** So many operations are looked through for a key one by one; of more there is a map. */
const fewOperationsMax = 24

/** What a transaction has written, in all keyspaces. */
class Writes {
  readonly engine: Engine
  readonly draft: BatchDraft
  readonly operations: OperationDraft[] = []
  isOpen = true

  constructor(engine: Engine, draft: BatchDraft) {
    this.engine = engine
    this.draft = draft
  }

  requireOpen(): void {
    if (this.isOpen) return
    throw new StoreError(
      'STORE_CLOSED',
      'the transaction is over; it ends when its function returns',
    )
  }
}

/** In place of a place: the transaction has done nothing to the key. */
const noPlace = -1

/** The version and the sequence of what is not committed yet. */
const notCommitted = 0

/** One keyspace, as a transaction sees it. */
export class TransactionKeyspace<V = unknown, K extends StoreKey = string> {
  protected readonly writes: Writes
  protected readonly source: Keyspace<V, K>
  /** Places of the keyspace's operations among those of the transaction, by key: once they are many. */
  #places: Map<string, number> | undefined

  /** @internal */
  constructor(writes: Writes, source: Keyspace<V, K>) {
    this.writes = writes
    this.source = source
  }

  /** As in the store, with what this transaction has put and deleted. */
  get(key: K): V | undefined {
    const own = this.#own(key)
    return own === undefined ? this.source.get(key) : this.#decode(key, own)
  }

  has(key: K): boolean {
    const own = this.#own(key)
    return own === undefined ? this.source.has(key) : this.#isThere(own)
  }

  /** `version` and `sequence` of what the transaction has put itself are 0 until it is committed. */
  getEntry(key: K): StoreEntry<V, K> | undefined {
    const own = this.#own(key)
    if (own === undefined) return this.source.getEntry(key)
    if (!this.#isThere(own)) return undefined
    const { expiresAtMs } = own
    return {
      key,
      value: this.#decode(key, own) as V,
      version: notCommitted,
      sequence: notCommitted,
      timestampMs: this.writes.engine.clock.nowMs(),
      ...(expiresAtMs === noExpiry ? {} : { expiresAtMs }),
      sizeBytes: notCommitted,
    }
  }

  /** As `put` of the store; written when the transaction is committed. */
  put(key: K, value: V, options?: PutOptions): boolean {
    this.writes.requireOpen()
    if (value === undefined) {
      throw new TypeError('value is undefined; delete(key) removes a key, null can be stored')
    }
    let expiresAtMs = noExpiry
    if (options !== undefined) {
      checkPutOptions(options)
      expiresAtMs = this.source.expiryOf(options)
      if (options.ifAbsent === true && this.has(key)) return false
      if (options.ifVersion !== undefined && !this.#hasVersion(key, options.ifVersion)) return false
    }
    this.#write(key, value, expiresAtMs)
    return true
  }

  /** True where the key was there (and had the version asked for), for this transaction. */
  delete(key: K, options?: DeleteOptions): boolean {
    this.writes.requireOpen()
    if (options !== undefined) checkDeleteOptions(options)
    const version = options?.ifVersion
    if (version === undefined ? !this.has(key) : !this.#hasVersion(key, version)) return false
    this.#write(key, undefined, noExpiry)
    return true
  }

  /** As `update` of the store. */
  update<R extends V | undefined>(key: K, change: (current: V | undefined) => R): R {
    requireFunction('change', change)
    this.writes.requireOpen()
    const entry = this.getEntry(key)
    const next = change(entry?.value)
    requireNoPromise('update()', next)
    if (next !== undefined) this.#write(key, next, entry?.expiresAtMs ?? noExpiry)
    else if (entry !== undefined) this.#write(key, undefined, noExpiry)
    return next
  }

  /** As `getOrInsert` of the store. */
  getOrInsert(key: K, value: V | (() => V)): V {
    this.writes.requireOpen()
    const there = this.get(key)
    if (there !== undefined) return there
    const made = typeof value === 'function' ? (value as () => V)() : value
    requireNoPromise('getOrInsert()', made)
    this.put(key, made)
    return made
  }

  /** As `increment` of the store. */
  increment(key: K, by = 1): number {
    requireFiniteNumber(by)
    return this.update(key, (current) => sum(current ?? 0, by) as V & number)
  }

  #hasVersion(key: K, version: number): boolean {
    return this.getEntry(key)?.version === version
  }

  #isThere(own: OperationDraft): boolean {
    return own.type === 'put' && !this.source.isPast(own.expiresAtMs)
  }

  #decode(key: K, own: OperationDraft): V | undefined {
    if (!this.#isThere(own)) return undefined
    const { value, valueSizeBytes, valueStart } = own
    const { encoding } = this.source.codecs
    if (typeof value === 'string' && encoding === 'utf8') return value as V
    const bytes =
      value === undefined
        ? this.writes.draft.copyValue(valueStart, valueSizeBytes)
        : Buffer.from(value as string)
    return decodeValueOf(encoding, key, bytes) as V
  }

  /** What the transaction has done to the key so far. */
  #own(key: K): OperationDraft | undefined {
    this.writes.requireOpen()
    const { engine, operations } = this.writes
    if (operations.length === 0) return undefined
    setKey(engine.key, this.source.codecs.keyEncoding, key)
    const place = this.#placeOfKey(key)
    return place === noPlace ? undefined : operations[place]
  }

  #write(key: K, value: V | undefined, expiresAtMs: number): void {
    const { draft, engine, operations } = this.writes
    const source = this.source as unknown as Keyspace<unknown, StoreKey>
    const operation = draftOperation(engine, source, key, value, expiresAtMs, draft)
    const place = this.#placeOfKey(key)
    if (place !== noPlace) {
      operations[place] = operation
    } else {
      this.#places?.set(this.#nameOf(key), operations.length)
      operations.push(operation)
    }
  }

  /** Where the operation on the key at hand is, which is `key`. */
  #placeOfKey(key: K): number {
    const { operations } = this.writes
    if (operations.length <= fewOperationsMax) return this.#placeAmongFew(operations)
    this.#places ??= this.#mapPlaces(operations)
    return this.#places.get(this.#nameOf(key)) ?? noPlace
  }

  #placeAmongFew(operations: readonly OperationDraft[]): number {
    const { draft, engine } = this.writes
    const source: unknown = this.source
    for (let place = 0; place < operations.length; place++) {
      const { keySizeBytes, keyspace, keyStart } = operations[place]
      if (keyspace === source && draft.hasKey(keyStart, keySizeBytes, engine.key)) return place
    }
    return noPlace
  }

  #mapPlaces(operations: readonly OperationDraft[]): Map<string, number> {
    const { draft } = this.writes
    const places = new Map<string, number>()
    operations.forEach(({ keySizeBytes, keyspace, keyStart }, place) => {
      if ((keyspace as unknown) !== this.source) return
      places.set(draft.keyText(keyStart, keySizeBytes, this.#nameEncoding), place)
    })
    return places
  }

  /** The key at hand, which is `key`, as text: of two keys with the same bytes, the same. */
  #nameOf(key: K): string {
    if (this.#nameEncoding === 'utf8') return key as string
    const { bytes, sizeBytes } = this.writes.engine.key
    return bytes.toString(this.#nameEncoding, 0, sizeBytes)
  }

  get #nameEncoding(): 'utf8' | 'latin1' {
    return this.source.codecs.keyEncoding === 'utf8' ? 'utf8' : 'latin1'
  }
}

/** Given to the function of `store.transaction`; of no use when that has returned. */
export class Transaction<V = unknown, K extends StoreKey = string> extends TransactionKeyspace<
  V,
  K
> {
  readonly #keyspaceOf: (name: string) => Keyspace<unknown, StoreKey>
  #keyspaces: Map<string, TransactionKeyspace<unknown, StoreKey>> | undefined

  /** @internal */
  constructor(
    engine: Engine,
    draft: BatchDraft,
    source: Keyspace<V, K>,
    keyspaceOf: (name: string) => Keyspace<unknown, StoreKey>,
  ) {
    super(new Writes(engine, draft), source)
    this.#keyspaceOf = keyspaceOf
  }

  /** Another keyspace within the transaction; it is made at the commit where it does not exist. */
  keyspace<W = unknown, L extends StoreKey = string>(name: string): TransactionKeyspace<W, L> {
    this.writes.requireOpen()
    this.#keyspaces ??= new Map()
    const known = this.#keyspaces.get(name)
    if (known !== undefined) return known as unknown as TransactionKeyspace<W, L>
    const made = new TransactionKeyspace(this.writes, this.#keyspaceOf(name))
    this.#keyspaces.set(name, made)
    return made as unknown as TransactionKeyspace<W, L>
  }

  /** @internal With the writer's word in hand. True where something was written. */
  commit(): boolean {
    const { draft, engine, operations } = this.writes
    if (operations.length === 0) return false
    for (const operation of operations) operation.keyspaceId = operation.keyspace.idToWrite()
    // Once more: making the last of them may have moved it.
    for (const operation of operations) operation.keyspaceId = operation.keyspace.idToWrite()
    writeBatchHeld(engine, operations, draft)
    return true
  }

  /** @internal */
  end(): void {
    this.writes.isOpen = false
  }
}
