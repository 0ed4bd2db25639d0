/** What is left of the log, for those who read it from some sequence on. */
import { join } from 'node:path'
import * as layout from '../format/control-layout.js'
import { manifestFileName } from '../format/file-names.js'
import { decodeManifest } from '../format/manifest.js'
import {
  decodeSegmentHeader,
  type SegmentHeader,
  segmentHeaderSizeBytes,
  segmentKindLog,
} from '../format/segment-header.js'
import type { Log } from '../log/log.js'
import { kindLog, slotKind, slotNumber } from '../log/slot-table.js'
import { readWhole } from '../platform/whole-file.js'
import type { Engine } from './engine.js'

export interface LogSegment {
  readonly slot: number
  readonly number: number
}

/** The log segments, oldest first. */
export function segmentsInOrder(log: Log): LogSegment[] {
  const found: LogSegment[] = []
  const slotEnd = log.control.get(layout.slotEnd)
  for (let slot = 0; slot < slotEnd; slot++) {
    if (log.slots.get(slot, slotKind) !== kindLog) continue
    found.push({ slot, number: log.slots.get(slot, slotNumber) })
  }
  return found.sort((a, b) => a.number - b.number)
}

export function headerOf(log: Log, slot: number): SegmentHeader {
  if (log.words[slot] === undefined) log.mapSlot(slot)
  // A copy: it is decoded in place.
  const bytes = Uint8Array.from(log.bytes[slot].subarray(0, segmentHeaderSizeBytes))
  return decodeSegmentHeader(bytes, log.pathOf(slot))
}

/**
 * The lowest sequence behind which no change is missing in what lies from `start` on. Within an epoch each
 * segment names the one before.
 */
export function oldestServable(
  log: Log,
  start: { readonly address: number; readonly sequence: number },
): number {
  let oldest = start.sequence
  let former: LogSegment | undefined
  const first = Math.floor(start.address / log.segmentWords)
  for (const segment of segmentsInOrder(log)) {
    const last = segment.number + log.partCount(segment.slot) - 1
    if (last < first) continue
    const { firstSequence, previousSegment } = headerOf(log, segment.slot)
    if (former !== undefined && previousSegment !== 0) {
      const formerLast = former.number + log.partCount(former.slot) - 1
      const follows = previousSegment >= former.number && previousSegment <= formerLast
      if (!follows) oldest = firstSequence - 1
    }
    former = segment
  }
  return oldest
}

/**
 * Behind what address a segment, or a part of one, has no records that count: the manifest says it of
 * segments of earlier epochs, where those of an abandoned end may follow.
 */
export function endsOfSegments(engine: Engine): (segmentNumber: number) => number {
  const { directory, log, platform } = engine
  const path = join(directory, manifestFileName)
  const ends = new Map<number, number>()
  if (platform.exists(path)) {
    for (const { endBytes, kind, segmentNumber } of decodeManifest(readWhole(platform, path), path)
      .segments) {
      if (kind === segmentKindLog) {
        ends.set(segmentNumber, segmentNumber * log.segmentWords + endBytes / 8)
      }
    }
  }
  return (segmentNumber) => {
    const slot = log.slotOf(segmentNumber)
    const first = slot === -1 ? segmentNumber : log.slots.get(log.firstSlotOf(slot), slotNumber)
    return ends.get(first) ?? Number.POSITIVE_INFINITY
  }
}
