/** What update, getOrInsert and increment make of a value, between its bytes and what they stand for. */
import { shown } from '../base/shown.js'
import type { Engine } from '../engine/engine.js'
import { locateValue } from '../engine/read.js'
import { copyFoundValue, foundText } from '../engine/snapshot.js'
import { decodeValueOf, isMsgpack, type StoreKey, type ValueEncoding } from './encoding.js'
import { decodeNumber } from './number-value.js'

/** The value of the record that the lookup has; with the writer's word in hand. */
export function decodeFound(
  engine: Engine,
  encoding: ValueEncoding<never>,
  key: StoreKey,
): unknown {
  if (isMsgpack(encoding)) {
    const number = foundNumber(engine)
    if (number !== undefined) return number
  }
  if (encoding === 'utf8') return foundText(engine)
  return decodeValueOf(encoding, key, copyFoundValue(engine))
}

/** A number is read where it lies. */
function foundNumber(engine: Engine): number | undefined {
  const { log, lookup } = engine
  locateValue(engine)
  return decodeNumber(log.bytes[lookup.valueSlot], lookup.valueStart, lookup.valueSizeBytes)
}

/** Throws `TypeError` for what is no number, and `RangeError` where the sum is not exact. */
export function sum(current: unknown, by: number): number {
  if (typeof current !== 'number') {
    throw new TypeError(`value is ${shown(current)}; increment accepts a number`)
  }
  const result = current + by
  const isWhole = Number.isSafeInteger(current) && Number.isSafeInteger(by)
  if (isWhole ? Number.isSafeInteger(result) : Number.isFinite(result)) return result
  throw new RangeError(
    `${current} + ${by} is ${result}; accepted: whole numbers from -(2^53 - 1) to 2^53 - 1, or finite ones`,
  )
}

export function requireFiniteNumber(by: unknown): asserts by is number {
  if (typeof by === 'number' && Number.isFinite(by)) return
  throw new TypeError(`by is ${shown(by)}; accepted: a finite number`)
}

export function requireFunction(name: string, value: unknown): void {
  if (typeof value === 'function') return
  throw new TypeError(`${name} is ${shown(value)}; accepted: a function`)
}

/** What a function gives for a value: a promise of one cannot be stored. */
export function requireNoPromise(operation: string, value: unknown): void {
  if (!isThenable(value)) return
  throw new TypeError(
    `the function given to ${operation} returned a promise; accepted: one that is done when it returns`,
  )
}

export function isThenable(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  return typeof (value as { then?: unknown }).then === 'function'
}
