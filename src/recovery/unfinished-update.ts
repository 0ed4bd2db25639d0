/**
 * An update in place that a control file announces and that may not have been made in full: its
 * record lies whole in the redo area, and perhaps half in the log. Where memory cannot be believed
 * (another mount of the same files, a copied directory) the replay makes it again before it judges
 * the log: it was acknowledged, and the digest that proves the tail counts it already. Made in full,
 * it changes nothing.
 */
import * as layout from '../format/control-layout.js'
import type { Log } from '../log/log.js'
import { slotNumber } from '../log/slot-table.js'
import type { SegmentFile } from './segment-files.js'
import type { VolatileParts } from './volatile-parts.js'

export interface UnfinishedUpdate {
  readonly segmentNumber: number
  /** Where the record begins, in 8-byte words. */
  readonly offset: number
  readonly words: Int32Array
}

export function readUnfinishedUpdate({
  control,
  slots,
}: Pick<VolatileParts, 'control' | 'slots'>): UnfinishedUpdate | undefined {
  if (control.get(layout.pendingKind) !== layout.changeInPlace) return undefined
  const slot = control.get(layout.pendingTargetSlot)
  const sizeWords = control.get(layout.pendingSizeWords)
  const isPlausible =
    slot >= 0 && slot < slots.region.reservedCount && sizeWords * 8 <= layout.redoSizeBytes
  if (!isPlausible) return undefined
  return {
    segmentNumber: slots.get(slot, slotNumber),
    offset: control.get(layout.pendingTargetOffset),
    words: control.redo.slice(0, sizeWords * 2),
  }
}

/** Where in a segment file the record begins, in 8-byte words; undefined where it lies elsewhere. */
export function placeInFile(
  update: UnfinishedUpdate,
  { header }: SegmentFile,
  shift: number,
): number | undefined {
  const part = update.segmentNumber - header.segmentNumber
  const offset = part * 2 ** shift + update.offset
  const isInside = part >= 0 && (offset + update.words.length / 2) * 8 <= header.sizeBytes
  return isInside ? offset : undefined
}

/** Makes it in mapped memory. */
export function finishUpdate(log: Log, update: UnfinishedUpdate): void {
  const slot = log.slotOf(update.segmentNumber)
  if (slot === -1) return
  if (log.words[slot] === undefined) log.mapSlot(slot)
  log.words[slot].set(update.words, update.offset * 2)
}
