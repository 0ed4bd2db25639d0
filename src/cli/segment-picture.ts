/** A picture of the segments of a store: a bar for each, with what lives in it. */
import type { CompactionEstimate, SegmentEstimate } from '../store/index.js'
import { formatBytes } from './quantities.js'
import { tableLines } from './table.js'

const barWidth = 32
const live = '█'
const dead = '░'

export function segmentPicture({ reclaimableBytes, segments }: CompactionEstimate): string[] {
  return [
    `${live} live  ${dead} not; a compaction would give back ${formatBytes(reclaimableBytes)}`,
    ...tableLines(segments.map(segmentRow)),
  ]
}

function segmentRow(segment: SegmentEstimate): string[] {
  const { kind, liveBytes, segmentNumber, sizeBytes } = segment
  const part = liveBytes / sizeBytes
  const filled = Math.round(part * barWidth)
  return [
    `${kind} ${segmentNumber}`,
    formatBytes(sizeBytes),
    live.repeat(filled) + dead.repeat(barWidth - filled),
    `${Math.round(part * 100)}%`,
    noteOf(segment),
  ]
}

function noteOf({ isOpen, isPinned, tombstoneBytes }: SegmentEstimate): string {
  if (isOpen) return 'written to'
  if (isPinned) return 'kept for a snapshot'
  return tombstoneBytes > 0 ? `${formatBytes(tombstoneBytes)} of tombstones` : ''
}
