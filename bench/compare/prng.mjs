/**
 * Mulberry32: small, fast, and the same on every machine, which is all that a workload needs.
 *
 * @param {number} seed
 * @returns {(bound: number) => number} whole numbers in [0, bound)
 */
export function createRandom(seed) {
  let state = seed >>> 0
  return (bound) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * bound)
  }
}
