/**
 * A keyspace: the reads and writes of a store, by its own encodings, on its own keys. Validates and
 * encodes arguments and calls the engine; nothing is decided here.
 */
import type { Readable } from 'node:stream'
import { StoreError } from '../base/errors.js'
import { shown } from '../base/shown.js'
import { remove } from '../engine/delete.js'
import type { Engine } from '../engine/engine.js'
import { getRecord } from '../engine/get-entry.js'
import {
  createKeyspace,
  defaultKeyspaceId,
  defaultKeyspaceName,
  readRegistry,
} from '../engine/keyspaces.js'
import { absent, anyVersion, put } from '../engine/put.js'
import { getBytes, getInto, getText, has } from '../engine/read.js'
import { openValue } from '../engine/value-source.js'
import * as layout from '../format/control-layout.js'
import { noExpiry } from '../log/expiry-table.js'
import { bringInKeys, ownKey } from './cold-reads.js'
import {
  decodeValueOf,
  encodeValue,
  encodingName,
  type KeyEncoding,
  type StoreKey,
  setKey,
  type ValueEncoding,
} from './encoding.js'
import { entryOf, type StoreEntry } from './entry.js'
import { type Encodings, requireSame, resolveEncodings } from './keyspace-encodings.js'
import { KeyspaceRanges } from './keyspace-ranges.js'
import {
  checkDeleteOptions,
  checkPutOptions,
  checkReadStreamOptions,
  checkWriteStreamOptions,
  type DeleteOptions,
  type PutOptions,
  type ReadStreamOptions,
  type WriteStreamOptions,
} from './options.js'
import type { RangeSource } from './range.js'
import { keysOf, readMany } from './read-many.js'
import { streamOf } from './read-stream.js'
import { takeViewType, type ViewType, viewAs } from './view.js'
import { type ValueSource, writeStream } from './write-stream.js'

export class Keyspace<V = unknown, K extends StoreKey = string> extends KeyspaceRanges<V, K> {
  /** '' for the default keyspace. */
  readonly name: string
  protected readonly engine: Engine
  /** @internal What keys and values are encoded with; also of a keyspace that was dropped. */
  readonly codecs: Encodings
  readonly #encoding: ValueEncoding<never>
  readonly #keyEncoding: KeyEncoding
  #id: number
  #isRegistered: boolean
  /** The registry's generation for which `#id` is known to be right. */
  #generation: number

  /** @internal Use `open` and `store.keyspace`. */
  constructor(
    engine: Engine,
    name: string,
    wanted: {
      readonly encoding: ValueEncoding<unknown> | undefined
      readonly keyEncoding: KeyEncoding | undefined
    },
  ) {
    super()
    const registered = readRegistry(engine).keyspaces[name]
    const encodings = resolveEncodings(engine, name, registered, wanted)
    this.engine = engine
    this.name = name
    this.codecs = encodings
    this.#encoding = encodings.encoding
    this.#keyEncoding = encodings.keyEncoding
    this.#isRegistered = registered !== undefined
    this.#id = registered?.id ?? defaultKeyspaceId
    this.#generation = generationOf(engine)
    if (registered === undefined && name !== defaultKeyspaceName && engine.isReadOnly) {
      throw new StoreError('STORE_NOT_FOUND', `there is no keyspace ${shown(name)} in the store`)
    }
  }

  /**
   * The value of `key`, or undefined where it is missing. With the encoding `'binary'` a Buffer that
   * the caller owns.
   *
   * Cost: two cache misses and a copy.
   * @throws StoreError `STORE_CLOSED`; `STORE_CORRUPT` (with `details.key`) where the bytes cannot be
   * decoded: the record stays as it is.
   */
  get(key: K): V | undefined {
    const id = this.#idNow()
    setKey(this.engine.key, this.#keyEncoding, key)
    if (this.#encoding === 'binary') return getBytes(this.engine, id) as V | undefined
    if (this.#encoding === 'utf8') return getText(this.engine, id) as V | undefined
    return this.#decodeAt(key, id)
  }

  /**
   * The values of `keys` in their order, undefined in the place of a missing key.
   *
   * Cost: half of as many `get`s of keys far from each other, because the cache misses of 64 keys overlap.
   * Values of up to 1 KiB may share memory, up to 8 KiB of it, as those of `Buffer.allocUnsafe` do.
   */
  getMany(keys: Iterable<K>): (V | undefined)[] {
    this.engine.requireOpen()
    // Before any key is at hand.
    const all = keysOf(keys)
    const id = this.#idNow()
    return readMany(this.engine, id, this.codecs, all) as (V | undefined)[]
  }

  /**
   * As {@link get}; what is not in memory is read off the event loop first, which goes on meanwhile. The
   * value is that of the moment when it resolves.
   *
   * Cost: some microseconds more than `get` where everything is in memory. A store that is not mapped
   * has everything there.
   * @throws as `get`; and where the medium fails what it failed with.
   */
  async getAsync(key: K): Promise<V | undefined> {
    const own = ownKey(key)
    await this.#bringIn([own])
    return this.get(own)
  }

  /** As {@link getMany}, in the way of {@link getAsync}. */
  async getManyAsync(keys: Iterable<K>): Promise<(V | undefined)[]> {
    const own = keysOf(keys).map(ownKey)
    await this.#bringIn(own)
    return this.getMany(own)
  }

  /**
   * Brings the records of `keys` into memory off the event loop, for the synchronous reads that follow.
   * Missing keys are no error. How long it stays there is the page cache's to decide.
   *
   * Cost: 2 microseconds for each key that is in memory, and the medium's time for each that is not.
   */
  async prefetch(keys: Iterable<K>): Promise<void> {
    await this.#bringIn(keysOf(keys).map(ownKey))
  }

  #bringIn(keys: readonly K[]): Promise<void> {
    const id = this.#idNow()
    return bringInKeys(this.engine, id, this.#keyEncoding, keys)
  }

  has(key: K): boolean {
    const id = this.#idNow()
    setKey(this.engine.key, this.#keyEncoding, key)
    return has(this.engine, id)
  }

  /** The value with version, sequence, time and size of its record, or undefined. */
  getEntry(key: K): StoreEntry<V, K> | undefined {
    const id = this.#idNow()
    setKey(this.engine.key, this.#keyEncoding, key)
    const record = getRecord(this.engine, id)
    return record === undefined ? undefined : entryOf<V, K>(this.#encoding, key, record)
  }

  /**
   * Copies the bytes of the value, not decoded, into `target` from `offset`, and returns their
   * number, or -1 where the key is missing. Allocates nothing that lasts.
   *
   * @throws RangeError where they do not fit; `target` is then as it was.
   */
  getInto(key: K, target: Uint8Array, offset = 0): number {
    if (!(target instanceof Uint8Array)) {
      throw new TypeError(`target is ${shown(target)}; accepted: a Buffer or Uint8Array`)
    }
    if (!(Number.isInteger(offset) && offset >= 0 && offset <= target.byteLength)) {
      throw new RangeError(`offset is ${shown(offset)}; accepted: 0 to ${target.byteLength}`)
    }
    const id = this.#idNow()
    setKey(this.engine.key, this.#keyEncoding, key)
    return getInto(this.engine, id, target, offset)
  }

  /**
   * The bytes of the value, not decoded, as a typed array, `DataView` or `Buffer` over the memory that
   * they lie in: nothing is copied. They begin at a multiple of 64 bytes. Undefined where the key is
   * missing.
   *
   * For reading only. It shows the value as it was when it was asked for, for as long as it is held:
   * updates, compaction and `close()` change nothing of it. What it holds in memory is the page cache's.
   * A write to it changes no store and what other views of this thread show. Cloning it
   * (`structuredClone`, `postMessage`) copies up to 8 MiB around it: clone a `slice()`.
   *
   * A value below 512 bytes is copied, and so is one of a store that is not mapped, that is open
   * without the right to write to its directory, or that was written before views were there.
   *
   * Cost: as `has`, and a typed array. The first view of a value that was written since the last sync
   * ends updates in place of what was written before.
   * @throws RangeError where the value's size is no multiple of the element's; TypeError for a type.
   */
  view<T extends ArrayBufferView>(key: K, type: ViewType<T>): T | undefined {
    takeViewType(type)
    const id = this.#idNow()
    setKey(this.engine.key, this.#keyEncoding, key)
    return viewAs(this.engine, id, key, type)
  }

  /**
   * Stores `value` under `key`; visible when it returns. True, or false where a condition did not
   * hold and nothing was written. With `ttlMs` or `expiresAtMs` the key is missing from that time on; a
   * put without them keeps it for good, whatever was there before.
   *
   * Durability: survives the process at once, a power loss after the next sync.
   * Memory: keeps no reference to `key` or `value`.
   * @throws TypeError, RangeError for a key or value that cannot be stored; StoreError
   * `STORE_CLOSED`, `STORE_READ_ONLY`, `STORE_POISONED`, `STORE_FULL`. Nothing is written then.
   */
  put(key: K, value: V, options?: PutOptions): boolean {
    // Encoding may run the caller's code: before the key is at hand.
    const bytes = encodeValue(this.#encoding, value)
    const condition = options === undefined ? anyVersion : putCondition(options)
    const expiresAtMs = options === undefined ? noExpiry : this.expiryOf(options)
    for (;;) {
      const id = this.takeKeyToWrite(key)
      const isDone = put(this.engine, id, this.#generation, bytes, condition, expiresAtMs)
      if (isDone !== undefined) return isDone
    }
  }

  /**
   * Stores the bytes of a source under `key`: a Readable, a web stream, or any iterable of Buffers or
   * Uint8Arrays, and of strings with the encoding `'utf8'`. Resolves when the value is visible, to true,
   * or to false where a condition did not hold then. The source is asked for more as fast as it is
   * written; values up to 2^31 - 1 bytes, of which 16 MiB are kept in memory.
   *
   * Nothing is written before the source has ended: where it fails, or is aborted, the store is as it
   * was, and that error is thrown. `get` gives the value as that of any `put`: a Buffer with `'binary'`
   * and `'msgpack'`, text with `'utf8'`; an encoding of one's own is given the bytes to decode.
   *
   * Cost: above 16 MiB (or a quarter of a segment), the space of the value twice until it is stored.
   * @throws what the source throws; the signal's reason; TypeError for a source, a chunk, or the
   * encoding `'json'`; RangeError where it is too long; and as `put`.
   */
  async writeStream(
    key: K,
    source: ValueSource,
    options: WriteStreamOptions = {},
  ): Promise<boolean> {
    checkWriteStreamOptions(options)
    const { signal } = options
    const condition = options.ifAbsent === true ? absent : (options.ifVersion ?? anyVersion)
    const own = ownKey(key)
    const takeKey = (): { id: number; generation: number } => {
      const id = this.takeKeyToWrite(own)
      return { id, generation: this.#generation }
    }
    const checkKey = (): void => setKey(this.engine.key, this.#keyEncoding, own)
    const { engine } = this
    const expiresAtMs = (): number => this.expiryOf(options)
    // Refuses what is wrong before the source is asked for anything.
    expiresAtMs()
    const target = { engine, encoding: this.#encoding, condition, expiresAtMs, checkKey, takeKey }
    return writeStream(target, source, signal)
  }

  /**
   * The bytes of the value, or of a part of it, as a stream of Buffers; undefined where the key is missing.
   * They are those of the value as it is now, whatever becomes of the key, and of the store, while they
   * are read. A value of `'msgpack'` must be bytes or text; of `'json'` it is the text of it.
   *
   * Cost: a file that is open until the stream has ended or was destroyed; 256 KiB of memory.
   * @throws TypeError, RangeError for options; StoreError `STORE_CLOSED`.
   */
  readStream(key: K, options: ReadStreamOptions = {}): Readable | undefined {
    checkReadStreamOptions(options)
    const id = this.#idNow()
    setKey(this.engine.key, this.#keyEncoding, key)
    const source = openValue(this.engine, id)
    return source === undefined ? undefined : streamOf(source, this.#encoding, options)
  }

  /** Removes `key`. True where it was there (and had the version asked for). */
  delete(key: K, options?: DeleteOptions): boolean {
    let condition = anyVersion
    if (options !== undefined) {
      checkDeleteOptions(options)
      condition = options.ifVersion ?? anyVersion
    }
    for (;;) {
      const id = this.#idNow()
      setKey(this.engine.key, this.#keyEncoding, key)
      const isDone = remove(this.engine, id, this.#generation, condition)
      if (isDone !== undefined) return isDone
    }
  }

  /** @internal */
  rangeSource(): RangeSource {
    this.engine.requireOpen()
    return {
      engine: this.engine,
      keyspaceId: this.#idNow(),
      encoding: this.#encoding,
      keyEncoding: this.#keyEncoding,
      moment: undefined,
    }
  }

  /** The encodings in use, by name; `'custom'` for one of the caller's own. */
  get encodings(): {
    readonly encoding: ReturnType<typeof encodingName>
    readonly keyEncoding: KeyEncoding
  } {
    return { encoding: encodingName(this.#encoding), keyEncoding: this.#keyEncoding }
  }

  /** @internal The keyspace's part in a batch: its key is at hand then. Nothing is written yet. */
  encodeOperation(key: K, value: V | undefined): Uint8Array | string {
    const bytes = value === undefined ? emptyBytes : encodeValue(this.#encoding, value)
    setKey(this.engine.key, this.#keyEncoding, key)
    return bytes
  }

  /** @internal The id under which records are written; registers the keyspace with its first. */
  idToWrite(): number {
    if (!this.#isRegistered) this.#register()
    return this.#idNow()
  }

  #decodeAt(key: K, id: number): V | undefined {
    const bytes = getBytes(this.engine, id)
    return bytes === undefined ? undefined : (decodeValueOf(this.#encoding, key, bytes) as V)
  }

  /**
   * @internal Makes `key` the key at hand and returns the keyspace's id, registering it with its first
   * write. The key is looked at first: nothing is written for one that is refused.
   */
  takeKeyToWrite(key: K): number {
    if (this.engine.isClosed) this.engine.requireOpen()
    setKey(this.engine.key, this.#keyEncoding, key)
    const generation = generationOf(this.engine)
    if (this.#isRegistered && generation === this.#generation) return this.#id
    if (this.#isRegistered) this.#lookUpAgain(generation)
    else this.#register()
    // Reading and writing the registry took the place of the key.
    setKey(this.engine.key, this.#keyEncoding, key)
    return this.#id
  }

  /** @internal */
  asKeyspace(): this {
    return this
  }

  /** @internal */
  get generation(): number {
    return this.#generation
  }

  #register(): void {
    const wanted = { encoding: encodingName(this.#encoding), keyEncoding: this.#keyEncoding }
    const registered = createKeyspace(this.engine, this.name, wanted)
    requireSame(this.name, 'encoding', wanted.encoding, registered.encoding)
    requireSame(this.name, 'keyEncoding', wanted.keyEncoding, registered.keyEncoding)
    this.#id = registered.id
    this.#isRegistered = true
    this.#generation = generationOf(this.engine)
  }

  /** The keyspace's id, looked up again where the registry changed since. */
  #idNow(): number {
    if (this.engine.isClosed) this.engine.requireOpen()
    const generation = generationOf(this.engine)
    if (generation !== this.#generation) this.#lookUpAgain(generation)
    return this.#id
  }

  #lookUpAgain(generation: number): void {
    const registered = readRegistry(this.engine).keyspaces[this.name]
    const isAnother = registered !== undefined && registered.id !== this.#id
    if (this.#isRegistered && (registered === undefined || isAnother)) {
      throw new StoreError('STORE_NOT_FOUND', `keyspace ${shown(this.name)} was dropped`)
    }
    this.#id = registered?.id ?? this.#id
    this.#generation = generation
  }
}

const emptyBytes = new Uint8Array(0)

/** Moves with every change of the registry, by whomever. */
export function generationOf(engine: Engine): number {
  return engine.control.words[layout.keyspaceGenerationWord]
}

function putCondition(options: PutOptions): number {
  checkPutOptions(options)
  if (options.ifAbsent === true) return absent
  return options.ifVersion ?? anyVersion
}
