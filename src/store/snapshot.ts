/** A snapshot: the store, in all its keyspaces, as it was at one moment. */
import type { Writable } from 'node:stream'
import { StoreError } from '../base/errors.js'
import { shown } from '../base/shown.js'
import { unwatchPin, watchPin } from '../engine/abandoned.js'
import type { Engine } from '../engine/engine.js'
import {
  defaultKeyspaceId,
  defaultKeyspaceName,
  type KeyspaceRegistry,
} from '../engine/keyspaces.js'
import {
  closeSnapshot,
  getBytesAt,
  getRecordAt,
  hasAt,
  type Moment,
  openSnapshot,
  snapshotTime,
} from '../engine/snapshot.js'
import { readRegistryAt } from '../engine/snapshot-keyspaces.js'
import {
  decodeValueOf,
  encodingName,
  type KeyEncoding,
  type StoreKey,
  setKey,
  type ValueEncoding,
} from './encoding.js'
import { entryOf, type StoreEntry } from './entry.js'
import { exportSnapshot } from './export.js'
import { Keyspace } from './keyspace.js'
import { codecOf, type Encodings } from './keyspace-encodings.js'
import { Lazy } from './lazy.js'
import {
  countRangeOf,
  keySteps,
  type RangeOptions,
  type RangeSource,
  RangeSteps,
  resolveRange,
} from './range.js'
import { keysOf } from './read-many.js'

/** What a snapshot pins; shared by its views of several keyspaces. */
export class Pin implements Moment {
  readonly engine: Engine
  readonly sequence: number
  readonly timeMs: number
  #isOpen = true
  #registry: KeyspaceRegistry | undefined

  constructor(engine: Engine) {
    this.engine = engine
    this.sequence = openSnapshot(engine)
    this.timeMs = snapshotTime(engine)
    const words = `a snapshot of ${engine.directory} was never closed; it held back space until it was collected as garbage`
    watchPin(this, engine, this.sequence, words)
  }

  /** The keyspaces that there were. */
  get registry(): KeyspaceRegistry {
    this.#registry ??= readRegistryAt(this.engine, this)
    return this.#registry
  }

  requireOpen(): void {
    if (!this.#isOpen) throw new StoreError('STORE_CLOSED', 'the snapshot is closed')
    this.engine.requireOpen()
  }

  close(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    unwatchPin(this)
    closeSnapshot(this.engine, this.sequence)
  }
}

/** Of a keyspace that did not exist yet: no record has it. */
const noKeyspaceId = -1

/** One keyspace as a snapshot shows it. */
export class KeyspaceSnapshot<V = unknown, K extends StoreKey = string> {
  protected readonly pin: Pin
  readonly #encoding: ValueEncoding<never>
  readonly #keyEncoding: KeyEncoding
  readonly #id: number

  /** @internal */
  constructor(pin: Pin, id: number, codecs: Encodings) {
    this.pin = pin
    this.#id = id
    this.#encoding = codecs.encoding
    this.#keyEncoding = codecs.keyEncoding
  }

  /** The order of commits that it shows: everything up to this one, and nothing after. */
  get sequence(): number {
    return this.pin.sequence
  }

  get(key: K): V | undefined {
    this.#setKey(key)
    const bytes = getBytesAt(this.pin.engine, this.#id, this.pin)
    return bytes === undefined ? undefined : (decodeValueOf(this.#encoding, key, bytes) as V)
  }

  getMany(keys: Iterable<K>): (V | undefined)[] {
    this.pin.requireOpen()
    return keysOf(keys).map((key) => this.get(key))
  }

  has(key: K): boolean {
    this.#setKey(key)
    return hasAt(this.pin.engine, this.#id, this.pin)
  }

  getEntry(key: K): StoreEntry<V, K> | undefined {
    this.#setKey(key)
    const record = getRecordAt(this.pin.engine, this.#id, this.pin)
    return record === undefined ? undefined : entryOf<V, K>(this.#encoding, key, record)
  }

  range(options: RangeOptions<K> = {}): Lazy<[K, V]> {
    return new Lazy(() => new RangeSteps<[K, V]>(this.#source(), this.#range(options), 'entries'))
  }

  keys(options: RangeOptions<K> = {}): Lazy<K> {
    return new Lazy(() => keySteps<K>(this.#source(), this.#range(options)))
  }

  values(options: RangeOptions<K> = {}): Lazy<V> {
    return new Lazy(() => new RangeSteps<V>(this.#source(), this.#range(options), 'values'))
  }

  /** Keys, or those of a range. Cost: O(keys counted). */
  count(options: RangeOptions<K> = {}): number {
    return countRangeOf(this.#source(), this.#range(options))
  }

  #setKey(key: K): void {
    this.pin.requireOpen()
    setKey(this.pin.engine.key, this.#keyEncoding, key)
  }

  #range(options: RangeOptions<K>): ReturnType<typeof resolveRange> {
    const { key } = this.pin.engine
    const range = resolveRange(key, this.#id, this.#keyEncoding, options as RangeOptions)
    return this.#id === noKeyspaceId ? { ...range, limit: 0 } : range
  }

  #source(): RangeSource {
    this.pin.requireOpen()
    return {
      engine: this.pin.engine,
      keyspaceId: this.#id,
      encoding: this.#encoding,
      keyEncoding: this.#keyEncoding,
      moment: this.pin,
      snapshot: this.pin,
    }
  }
}

/**
 * Made by {@link Store.snapshot}. It holds back what it needs until it is closed: space of records
 * that were replaced or deleted since.
 */
export class Snapshot<V = unknown, K extends StoreKey = string> extends KeyspaceSnapshot<V, K> {
  /** @internal */
  constructor(pin: Pin, codecs: Encodings) {
    super(pin, defaultKeyspaceId, codecs)
  }

  /** The names of the keyspaces that there were, but the default one, sorted. */
  keyspaces(): string[] {
    this.pin.requireOpen()
    return Object.keys(this.pin.registry.keyspaces)
      .filter((name) => name !== defaultKeyspaceName)
      .sort()
  }

  /**
   * Another keyspace at the same moment, also one that was dropped since: by its name, or by its
   * handle, which brings an encoding of one's own. Empty where it did not exist.
   *
   * @throws TypeError where the encodings of the handle are not those that it had.
   */
  keyspace<W = unknown, L extends StoreKey = string>(
    keyspace: Keyspace<W, L> | string,
  ): KeyspaceSnapshot<W, L> {
    this.pin.requireOpen()
    const name = keyspace instanceof Keyspace ? keyspace.name : keyspace
    if (typeof name !== 'string') {
      throw new TypeError(`a keyspace is ${shown(name)}; accepted: its name, or its handle`)
    }
    const entry = this.pin.registry.keyspaces[name]
    const codecs = keyspace instanceof Keyspace ? keyspace.codecs : entry
    if (entry === undefined) {
      const none: Encodings = { encoding: 'msgpack', keyEncoding: 'utf8' }
      return new KeyspaceSnapshot(this.pin, noKeyspaceId, (codecs as Encodings) ?? none)
    }
    const { encoding, keyEncoding } = codecs as Encodings
    if (encodingName(encoding) !== entry.encoding || keyEncoding !== entry.keyEncoding) {
      throw new TypeError(
        `keyspace ${shown(name)} had the encodings "${entry.encoding}" and "${entry.keyEncoding}" then; this handle has others`,
      )
    }
    if ((encoding as string) === 'custom') {
      throw new TypeError(
        `keyspace ${shown(name)} was written with an encoding of its own; accepted: its handle`,
      )
    }
    const codec = codecOf(this.pin.engine, encoding)
    return new KeyspaceSnapshot(this.pin, entry.id, { encoding: codec, keyEncoding })
  }

  /**
   * Writes all keyspaces as a portable stream with checksums, which {@link Store.import} reads. Ends the
   * stream, and resolves when it has taken everything; waits where it is slow.
   *
   * @throws what the stream fails with; StoreError `STORE_CLOSED` where the snapshot is closed meanwhile.
   */
  async export(writable: Writable): Promise<void> {
    await exportSnapshot(this.pin, writable)
  }

  /** Idempotent. Reads throw `STORE_CLOSED` from then on. */
  close(): void {
    this.pin.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }
}
