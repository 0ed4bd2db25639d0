/** What each segment has of live and dead bytes, and what may be done with it: from the slot table alone. */
import type { Engine } from '../engine/engine.js'
import { unreadSegments } from '../engine/unread.js'
import * as layout from '../format/control-layout.js'
import { deadBytesOf, hasDeadPuts, isPinned, liveBytesOf } from '../log/sealed-segment.js'
import {
  kindDropped,
  kindLog,
  kindValue,
  slotEndBytes,
  slotKind,
  slotNumber,
  slotSizeBytes,
  slotTombstoneBytes,
  slotUnsynced,
  unsyncedFilling,
} from '../log/slot-table.js'

export interface SurveyedSegment {
  readonly slot: number
  readonly segmentNumber: number
  readonly kind: 'log' | 'value'
  readonly sizeBytes: number
  readonly liveBytes: number
  /** Of tombstones that would have to be copied. */
  readonly tombstoneBytes: number
  /** An older segment has dead puts: a tombstone keeps them from coming back. */
  readonly keepsTombstones: boolean
  /** A snapshot or a watcher needs what it has of dead records: it stays as it is. */
  readonly isPinned: boolean
  /** Puts in it were superseded: what tombstones keep from coming back. */
  readonly hasDeadPuts: boolean
  /** It does not grow any more, and nobody is filling it. */
  readonly isComplete: boolean
}

/** All segments but those that are being dropped, in the order of their numbers. */
export function surveySegments(engine: Engine): SurveyedSegment[] {
  const { attachments, control, log } = engine
  const { slots } = log
  const lowestPin = attachments.lowestPin()
  const slotEnd = control.read(layout.slotEnd)
  const isSealed = (slot: number): boolean => slots.get(slot, slotEndBytes) !== 0
  const found: SurveyedSegment[] = []
  for (let slot = 0; slot < slotEnd; slot++) {
    const kind = slots.get(slot, slotKind)
    const segmentNumber = slots.get(slot, slotNumber)
    if (segmentNumber === 0 || (kind !== kindLog && kind !== kindValue)) continue
    const sizeBytes = slots.get(slot, slotSizeBytes)
    const isValue = kind === kindValue
    const unsynced = slots.get(slot, slotUnsynced)
    const filler = unsynced - unsyncedFilling
    found.push({
      slot,
      segmentNumber,
      kind: isValue ? 'value' : 'log',
      sizeBytes,
      liveBytes: isValue || isSealed(slot) ? liveBytesOf(log, slot) : liveBytesAtTail(engine, slot),
      tombstoneBytes: slots.get(slot, slotTombstoneBytes),
      keepsTombstones: true,
      isPinned: isPinned(log, slot, lowestPin),
      hasDeadPuts: hasDeadPuts(log, slot),
      isComplete: isValue
        ? unsynced < unsyncedFilling || !attachments.isTokenLive(filler | 0)
        : isSealed(slot),
    })
  }
  found.sort((a, b) => a.segmentNumber - b.segmentNumber)
  const unread = unreadSegments(engine)
  // In the index: remembered, or kept for a snapshot, wherever they lie.
  const isRemembering = control.read(layout.tombstones) > 0
  let keepsTombstones = false
  return found.map((segment) => {
    const tombstoneBytes = keepsTombstones || isRemembering ? segment.tombstoneBytes : 0
    const isPinned = segment.isPinned || unread.has(segment.segmentNumber)
    const needed = { ...segment, isPinned, keepsTombstones, tombstoneBytes }
    keepsTombstones ||= segment.hasDeadPuts
    return needed
  })
}

function liveBytesAtTail({ control, log }: Engine, slot: number): number {
  const state = control.readState()
  const start = log.slots.get(slot, slotNumber) * log.segmentWords
  const usedBytes = (state[layout.tail] - start) * 8 - state[layout.tailOverheadBytes]
  return Math.max(0, usedBytes - deadBytesOf(log, slot))
}

/** Numbers of segments that were announced as dropped, with their slots. */
export function announcedDrops({
  control,
  log,
}: Engine): { slot: number; segmentNumber: number }[] {
  const slotEnd = control.read(layout.slotEnd)
  const found: { slot: number; segmentNumber: number }[] = []
  for (let slot = 0; slot < slotEnd; slot++) {
    const segmentNumber = log.slots.get(slot, slotNumber)
    if (segmentNumber === 0 || log.slots.get(slot, slotKind) !== kindDropped) continue
    found.push({ slot, segmentNumber })
  }
  return found
}

/** Bytes that compacting a segment gives back: what is not live, less the tombstones it has to copy. */
export function gainOf({ liveBytes, sizeBytes, tombstoneBytes }: SurveyedSegment): number {
  return sizeBytes - liveBytes - tombstoneBytes
}
