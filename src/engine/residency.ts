/**
 * Which bytes of the log are in memory, as the system sees it: of the page cache, whoever brought them
 * there. Where the log is large it is looked at by samples, evenly spaced, so that asking costs some two
 * milliseconds at any size.
 */
import { StoreError } from '../base/errors.js'
import * as layout from '../format/control-layout.js'
import type { Log } from '../log/log.js'
import {
  kindLog,
  kindValue,
  slotEndBytes,
  slotKind,
  slotNumber,
  slotSizeBytes,
} from '../log/slot-table.js'
import type { Mapping } from '../platform/platform.js'
import type { Engine } from './engine.js'

/** A stretch of a segment with records, or a value, in it. */
export interface LogStretch {
  /** In which the segment begins. */
  readonly slot: number
  /** From the beginning of the segment. */
  readonly offset: number
  readonly sizeBytes: number
}

export interface Residency {
  readonly residentBytes: number
  readonly coldBytes: number
}

/** Up to here every page is looked at: a millisecond. */
const exactSizeBytes = 2 ** 28
const sampleSizeBytes = 2 ** 16
const sampleCount = 2 ** 10

export function measureResidency(engine: Engine): Residency {
  const { control, log } = engine
  log.refreshSlots()
  const state = control.readState()
  const stretches = usedStretches(log, state[layout.slotEnd], state[layout.tail])
  const usedBytes = stretches.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  let residentBytes = 0
  const stride =
    usedBytes <= exactSizeBytes
      ? Number.POSITIVE_INFINITY
      : Math.max(sampleSizeBytes, Math.ceil(usedBytes / sampleCount / 4096) * 4096)
  for (const { slot, offset, sizeBytes } of stretches) {
    for (let done = 0; done < sizeBytes; done += stride) {
      const size = Math.min(stride, sizeBytes - done)
      const sample = stride === Number.POSITIVE_INFINITY ? size : Math.min(sampleSizeBytes, size)
      residentBytes += (residentIn(log, slot, offset + done, sample) / sample) * size
    }
  }
  residentBytes = Math.round(residentBytes)
  return { residentBytes, coldBytes: usedBytes - residentBytes }
}

function residentIn(log: Log, slot: number, offset: number, sizeBytes: number): number {
  const { kind } = log.platform
  if (kind === 'memory') return sizeBytes
  // Without a mapping a segment is in memory as a whole once it was read, or not at all.
  const mapping = kind === 'mmap' ? mapToLook(log, slot) : log.mappingOf(slot)
  return mapping?.residentBytes(offset, sizeBytes) ?? 0
}

/** Undefined where it is not there: dropped at this moment, or missing, which whoever reads it will say. */
export function mapToLook(log: Log, slot: number): Mapping | undefined {
  if (log.mappingOf(slot) !== undefined) return log.mappingOf(slot)
  const number = log.slots.get(slot, slotNumber)
  try {
    log.mapSlot(slot)
  } catch (error) {
    const isThere = log.slots.get(slot, slotNumber) === number
    if (isThere && !(error instanceof StoreError)) throw error
  }
  return log.mappingOf(slot)
}

/** What the log has of records and values, segment by segment, up to an address. */
export function usedStretches(log: Log, slotEnd: number, end: number): LogStretch[] {
  const { slots } = log
  const found: LogStretch[] = []
  for (let slot = 0; slot < slotEnd; slot++) {
    const kind = slots.get(slot, slotKind)
    const segmentNumber = slots.get(slot, slotNumber)
    if (segmentNumber === 0) continue
    if (kind === kindValue)
      found.push({ slot, offset: 0, sizeBytes: slots.get(slot, slotSizeBytes) })
    if (kind !== kindLog) continue
    const endBytes = slots.get(slot, slotEndBytes) || slots.get(slot, slotSizeBytes)
    const sizeBytes = Math.min(endBytes, (end - segmentNumber * log.segmentWords) * 8)
    if (sizeBytes > 0) found.push({ slot, offset: 0, sizeBytes })
  }
  return found
}
