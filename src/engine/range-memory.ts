/**
 * What a range needs as long as it is read, and the next one can use again: one of an engine that is
 * free waits in `spareRangeMemory`.
 *
 * Its pin is watched from the first time on that a range needs it, and for good: asking the garbage
 * collector to tell of every range anew costs as much as reading ten keys. Nobody but the range refers
 * to the memory while it is in use, so where the range is left, both are collected.
 */
import { OrderedCursor } from '../index/ordered-cursor.js'
import { OrderedKey } from '../index/ordered-key.js'
import { type WatchedPin, watchPin } from './abandoned.js'
import type { Engine } from './engine.js'

export class RangeMemory {
  readonly cursor: OrderedCursor = new OrderedCursor()
  /** From where a leaf is sought once more. */
  readonly from: OrderedKey = new OrderedKey()
  readonly values: (Buffer | string)[] = []
  readonly keyTexts: string[] = []
  #pin: WatchedPin | undefined

  /** Sees to it that the pin is given back, whatever becomes of the range. */
  watch(engine: Engine, sequence: number): void {
    this.#pin ??= watchPin(this, engine, sequence, undefined)
    this.#pin.engine = engine
    this.#pin.sequence = sequence
  }

  /** Its range has given the pin back, or never had one. */
  unwatch(): void {
    if (this.#pin !== undefined) this.#pin.engine = undefined
  }
}

export function takeRangeMemory(engine: Engine): RangeMemory {
  const memory = engine.spareRangeMemory ?? new RangeMemory()
  engine.spareRangeMemory = undefined
  memory.cursor.count = 0
  memory.cursor.isLast = false
  return memory
}

/** Nothing may refer to it any more; `unwatch` was called. */
export function giveRangeMemory(engine: Engine, memory: RangeMemory): void {
  memory.values.length = 0
  memory.keyTexts.length = 0
  engine.spareRangeMemory = memory
}

/** Of ranges that are over. */
export const noRangeMemory: RangeMemory = new RangeMemory()
