/**
 * How near the sealed segments are to the bound of what files may take: twice what is live, and two segments, of
 * which one is written to and one prepared.
 *
 * Compaction begins as late as the bound allows: each segment less of room would be garbage less in all that are
 * compacted, and so more to copy (`bench/compaction.mjs`, zipf 0.99: 1.44 written for each one with a tenth less room).
 */
import type { Engine } from '../engine/engine.js'
import { fileBytesOf } from '../engine/file-bytes.js'
import * as layout from '../format/control-layout.js'
import type { SurveyedSegment } from './survey.js'

/** The bound is promised from so many segments of live data on. */
export const liveSegmentsMin = 4
const boundFactor = 2
const boundSegments = 2
/** The one that copies fill, and what others write until what they were copied from is dropped. */
const roomSegments = 1.125
/** Of the live bytes: a small store begins no further below the bound. */
const roomPart = 0.3
/** Of the live bytes: as much waits for a checkpoint before the background makes one. */
const waitingPart = 1 / 16

/** So many bytes wait for a checkpoint before the background makes one, which writes as much as the index takes. */
export function patienceBytesOf({ index }: Engine, liveBytes: number): number {
  return Math.max(index.sizeBytes, waitingPart * liveBytes)
}

/**
 * What is left up to the bound where compaction begins: for what others write until it gives something back, and
 * for the copies of what waits for a checkpoint, of which half may live.
 */
export function roomBelowBound(engine: Engine, liveBytes: number): number {
  const waitingBytes = patienceBytesOf(engine, liveBytes)
  const segmentsBytes = roomSegments * engine.log.segmentSizeBytes
  return Math.min(segmentsBytes + waitingBytes / 2, roomPart * liveBytes)
}

/**
 * Bytes that the sealed segments have above where compaction begins. Pinned ones do not count; tombstones that are
 * remembered count as live. What is dead as a whole may have to wait for a checkpoint, and takes its space until then.
 */
export function excessOf(engine: Engine, segments: readonly SurveyedSegment[]): number {
  return excess(engine, segments, true)
}

/** {@link excessOf} as it is when all that is dead as a whole is dropped. */
export function excessBehindDrop(engine: Engine, segments: readonly SurveyedSegment[]): number {
  return excess(engine, segments, false)
}

/** All files, what is dead and still there included. */
export function isWithinBound(engine: Engine): boolean {
  const liveBytes = engine.control.read(layout.liveBytes)
  return (
    fileBytesOf(engine) <= boundFactor * liveBytes + boundSegments * engine.log.segmentSizeBytes
  )
}

function excess(
  engine: Engine,
  segments: readonly SurveyedSegment[],
  isDeadCounted: boolean,
): number {
  let sizeBytes = 0
  let keptBytes = engine.control.read(layout.liveBytes)
  for (const segment of segments) {
    const { isComplete, isPinned, keepsTombstones, liveBytes, tombstoneBytes } = segment
    if (!isComplete || isPinned) continue
    if (!isDeadCounted && liveBytes === 0 && tombstoneBytes === 0) continue
    sizeBytes += segment.sizeBytes
    if (!keepsTombstones) keptBytes += tombstoneBytes
  }
  return sizeBytes - (boundFactor * keptBytes - roomBelowBound(engine, keptBytes))
}
