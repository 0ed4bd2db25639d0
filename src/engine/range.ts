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
  type OrderedCursor,
  orderedCursorKeysMax,
  seek,
  seekBusy,
  seekEdge,
  seekEnd,
  seekNext,
} from '../index/ordered-cursor.js'
import type { OrderedIndex } from '../index/ordered-index.js'
import type { OrderedKey } from '../index/ordered-key.js'
import { trimCursor } from '../index/ordered-range.js'
import { requireOrder } from './build-order.js'
import type { Engine } from './engine.js'
import {
  copyTexts,
  copyValues,
  isPlaceStable,
  isQuiet,
  keysAtOnce,
  probeBatch,
  slots,
} from './probe-batch.js'
import { giveRangeMemory, noRangeMemory, takeRangeMemory } from './range-memory.js'
import { takeTurn } from './read.js'
import {
  closeSnapshot,
  copyFoundValue,
  findAt,
  foundText,
  type Moment,
  openSnapshot,
  requireShown,
  snapshotTime,
} from './snapshot.js'
import { isDue } from './time.js'

/** All keys of a keyspace from `low` on and below `high`; undefined for the keyspace's own edge. */
export interface KeyRange {
  readonly low: OrderedKey | undefined
  readonly high: OrderedKey | undefined
  readonly isReverse: boolean
  readonly limit: number
}

export type Wanted = 'keys' | 'bytes' | 'text'

const notAscii = 0x80808080
/** Whoever keeps a key keeps no more than that of the others. */
const textSizeBytesMax = 4096

export class RangeReader {
  readonly engine: Engine
  readonly keyspaceId: number
  readonly range: KeyRange
  readonly wanted: Wanted
  readonly sequence: number
  readonly timeMs: number
  /** True while it has a snapshot of its own. */
  #holdsSnapshot: boolean
  #isWatched = false
  #memory = noRangeMemory
  #cursor: OrderedCursor = noRangeMemory.cursor
  values: (Buffer | string)[] = noRangeMemory.values
  #isBegun = false
  #isOpen = true
  /** The keys of the cursor are those of the snapshot, and need not be looked up. */
  #isLeafExact = false
  /** The first key of the cursor that was not looked up yet. */
  #position = 0
  #left: number
  /** What the batch has: keys of the cursor from `#first` on, and their values. */
  count = 0
  #first = 0
  #isDecoded = false

  /** `moment`: of a snapshot that stays open longer, or undefined for one of its own. */
  constructor(
    engine: Engine,
    keyspaceId: number,
    range: KeyRange,
    wanted: Wanted,
    moment: Moment | undefined,
  ) {
    engine.requireOpen()
    requireOrder(engine)
    this.engine = engine
    this.keyspaceId = keyspaceId
    this.range = range
    this.wanted = wanted
    this.#left = range.limit
    this.#holdsSnapshot = moment === undefined
    this.sequence = moment?.sequence ?? openSnapshot(engine)
    this.timeMs = moment?.timeMs ?? snapshotTime(engine)
    const memory = takeRangeMemory(engine)
    this.#memory = memory
    this.#cursor = memory.cursor
    this.values = memory.values
  }

  /** The bytes of a key of the batch; they hold good until the next batch. */
  keyBytes(index: number): Buffer {
    const { bytes, sizesBytes, starts } = this.#cursor
    const key = this.#first + index
    const start = starts[key] * 4
    return bytes.subarray(start, start + sizesBytes[key])
  }

  /** The same as text; it may share the memory of the other keys of the batch. */
  keyText(index: number): string {
    return this.keyTexts()[index]
  }

  /**
   * The text of all keys of the batch, key 0 to `count - 1`; the array holds good until the next one. Keys
   * that are ASCII are parts of one text, made at once: a call for each would cost four times as much as
   * all of the rest.
   * Hot path: `bench/compare`, rows "scanKeys", "scan".
   */
  keyTexts(): string[] {
    const texts = this.#memory.keyTexts
    if (!this.#isDecoded) this.#decodeKeys(texts)
    return texts
  }

  #decodeKeys(texts: string[]): void {
    const { bytes, seenBits, sizesBytes, starts } = this.#cursor
    const end = this.#first + this.count
    let place = 0
    this.#isDecoded = true
    if ((seenBits & notAscii) !== 0) {
      for (let key = this.#first; key < end; key++) {
        const start = starts[key] * 4
        texts[place++] = bytes.toString('utf8', start, start + sizesBytes[key])
      }
      return
    }
    for (let key = this.#first; key < end; ) {
      const start = starts[key] * 4
      let last = key
      while (
        last + 1 < end &&
        starts[last + 1] * 4 + sizesBytes[last + 1] - start <= textSizeBytesMax
      )
        last++
      const text = bytes.toString('latin1', start, starts[last] * 4 + sizesBytes[last])
      for (; key <= last; key++) {
        const at = starts[key] * 4 - start
        texts[place++] = text.substring(at, at + sizesBytes[key])
      }
    }
  }

  /**
   * Reads the next keys of the range, `countMax` at most, and no more than {@link keysAtOnce} where they
   * have to be looked up. False, and closed, at its end; closed, too,
   * where it throws.
   */
  nextBatch(countMax: number = keysAtOnce): boolean {
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
    this.#isDecoded = false
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
    this.#giveBack()
    const memory = this.#memory
    this.#memory = noRangeMemory
    this.#cursor = noRangeMemory.cursor
    this.values = noRangeMemory.values
    giveRangeMemory(this.engine, memory)
  }

  /** Keys and values of the batch are copies: behind the last of them nothing is held back. */
  #holdNoLonger(): void {
    const { isLast, count } = this.#cursor
    if (this.#left === 0 || (isLast && this.#position >= count)) this.#giveBack()
    else if (this.#holdsSnapshot && !this.#isWatched) {
      this.#isWatched = true
      this.#memory.watch(this.engine, this.sequence)
    }
  }

  #giveBack(): void {
    if (!this.#holdsSnapshot) return
    this.#holdsSnapshot = false
    if (this.#isWatched) this.#memory.unwatch()
    closeSnapshot(this.engine, this.sequence)
  }

  #nextLeaf(): boolean {
    const cursor = this.#cursor
    const { isReverse, low, high } = this.range
    const { control } = this.engine
    if (this.#isBegun && cursor.isLast) return false
    const { from } = this.#memory
    if (this.#isBegun) from.setKey(cursor.fence, cursor.fence.sizeBytes)
    cursor.countMax = Math.min(this.#left, orderedCursorKeysMax)
    for (;;) {
      const generation = Atomics.load(control.words, layout.orderGenerationWord)
      const order = requireOrder(this.engine)
      const mayBeExact = this.wanted === 'keys' && this.#isSettled(order)
      const result = this.#isBegun ? seekNext(order, cursor) : this.#seekFirst(order)
      if (Atomics.load(control.words, layout.orderGenerationWord) !== generation) {
        // It was built anew under this read: once more, from the same key.
        if (this.#isBegun) cursor.fence.setKey(from, from.sizeBytes)
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
      this.#isLeafExact = mayBeExact && control.read(layout.sequence) === this.sequence
      requireShown(this.engine, this.sequence)
      if (result === seekEnd) return false
      const bound = isReverse ? low : high
      if (bound !== undefined) trimCursor(cursor, bound)
      return cursor.count > 0
    }
  }

  /**
   * True where nobody is writing, no deleted key is kept, and none has expired. If nothing was committed
   * behind the snapshot by the time that a leaf was read after this, the leaf has what the snapshot shows,
   * without a look at the records.
   *
   * Before the leaf is read, and not after: a sweep takes out the last tombstone by one commit, and its
   * key a moment later, or, where it is killed in between, when the next writer comes. Both are over by
   * now, and a tombstone that is written later is committed behind the snapshot.
   */
  #isSettled(order: OrderedIndex): boolean {
    const { control } = this.engine
    return (
      // One of this one's own may have more keys: see own-order.ts.
      order === this.engine.order &&
      (Atomics.load(control.words, layout.writerWord) & layout.tokenBusy) === 0 &&
      !control.isPoisoned &&
      control.read(layout.sequence) === this.sequence &&
      control.read(layout.tombstones) === 0 &&
      !isDue(this.engine, this.timeMs)
    )
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
    const { engine } = this
    const first = this.#position
    const atOnce = this.#isLeafExact ? countMax : Math.min(countMax, keysAtOnce)
    const count = Math.min(this.#cursor.count - first, atOnce, this.#left)
    this.#first = first
    this.#position = first + count
    let found = count
    if (!this.#isLeafExact) {
      found = engine.verifiesReads ? this.#lookUpEach(count) : this.#lookUpAll(count)
      requireShown(engine, this.sequence)
    }
    this.#left -= found
    this.count = found
  }

  /** Looks up `count` keys of the cursor together; how many the snapshot shows. */
  #lookUpAll(count: number): number {
    const { engine, keyspaceId, sequence, values, wanted } = this
    const { sizesBytes, starts, words } = this.#cursor
    const first = this.#first
    probeBatch(engine, keyspaceId, sequence, words, starts, sizesBytes, first, count)
    if (wanted === 'bytes') copyValues(engine, values, count)
    else if (wanted === 'text') copyTexts(engine, values, count)
    const areAllStable = isQuiet(engine)
    let found = 0
    for (let at = 0; at < count; at++) {
      if (slots[at] >= 0 && (areAllStable || isPlaceStable(engine, at))) {
        if (found < at) this.#keep(at, found)
        found++
      } else if (this.#lookUpOne(at, found)) {
        found++
      }
    }
    values.length = wanted === 'keys' ? 0 : found
    return found
  }

  #lookUpEach(count: number): number {
    let found = 0
    for (let at = 0; at < count; at++) if (this.#lookUpOne(at, found)) found++
    return found
  }

  /** Looks up one key of the batch; where the snapshot shows it, it becomes key `found`. */
  #lookUpOne(at: number, found: number): boolean {
    const { engine, values, wanted } = this
    const { sizesBytes, starts, words } = this.#cursor
    const key = this.#first + at
    engine.key.setWords(words, starts[key], sizesBytes[key])
    if (!findAt(engine, this.keyspaceId, this)) return false
    if (wanted === 'bytes') values[at] = copyFoundValue(engine)
    else if (wanted === 'text') values[at] = foundText(engine)
    if (found < at) this.#keep(at, found)
    return true
  }

  /** Key `at` of the batch takes the place of one that is not shown. */
  #keep(at: number, found: number): void {
    const { sizesBytes, starts } = this.#cursor
    starts[this.#first + found] = starts[this.#first + at]
    sizesBytes[this.#first + found] = sizesBytes[this.#first + at]
    if (this.wanted !== 'keys') this.values[found] = this.values[at]
  }
}
