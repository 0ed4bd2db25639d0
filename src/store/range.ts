/** Ranges of keys: the options that say one, and the entries that it gives. */
import { shown } from '../base/shown.js'
import type { Engine } from '../engine/engine.js'
import type { Key } from '../engine/key.js'
import { type KeyRange, RangeReader, type Wanted } from '../engine/range.js'
import type { Moment } from '../engine/snapshot.js'
import { orderedCursorKeysMax } from '../index/ordered-cursor.js'
import { compareKeys, OrderedKey } from '../index/ordered-key.js'
import { setBehind } from '../index/ordered-range.js'
import {
  decodeBytes,
  decodeKey,
  type KeyEncoding,
  type StoreKey,
  setKey,
  setPrefix,
  undecodable,
  type ValueEncoding,
} from './encoding.js'

/** Which keys of a keyspace, in what order. Keys are ordered by their bytes. */
export interface RangeOptions<K = StoreKey> {
  /** Keys above, or from, this one on. The higher of the two counts. */
  readonly gt?: K
  readonly gte?: K
  /** Keys below, or up to, this one. The lower of the two counts. */
  readonly lt?: K
  readonly lte?: K
  /** Keys that begin with these bytes; of an array, those that begin with its elements. */
  readonly prefix?: K
  /** From the last key to the first. Default false. */
  readonly reverse?: boolean
  /** At most so many entries. Default: all. */
  readonly limit?: number
}

const rangeFields = ['gt', 'gte', 'lt', 'lte', 'prefix', 'reverse', 'limit']

/** What a range is read from and decoded with. */
export interface RangeSource {
  readonly engine: Engine
  readonly keyspaceId: number
  readonly encoding: ValueEncoding<never>
  readonly keyEncoding: KeyEncoding
  /** Of the snapshot to read from, or undefined for the store as it is when the reading begins. */
  readonly moment: Moment | undefined
  /** That snapshot: it stays open as long as somebody reads from it, unless it is closed. */
  readonly snapshot?: { requireOpen(): void }
}

export function resolveRange(
  key: Key,
  keyspaceId: number,
  keyEncoding: KeyEncoding,
  options: RangeOptions,
): KeyRange {
  checkRange(options)
  const atHand = (): OrderedKey => {
    const ordered = new OrderedKey()
    ordered.set(keyspaceId, key.words, 0, key.sizeBytes)
    return ordered
  }
  const asKey = (value: StoreKey): OrderedKey => {
    setKey(key, keyEncoding, value)
    return atHand()
  }
  let low = options.gte === undefined ? undefined : asKey(options.gte)
  if (options.gt !== undefined) low = higher(low, raised(asKey(options.gt)))
  let high = options.lt === undefined ? undefined : asKey(options.lt)
  if (options.lte !== undefined) high = lower(high, raised(asKey(options.lte)))
  if (options.prefix !== undefined) {
    // An array is the first of those that begin with its elements, and ends as none of the others go on.
    low = higher(low, asKey(options.prefix))
    setPrefix(key, keyEncoding, options.prefix)
    const behind = new OrderedKey()
    setBehind(behind, atHand())
    // A prefix of nothing but 0xff ends where the keyspace ends.
    if (behind.keyspaceId === keyspaceId) high = lower(high, behind)
  }
  const isEmpty = low !== undefined && high !== undefined && compareKeys(low, high) >= 0
  const limit = options.limit ?? Number.POSITIVE_INFINITY
  return { low, high, isReverse: options.reverse ?? false, limit: isEmpty ? 0 : limit }
}

function raised(key: OrderedKey): OrderedKey {
  key.raise()
  return key
}

function higher(a: OrderedKey | undefined, b: OrderedKey): OrderedKey {
  return a === undefined || compareKeys(a, b) < 0 ? b : a
}

function lower(a: OrderedKey | undefined, b: OrderedKey): OrderedKey {
  return a === undefined || compareKeys(a, b) > 0 ? b : a
}

function checkRange(options: RangeOptions): void {
  if (typeof options !== 'object' || options === null) {
    throw new TypeError(`a range is ${shown(options)}; accepted: { ${rangeFields.join(', ')} }`)
  }
  const unknown = Object.keys(options).find((name) => !rangeFields.includes(name))
  if (unknown !== undefined) {
    throw new TypeError(
      `unknown option "${unknown}" of a range; accepted: ${rangeFields.join(', ')}`,
    )
  }
  const { limit, reverse } = options
  if (reverse !== undefined && typeof reverse !== 'boolean') {
    throw new TypeError(`option "reverse" is ${shown(reverse)}; accepted: true or false`)
  }
  const isLimit = limit === undefined || limit === Number.POSITIVE_INFINITY
  if (!isLimit && !(Number.isSafeInteger(limit) && limit >= 0)) {
    throw new RangeError(`option "limit" is ${shown(limit)}; accepted: a whole number from 0`)
  }
}

export type EntryKind = 'entries' | 'keys' | 'values'

const noTexts: string[] = []

/**
 * One of each class of steps that is at its end, and refers to no store: V8 drops what it compiled for a
 * class when it collects the last object of it. Without them every major collection between two ranges cost
 * the second one 20 ms at a fraction of its speed.
 */
const ended: { keySteps: unknown; rangeSteps: unknown } = {
  keySteps: undefined,
  rangeSteps: undefined,
}

/** Reads a range entry by entry; gives the snapshot back at its end, or when it is left. */
export class RangeSteps<T> implements IterableIterator<T> {
  /** Undefined behind the end. */
  #reader: RangeReader | undefined
  #snapshot: RangeSource['snapshot']
  readonly #kind: EntryKind
  #encoding: ValueEncoding<never>
  readonly #keyEncoding: KeyEncoding
  /** Of the batch: the keys that are text and wanted, and the values. */
  #texts = noTexts
  #values: readonly (Buffer | string)[] = noTexts
  #index = 0
  #count = 0

  constructor(source: RangeSource, range: KeyRange, kind: EntryKind) {
    const { encoding, engine, keyEncoding, keyspaceId, moment, snapshot } = source
    this.#snapshot = snapshot
    this.#kind = kind
    this.#encoding = encoding
    this.#keyEncoding = keyEncoding
    const wanted: Wanted = kind === 'keys' ? 'keys' : encoding === 'utf8' ? 'text' : 'bytes'
    this.#reader = new RangeReader(engine, keyspaceId, range, wanted, moment)
  }

  [Symbol.iterator](): IterableIterator<T> {
    return this
  }

  next(): IteratorResult<T> {
    if (this.#index === this.#count && !this.#nextBatch()) return { done: true, value: undefined }
    const index = this.#index++
    if (this.#kind === 'keys') return { done: false, value: this.#key(index) as T }
    try {
      if (this.#kind === 'values') return { done: false, value: this.#value(index) as T }
      return { done: false, value: [this.#key(index), this.#value(index)] as T }
    } catch (error) {
      // Whoever meets an error asks no iterator to end.
      this.return()
      throw error
    }
  }

  return(): IteratorResult<T> {
    this.#reader?.close()
    this.#end()
    return { done: true, value: undefined }
  }

  #nextBatch(): boolean {
    this.#forgetBatch()
    this.#snapshot?.requireOpen()
    const reader = this.#reader
    if (reader === undefined) return false
    if (!reader.nextBatch()) {
      this.#end()
      return false
    }
    if (this.#keyEncoding === 'utf8' && this.#kind !== 'values') this.#texts = reader.keyTexts()
    this.#values = reader.values
    this.#count = reader.count
    return true
  }

  /** The reader uses the arrays again, for its next batch or for another range. */
  #forgetBatch(): void {
    this.#texts = noTexts
    this.#values = noTexts
    this.#index = 0
    this.#count = 0
  }

  #end(): void {
    this.#forgetBatch()
    this.#reader = undefined
    this.#snapshot = undefined
    this.#encoding = 'binary'
    ended.rangeSteps = this
  }

  #key(index: number): StoreKey {
    const reader = this.#reader as RangeReader
    if (this.#keyEncoding === 'utf8') return this.#texts[index] ?? reader.keyText(index)
    return decodeKey(this.#keyEncoding, reader.keyBytes(index))
  }

  #value(index: number): unknown {
    const value = this.#values[index]
    if (typeof value === 'string') return value
    try {
      return decodeBytes(this.#encoding, value)
    } catch (error) {
      throw undecodable(this.#encoding, this.#key(index), error)
    }
  }
}

/** Keys alone, in order. */
export function keySteps<K extends StoreKey>(
  source: RangeSource,
  range: KeyRange,
): IterableIterator<K> {
  if (source.keyEncoding !== 'utf8') return new RangeSteps<K>(source, range, 'keys')
  return new KeyTextSteps(source, range) as IterableIterator<StoreKey> as IterableIterator<K>
}

/** Keys that a batch has at most: those of a leaf. */
const keysAtOnceMax = orderedCursorKeysMax

/**
 * Keys that are text, made for a batch at a time: a step is then small enough for V8 to make it a part
 * of the caller's loop, without an object for its result.
 * Hot path: `bench/compare`, row "scanKeys".
 */
class KeyTextSteps implements IterableIterator<string> {
  /** Undefined behind the end. */
  #reader: RangeReader | undefined
  #snapshot: RangeSource['snapshot']
  #texts = noTexts
  #index = 0
  #count = 0

  constructor({ engine, keyspaceId, moment, snapshot }: RangeSource, range: KeyRange) {
    this.#snapshot = snapshot
    this.#reader = new RangeReader(engine, keyspaceId, range, 'keys', moment)
  }

  [Symbol.iterator](): IterableIterator<string> {
    return this
  }

  next(): IteratorResult<string> {
    if (this.#index === this.#count && !this.#nextBatch()) return { done: true, value: undefined }
    return { done: false, value: this.#texts[this.#index++] }
  }

  return(): IteratorResult<string> {
    this.#reader?.close()
    this.#end()
    return { done: true, value: undefined }
  }

  #nextBatch(): boolean {
    // The reader uses the array again, for its next batch or for another range.
    this.#texts = noTexts
    this.#index = 0
    this.#count = 0
    this.#snapshot?.requireOpen()
    const reader = this.#reader
    if (reader === undefined) return false
    if (!reader.nextBatch(keysAtOnceMax)) {
      this.#end()
      return false
    }
    this.#texts = reader.keyTexts()
    this.#count = reader.count
    return true
  }

  #end(): void {
    this.#reader = undefined
    this.#snapshot = undefined
    this.#texts = noTexts
    this.#index = 0
    this.#count = 0
    ended.keySteps = this
  }
}

/** How many entries a range has. */
export function countRangeOf(source: RangeSource, range: KeyRange): number {
  const { engine, keyspaceId, moment } = source
  const reader = new RangeReader(engine, keyspaceId, range, 'keys', moment)
  let count = 0
  while (reader.nextBatch(keysAtOnceMax)) count += reader.count
  return count
}
