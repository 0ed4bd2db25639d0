/**
 * A range: keys of one keyspace in order, or backwards, as a snapshot shows them.
 *
 * A leaf of the ordered index at a time, and of that a batch of keys: the cache lines of all their
 * buckets and records are asked for before the first of them is read. The ordered index may have
 * keys that are newer than the snapshot, or deleted: what counts is the record that each key leads to.
 * Hot path: `bench/compare`, rows "full scan", "keys only", "range of 100".
 */
import * as layout from '../format/control-layout.js'
import {
  OrderedCursor,
  seek,
  seekBusy,
  seekEdge,
  seekEnd,
  seekNext,
} from '../index/ordered-cursor.js'
import type { OrderedIndex } from '../index/ordered-index.js'
import { OrderedKey } from '../index/ordered-key.js'
import { trimCursor } from '../index/ordered-range.js'
import { unwatchPin, watchPin } from './abandoned.js'
import { requireOrder } from './build-order.js'
import type { Engine } from './engine.js'
import { fetchAhead, hashKey } from './probe.js'
import { takeTurn } from './read.js'
import {
  closeSnapshot,
  copyFoundValue,
  findHashedAt,
  foundText,
  openSnapshot,
  requireShown,
} from './snapshot.js'

/** All keys of a keyspace from `low` on and below `high`; undefined for the keyspace's own edge. */
export interface KeyRange {
  readonly low: OrderedKey | undefined
  readonly high: OrderedKey | undefined
  readonly isReverse: boolean
  readonly limit: number
}

export type Wanted = 'keys' | 'bytes' | 'text'

/** Keys looked up together: their misses overlap, and a short range reads no more than it gives. */
const batchMax = 64

export class RangeReader {
  readonly engine: Engine
  readonly keyspaceId: number
  readonly range: KeyRange
  readonly wanted: Wanted
  readonly sequence: number
  /** True while it has a snapshot of its own. */
  #holdsSnapshot: boolean
  #isWatched = false
  readonly #cursor: OrderedCursor
  #isBegun = false
  /** Where the next leaf is sought. */
  readonly #from = new OrderedKey()
  #isOpen = true
  /** The keys of the cursor are those of the snapshot, and need not be looked up. */
  #isLeafExact = false
  /** The first key of the cursor that was not looked up yet. */
  #position = 0
  #left: number
  /** What the batch has: which keys of the cursor, and their values. */
  count = 0
  readonly #keys = new Int32Array(batchMax)
  readonly values: (Buffer | string)[] = []
  readonly #hashes = new Int32Array(batchMax)

  /** `sequence`: of a snapshot that stays open longer, or undefined for one of its own. */
  constructor(
    engine: Engine,
    keyspaceId: number,
    range: KeyRange,
    wanted: Wanted,
    sequence: number | undefined,
  ) {
    engine.requireOpen()
    requireOrder(engine)
    this.engine = engine
    this.keyspaceId = keyspaceId
    this.range = range
    this.wanted = wanted
    this.#left = range.limit
    this.#holdsSnapshot = sequence === undefined
    this.sequence = sequence ?? openSnapshot(engine)
    this.#cursor = engine.spareCursor ?? new OrderedCursor()
    engine.spareCursor = undefined
    this.#cursor.count = 0
  }

  /** The bytes of a key of the batch; they hold good until the next batch. */
  keyBytes(index: number): Buffer {
    const { bytes, sizesBytes, starts } = this.#cursor
    const key = this.#keys[index]
    const start = starts[key] * 4
    return bytes.subarray(start, start + sizesBytes[key])
  }

  /** The same as text. */
  keyText(index: number): string {
    const { bytes, sizesBytes, starts } = this.#cursor
    const key = this.#keys[index]
    const start = starts[key] * 4
    return bytes.toString('utf8', start, start + sizesBytes[key])
  }

  /**
   * Reads the next keys of the range, `countMax` at most. False, and closed, at its end; closed, too,
   * where it throws.
   */
  nextBatch(countMax: number = batchMax): boolean {
    if (!this.#isOpen) return false
    try {
      return this.#readBatch(countMax)
    } catch (error) {
      this.close()
      throw error
    }
  }

  #readBatch(countMax: number): boolean {
    this.engine.requireOpen()
    this.count = 0
    this.values.length = 0
    while (this.#left > 0) {
      if (this.#position >= this.#cursor.count && !this.#nextLeaf()) break
      this.#lookUp(countMax)
      if (this.count === 0) continue
      this.#holdNoLonger()
      return true
    }
    this.close()
    return false
  }

  close(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    this.count = 0
    this.engine.spareCursor = this.#cursor
    this.#giveBack()
  }

  /** Keys and values of the batch are copies: behind the last of them nothing is held back. */
  #holdNoLonger(): void {
    const { isLast, count } = this.#cursor
    if (this.#left === 0 || (isLast && this.#position >= count)) this.#giveBack()
    else if (this.#holdsSnapshot && !this.#isWatched) {
      this.#isWatched = true
      watchPin(this, this.engine, this.sequence, undefined)
    }
  }

  #giveBack(): void {
    if (!this.#holdsSnapshot) return
    this.#holdsSnapshot = false
    if (this.#isWatched) unwatchPin(this)
    closeSnapshot(this.engine, this.sequence)
  }

  #nextLeaf(): boolean {
    const cursor = this.#cursor
    const { isReverse, low, high } = this.range
    const { control } = this.engine
    if (this.#isBegun && cursor.isLast) return false
    this.#from.setKey(cursor.fence, cursor.fence.sizeBytes)
    for (;;) {
      const generation = Atomics.load(control.words, layout.orderGenerationWord)
      const order = requireOrder(this.engine)
      const result = this.#isBegun ? seekNext(order, cursor) : this.#seekFirst(order)
      if (Atomics.load(control.words, layout.orderGenerationWord) !== generation) {
        // It was built anew under this read: once more, from the same key.
        cursor.fence.setKey(this.#from, this.#from.sizeBytes)
        cursor.isLast = false
        continue
      }
      if (result === seekBusy) {
        // Its writer may be dead: a turn of one's own finishes what it began.
        takeTurn(this.engine)
        continue
      }
      this.#isBegun = true
      this.#position = 0
      this.#isLeafExact = this.wanted === 'keys' && this.#isUnchanged()
      requireShown(this.engine, this.sequence)
      if (result === seekEnd) return false
      const bound = isReverse ? low : high
      if (bound !== undefined) trimCursor(cursor, bound)
      return cursor.count > 0
    }
  }

  /**
   * True where nothing was committed since the snapshot, and no deleted key is kept for another one:
   * what was read of the ordered index before is then what the snapshot shows, without a look at the
   * records. It follows each commit at once, and a snapshot is made between two.
   */
  #isUnchanged(): boolean {
    const { control } = this.engine
    return control.read(layout.sequence) === this.sequence && control.read(layout.tombstones) === 0
  }

  #seekFirst(order: OrderedIndex): number {
    const { keyspaceId } = this
    const { isReverse, low, high } = this.range
    const from = isReverse ? high : low
    if (from === undefined) return seekEdge(order, this.#cursor, keyspaceId, isReverse)
    const sizeBytes = from.sizeBytes - 4
    return seek(order, this.#cursor, keyspaceId, from.words, 1, sizeBytes, !isReverse, isReverse)
  }

  #lookUp(countMax: number): void {
    const { engine, keyspaceId, sequence, wanted, values } = this
    const { key } = engine
    const { sizesBytes, starts, words } = this.#cursor
    const first = this.#position
    const count = Math.min(this.#cursor.count - first, batchMax, countMax, this.#left)
    if (this.#isLeafExact) {
      for (let index = 0; index < count; index++) this.#keys[index] = first + index
      this.#position = first + count
      this.#left -= count
      this.count = count
      return
    }
    const hashes = this.#hashes
    for (let index = 0; index < count; index++) {
      key.setWords(words, starts[first + index], sizesBytes[first + index])
      hashes[index] = hashKey(engine, keyspaceId)
    }
    fetchAhead(engine, hashes, count)
    let found = 0
    for (let index = 0; index < count; index++) {
      key.setWords(words, starts[first + index], sizesBytes[first + index])
      if (!findHashedAt(engine, hashes[index], keyspaceId, sequence)) continue
      this.#keys[found++] = first + index
      if (wanted === 'bytes') values.push(copyFoundValue(engine))
      else if (wanted === 'text') values.push(foundText(engine))
    }
    requireShown(engine, sequence)
    this.#position = first + count
    this.#left -= found
    this.count = found
  }
}
