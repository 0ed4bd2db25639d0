/** The digest of a stretch of the log: the 64-bit sum of the checksums of its records. */
export interface Digest {
  /** Bits 0 to 31. */
  low: number
  /** Bits 32 to 63. */
  high: number
}

/** `sum` is a checksum of 32 bits, or the sum of several, below 2^52. */
export function addToDigest(digest: Digest, sum: number): void {
  const low = digest.low + (sum < 0 ? sum + 2 ** 32 : sum)
  if (low < 2 ** 32) {
    // Without `%`, which is a function call for doubles: half of all sums end here.
    digest.low = low
    return
  }
  digest.low = low % 2 ** 32
  digest.high = (digest.high + Math.floor(low / 2 ** 32)) % 2 ** 32
}
