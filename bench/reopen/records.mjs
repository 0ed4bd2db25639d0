import { presentKeys, randomValues } from '../compare/workloads.mjs'

export const chunkSize = 10_000

/**
 * Records that come one after the other: the unit in which the store is filled and checked.
 *
 * @param {number} chunk its place among the chunks
 * @param {number} generation 0 as loaded, higher as updated later
 */
export function createChunk(chunk, generation) {
  const records = Uint32Array.from({ length: chunkSize }, (_, index) => chunk * chunkSize + index)
  return {
    keys: presentKeys(records),
    values: randomValues(chunkSize, chunk + 1_000_000 * generation),
  }
}
