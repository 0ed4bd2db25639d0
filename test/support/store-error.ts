/** Asserting which refusal a call gives. */
import assert from 'node:assert/strict'
import { StoreError, type StoreErrorCode } from '../../src/store/index.js'

/** The error that `action` throws; fails where it throws none. */
export function thrownBy(action: () => unknown): unknown {
  try {
    action()
  } catch (error) {
    return error
  }
  return assert.fail('nothing was thrown')
}

export function asStoreError(error: unknown, code: StoreErrorCode): StoreError {
  assert.ok(error instanceof StoreError, `expected ${code}, got ${String(error)}`)
  assert.equal(error.code, code, error.message)
  return error
}

export function storeErrorOf(action: () => unknown, code: StoreErrorCode): StoreError {
  return asStoreError(thrownBy(action), code)
}

/** True for the two refusals of damaged or foreign bytes. */
export function isDamageError(error: unknown): boolean {
  return (
    error instanceof StoreError && (error.code === 'STORE_CORRUPT' || error.code === 'STORE_FORMAT')
  )
}

export type ErrorClass = typeof TypeError | typeof RangeError

/** The action throws an error of the class, and its message has all the words. */
export function refused(action: () => unknown, type: ErrorClass, ...words: string[]): void {
  const error = thrownBy(action)
  assert.ok(error instanceof type, `expected a ${type.name}, got ${String(error)}`)
  for (const word of words) {
    assert.ok(error.message.includes(word), `"${error.message}" does not say ${word}`)
  }
}
