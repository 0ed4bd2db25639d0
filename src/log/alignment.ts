/**
 * Where values begin. Those of some size begin at multiples of 64 bytes, so that a view of them is
 * what vector instructions and cache lines want; smaller ones are copied for a view, which costs less
 * than the padding would.
 *
 * A record is followed by unused words up to a multiple of 64 bytes, so that the next one of the same
 * key size needs nothing before it. Where that guess fails a padding record goes before it: the record
 * behind the tail is the only one whose place can still be chosen.
 *
 * Cost: 28 bytes on average and 56 at most where keys are of one size, 5 percent of 512 bytes.
 */
import {
  flagReference,
  kindWordOf,
  recordHeaderSizeBytes,
  typePadding,
  valueOffset,
} from '../format/record.js'
import { type RecordTarget, seal, targetTail, writeSizes, writeStamp } from './append.js'
import type { Log } from './log.js'

/** Values of at least this size, in the log itself, are aligned. */
export const alignedValueSizeBytesMin = 512
export const valueAlignmentBytes = 64

/** 8-byte words between two multiples of the alignment, less one. */
const alignmentMask = 7
const headerDoubles = recordHeaderSizeBytes / 8
/** The longest padding, whose header takes more than what is most often missing, and slack. */
export const alignmentDoublesMax: number = alignmentMask + headerDoubles + alignmentMask

export function isAligned(valueSizeBytes: number, flags: number): boolean {
  return valueSizeBytes >= alignedValueSizeBytesMin && (flags & flagReference) === 0
}

/** Unused 8-byte words to leave behind a record whose end is at `endOffset`, and before the next one. */
export function slackBefore(endOffset: number, keySizeBytes: number, flags: number): number {
  return -(endOffset + valueOffset(keySizeBytes, flags) / 8) & alignmentMask
}

/** 8-byte words of the padding record to go before a record at `offset`; 0 for none. */
export function paddingBefore(offset: number, keySizeBytes: number, flags: number): number {
  const missing = slackBefore(offset, keySizeBytes, flags)
  return missing === 0 || missing >= headerDoubles ? missing : missing + alignmentMask + 1
}

/** Writes a padding record at the tail; returns its checksum. Part of the change that follows it. */
export function writePadding(log: Log, target: RecordTarget, sizeDoubles: number): number {
  targetTail(log, target, false)
  writeStamp(target, 0, 0, 0, 0)
  writeSizes(target, kindWordOf(typePadding, 0, 0), 0, (sizeDoubles - headerDoubles) * 8, 0)
  const { offset, words } = target
  words.fill(0, (offset + headerDoubles) * 2, (offset + sizeDoubles) * 2)
  return seal(target, sizeDoubles)
}
