/** What the slot table tells of a segment as a whole, the parts of an oversized one together. */
import type { Log } from './log.js'
import {
  kindLog,
  kindPart,
  slotDeadBytes,
  slotDeadSequence,
  slotEndBytes,
  slotKind,
  slotOverheadBytes,
  slotSizeBytes,
} from './slot-table.js'

/** Bytes of the file that no live record takes; of one that is not sealed, only dead puts. */
export function deadBytesOf({ slots }: Log, slot: number): number {
  let sum = slots.get(slot, slotDeadBytes)
  for (let part = slot + 1; slots.get(part, slotKind) === kindPart; part++) {
    sum += slots.get(part, slotDeadBytes)
  }
  return sum
}

/** What a compaction of a sealed segment would have to copy, but for tombstones. */
export function liveBytesOf(log: Log, slot: number): number {
  return log.slots.get(slot, slotSizeBytes) - deadBytesOf(log, slot)
}

/** True where a put in it was superseded: the tombstone that did it may be needed for as long as this is there. */
export function hasDeadPuts(log: Log, slot: number): boolean {
  const { slots } = log
  if (slots.get(slot, slotKind) !== kindLog) return false
  // Of the tail segment no overhead is counted yet.
  const isSealed = slots.get(slot, slotEndBytes) !== 0
  return deadBytesOf(log, slot) > (isSealed ? slots.get(slot, slotOverheadBytes) : 0)
}

/**
 * True where a snapshot may need a record of it that died: one of a sequence below the commit by
 * which the last of them did. Such a segment stays as it is: a copy of a record could not be reached,
 * because what superseded it leads to the place where it lies and never changes.
 */
export function isPinned({ slots }: Log, slot: number, lowestPin: number): boolean {
  let deadSequence = slots.get(slot, slotDeadSequence)
  for (let part = slot + 1; slots.get(part, slotKind) === kindPart; part++) {
    deadSequence = Math.max(deadSequence, slots.get(part, slotDeadSequence))
  }
  return deadSequence > lowestPin
}
