// The records of the sharing benchmark, and the keys that its threads ask for.
import { createRandom } from '../compare/prng.mjs'

const value = Buffer.alloc(100, 'v')

/** @param {number} number */
export function keyOf(number) {
  return `user${String(number).padStart(12, '0')}`
}

/** @param {number} count */
export function createKeys(count) {
  return Array.from({ length: count }, (_, index) => keyOf(index))
}

export function makeValue() {
  return value
}

/**
 * Numbers of records, all equally likely.
 *
 * @param {number} recordCount
 * @param {number} count
 * @param {number} seed
 */
export function uniform(recordCount, count, seed) {
  const random = createRandom(seed)
  return Uint32Array.from({ length: count }, () => random(recordCount))
}

/**
 * Numbers of records by Zipf's law with exponent 0.99, the frequent ones scattered over all records.
 *
 * @param {number} recordCount
 * @param {number} count
 * @param {number} seed
 */
export function zipf(recordCount, count, seed) {
  const sums = new Float64Array(recordCount)
  let sum = 0
  for (let rank = 0; rank < recordCount; rank++) {
    sum += (rank + 1) ** -0.99
    sums[rank] = sum
  }
  const random = createRandom(seed)
  return Uint32Array.from({ length: count }, () => {
    const target = (random(2 ** 32) / 2 ** 32) * sum
    let low = 0
    let high = recordCount - 1
    while (low < high) {
      const middle = (low + high) >>> 1
      if (sums[middle] < target) low = middle + 1
      else high = middle
    }
    return Math.imul(low, 0x9e3779b1) >>> 0
  }).map((scattered) => scattered % recordCount)
}
