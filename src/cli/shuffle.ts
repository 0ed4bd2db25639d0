/** An order that is random to the store and the same in every run. */

/** A copy in another order: Fisher and Yates, on mulberry32 with a fixed seed. */
export function shuffled<T>(items: readonly T[]): T[] {
  const result = [...items]
  let state = 0x9e3779b9
  for (let last = result.length - 1; last > 0; last--) {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    const other = ((mixed ^ (mixed >>> 14)) >>> 0) % (last + 1)
    const moved = result[last]
    result[last] = result[other]
    result[other] = moved
  }
  return result
}
