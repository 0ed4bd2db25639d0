/** The changes of a keyspace as an asynchronous iteration. */
import type { Engine } from '../engine/engine.js'
import { type LoggedChange, LogWatcher, type WatchFilter } from '../engine/watch.js'
import { decodeKey, decodeValueOf, type StoreKey, setKey, setPrefix } from './encoding.js'
import type { Encodings } from './keyspace-encodings.js'
import { checkWatchOptions, type WatchOptions } from './options.js'

/** One change of a key. */
export type Change<V, K> =
  | (ChangeFacts<K> & {
      readonly type: 'put'
      readonly value: V
      /** From when on the key is missing, in milliseconds since 1970; not there for never. */
      readonly expiresAtMs?: number
    })
  | (ChangeFacts<K> & { readonly type: 'delete'; readonly value?: undefined })

interface ChangeFacts<K> {
  readonly key: K
  /** The keyspace's name; '' for the default one. */
  readonly keyspace: string
  readonly version: number
  /** The order in which the store committed it; for `sinceSequence`. */
  readonly sequence: number
  /** Wall clock of the write. */
  readonly timestampMs: number
}

/** What is watched. */
export interface WatchSource {
  readonly engine: Engine
  readonly keyspaceId: number
  readonly name: string
  readonly codecs: Encodings
  /** Throws where the keyspace was dropped. */
  check(): void
}

/** A change is delivered within twice this time, and some of the event loop's. */
const tickMs = 2

/** One timer for all watchers of a store that wait: it runs only while one does. */
const ticks = new WeakMap<Engine, Promise<void>>()

function nextTick(engine: Engine): Promise<void> {
  const running = ticks.get(engine)
  if (running !== undefined) return running
  const tick = new Promise<void>((resolve) => {
    setTimeout(() => {
      ticks.delete(engine)
      resolve()
    }, tickMs)
  })
  ticks.set(engine, tick)
  return tick
}

/**
 * Gives changes for as long as it is asked; ends where it is left (`break`), closed, aborted, or where the
 * store is closed.
 */
export class Watch<V, K extends StoreKey> implements AsyncIterableIterator<Change<V, K>> {
  readonly #source: WatchSource
  readonly #watcher: LogWatcher
  readonly #signal: AbortSignal | undefined
  readonly #abort = (): void => this.close()
  #isOpen = true
  /** Calls of `next` are answered in their order. */
  #last: Promise<unknown> = Promise.resolve()

  /** @internal */
  constructor(source: WatchSource, options: WatchOptions<K>) {
    checkWatchOptions(options)
    const { engine, keyspaceId } = source
    const { prefix, signal, sinceSequence } = options
    this.#source = source
    this.#signal = signal
    const filter = { keyspaceId, ...prefixBytes(source, prefix) }
    this.#watcher = new LogWatcher(engine, filter, sinceSequence)
    if (signal?.aborted === true) this.close()
    else signal?.addEventListener('abort', this.#abort, { once: true })
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<Change<V, K>> {
    return this
  }

  next(): Promise<IteratorResult<Change<V, K>>> {
    const answer = this.#last.then(() => this.#next())
    this.#last = answer.catch(() => undefined)
    return answer
  }

  async return(): Promise<IteratorResult<Change<V, K>>> {
    this.close()
    return { done: true, value: undefined }
  }

  /** Ends it, and what it holds back. Idempotent. */
  close(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    this.#signal?.removeEventListener('abort', this.#abort)
    this.#watcher.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close()
  }

  async #next(): Promise<IteratorResult<Change<V, K>>> {
    const { engine } = this.#source
    try {
      for (;;) {
        if (!this.#isOpen || engine.isClosed) break
        const change = this.#watcher.take()
        if (change !== undefined) return { done: false, value: this.#decode(change) }
        if (this.#watcher.advance()) {
          // Between slices of a long log others have their turn.
          await new Promise(setImmediate)
          continue
        }
        this.#source.check()
        await nextTick(engine)
      }
    } catch (error) {
      this.close()
      throw error
    }
    this.close()
    return { done: true, value: undefined }
  }

  #decode({ expiresAtMs, key: bytes, type: _, value, ...numbers }: LoggedChange): Change<V, K> {
    const { codecs, name } = this.#source
    const key = decodeKey(codecs.keyEncoding, bytes) as K
    const facts = { key, keyspace: name, ...numbers }
    if (value === undefined) return { type: 'delete', ...facts }
    const put = { ...facts, value: decodeValueOf(codecs.encoding, key, value) as V }
    return { type: 'put', ...put, ...(expiresAtMs === undefined ? {} : { expiresAtMs }) }
  }
}

function prefixBytes(
  { codecs: { keyEncoding }, engine: { key } }: WatchSource,
  prefix: StoreKey | undefined,
): Pick<WatchFilter, 'exact' | 'prefix'> {
  if (prefix === undefined) return { exact: noBytes, prefix: noBytes }
  setKey(key, keyEncoding, prefix)
  const exact = Buffer.from(key.bytes.subarray(0, key.sizeBytes))
  setPrefix(key, keyEncoding, prefix)
  return { exact, prefix: Buffer.from(key.bytes.subarray(0, key.sizeBytes)) }
}

const noBytes = Buffer.alloc(0)
