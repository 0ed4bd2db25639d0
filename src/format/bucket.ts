/**
 * A bucket of the hash index: one cache line of 64 bytes, 16 words.
 *
 * word  | field
 * ----- | -----
 *  0-13 | 7 entries of two words: low word (tag << 8 | location bits 32..39), high word (location
 *       | bits 0..31); both 0 for none
 *    14 | version: odd while the chain of this home bucket changes (unused in overflow buckets)
 *    15 | link: number of the next overflow bucket of the chain, 0 for none
 *
 * The tag is the upper 24 bits of the hash; a bucket's number is made of its lower bits, from the
 * 8 of the smallest table on. So an entry carries every hash bit that a split asks for, and no
 * split ever reads a record.
 *
 * A location is slot and offset of a record in 8-byte words: 40 bits, 8 TiB of log at a time.
 */
export const bucketWords = 16
export const bucketSizeBytes = 64
export const entriesPerBucket = 7
export const entryWords = 2
export const versionWordInBucket = 14
export const linkWordInBucket = 15
export const tagShift = 8
export const bucketCountMin = 256
/** 8 GiB of home buckets. Beyond it chains grow longer and the index stays right. */
export const bucketCountMax = 2 ** 27

/** The first word of the entry that leads to the record at `slot` and `offset`, in segments of 2^`shift` 8-byte words … */
export function entryLow(hash: number, slot: number, shift: number): number {
  return ((hash >>> tagShift) << tagShift) | (slot >>> (32 - shift))
}

/** … and the second. */
export function entryHigh(slot: number, offset: number, shift: number): number {
  return (slot << shift) | offset
}
