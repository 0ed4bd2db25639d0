/**
 * What watchers have not seen yet: compaction leaves it where it is.
 *
 * A log segment has no changes behind those of the next one's beginning, and a value none behind the one by
 * which it died. So no record is read to tell.
 */
import * as layout from '../format/control-layout.js'
import { firstSequenceDouble } from '../format/segment-header.js'
import type { Log } from '../log/log.js'
import { kindLog, kindValue, slotDeadSequence, slotKind, slotNumber } from '../log/slot-table.js'
import type { Engine } from './engine.js'

/** Numbers of log segments and values in which there is, or may be, a change that somebody's watcher waits for. */
export function unreadSegments({ attachments, control, log }: Engine): ReadonlySet<number> {
  const unread = new Set<number>()
  const watched = attachments.lowestWatched()
  if (watched === Number.POSITIVE_INFINITY) return unread
  log.refreshSlots()
  const { slots } = log
  const logSegments: { readonly slot: number; readonly segmentNumber: number }[] = []
  const slotEnd = control.read(layout.slotEnd)
  for (let slot = 0; slot < slotEnd; slot++) {
    const kind = slots.get(slot, slotKind)
    const segmentNumber = slots.get(slot, slotNumber)
    if (segmentNumber === 0) continue
    if (kind === kindLog) logSegments.push({ slot, segmentNumber })
    if (kind === kindValue && slots.get(slot, slotDeadSequence) > watched) unread.add(segmentNumber)
  }
  logSegments.sort((a, b) => b.segmentNumber - a.segmentNumber)
  let following = Number.POSITIVE_INFINITY
  for (const { segmentNumber, slot } of logSegments) {
    if (following > watched) unread.add(segmentNumber)
    following = firstSequenceIn(log, slot, segmentNumber) - 1
  }
  return unread
}

/** 0 for a segment that another one dropped meanwhile. */
function firstSequenceIn(log: Log, slot: number, segmentNumber: number): number {
  try {
    if (log.words[slot] === undefined) log.mapSlot(slot)
    return log.doubles[slot][firstSequenceDouble]
  } catch (error) {
    if (log.slots.get(slot, slotNumber) === segmentNumber) throw error
    return 0
  }
}
