/**
 * An update in place that a control file announces and that may not have been made in full: its
 * record lies whole in the redo area, and perhaps half in the log. Where memory cannot be believed
 * (another mount of the same files, a copied directory) the replay makes it again before it judges
 * the log: it was acknowledged, and the digest that proves the tail counts it already. Made in full,
 * it changes nothing.
 *
 * After a power loss the pages of the control file may be of another time than those of the log, and of
 * each other. What the redo area has may be older than what the log has, and synced, or no record at all:
 * it is made only where it verifies and is newer than what lies in its place.
 */
import * as layout from '../format/control-layout.js'
import { checksumWord, keySizeWord, sequenceDouble } from '../format/record.js'
import { checksumRecord, recordSeed } from '../format/record-checksum.js'
import { segmentSeed } from '../format/segment-header.js'
import type { Log } from '../log/log.js'
import { recordSpan } from '../log/record-fields.js'
import { slotNumber } from '../log/slot-table.js'
import type { Platform } from '../platform/platform.js'
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

/**
 * True where the log lacks it: it is a whole record of that place, and what lies there is an older one,
 * or half of each.
 */
export function isToBeMade(
  platform: Platform,
  update: UnfinishedUpdate,
  file: SegmentFile,
  shift: number,
): boolean {
  const place = placeInFile(update, file, shift)
  if (place === undefined) return false
  const { epoch, storeId } = file.header
  const seed = recordSeed(segmentSeed(storeId, epoch, update.segmentNumber), update.offset, false)
  if (!verifies(update.words, seed)) return false
  // The record there may have none of the room that this one has behind it.
  const words = new Int32Array(recordSpan(update.words, 0) * 2)
  const handle = platform.openFile(file.path, 'read')
  try {
    handle.read(new Uint8Array(words.buffer), place * 8)
  } finally {
    handle.close()
  }
  return !verifies(words, seed) || sequenceOf(words) < sequenceOf(update.words)
}

/** Of a record that may have room behind it; the room is not in `words`. */
function verifies(words: Int32Array, seed: number): boolean {
  const slackDoubles = words[keySizeWord] >>> 16
  const sizeWords = (recordSpan(words, 0) - slackDoubles) * 2
  return (
    sizeWords <= words.length && checksumRecord(words, 0, sizeWords, seed) === words[checksumWord]
  )
}

function sequenceOf(words: Int32Array): number {
  return new Float64Array(words.buffer, words.byteOffset)[sequenceDouble]
}

/** Makes it in mapped memory. */
export function finishUpdate(log: Log, update: UnfinishedUpdate): void {
  const slot = log.slotOf(update.segmentNumber)
  if (slot === -1) return
  if (log.words[slot] === undefined) log.mapSlot(slot)
  log.words[slot].set(update.words, update.offset * 2)
}
