/**
 * The records of an open store, as abstract-level asks for them: keys and values are text or bytes,
 * operation by operation, over the same keys and values as bytes of a store whose encodings are
 * `'binary'`. Text goes to the log and comes from it without a buffer between.
 */

import { BatchDraft, type EncodedOperation, ownCopy } from '../engine/batch-draft.js'
import { remove } from '../engine/delete.js'
import type { Engine } from '../engine/engine.js'
import { defaultKeyspaceId } from '../engine/keyspaces.js'
import { anyVersion, put, sizeOfValue } from '../engine/put.js'
import { type KeyRange, RangeReader } from '../engine/range.js'
import { getBytes, getText, has } from '../engine/read.js'
import { getBytesAt, getTextAt, hasAt, type Moment } from '../engine/snapshot.js'
import { writeBatch } from '../engine/write-batch.js'
import { noExpiry } from '../log/expiry-table.js'
import { encodeValue, setKey } from '../store/encoding.js'
import { generationOf } from '../store/keyspace.js'
import { type RangeOptions, resolveRange } from '../store/range.js'
import type { Store } from '../store/store.js'
import { asLevelError, LevelError } from './errors.js'
import { turnOfEventLoop } from './turn.js'

export type Data = string | Uint8Array

export interface RecordOperation {
  readonly type: 'put' | 'del'
  readonly key: Data
  readonly value?: Data
}

/** As abstract-level gives it: encoded, `limit` is -1 for none. */
export interface LevelRangeOptions {
  readonly gt?: Data
  readonly gte?: Data
  readonly lt?: Data
  readonly lte?: Data
  readonly reverse: boolean
  readonly limit: number
}

/** The default keyspace: it is never dropped, so its id holds good whatever the registry says later. */
export const keyspaceId = defaultKeyspaceId

/** Keys that are deleted before the event loop gets its turn. */
const keysPerTurn = 1000

export class Records {
  readonly engine: Engine
  readonly #store: Store<Uint8Array, Uint8Array>
  #draft = new BatchDraft()

  constructor(store: Store<Uint8Array, Uint8Array>) {
    this.#store = store
    this.engine = store.rangeSource().engine
  }

  /** Has the store remember its encodings before anybody writes by others. */
  register(): void {
    if (!this.engine.isReadOnly) this.#store.idToWrite()
  }

  sync(): Promise<void> {
    return this.#run(() => this.#store.sync())
  }

  close(): Promise<void> {
    return this.#run(() => this.#store.close())
  }

  async #run(action: () => Promise<void>): Promise<void> {
    try {
      await action()
    } catch (error) {
      throw asLevelError(error)
    }
  }

  /** `moment`: of a snapshot, or undefined for the newest value. */
  get(key: Data, isText: boolean, moment: Moment | undefined): Data | undefined {
    const { engine } = this
    this.#setKey(key)
    try {
      if (moment === undefined) {
        return isText ? getText(engine, keyspaceId) : getBytes(engine, keyspaceId)
      }
      engine.requireOpen()
      return (isText ? getTextAt : getBytesAt)(engine, keyspaceId, moment)
    } catch (error) {
      throw asLevelError(error)
    }
  }

  has(key: Data, moment: Moment | undefined): boolean {
    const { engine } = this
    this.#setKey(key)
    try {
      if (moment === undefined) return has(engine, keyspaceId)
      engine.requireOpen()
      return hasAt(engine, keyspaceId, moment)
    } catch (error) {
      throw asLevelError(error)
    }
  }

  put(key: Data, value: Data): void {
    const { engine } = this
    checkValue(value)
    try {
      for (;;) {
        const generation = generationOf(engine)
        this.#setKey(key)
        if (put(engine, keyspaceId, generation, value, anyVersion, noExpiry) !== undefined) return
      }
    } catch (error) {
      throw asLevelError(error)
    }
  }

  remove(key: Data): void {
    const { engine } = this
    try {
      for (;;) {
        const generation = generationOf(engine)
        this.#setKey(key)
        if (remove(engine, keyspaceId, generation, anyVersion) !== undefined) return
      }
    } catch (error) {
      throw asLevelError(error)
    }
  }

  /** All operations, or none of them. */
  write(operations: readonly RecordOperation[]): void {
    const { engine } = this
    const draft = this.#draft
    draft.clear()
    try {
      // Making the key at hand of each is also the check of all, before anything is written.
      const encoded = operations.map((operation) => this.#encode(operation, draft))
      for (;;) if (writeBatch(engine, encoded, draft, generationOf(engine))) return
    } catch (error) {
      throw asLevelError(error)
    } finally {
      if (!draft.isWorthKeeping) this.#draft = new BatchDraft()
    }
  }

  #encode({ type, key, value }: RecordOperation, draft: BatchDraft): EncodedOperation {
    const bytes = type === 'put' ? (value as Data) : noBytes
    checkValue(bytes)
    this.#setKey(key)
    const isDrafted = BatchDraft.holds(bytes)
    return {
      type: type === 'put' ? 'put' : 'delete',
      keyspaceId,
      keyStart: draft.addKey(this.engine.key),
      keySizeBytes: this.engine.key.sizeBytes,
      value: isDrafted ? undefined : ownCopy(bytes),
      valueStart: isDrafted ? draft.addValue(bytes) : 0,
      valueSizeBytes: sizeOfValue(bytes),
      expiresAtMs: noExpiry,
    }
  }

  /**
   * Deletes the keys that the range had when it was called. One by one: readers may see some of them
   * gone, and a crash leaves the others.
   */
  async clear(options: LevelRangeOptions, moment: Moment | undefined): Promise<void> {
    const range = this.range(options)
    const reader = this.read(range, 'keys', moment)
    try {
      let countSinceTurn = 0
      while (reader.nextBatch()) {
        for (let index = 0; index < reader.count; index++) this.remove(reader.keyBytes(index))
        countSinceTurn += reader.count
        if (countSinceTurn < keysPerTurn) continue
        countSinceTurn = 0
        await turnOfEventLoop()
      }
    } catch (error) {
      throw asLevelError(error)
    } finally {
      reader.close()
    }
  }

  range(options: LevelRangeOptions): KeyRange {
    const { gte, lte, limit, reverse } = options
    const gt = gte === undefined ? options.gt : undefined
    const lt = lte === undefined ? options.lt : undefined
    // All bounds of a range are of one format.
    const isText = typeof (gt ?? gte ?? lt ?? lte) === 'string'
    const wanted: RangeOptions = {
      ...(gt === undefined ? {} : { gt }),
      ...(gte === undefined ? {} : { gte }),
      ...(lt === undefined ? {} : { lt }),
      ...(lte === undefined ? {} : { lte }),
      reverse,
      ...(limit < 0 ? {} : { limit }),
    }
    const { engine } = this
    try {
      return resolveRange(engine.key, keyspaceId, isText ? 'utf8' : 'binary', wanted)
    } catch (error) {
      throw asInvalidKey(error)
    }
  }

  read(
    range: KeyRange,
    wanted: 'keys' | 'bytes' | 'text',
    moment: Moment | undefined,
  ): RangeReader {
    try {
      return new RangeReader(this.engine, keyspaceId, range, wanted, moment)
    } catch (error) {
      throw asLevelError(error)
    }
  }

  #setKey(key: Data): void {
    try {
      setKey(this.engine.key, typeof key === 'string' ? 'utf8' : 'binary', key)
    } catch (error) {
      throw asInvalidKey(error)
    }
  }
}

const noBytes = new Uint8Array(0)

function checkValue(value: Data): void {
  try {
    encodeValue(typeof value === 'string' ? 'utf8' : 'binary', value)
  } catch (error) {
    throw new LevelError('LEVEL_INVALID_VALUE', messageOf(error), error)
  }
}

function asInvalidKey(error: unknown): LevelError {
  return new LevelError('LEVEL_INVALID_KEY', messageOf(error), error)
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
