/**
 * What an iterator goes through: entries, keys or values of a range of one snapshot, a batch at a
 * time. The snapshot is that of the iterator's creation, or one that was given; one of its own stays
 * open until the iterator is closed, as it may go back by {@link RangeSteps.seek}.
 *
 * `index` is the next item of the reader's batch; the reader closes itself at the end of the range,
 * and its batch is empty then.
 */
import type { KeyRange, RangeReader } from '../engine/range.js'
import type { Moment } from '../engine/snapshot.js'
import { compareKeys } from '../index/ordered-key.js'
import type { Pin } from '../store/snapshot.js'
import { AbortError, asLevelError } from './errors.js'
import type { Data, LevelRangeOptions, Records } from './records.js'
import { momentOf, pinOf } from './snapshot.js'
import { turnOfEventLoop } from './turn.js'

export type ItemKind = 'entries' | 'keys' | 'values'

export interface IteratorOptions extends LevelRangeOptions {
  readonly keys?: boolean
  readonly values?: boolean
  /** Formats: `'utf8'`, `'buffer'` or `'view'`. */
  readonly keyEncoding: string
  readonly valueEncoding: string
  readonly snapshot?: unknown
  readonly signal?: AbortSignal
}

/** Items that are given before the event loop gets its turn. */
const itemsPerTurn = 1000
/** The first reads of single items are of few keys: often one is all that is wanted. */
const firstBatchCount = 1
const batchGrowth = 4
const batchCountMax = 64

export class RangeSteps {
  readonly #records: Records
  readonly #kind: ItemKind
  readonly #range: KeyRange
  readonly #hasKeys: boolean
  readonly #hasValues: boolean
  readonly #isKeyText: boolean
  readonly #isValueText: boolean
  readonly #signal: AbortSignal | undefined
  readonly #ownPin: Pin | undefined
  readonly #moment: Moment
  #reader: RangeReader
  #index = 0
  #batchCount = firstBatchCount
  #countSinceTurn = 0

  constructor(records: Records, kind: ItemKind, options: IteratorOptions) {
    this.#records = records
    this.#kind = kind
    // Of the options of that name, keys and values alone know nothing.
    const isEntries = kind === 'entries'
    this.#hasKeys = isEntries ? options.keys !== false : kind === 'keys'
    this.#hasValues = isEntries ? options.values !== false : kind === 'values'
    this.#isKeyText = options.keyEncoding === 'utf8'
    this.#isValueText = options.valueEncoding === 'utf8'
    this.#signal = options.signal ?? undefined
    this.#range = records.range(options)
    const given = momentOf(records.engine, options.snapshot)
    this.#ownPin = given === undefined ? pinOf(records.engine) : undefined
    this.#moment = given ?? (this.#ownPin as Pin)
    this.#reader = this.#read(this.#range)
  }

  async next(): Promise<unknown> {
    if (this.#index === this.#reader.count) {
      if (this.#countSinceTurn >= itemsPerTurn) await this.#turn()
      if (!this.#fill(this.#batchCount)) return undefined
      this.#batchCount = Math.min(this.#batchCount * batchGrowth, batchCountMax)
    }
    this.#countSinceTurn++
    const item = this.#item(this.#index++)
    if (this.#signal !== undefined) await requireNotAborted(this.#signal)
    return item
  }

  /** At most `size` items; none at the end only. */
  async nextMany(size: number): Promise<unknown[]> {
    const items: unknown[] = []
    await this.#take(items, size)
    return items
  }

  async all(): Promise<unknown[]> {
    const items: unknown[] = []
    while (await this.#take(items, itemsPerTurn));
    return items
  }

  /** False where the end of the range was reached. */
  async #take(items: unknown[], size: number): Promise<boolean> {
    let left = size
    while (left > 0) {
      if (this.#index === this.#reader.count) {
        if (this.#countSinceTurn >= itemsPerTurn) await this.#turn()
        if (!this.#fill(Math.min(left, batchCountMax))) break
      }
      const end = Math.min(this.#index + left, this.#reader.count)
      const count = end - this.#index
      while (this.#index < end) items.push(this.#item(this.#index++))
      left -= count
      this.#countSinceTurn += count
    }
    if (this.#signal !== undefined) await requireNotAborted(this.#signal)
    return left === 0
  }

  /**
   * Goes on from `target`, wherever it was; `countGiven` items of the limit are used up. A target
   * outside of the range has nothing behind it.
   */
  seek(target: Data, countGiven: number): void {
    const { low, high, isReverse, limit } = this.#range
    const bound = isReverse ? { lte: target } : { gte: target }
    const at = this.#records.range({ ...bound, reverse: isReverse, limit: -1 })
    const isBelow = low !== undefined && at.low !== undefined && compareKeys(at.low, low) < 0
    const isAbove = high !== undefined && at.high !== undefined && compareKeys(at.high, high) > 0
    this.#reader.close()
    this.#index = 0
    this.#batchCount = firstBatchCount
    this.#reader = this.#read({
      low: at.low ?? low,
      high: at.high ?? high,
      isReverse,
      limit: isBelow || isAbove ? 0 : limit - countGiven,
    })
  }

  close(): void {
    try {
      this.#index = 0
      this.#reader.close()
      this.#ownPin?.close()
    } catch (error) {
      throw asLevelError(error)
    }
  }

  #read(range: KeyRange): RangeReader {
    const withValues = this.#isValueText ? 'text' : 'bytes'
    try {
      return this.#records.read(range, this.#hasValues ? withValues : 'keys', this.#moment)
    } catch (error) {
      this.#ownPin?.close()
      throw error
    }
  }

  #fill(countMax: number): boolean {
    this.#index = 0
    try {
      return this.#reader.nextBatch(countMax)
    } catch (error) {
      throw asLevelError(error)
    }
  }

  #item(index: number): unknown {
    if (this.#kind === 'keys') return this.#key(index)
    if (this.#kind === 'values') return this.#reader.values[index]
    return [
      this.#hasKeys ? this.#key(index) : undefined,
      this.#hasValues ? this.#reader.values[index] : undefined,
    ]
  }

  #key(index: number): Data {
    if (this.#isKeyText) return this.#reader.keyText(index)
    // The reader's bytes are overwritten by its next batch.
    return Buffer.from(this.#reader.keyBytes(index))
  }

  async #turn(): Promise<void> {
    this.#countSinceTurn = 0
    await turnOfEventLoop()
    if (this.#signal?.aborted === true) throw new AbortError()
  }
}

/** Lets who just asked for the read abort it. */
async function requireNotAborted(signal: AbortSignal): Promise<void> {
  await undefined
  if (signal.aborted) throw new AbortError()
}
