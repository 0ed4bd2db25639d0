/** Databases for tests, each in a directory of its own. */
import assert from 'node:assert/strict'
import { type DatabaseOptions, VarveLevel } from '../../src/level/index.js'

export const smallSegments = { segmentSizeBytes: 2 ** 20 } as const

export async function openLevel<K = string, V = string>(
  path: string,
  options: DatabaseOptions<K, V> = {},
): Promise<VarveLevel<K, V>> {
  const db = new VarveLevel<K, V>(path, { ...smallSegments, ...options })
  await db.open()
  return db
}

export interface CodedError extends Error {
  readonly code?: string
  cause?: CodedError
}

/** The error that a promise is rejected with; fails where it is not. */
export async function rejectionOf(promise: Promise<unknown>, code: string): Promise<CodedError> {
  const error = await promise.then(
    () => assert.fail('nothing was thrown'),
    (reason: unknown) => reason,
  )
  assert.ok(error instanceof Error, String(error))
  const coded = error as CodedError
  assert.equal(coded.code, code, String(error))
  return coded
}

/** `count` entries in order, and enough of them for many leaves of the index. */
export function numbered(count: number): [string, string][] {
  return Array.from({ length: count }, (_, index) => {
    const key = String(index).padStart(6, '0')
    return [key, `value of ${key}`]
  })
}

export async function fill(db: VarveLevel, entries: readonly [string, string][]): Promise<void> {
  await db.batch(entries.map(([key, value]) => ({ type: 'put', key, value })))
}
