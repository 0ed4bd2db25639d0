/**
 * Addresses of the log. An address counts words of 8 bytes, so that it fits a double for longer
 * than any store lives: 2^53 words are 22 years of appending at 100 MB/s.
 *
 *   address = segmentNumber * wordsPerSegment + offsetInSegmentBytes / 8
 *
 * Segment numbers start at 1 and are never used twice, so no record has address 0: it stands for
 * "none". A *location* is the same with a slot in place of the number. Slots are reused, so that a
 * location fits the 40 bits of an index entry; it is only good in memory that knows the slots.
 */
export const wordSizeBytes = 8
export const noAddress = 0

/** log2 of the 8-byte words in a segment, for the powers of two that are allowed. */
export function segmentShift(segmentSizeBytes: number): number {
  return 31 - Math.clz32(segmentSizeBytes / wordSizeBytes)
}

/** 40 bits of location, less what a segment takes. */
export function slotCountMax(shift: number): number {
  return 2 ** (40 - shift)
}
