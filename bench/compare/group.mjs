const groupSize = 1000

/**
 * Cuts `count` items into groups of 1,000 and waits for each: the way to feed an engine that writes
 * in the background without queueing everything at once.
 *
 * @param {number} count
 * @param {(start: number, end: number) => Promise<unknown>} write
 */
export async function forEachGroup(count, write) {
  for (let start = 0; start < count; start += groupSize) {
    await write(start, Math.min(start + groupSize, count))
  }
}
