/** Reading the fields of a record where it lies. `start` is its first 32-bit word. */
import {
  flagReference,
  keySizeWord,
  kindWord,
  recordSizeWords,
  referenceSegmentDouble,
  valueOffset,
  valueSizeWord,
} from '../format/record.js'
import type { Log } from './log.js'
import { slotSizeBytes } from './slot-table.js'

export function recordFlags(words: Int32Array, start: number): number {
  return (words[start + kindWord] >>> 8) & 0xff
}

export function recordType(words: Int32Array, start: number): number {
  return words[start + kindWord] & 0xff
}

export function recordKeyspace(words: Int32Array, start: number): number {
  return words[start + kindWord] >>> 16
}

export function recordKeySize(words: Int32Array, start: number): number {
  return words[start + keySizeWord] & 0xffff
}

/** The value's size, wherever it lies. */
export function recordValueSize(words: Int32Array, start: number): number {
  return words[start + valueSizeWord] >>> 0
}

/** 8-byte words from the start of the record to the start of the next. */
export function recordSpan(words: Int32Array, start: number): number {
  const size = recordSizeWords(
    recordKeySize(words, start),
    recordValueSize(words, start),
    recordFlags(words, start),
  )
  return size + (words[start + keySizeWord] >>> 16)
}

/** Byte offset of the value, or of the reference to it, from the start of the record. */
export function recordValueOffset(words: Int32Array, start: number): number {
  return valueOffset(recordKeySize(words, start), recordFlags(words, start))
}

/** The slot of the value segment that a record refers to, or -1 where the value is in the record. */
export function referencedSlot(log: Log, slot: number, offset: number): number {
  const words = log.words[slot]
  if ((recordFlags(words, offset * 2) & flagReference) === 0) return -1
  const reference = offset + recordValueOffset(words, offset * 2) / 8
  return log.slotOf(log.doubles[slot][reference + referenceSegmentDouble])
}

/** Bytes that a live record keeps: its own, and those of its value segment. */
export function occupiedBytes(log: Log, slot: number, offset: number): number {
  const own = recordSpan(log.words[slot], offset * 2) * 8
  const valueSlot = referencedSlot(log, slot, offset)
  return valueSlot === -1 ? own : own + log.slots.get(valueSlot, slotSizeBytes)
}
