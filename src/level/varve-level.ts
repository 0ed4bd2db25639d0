/**
 * A database of abstract-level over one store: its keys and values are bytes there, in the default
 * keyspace. Everything but opening, closing and long reads is done when a method returns; promises
 * are given because abstract-level gives them.
 */
import {
  type AbstractBatchOperation,
  type AbstractBatchOptions,
  type AbstractChainedBatch,
  type AbstractChainedBatchWriteOptions,
  type AbstractDatabaseOptions,
  type AbstractDelOptions,
  AbstractLevel,
  type AbstractOpenOptions,
  type AbstractPutOptions,
} from 'abstract-level'
import { shown } from '../base/shown.js'
import type { StoreOptions } from '../store/options.js'
import { open, type Store } from '../store/store.js'
import { asLevelError, LevelError } from './errors.js'
import { EntryIterator, KeyIterator, ValueIterator } from './iterators.js'
import { type IteratorOptions, RangeSteps } from './range-steps.js'
import { type Data, type LevelRangeOptions, type RecordOperation, Records } from './records.js'
import { LevelSnapshot, momentOf, pinOf } from './snapshot.js'

/** The options of a store that a database hands on; anything else is for other databases. */
const storeOptionNames = [
  'createIfMissing',
  'errorIfExists',
  'lockTimeoutMs',
  'mapping',
  'readOnly',
  'segmentSizeBytes',
  'syncIntervalMs',
] as const

const manifest = {
  encodings: { buffer: true, utf8: true, view: true },
  implicitSnapshots: true,
  explicitSnapshots: true,
  has: true,
  getSync: true,
  seek: true,
  createIfMissing: true,
  errorIfExists: true,
  signals: { iterators: true },
}

type PassedOptions = Omit<StoreOptions, 'encoding' | 'keyEncoding'>

/** As of {@link StoreOptions}; `errorIfExists` and `createIfMissing` are those of abstract-level. */
export interface OpenOptions
  extends AbstractOpenOptions,
    Omit<PassedOptions, 'createIfMissing' | 'errorIfExists'> {}

export interface DatabaseOptions<K, V>
  extends AbstractDatabaseOptions<K, V>,
    Omit<OpenOptions, 'passive'> {}

export interface WriteOptions {
  /** Resolve when the write has reached the medium, not only the page cache. Default false. */
  readonly sync?: boolean | undefined
}

export interface PutOptions<K, V> extends AbstractPutOptions<K, V>, WriteOptions {}
export interface DelOptions<K> extends AbstractDelOptions<K>, WriteOptions {}
export interface BatchOptions<K, V> extends AbstractBatchOptions<K, V>, WriteOptions {}
export interface ChainedBatchWriteOptions extends AbstractChainedBatchWriteOptions, WriteOptions {}

export interface ChainedBatch<TDatabase, K, V> extends AbstractChainedBatch<TDatabase, K, V> {
  write(options?: ChainedBatchWriteOptions): Promise<void>
}

/** What abstract-level adds to the options of a read: formats, and what the caller gave. */
interface ReadOptions {
  readonly valueEncoding?: string
  readonly snapshot?: unknown
}

/** Methods of the base class, with the options that this one knows. */
export interface VarveLevel<KDefault, VDefault> {
  open(options?: OpenOptions): Promise<void>
  put(key: KDefault, value: VDefault): Promise<void>
  put<K = KDefault, V = VDefault>(key: K, value: V, options: PutOptions<K, V>): Promise<void>
  del(key: KDefault): Promise<void>
  del<K = KDefault>(key: K, options: DelOptions<K>): Promise<void>
  batch(operations: AbstractBatchOperation<this, KDefault, VDefault>[]): Promise<void>
  batch<K = KDefault, V = VDefault>(
    operations: AbstractBatchOperation<this, K, V>[],
    options: BatchOptions<K, V>,
  ): Promise<void>
  batch(): ChainedBatch<this, KDefault, VDefault>
}

// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: the interface declares what the base class has
export class VarveLevel<KDefault = string, VDefault = string> extends AbstractLevel<
  Data,
  KDefault,
  VDefault
> {
  /** The directory, or `:memory:`. */
  readonly location: string
  #open: Records | undefined

  constructor(location: string, options?: DatabaseOptions<KDefault, VDefault>) {
    if (typeof location !== 'string' || location === '') {
      throw new TypeError(`location is ${shown(location)}; accepted: a directory, or ":memory:"`)
    }
    super({ ...manifest, permanence: location !== ':memory:' }, options)
    this.location = location
  }

  protected async _open(options: OpenOptions): Promise<void> {
    const passed: Record<string, unknown> = {}
    for (const name of storeOptionNames) passed[name] = options[name]
    let store: Store<Uint8Array, Uint8Array> | undefined
    try {
      store = open(this.location, {
        ...(passed as PassedOptions),
        encoding: 'binary',
        keyEncoding: 'binary',
      })
      const records = new Records(store)
      records.register()
      this.#open = records
    } catch (error) {
      await store?.close()
      throw asLevelError(error)
    }
  }

  /** Where the last sync fails the store is closed all the same: a second call finds nothing to do. */
  protected async _close(): Promise<void> {
    const records = this.#open
    this.#open = undefined
    await records?.close()
  }

  get #records(): Records {
    if (this.#open !== undefined) return this.#open
    throw new LevelError('LEVEL_DATABASE_NOT_OPEN', 'Database is not open')
  }

  protected async _get(key: Data, options: ReadOptions): Promise<Data | undefined> {
    return this._getSync(key, options)
  }

  protected _getSync(key: Data, options: ReadOptions): Data | undefined {
    const records = this.#records
    const moment = momentOf(records.engine, options.snapshot)
    return records.get(key, options.valueEncoding === 'utf8', moment)
  }

  protected async _getMany(
    keys: readonly Data[],
    options: ReadOptions,
  ): Promise<(Data | undefined)[]> {
    const records = this.#records
    const moment = momentOf(records.engine, options.snapshot)
    const isText = options.valueEncoding === 'utf8'
    return keys.map((key) => records.get(key, isText, moment))
  }

  protected async _has(key: Data, options: ReadOptions): Promise<boolean> {
    const records = this.#records
    return records.has(key, momentOf(records.engine, options.snapshot))
  }

  protected async _hasMany(keys: readonly Data[], options: ReadOptions): Promise<boolean[]> {
    const records = this.#records
    const moment = momentOf(records.engine, options.snapshot)
    return keys.map((key) => records.has(key, moment))
  }

  protected async _put(key: Data, value: Data, options: WriteOptions): Promise<void> {
    const records = this.#records
    records.put(key, value)
    if (options.sync === true) await records.sync()
  }

  protected async _del(key: Data, options: WriteOptions): Promise<void> {
    const records = this.#records
    records.remove(key)
    if (options.sync === true) await records.sync()
  }

  protected async _batch(
    operations: readonly RecordOperation[],
    options: WriteOptions,
  ): Promise<void> {
    const records = this.#records
    records.write(operations)
    if (options.sync === true) await records.sync()
  }

  protected async _clear(options: LevelRangeOptions & ReadOptions): Promise<void> {
    const records = this.#records
    const clearing = records.clear(options, momentOf(records.engine, options.snapshot))
    // Closing waits for its resources: for the rest of this, too.
    const settled = clearing.then(nothing, nothing)
    const resource = { close: () => settled, [Symbol.asyncDispose]: () => settled }
    this.attachResource(resource)
    try {
      await clearing
    } finally {
      this.detachResource(resource)
    }
  }

  protected _iterator(options: IteratorOptions): EntryIterator {
    const steps = new RangeSteps(this.#records, 'entries', options)
    return new EntryIterator(this.#asAny(), options, steps)
  }

  protected _keys(options: IteratorOptions): KeyIterator {
    const steps = new RangeSteps(this.#records, 'keys', options)
    return new KeyIterator(this.#asAny(), options, steps)
  }

  protected _values(options: IteratorOptions): ValueIterator {
    const steps = new RangeSteps(this.#records, 'values', options)
    return new ValueIterator(this.#asAny(), options, steps)
  }

  protected _snapshot(options: {
    readonly owner: AbstractLevel<unknown, unknown, unknown>
  }): LevelSnapshot {
    return new LevelSnapshot(pinOf(this.#records.engine), options)
  }

  #asAny(): AbstractLevel<Data, unknown, unknown> {
    return this as unknown as AbstractLevel<Data, unknown, unknown>
  }
}

const nothing = (): undefined => undefined
