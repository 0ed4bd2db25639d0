/** What a store reserves on disk for its log: one number, for whoever tells it. */
import * as layout from '../format/control-layout.js'
import { isPreparing } from '../log/prepared-segment.js'
import { kindPart, slotKind, slotNumber, slotSizeBytes } from '../log/slot-table.js'
import type { Engine } from './engine.js'

/**
 * Bytes of all segment files: those that are in use, those that are being dropped and are still there, and
 * the one that is prepared to be the next.
 */
export function fileBytesOf({ control, log }: Engine): number {
  const { segmentSizeBytes, slots } = log
  const slotEnd = control.read(layout.slotEnd)
  let fileBytes = isPreparing(log) ? segmentSizeBytes : 0
  for (let slot = 0; slot < slotEnd; slot++) {
    const isFirst = slots.get(slot, slotNumber) !== 0 && slots.get(slot, slotKind) !== kindPart
    if (isFirst) fileBytes += slots.get(slot, slotSizeBytes)
  }
  return fileBytes
}
