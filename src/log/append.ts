/**
 * Writing a record, into free space of the log or into the redo area: never over bytes that a
 * reader can reach. Its checksum is the last word written (I1).
 * Hot path: `bench/compare`, rows "load" and "random update".
 */

import {
  checksumWord,
  flagExpiry,
  keySizeWord,
  kindWord,
  previousDouble,
  recordHeaderWords,
  sequenceDouble,
  timestampDouble,
  valueSizeWord,
  versionDouble,
} from '../format/record.js'
import { checksumRecord, recordSeed } from '../format/record-checksum.js'
import type { Log } from './log.js'

/** Memory that a record is written into, and from which its checksum starts. */
export interface RecordTarget {
  words: Int32Array
  doubles: Float64Array
  bytes: Buffer
  /** Where the record begins, in 8-byte words. */
  offset: number
  /** The seed of the place where the record will be read: see {@link recordSeed}. */
  seed: number
}

/** Points `target` at the tail of the log. */
export function targetTail(log: Log, target: RecordTarget, inBatch: boolean): void {
  const slot = log.tailSlot
  target.words = log.words[slot]
  target.doubles = log.doubles[slot]
  target.bytes = log.bytes[slot]
  target.offset = log.tailOffset
  target.seed = recordSeed(log.seeds[slot], log.tailOffset, inBatch)
}

/** Kind and sizes: what a reader needs of the header. */
export function writeSizes(
  target: RecordTarget,
  kind: number,
  keySizeBytes: number,
  valueSizeBytes: number,
  slackDoubles: number,
): void {
  const { words } = target
  const start = target.offset << 1
  words[start + kindWord] = kind
  words[start + valueSizeWord] = valueSizeBytes
  words[start + keySizeWord] = keySizeBytes | (slackDoubles << 16)
}

/**
 * Version, sequence, time, and the address of the key's record before. The two hottest callers
 * write these lines themselves: doubles that cross a call are boxed.
 */
export function writeStamp(
  target: RecordTarget,
  version: number,
  sequence: number,
  timestampMs: number,
  previous: number,
): void {
  const { doubles, offset } = target
  doubles[offset + versionDouble] = version
  doubles[offset + sequenceDouble] = sequence
  doubles[offset + timestampDouble] = timestampMs
  doubles[offset + previousDouble] = previous
}

/** The key at hand, zero-padded to 8 bytes, right behind the header and the time of expiry. */
export function writeKey(
  target: RecordTarget,
  keyWords: Int32Array,
  keySizeBytes: number,
  flags: number,
): void {
  const behind = (flags & flagExpiry) === 0 ? recordHeaderWords : recordHeaderWords + 2
  const start = (target.offset << 1) + behind
  const { words } = target
  const count = ((keySizeBytes + 7) >>> 3) << 1
  for (let index = 0; index < count; index++) words[start + index] = keyWords[index]
}

/** The value, zero-padded up to `endDoubles` from the start of the record. */
export function writeValue(
  target: RecordTarget,
  value: Uint8Array | string,
  valueSizeBytes: number,
  startBytes: number,
  endDoubles: number,
): void {
  const { words, bytes, offset } = target
  const first = offset * 8 + startBytes
  const end = (offset + endDoubles) << 1
  for (let word = (first + valueSizeBytes) >>> 2; word < end; word++) words[word] = 0
  if (typeof value === 'string') bytes.write(value, first, valueSizeBytes, 'utf8')
  else if (valueSizeBytes <= fewBytesMax) writeFewBytes(words, first >>> 2, value)
  else bytes.set(value, first)
}

/** Counters and the like: below this a loop takes less time than the call. */
const fewBytesMax = 16

/** As words, because what is written byte by byte stalls the checksum, which reads words. */
function writeFewBytes(words: Int32Array, firstWord: number, value: Uint8Array): void {
  const { length } = value
  let word = firstWord
  let index = 0
  for (; index + 4 <= length; index += 4) {
    words[word++] =
      value[index] | (value[index + 1] << 8) | (value[index + 2] << 16) | (value[index + 3] << 24)
  }
  if (index === length) return
  let last = 0
  for (let shift = 0; index < length; index++, shift += 8) last |= value[index] << shift
  words[word] = last
}

/** A value of zero-padded words, as {@link writeValue}. */
export function writeValueWords(
  target: RecordTarget,
  from: Int32Array,
  fromStart: number,
  startBytes: number,
  endDoubles: number,
): void {
  const { words, offset } = target
  const end = (offset + endDoubles) << 1
  let source = fromStart
  for (let word = (offset * 8 + startBytes) >>> 2; word < end; word++) words[word] = from[source++]
}

/** Computes and writes the checksum; returns it. */
export function seal(target: RecordTarget, sizeDoubles: number): number {
  const start = target.offset << 1
  const checksum = checksumRecord(target.words, start, sizeDoubles << 1, target.seed)
  target.words[start + checksumWord] = checksum
  return checksum
}

/** Moves the writer's own tail; the control state's is moved by the commit. */
export function advanceTail(log: Log, sizeDoubles: number): void {
  log.tailOffset += sizeDoubles
  // In an oversized segment the tail passes from one part, and slot, to the next.
  while (log.tailOffset > log.offsetMask && log.tailLimit > log.offsetMask + 1) {
    log.tailSlot++
    log.tailOffset -= log.offsetMask + 1
    log.tailLimit -= log.offsetMask + 1
    log.nextCheck = 0
  }
}
