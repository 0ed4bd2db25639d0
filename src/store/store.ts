/**
 * The store: the default keyspace, and what concerns all keyspaces together.
 */
import { EventEmitter } from 'node:events'
import { type BackupReport, backup } from '../backup/backup.js'
import { shown } from '../base/shown.js'
import { Compaction, minGarbageRatioDefault } from '../compaction/compaction.js'
import { type CompactionEstimate, estimateCompaction } from '../compaction/estimate.js'
import type { CompactionReport } from '../compaction/run.js'
import type { Attachment } from '../control/attachments.js'
import { BatchDraft } from '../engine/batch-draft.js'
import { checkpoint } from '../engine/checkpoint.js'
import { type CheckpointInfo, listCheckpoints, pruneCheckpoints } from '../engine/checkpoints.js'
import { abandon, close } from '../engine/close.js'
import type { Engine } from '../engine/engine.js'
import { requireNoCallback } from '../engine/exclusive.js'
import { defaultKeyspaceName, readRegistry } from '../engine/keyspaces.js'
import { type StoreStats, stats } from '../engine/stats.js'
import { dropKeyspace } from '../engine/sweep-keyspaces.js'
import { sync } from '../engine/sync.js'
import { transact } from '../engine/transaction.js'
import { writeBatch } from '../engine/write-batch.js'
import { systemKeyspaceId } from '../format/record.js'
import { noExpiry } from '../log/expiry-table.js'
import { memoryPath, openStore } from '../recovery/open-store.js'
import { type VerifyReport, verify } from '../verify/verify.js'
import { customEncodingName, decodeOrderedKey, type StoreKey } from './encoding.js'
import { requireEvent, type StoreEvents } from './events.js'
import { handleOf, requireHandle, type StoreHandle } from './handle.js'
import { type ByteSource, importStream } from './import.js'
import { generationOf, Keyspace } from './keyspace.js'
import { draftOperation, type OperationDraft } from './operation-draft.js'
import {
  type BackupOptions,
  type CompactOptions,
  checkCompactOptions,
  checkKeyspaceOptions,
  checkVerifyOptions,
  type ExpiryOptions,
  type KeyspaceOptions,
  type ResolvedOptions,
  requireKeep,
  resolveStoreOptions,
  type StoreOptions,
  type VerifyOptions,
} from './options.js'
import { isThenable, requireFunction } from './read-modify-write.js'
import { Pin, Snapshot } from './snapshot.js'
import { Transaction } from './transaction.js'

/** One operation of {@link Store.write}. */
export type WriteOperation<V = unknown, K = StoreKey> =
  | ({
      readonly type: 'put'
      readonly key: K
      readonly value: V
      readonly keyspace?: string
    } & ExpiryOptions)
  | { readonly type: 'delete'; readonly key: K; readonly keyspace?: string }

const noEncodings = { encoding: undefined, keyEncoding: undefined }
const deleteFields = ['type', 'key', 'keyspace']
const putFields = [...deleteFields, 'value', 'ttlMs', 'expiresAtMs']
const keyspaceNameLengthMax = 255
/** A build that took longer is worth an event. */
const reportedBuildMs = 100

export class Store<V = unknown, K extends StoreKey = string> extends Keyspace<V, K> {
  /** The directory, or `:memory:`. */
  readonly path: string
  readonly #keyspaces = new Map<string, Keyspace<unknown, StoreKey>>()
  readonly #events = new EventEmitter()
  #spareDraft: BatchDraft | undefined
  #closing: Promise<void> | undefined
  readonly #compaction: Compaction

  /** @internal Use {@link open}. */
  constructor(engine: Engine, path: string, options: ResolvedOptions) {
    super(engine, defaultKeyspaceName, options)
    this.path = path
    engine.onWait = (holder, waitedMs) => {
      process.nextTick(() => this.#events.emit('wait', { holder, waitedMs }))
    }
    engine.onBuilt = (built) => {
      if (built.durationMs < reportedBuildMs) return
      process.nextTick(() => this.#events.emit('built', built))
    }
    engine.onWarning = (warning) => {
      if (this.#events.listenerCount('warning') > 0) this.#events.emit('warning', warning)
      else process.emitWarning(warning, 'VarveWarning')
    }
    this.#compaction = new Compaction(engine)
    this.#compaction.onProgress = (event) => {
      process.nextTick(() => this.#events.emit('compaction', event))
    }
    if (options.autoCompact && !engine.isReadOnly) this.#compaction.start()
    const { passedOver } = engine.lastRecovery
    process.nextTick(() => {
      for (const { file, what } of passedOver) {
        engine.onWarning?.(`the checkpoint ${file} was passed over: ${what}`)
      }
    })
    engine.describeKey = (keyspaceId, bytes) => describeKey(engine, keyspaceId, bytes)
    engine.onError = (error) => {
      // Without a listener it is reported by the call that depends on it, and not by a crash.
      if (this.#events.listenerCount('error') > 0) this.#events.emit('error', error)
    }
  }

  /** Calls `listener` at each event of the name, until {@link off}. */
  on<E extends keyof StoreEvents>(event: E, listener: (...args: StoreEvents[E]) => void): this {
    requireEvent(event)
    requireFunction('listener', listener)
    this.#events.on(event, listener)
    return this
  }

  off<E extends keyof StoreEvents>(event: E, listener: (...args: StoreEvents[E]) => void): this {
    this.#events.off(event, listener)
    return this
  }

  /**
   * Applies several operations, in any keyspaces: readers see all of them or none, and so does
   * whoever opens the store after a crash.
   *
   * Cost: as single writes, with one frame of 64 bytes for all.
   * @throws as `put` does. Nothing is written then, whichever operation was wrong.
   */
  write(operations: Iterable<WriteOperation<V, K> | WriteOperation>): void {
    this.engine.requireWritable()
    requireOperations(operations)
    const draft = this.#takeDraft()
    try {
      const drafts: OperationDraft[] = []
      for (const operation of operations) drafts.push(this.#draftOperation(operation, draft))
      // Every operation is good: only now is a keyspace made that did not exist.
      for (;;) {
        for (const encoded of drafts) encoded.keyspaceId = encoded.keyspace.idToWrite()
        const generation = generationOf(this.engine)
        // Once more: making the last of them may have moved it, and so may others.
        for (const encoded of drafts) encoded.keyspaceId = encoded.keyspace.idToWrite()
        if (writeBatch(this.engine, drafts, draft, generation)) return
      }
    } finally {
      if (draft.isWorthKeeping) this.#spareDraft = draft
    }
  }

  /**
   * Runs `action` with a view of the store that has its own writes in it, and writes all of them when it
   * has returned, or none: where it throws, or returns a promise, nothing is changed. Returns what it
   * returned.
   *
   * Transactions are serial: all other writers of the store wait while `action` runs, in whatever thread
   * or process, so it should be short. It writes through `tx` only; a write, a range, a snapshot or
   * another transaction of the same store throws `STORE_IN_USE`. `store.get` gives what was there before.
   *
   * Cost: as {@link write}, and a copy of each key and value that is written.
   * @throws what `action` throws; TypeError where it returns a promise; and as `write`.
   */
  transaction<T>(action: (tx: Transaction<V, K>) => T): T {
    requireFunction('action', action)
    const draft = this.#takeDraft()
    const transaction = new Transaction<V, K>(this.engine, draft, this, (name) =>
      this.#keyspaceOf(name),
    )
    const run = (): T => {
      const result = action(transaction)
      if (!isThenable(result)) return result
      throw new TypeError(
        'the function given to transaction() returned a promise, and nothing was written; accepted: one that is done when it returns',
      )
    }
    try {
      return transact(this.engine, run, () => transaction.commit())
    } finally {
      transaction.end()
      if (draft.isWorthKeeping) this.#spareDraft = draft
    }
  }

  /** The memory of the batch before; of its own for one that is made while another is drafted. */
  #takeDraft(): BatchDraft {
    const draft = this.#spareDraft ?? new BatchDraft()
    this.#spareDraft = undefined
    draft.clear()
    return draft
  }

  /**
   * The keyspace of a name, made on first use. Its keys never meet those of another; log, sync and
   * batches are common to all.
   *
   * @throws TypeError where the encodings are not the ones it was made with.
   */
  keyspace<W = unknown, L extends StoreKey = string>(
    name: string,
    options: KeyspaceOptions<W> = {},
  ): Keyspace<W, L> {
    this.engine.requireOpen()
    requireKeyspaceName(name)
    checkKeyspaceOptions(options)
    const keyspace = new Keyspace<W, L>(this.engine, name, {
      encoding: options.encoding as KeyspaceOptions['encoding'],
      keyEncoding: options.keyEncoding,
    })
    keyspace.idToWrite()
    this.#keyspaces.set(name, keyspace as unknown as Keyspace<unknown, StoreKey>)
    return keyspace
  }

  /** The names of all keyspaces but the default one, sorted. */
  keyspaces(): string[] {
    this.engine.requireOpen()
    return Object.keys(readRegistry(this.engine).keyspaces)
      .filter((name) => name !== defaultKeyspaceName)
      .sort()
  }

  /**
   * Removes a keyspace with all its keys. True where there was one. Its handles are of no use from
   * then on; the name may be used again.
   *
   * Cost: one pass over the index of the whole store.
   */
  dropKeyspace(name: string): boolean {
    requireKeyspaceName(name)
    this.#keyspaces.delete(name)
    return dropKeyspace(this.engine, name)
  }

  /**
   * Resolves when every write that returned before the call has reached the medium. Calls that wait
   * together share one flush.
   *
   * @throws StoreError `STORE_POISONED` where the flush failed, with the failure as `cause`.
   */
  async sync(): Promise<void> {
    this.engine.requireOpen()
    await sync(this.engine)
  }

  /**
   * The store as it is now, in all keyspaces, however it changes afterwards. O(1); close it when it is
   * no longer needed: it holds back the space of what is replaced and deleted meanwhile.
   *
   * One that may not write the directory can hold nothing back: reads of its snapshots, and of its ranges,
   * throw StoreError `STORE_IN_USE` where another one wrote meanwhile.
   */
  snapshot(): Snapshot<V, K> {
    this.engine.requireOpen()
    return new Snapshot<V, K>(new Pin(this.engine), this.codecs)
  }

  /**
   * Puts every record of a stream that {@link Snapshot.export} wrote, from this store or another one,
   * under new versions; keyspaces are made where they are missing. Keys that are not in the stream stay.
   *
   * A stream that is damaged, cut short, or goes on behind its end is refused whole: it is read to its
   * end, into a temporary file of its size, before the first record is put. A crash, or a full disk, in
   * the middle of the rest leaves a part of it.
   *
   * @param source a Readable, a web stream, or an iterable of Buffers
   * @throws StoreError `STORE_CORRUPT`, `STORE_FORMAT`; TypeError where a keyspace, or the store, has
   * other encodings than in the stream; and as `put`.
   */
  async import(source: ByteSource): Promise<void> {
    await importStream(this.engine, source, this.encodings)
  }

  /**
   * Reads every byte of the store that has a checksum and checks it, and the indexes and counts against
   * the log. Others go on meanwhile, and so does this thread: it works in slices of some milliseconds.
   * Nothing is changed. It shows the store as it was when it began.
   *
   * Cost: about 2 microseconds a record, and all files through the page cache.
   * @throws StoreError `STORE_CLOSED` where the store is closed meanwhile. Damage is not thrown.
   */
  async verify(options: VerifyOptions = {}): Promise<VerifyReport> {
    this.engine.requireOpen()
    checkVerifyOptions(options)
    return verify(this.engine, {
      onProgress: options.onProgress,
      maxBytesPerSecond: options.maxBytesPerSecond ?? Number.POSITIVE_INFINITY,
    })
  }

  /**
   * Copies the store, as a sync that it begins with leaves it, into a directory, while others write.
   * What is copied is verified, in the store and in the copy; {@link open} opens it as a store of its
   * own. The directory is made, or is empty, or has an older backup of this store, of which only what
   * is missing is copied. Killed in the middle, it has the older backup, or no store.
   *
   * Cost: reads what is copied three times, and verifies what is kept.
   * @throws StoreError `STORE_EXISTS` where the directory has something else in it; `STORE_CORRUPT`
   * where the store is damaged; `STORE_FULL`; `STORE_POISONED`. An older backup is then as it was.
   */
  async backup(directory: string, options: BackupOptions = {}): Promise<BackupReport> {
    this.engine.requireOpen()
    if (typeof directory !== 'string' || directory === '' || directory === memoryPath) {
      throw new TypeError(`directory is ${shown(directory)}; accepted: a directory's path`)
    }
    checkVerifyOptions(options)
    return backup(this.engine, directory, {
      onProgress: options.onProgress,
      maxBytesPerSecond: options.maxBytesPerSecond ?? Number.POSITIVE_INFINITY,
    })
  }

  /**
   * Gives back the space of overwritten and deleted records: segments in which nothing lives are dropped,
   * and what lives in others that are worth it is copied to the end of the log. Reads, writes, snapshots
   * and iterations go on meanwhile, and so does this thread: it works in slices of half a millisecond. What
   * open snapshots need stays (`stats().pinnedBytes`), and a `scan`, `verify` or `backup` that is under way
   * ends the run early (`isPostponed`). A checkpoint that this attachment is making is waited for; one of
   * another attachment holds back what it needs, as a snapshot does.
   *
   * Cost: reads what it compacts once, some 100 MB of it a second (`bench/compaction.mjs`), and writes what
   * lives in it. On a full disk it works in a reserve of half a segment.
   * @throws StoreError what the background met since the last call; `STORE_CORRUPT` where a record does not
   * verify, when all other segments are done (the damaged one stays as it is); `STORE_FULL`;
   * `STORE_READ_ONLY`; `STORE_POISONED`.
   */
  async compact(options: CompactOptions = {}): Promise<CompactionReport> {
    this.engine.requireWritable()
    checkCompactOptions(options)
    return this.#compaction.run(options.minGarbageRatio ?? minGarbageRatioDefault)
  }

  /** What {@link compact} would find, segment by segment; from memory. */
  compactionEstimate(): CompactionEstimate {
    return estimateCompaction(this.engine)
  }

  /** While true, this one compacts nothing in the background; what it has begun ends at the next record. */
  get compactionPaused(): boolean {
    return this.#compaction.isPaused
  }

  set compactionPaused(isPaused: boolean) {
    if (typeof isPaused !== 'boolean') {
      throw new TypeError(`compactionPaused is ${shown(isPaused)}; accepted: true or false`)
    }
    this.#compaction.isPaused = isPaused
  }

  /**
   * Syncs, and writes the index as it then is to a file, so that opening after a restart of the machine
   * begins there and not at the beginning of the log. Others write meanwhile, and wait for none of it
   * longer than for a write. Where another one is being made, in whatever process, it waits for that first.
   *
   * Cost: a file of 15 bytes a key, some 50 ms for a million of them, in slices below a millisecond.
   * @throws StoreError `STORE_READ_ONLY`, `STORE_POISONED`, `STORE_FULL`, and `STORE_CLOSED` where the
   * store is closed meanwhile. There is no new checkpoint then, and the store is none the worse.
   */
  async checkpoint(): Promise<CheckpointInfo> {
    return checkpoint(this.engine)
  }

  /**
   * The checkpoints there are, the oldest first, by whomever they were made. Of each only the header is
   * read: whether the rest is whole, {@link verify} tells, and the recovery that would use it.
   */
  checkpoints(): CheckpointInfo[] {
    this.engine.requireOpen()
    return listCheckpoints(this.engine)
  }

  /**
   * Removes all checkpoints but the newest `keep`, and returns those that were removed. Without any, the
   * next recovery on another boot reads the whole log; nothing is lost.
   */
  pruneCheckpoints(keep: number): CheckpointInfo[] {
    requireKeep(keep)
    return pruneCheckpoints(this.engine, keep)
  }

  /** The numbers of the store, from memory. */
  stats(): StoreStats {
    return stats(this.engine)
  }

  /**
   * A handle for `open` in another thread: plain data, for `postMessage` or `workerData`. Of a
   * `:memory:` store it leads other threads of this process to the same memory, for as long as one
   * of them has the store open; of a store in a directory it names the directory, for any process.
   * The encodings go with it by name; `{ encode, decode }` must be given to `open` again.
   *
   * ```ts
   * new Worker(file, { workerData: store.share() })   // in the worker: open(workerData)
   * ```
   * @throws TypeError where others cannot share the store: `:memory:` without FFI or not on Linux, or
   * a store that is not mapped.
   */
  share(): StoreHandle {
    this.engine.requireOpen()
    return handleOf(this.engine, this.encodings)
  }

  /**
   * Who has the store open right now, this one included: an entry for each time that a thread of a
   * process opened it. Whoever died is not among them.
   *
   * Empty where nothing can be shared: `mapping: 'file'`, or `:memory:` where `share()` throws.
   * Nobody's list has a reader that may not write the directory, or that reads from a copy in its
   * memory.
   *
   * Cost: a few system calls for each entry.
   */
  attachments(): Attachment[] {
    this.engine.requireOpen()
    return this.engine.attachments.list()
  }

  /** Syncs and closes. Idempotent; every other method throws `STORE_CLOSED` from the call on. */
  async close(): Promise<void> {
    requireNoCallback(this.engine)
    this.#closing ??= close(this.engine)
    await this.#closing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #draftOperation(
    operation: WriteOperation<V, K> | WriteOperation,
    draft: BatchDraft,
  ): OperationDraft {
    checkOperation(operation)
    const { type, key, keyspace: name } = operation
    const value = type === 'put' ? operation.value : undefined
    if (type === 'put' && value === undefined) {
      throw new TypeError('value is undefined; an operation of type "delete" removes a key')
    }
    const expiresAtMs = type === 'put' ? this.expiryOf(operation) : noExpiry
    const keyspace = name === undefined ? this.#asAny() : this.#keyspaceOf(name)
    return draftOperation(this.engine, keyspace, key as StoreKey, value, expiresAtMs, draft)
  }

  #asAny(): Keyspace<unknown, StoreKey> {
    return this as unknown as Keyspace<unknown, StoreKey>
  }

  /** The keyspace of a name, with the encodings of its handle or of the registry. */
  #keyspaceOf(name: string): Keyspace<unknown, StoreKey> {
    const known = this.#keyspaces.get(name)
    if (known !== undefined) return known
    requireKeyspaceName(name)
    const keyspace = new Keyspace<unknown, StoreKey>(this.engine, name, noEncodings)
    this.#keyspaces.set(name, keyspace)
    return keyspace
  }
}

/**
 * Opens a store, or makes one. Synchronous: when it returns, the store is ready.
 *
 * @param path a directory, or `':memory:'` for a new store without files, or a handle that `share()`
 * gave, in whatever thread. Options given beside a handle go before what it names.
 * @throws TypeError, RangeError for options; StoreError `STORE_LOCKED` (open elsewhere and not shared,
 * or somebody who opens or closes it stands still), `STORE_NOT_FOUND` (of a handle: all that had the
 * memory have closed it, or it is another process's), `STORE_EXISTS`, `STORE_FORMAT` (another
 * database's directory, too), `STORE_CORRUPT`, `STORE_FULL`. A store that is refused is left byte for byte
 * as it was.
 */
export function open<V = unknown, K extends StoreKey = string>(
  path: string | StoreHandle,
  options: StoreOptions<V> = {},
): Store<V, K> {
  return typeof path === 'string'
    ? openPath(path, resolveStoreOptions(options), undefined)
    : openHandle(requireHandle(path), resolveStoreOptions(options))
}

function openHandle<V, K extends StoreKey>(
  handle: StoreHandle,
  given: ResolvedOptions,
): Store<V, K> {
  const { memory, path } = handle
  if (handle.encoding === customEncodingName && given.encoding === undefined) {
    throw new TypeError(
      'the store of the handle has an encoding of its own; option "encoding" must be { encode, decode }',
    )
  }
  const encoding = handle.encoding === customEncodingName ? undefined : handle.encoding
  const resolved = {
    ...given,
    encoding: given.encoding ?? encoding,
    keyEncoding: given.keyEncoding ?? handle.keyEncoding,
  }
  return openPath(path, resolved, memory)
}

function openPath<V, K extends StoreKey>(
  path: string,
  resolved: ResolvedOptions,
  memory: StoreHandle['memory'],
): Store<V, K> {
  if (path === '' || path.includes('\0')) {
    throw new TypeError(`path is ${shown(path)}; accepted: a directory's path, or ":memory:"`)
  }
  const engine = openStore(path, resolved.open, memory)
  try {
    return new Store<V, K>(engine, path, resolved)
  } catch (error) {
    // Options that do not fit the store: it is closed as it was found.
    abandon(engine)
    throw error
  }
}

/** A key as its keyspace decodes it, or its bytes. */
function describeKey(engine: Engine, keyspaceId: number, bytes: Buffer): unknown {
  if (keyspaceId === systemKeyspaceId) return bytes
  const { keyspaces } = readRegistry(engine)
  const entry = Object.values(keyspaces).find(({ id }) => id === keyspaceId)
  if (entry?.keyEncoding === 'utf8') return bytes.toString('utf8')
  return entry?.keyEncoding === 'ordered' ? decodeOrderedKey(bytes) : bytes
}

function requireKeyspaceName(name: string): void {
  if (typeof name === 'string' && name.length > 0 && name.length <= keyspaceNameLengthMax) return
  throw new TypeError(
    `name of a keyspace is ${shown(name)}; accepted: a string of 1 to ${keyspaceNameLengthMax} characters`,
  )
}

function requireOperations(operations: unknown): void {
  if (typeof operations === 'object' && operations !== null && Symbol.iterator in operations) return
  throw new TypeError(
    `operations are ${shown(operations)}; accepted: an array of { type, key, value }, or another iterable`,
  )
}

function checkOperation(operation: unknown): asserts operation is WriteOperation {
  if (typeof operation !== 'object' || operation === null) {
    throw new TypeError(`an operation is ${shown(operation)}; accepted: { type, key, value }`)
  }
  const { type } = operation as { type?: unknown }
  if (type !== 'put' && type !== 'delete') {
    throw new TypeError(`type of an operation is ${shown(type)}; accepted: "put", "delete"`)
  }
  const fields = type === 'put' ? putFields : deleteFields
  for (const field in operation) {
    if (fields.includes(field) || !Object.hasOwn(operation, field)) continue
    if ((operation as Record<string, unknown>)[field] === undefined) continue
    throw new TypeError(
      `unknown field "${field}" of an operation of type "${type}"; accepted: ${fields.join(', ')}`,
    )
  }
}
