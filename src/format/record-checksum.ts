/**
 * The checksum of a record: XXH32 over all its words with the checksum's own word taken as 0, so
 * that a record can be verified where it lies, without a copy.
 * Hot path: `bench/compare`, rows "load" and "random update".
 */
import { checksumWord } from './record.js'

const prime1 = 0x9e3779b1 | 0
const prime2 = 0x85ebca77 | 0
const prime3 = 0xc2b2ae3d | 0
const prime4 = 0x27d4eb2f | 0

/** Makes the seed of one record out of that of its segment (see {@link segmentSeed}). */
export function recordSeed(segmentSeed: number, offsetDoubles: number, inBatch: boolean): number {
  const seed = (segmentSeed + Math.imul(offsetDoubles, prime1)) | 0
  return inBatch ? seed ^ prime4 : seed
}

/**
 * `start` and `wordCount` count 32-bit words; a record has at least 12 and an even number of them.
 */
export function checksumRecord(
  words: Int32Array,
  start: number,
  wordCount: number,
  seed: number,
): number {
  const end = start + wordCount
  let lane1 = (seed + prime1 + prime2) | 0
  let lane2 = (seed + prime2) | 0
  let lane3 = seed | 0
  let lane4 = (seed - prime1) | 0
  let index = start
  for (; index < start + checksumWord; index += 4) {
    lane1 = (lane1 + Math.imul(words[index], prime2)) | 0
    lane1 = Math.imul((lane1 << 13) | (lane1 >>> 19), prime1)
    lane2 = (lane2 + Math.imul(words[index + 1], prime2)) | 0
    lane2 = Math.imul((lane2 << 13) | (lane2 >>> 19), prime1)
    lane3 = (lane3 + Math.imul(words[index + 2], prime2)) | 0
    lane3 = Math.imul((lane3 << 13) | (lane3 >>> 19), prime1)
    lane4 = (lane4 + Math.imul(words[index + 3], prime2)) | 0
    lane4 = Math.imul((lane4 << 13) | (lane4 >>> 19), prime1)
  }
  // The third round begins with the checksum's own word. By itself, so that no round of a value has to ask:
  // 15 percent for a record of 168 bytes.
  lane1 = Math.imul((lane1 << 13) | (lane1 >>> 19), prime1)
  lane2 = (lane2 + Math.imul(words[index + 1], prime2)) | 0
  lane2 = Math.imul((lane2 << 13) | (lane2 >>> 19), prime1)
  lane3 = (lane3 + Math.imul(words[index + 2], prime2)) | 0
  lane3 = Math.imul((lane3 << 13) | (lane3 >>> 19), prime1)
  lane4 = (lane4 + Math.imul(words[index + 3], prime2)) | 0
  lane4 = Math.imul((lane4 << 13) | (lane4 >>> 19), prime1)
  index += 4
  for (const last = end - 4; index <= last; index += 4) {
    lane1 = (lane1 + Math.imul(words[index], prime2)) | 0
    lane1 = Math.imul((lane1 << 13) | (lane1 >>> 19), prime1)
    lane2 = (lane2 + Math.imul(words[index + 1], prime2)) | 0
    lane2 = Math.imul((lane2 << 13) | (lane2 >>> 19), prime1)
    lane3 = (lane3 + Math.imul(words[index + 2], prime2)) | 0
    lane3 = Math.imul((lane3 << 13) | (lane3 >>> 19), prime1)
    lane4 = (lane4 + Math.imul(words[index + 3], prime2)) | 0
    lane4 = Math.imul((lane4 << 13) | (lane4 >>> 19), prime1)
  }
  let hash =
    (((lane1 << 1) | (lane1 >>> 31)) +
      ((lane2 << 7) | (lane2 >>> 25)) +
      ((lane3 << 12) | (lane3 >>> 20)) +
      ((lane4 << 18) | (lane4 >>> 14)) +
      wordCount * 4) |
    0
  for (; index < end; index++) {
    hash = (hash + Math.imul(words[index], prime3)) | 0
    hash = Math.imul((hash << 17) | (hash >>> 15), prime4)
  }
  hash ^= hash >>> 15
  hash = Math.imul(hash, prime2)
  hash ^= hash >>> 13
  hash = Math.imul(hash, prime3)
  return hash ^ (hash >>> 16)
}
