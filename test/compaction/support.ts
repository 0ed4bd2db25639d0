/** Small stores for tests of compaction: a model beside them, and what they take on disk. */
import assert from 'node:assert/strict'
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Store, StoreOptions } from '../../src/store/index.js'
import { Random } from '../support/random.js'

export const segmentSizeBytes = 2 ** 20
export const options = {
  encoding: 'binary',
  segmentSizeBytes,
  syncIntervalMs: 0,
  autoCompact: false,
} as const satisfies StoreOptions<Buffer>

export interface Written {
  readonly size: number
  readonly seed: number
}
export type Model = Map<string, Written>

export const bytesOf = ({ size, seed }: Written): Buffer => new Random(seed).bytes(size)

/** What of a round is written: keys by number, below `keyCount`. */
export interface Round {
  readonly count: number
  readonly keyCount: number
  readonly deletePart: number
  readonly batchPart: number
  readonly sizeMax: number
}

/** Random puts, deletes and batches, on the store and on the model. */
export function write(store: Store<Buffer>, model: Model, random: Random, round: Round): void {
  const { batchPart, count, deletePart, keyCount, sizeMax } = round
  const set = (key: string): Written => {
    const value = { size: random.below(sizeMax), seed: random.below(2 ** 30) }
    model.set(key, value)
    return value
  }
  for (let index = 0; index < count; index++) {
    const key = `key ${random.below(keyCount)}`
    if (random.chance(deletePart)) {
      assert.equal(store.delete(key), model.delete(key))
    } else if (random.chance(batchPart)) {
      const other = `key ${random.below(keyCount)}`
      const isOther = other !== key
      store.write([
        { type: 'put', key, value: bytesOf(set(key)) },
        ...(isOther ? [{ type: 'delete' as const, key: other }] : []),
      ])
      if (isOther) model.delete(other)
    } else {
      store.put(key, bytesOf(set(key)))
    }
  }
}

export function requireModel(
  store: Pick<Store<Buffer>, 'count' | 'get'>,
  model: Model,
  keyCount: number,
): void {
  assert.equal(store.count(), model.size)
  for (let index = 0; index < keyCount; index++) {
    const key = `key ${index}`
    const expected = model.get(key)
    const actual = store.get(key)
    const isSame =
      expected === undefined ? actual === undefined : actual?.equals(bytesOf(expected)) === true
    assert.ok(isSame, `${key}: ${actual?.length} bytes for ${expected?.size}`)
  }
}

/** Bytes of the files that hold records and values, a prepared segment included. */
export function fileBytesIn(directory: string): number {
  return readdirSync(directory)
    .filter((name) => /^(segment|value|prepared)-/.test(name))
    .reduce((sum, name) => sum + statSync(join(directory, name)).size, 0)
}

export function requireBound(store: Store<Buffer>, directory: string): void {
  const { liveBytes } = store.stats()
  const bound = 2 * liveBytes + 2 * segmentSizeBytes
  const fileBytes = fileBytesIn(directory)
  assert.ok(fileBytes <= bound, `${fileBytes} bytes on disk for ${liveBytes} live ones`)
}
