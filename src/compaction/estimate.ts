/** What a compaction would find, from memory. */
import type { Engine } from '../engine/engine.js'
import { fileBytesOf } from '../engine/file-bytes.js'
import * as layout from '../format/control-layout.js'
import { gainOf, surveySegments } from './survey.js'

export interface SegmentEstimate {
  readonly segmentNumber: number
  /** `value`: one value of more than a quarter of a segment. */
  readonly kind: 'log' | 'value'
  readonly sizeBytes: number
  readonly liveBytes: number
  /** What only tombstones take that an older segment makes necessary. */
  readonly tombstoneBytes: number
  /** Waits for a snapshot. */
  readonly isPinned: boolean
  /** Still written to. */
  readonly isOpen: boolean
}

export interface CompactionEstimate {
  /** As `stats()` has them: bytes reserved for segments, and of what lives in them. */
  readonly fileBytes: number
  readonly liveBytes: number
  /** What a compaction of all segments would give back now, and what it would have to copy for it. */
  readonly reclaimableBytes: number
  readonly bytesToMove: number
  /** What waits for snapshots. */
  readonly pinnedBytes: number
  readonly segments: readonly SegmentEstimate[]
}

export function estimateCompaction(engine: Engine): CompactionEstimate {
  engine.requireOpen()
  let reclaimableBytes = 0
  let bytesToMove = 0
  let pinnedBytes = 0
  const segments = surveySegments(engine).map((segment): SegmentEstimate => {
    const { isComplete, isPinned, kind, liveBytes, segmentNumber, sizeBytes } = segment
    const gain = gainOf(segment)
    if (isPinned) pinnedBytes += sizeBytes - liveBytes
    else if (isComplete && gain > 0) {
      reclaimableBytes += gain
      bytesToMove += sizeBytes - gain
    }
    const { tombstoneBytes } = segment
    const isOpen = !isComplete
    return { segmentNumber, kind, sizeBytes, liveBytes, tombstoneBytes, isPinned, isOpen }
  })
  const liveBytes = engine.control.read(layout.liveBytes)
  const fileBytes = fileBytesOf(engine)
  return { fileBytes, liveBytes, reclaimableBytes, bytesToMove, pinnedBytes, segments }
}

/** Of the segments that there are: what a compaction changes. */
export function segmentBytesOf(engine: Engine): number {
  return surveySegments(engine).reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
}
