/**
 * Making segments: the switch to the next one when the tail segment is full.
 *
 * A segment goes through: reserved (blocks), mapped, prefaulted under another name (prepared-segment.ts); then
 * renamed to its number, its header written, entered in the slot table,
 * and only then made the tail by the commit of the control state. Killed anywhere before that
 * commit, the file is one that nothing names, and the next opening removes it; its slot has a number
 * that the state has not given out yet, and is freed by repair ({@link freeUncommitted}).
 *
 * The same commit seals the segment before: what its slot then says of it holds for good, but for the
 * bytes that die in it.
 *
 * On a full disk deletes and compaction still need room to give some back. So the last part of a
 * segment is theirs, unless the next segment has its blocks already: see {@link makeRoom}.
 *
 * The blocks and the pages of the next segment are got in the background while the current one
 * fills: a first write to a fresh page costs more than all the rest of a put together. How far it
 * got is looked at every 2 MiB of log, so that it also works while the event loop stands still.
 */

import { StoreError } from '../base/errors.js'
import { slotCountMax } from '../format/address.js'
import * as layout from '../format/control-layout.js'
import { type SegmentKind, segmentFileName } from '../format/file-names.js'
import { markerSizeWords } from '../format/record.js'
import {
  encodeSegmentHeader,
  type SegmentHeader,
  segmentFlagAppendOnly,
  segmentHeaderSizeBytes,
  segmentKindLog,
  segmentKindValue,
  segmentReasonAppend,
  segmentReasonOwnValue,
} from '../format/segment-header.js'
import type { Mapping, PlatformFile } from '../platform/platform.js'
import type { Log } from './log.js'
import { isNextSecure, prepareNext, secureNext, takePrepared } from './prepared-segment.js'
import {
  kindLog,
  kindPart,
  kindValue,
  slotDeadBytes,
  slotDeadSequence,
  slotDevice,
  slotEndBytes,
  slotEpoch,
  slotInode,
  slotIsUsed,
  slotKind,
  slotNumber,
  slotOverheadBytes,
  slotPrevious,
  slotSizeBytes,
  slotTombstoneBytes,
  slotUnsynced,
  unsyncedFilling,
} from './slot-table.js'

/**
 * How far ahead of the tail pages are made resident, and how often that is looked after. More would
 * give the next sync megabytes of untouched pages to write.
 */
const prefaultSizeBytes = 2 ** 21

/**
 * At the end of each segment there is room for the marker of a sync and for the last one of a
 * session, so that what was written can be synced on a full disk.
 */
const markerReserve = 2 * markerSizeWords

/** Without a next segment, this part of a segment is kept for what gives space back. */
const essentialPart = 0.5

/** Where the segment's records begin, in 8-byte words. */
export const firstRecordOffset = segmentHeaderSizeBytes / 8

/**
 * Makes room for `sizeDoubles` at the tail: in the tail segment, in a new one, or in an oversized
 * one where no segment could hold it. To be called where the tail would pass `log.nextCheck`.
 * `isEssential`: what is written leads to space being given back, and may take what is kept for that.
 * Throws `STORE_FULL`; the log is then as it was.
 */
export function makeRoom(
  log: Log,
  sizeDoubles: number,
  epoch: number,
  isEssential: boolean = false,
): void {
  if (log.tailOffset + sizeDoubles > log.tailLimit - markerReserve) roll(log, sizeDoubles, epoch)
  prepareNext(log)
  const kept = Math.floor(log.tailLimit * (1 - essentialPart))
  const isInKept = log.tailOffset + sizeDoubles > kept
  if (isInKept && !isEssential) secureNext(log)
  // Who goes on from here without asking must not come into what is kept.
  const isOpen = !isInKept || !isEssential || isNextSecure(log)
  const stride = Math.min(prefaultSizeBytes / 8, log.segmentWords >>> 2)
  const strideEnd = (Math.floor(log.tailOffset / stride) + 1) * stride
  const limit = isInKept ? log.tailLimit - markerReserve : Math.max(kept, log.tailOffset)
  const end = isOpen ? strideEnd : 0
  log.nextCheck = Math.min(limit, Math.max(end, log.tailOffset + sizeDoubles)) | 0
  // A store that is hardly written to does without: the helper thread starts with the first job.
  if (log.tailOffset >= stride || log.prepared !== undefined) {
    log.prefault(log.tailSlot, log.nextCheck, stride)
  }
  // Before anything is written up to there: it bounds what repair has to look at.
  log.control.doubles[layout.writeLimitDouble] = log.nextCheck
  if (!isEssential) for (const listener of log.roomListeners) listener()
}

/** Room for a marker: the reserve, where nothing else fits any more. */
export function makeRoomForMarker(log: Log, epoch: number): void {
  if (log.tailOffset + markerSizeWords > log.tailLimit) roll(log, markerSizeWords, epoch)
  const end = log.tailOffset + markerSizeWords
  log.control.doubles[layout.writeLimitDouble] = Math.max(log.nextCheck, end)
}

/** Goes on in a new segment with room for `sizeDoubles`. */
export function roll(log: Log, sizeDoubles: number, epoch: number): void {
  const { control } = log
  const neededBytes = segmentHeaderSizeBytes + (sizeDoubles + markerReserve) * 8
  const partCount = Math.ceil(neededBytes / log.segmentSizeBytes)
  const sizeBytes = partCount * log.segmentSizeBytes
  const number = control.get(layout.nextSegmentNumber)
  const slot = freeSlots(log, partCount)
  const path = log.path(segmentFileName('log', number))
  removeUncommitted(log, 'value', number)
  const taken = partCount === 1 ? takePrepared(log, path) : undefined
  const { file, mapping } = taken ?? create(log, path, sizeBytes)
  const tailStart = log.control.get(layout.tail) - log.tailOffset
  const previous = log.tailLimit === 0 ? 0 : tailStart / log.segmentWords
  mapping.writeThrough(
    0,
    writeHeader(mapping, {
      storeId: log.storeId,
      segmentNumber: number,
      epoch,
      ...sequencesAt(log),
      previousSegment: previous,
      sizeBytes,
      kind: segmentKindLog,
      reason: segmentReasonAppend,
      flags: log.isAppendOnly ? segmentFlagAppendOnly : 0,
    }),
  )
  enterSlot(log, slot, { number, sizeBytes, kind: kindLog, epoch, file })
  for (let part = 1; part < partCount; part++) {
    enterSlot(log, slot + part, {
      number: number + part,
      sizeBytes: 0,
      kind: kindPart,
      epoch,
      file,
    })
  }
  log.slots.set(slot, slotPrevious, previous)
  log.attach(slot, file, mapping)
  log.openFiles.set(number, file)
  const isReused = slot < control.get(layout.slotEnd)
  if (isReused) Atomics.add(control.words, layout.slotGenerationWord, 1)

  control.begin()
  if (log.tailLimit !== 0) sealTail(log)
  control.set(layout.nextSegmentNumber, number + partCount)
  control.set(layout.slotEnd, Math.max(slot + partCount, control.get(layout.slotEnd)))
  control.set(layout.tailSlot, slot)
  control.set(layout.tail, number * log.segmentWords + firstRecordOffset)
  control.set(layout.tailOverheadBytes, segmentHeaderSizeBytes)
  control.set(layout.tailTombstoneBytes, 0)
  control.set(layout.skippedSequences, 0)
  control.commit()
  if (log.tailLimit !== 0) applySeal(log)
  control.doubles[layout.writeLimitDouble] = 0
  log.tailSlot = slot
  log.tailOffset = firstRecordOffset
  log.tailLimit = (sizeBytes / 8) | 0
  log.nextCheck = 0
  for (const listener of log.rollListeners) listener()
}

/**
 * The number that comes next may have been one of the other kind's: of who was killed before it was put to use. With
 * both in the directory a recovery has to find out which counts.
 */
function removeUncommitted(log: Log, kind: SegmentKind, segmentNumber: number): void {
  const path = log.path(segmentFileName(kind, segmentNumber))
  if (log.platform.exists(path)) log.platform.remove(path)
}

/** Says in the slot of the tail segment what it is, and announces its dead bytes: an absolute number. */
function sealTail(log: Log): void {
  const { control, slots } = log
  const slot = log.firstSlotOf(log.tailSlot)
  const endBytes = (control.get(layout.tail) - slots.get(slot, slotNumber) * log.segmentWords) * 8
  const restBytes = slots.get(slot, slotSizeBytes) - endBytes
  const overheadBytes = control.get(layout.tailOverheadBytes) + restBytes
  slots.set(slot, slotOverheadBytes, overheadBytes)
  slots.set(slot, slotTombstoneBytes, control.get(layout.tailTombstoneBytes))
  slots.set(slot, slotEndBytes, endBytes)
  control.set(layout.pendingDeadSlot, slot)
  control.set(layout.pendingDeadBytes, slots.get(slot, slotDeadBytes) + overheadBytes)
  control.set(layout.pendingDeadSequence, slots.get(slot, slotDeadSequence))
}

function applySeal({ control, slots }: Log): void {
  const slot = control.get(layout.pendingDeadSlot)
  slots.set(slot, slotDeadBytes, control.get(layout.pendingDeadBytes))
}

/** Slots with a number that no state has given out: what was to lie in them was never committed. */
export function freeUncommitted(log: Log): void {
  const { control, slots } = log
  const slotEnd = control.get(layout.slotEnd)
  const nextSegmentNumber = control.get(layout.nextSegmentNumber)
  for (let slot = 0; slot < slotEnd; slot++) {
    if (slots.get(slot, slotNumber) >= nextSegmentNumber) freeSlot(log, slot)
  }
}

/** Parts from the last to the first: the slot that says how many there are comes last. */
export function freeSegment(log: Log, first: number): void {
  const { slots } = log
  let last = first
  while (slots.get(last + 1, slotKind) === kindPart) last++
  for (let slot = last; slot >= first; slot--) freeSlot(log, slot)
}

/** The number first: without one, whatever else a slot says counts for nobody. */
export function freeSlot({ slots }: Log, slot: number): void {
  slots.set(slot, slotNumber, 0)
  slots.set(slot, slotKind, 0)
}

function sequencesAt({ control }: Log): Pick<SegmentHeader, 'firstSequence' | 'sequenceBefore'> {
  const sequence = control.get(layout.sequence)
  const skipped = control.get(layout.skippedSequences)
  return { firstSequence: sequence + 1, sequenceBefore: sequence - skipped }
}

/**
 * Makes a segment for one large value. The caller fills it and then names it in a record; until
 * then nothing refers to it. Returns its slot; the value begins behind the header. `token` is of who
 * fills it: what nobody refers to is dropped only when that one is gone.
 */
export function createValueSegment(
  log: Log,
  valueSizeBytes: number,
  epoch: number,
  token: number,
): number {
  const { control } = log
  const number = control.get(layout.nextSegmentNumber)
  const slot = freeSlots(log, 1)
  removeUncommitted(log, 'log', number)
  const sizeBytes = Math.ceil((segmentHeaderSizeBytes + valueSizeBytes) / 4096) * 4096
  const { file, mapping } = create(log, log.path(segmentFileName('value', number)), sizeBytes)
  mapping.writeThrough(
    0,
    writeHeader(mapping, {
      storeId: log.storeId,
      segmentNumber: number,
      epoch,
      ...sequencesAt(log),
      previousSegment: 0,
      sizeBytes,
      kind: segmentKindValue,
      reason: segmentReasonOwnValue,
      flags: segmentFlagAppendOnly,
    }),
  )
  enterSlot(log, slot, { number, sizeBytes, kind: kindValue, epoch, file })
  log.slots.set(slot, slotUnsynced, unsyncedFilling + (token >>> 0))
  // Counted dead until a record refers to it.
  log.slots.set(slot, slotDeadBytes, sizeBytes)
  log.attach(slot, file, mapping)
  log.openFiles.set(number, file)
  const isReused = slot < control.get(layout.slotEnd)
  if (isReused) Atomics.add(control.words, layout.slotGenerationWord, 1)

  control.begin()
  control.set(layout.nextSegmentNumber, number + 1)
  control.set(layout.slotEnd, Math.max(slot + 1, control.get(layout.slotEnd)))
  control.commit()
  return slot
}

/** The first of so many free slots in a row, with room for them in the table. */
function freeSlots(log: Log, count: number): number {
  const { control, slots } = log
  const slotEnd = control.get(layout.slotEnd) | 0
  let free = 0
  for (let slot = 0; slot < slotEnd; slot++) {
    free = slots.get(slot, slotNumber) === 0 ? free + 1 : 0
    if (free === count) return slot + 1 - count
  }
  reserveSlots(log, slotEnd - free + count)
  return slotEnd - free
}

function create(
  log: Log,
  path: string,
  sizeBytes: number,
): { file: PlatformFile; mapping: Mapping } {
  const file = log.platform.openFile(path, 'create')
  try {
    file.reserve(sizeBytes)
    return { file, mapping: log.map(file, sizeBytes) }
  } catch (error) {
    file.close()
    log.platform.remove(path)
    throw error
  }
}

function reserveSlots(log: Log, count: number): void {
  if (count > slotCountMax(log.shift)) {
    throw new StoreError('STORE_FULL', 'the store has as many segments as its format can name')
  }
  // One more, which stays free: an oversized segment ends where no further part follows.
  log.slots.region.reserve(count + 1)
}

function writeHeader(mapping: Mapping, header: SegmentHeader): number {
  const { buffer, byteOffset } = mapping
  new Uint8Array(buffer, byteOffset, segmentHeaderSizeBytes).set(encodeSegmentHeader(header))
  return segmentHeaderSizeBytes
}

const zeroFields = [
  slotDeadBytes,
  slotUnsynced,
  slotDeadSequence,
  slotEndBytes,
  slotPrevious,
  slotOverheadBytes,
  slotTombstoneBytes,
  slotIsUsed,
]

interface SlotEntry {
  readonly number: number
  readonly sizeBytes: number
  readonly kind: number
  readonly epoch: number
  readonly file: PlatformFile
}

/** Fills a slot that no state names yet. */
export function enterSlot(log: Log, slot: number, entry: SlotEntry): void {
  const { device, inode } = entry.file.identity()
  const { slots } = log
  slots.set(slot, slotNumber, entry.number)
  slots.set(slot, slotSizeBytes, entry.sizeBytes)
  slots.set(slot, slotKind, entry.kind)
  slots.set(slot, slotDevice, device)
  slots.set(slot, slotInode, inode)
  slots.set(slot, slotEpoch, entry.epoch)
  for (const field of zeroFields) slots.set(slot, field, 0)
}
