/**
 * Which segment to compact next: where most is to be gained for what has to be copied, and of equals the
 * older one, whose records have shown that they stay (the cost-benefit rule of log-structured file
 * systems: M. Rosenblum, J. Ousterhout, "The design and implementation of a log-structured file system",
 * 1992).
 *
 * Tombstones are not gained where an older segment has dead puts: they would have to be copied. Where most
 * of what is left to gain are such tombstones, the oldest segment with dead puts comes next, however
 * little it gives back itself: behind the last of these no tombstone is needed any more.
 */
import { gainOf, type SurveyedSegment } from './survey.js'

/**
 * The sealed segments are to take at most so many times what is live: a little below the bound of 2, so that
 * what others write while it is brought back there stays within.
 */
const sizeFactor = 1.8

/**
 * Bytes that the sealed segments have above that. Pinned ones do not count, nor do those that are dead as a
 * whole and only wait to be dropped; tombstones that are remembered count as live.
 */
export function excessOf(segments: readonly SurveyedSegment[], liveBytes: number): number {
  let sizeBytes = 0
  let keptBytes = liveBytes
  for (const segment of segments) {
    if (!segment.isComplete || segment.isPinned) continue
    if (segment.liveBytes === 0 && segment.tombstoneBytes === 0) continue
    sizeBytes += segment.sizeBytes
    if (!segment.keepsTombstones) keptBytes += segment.tombstoneBytes
  }
  return sizeBytes - sizeFactor * keptBytes
}

export interface VictimRule {
  /** Segments of which this part can be given back are compacted, whatever the excess. */
  readonly minGarbageRatio: number
  readonly excessBytes: number
  /** Only segments with numbers below are looked at. */
  readonly end: number
  /** Numbers of segments that are left alone. */
  readonly excluded: ReadonlySet<number>
}

export function chooseVictim(
  segments: readonly SurveyedSegment[],
  { end, excessBytes, excluded, minGarbageRatio }: VictimRule,
): SurveyedSegment | undefined {
  const candidates = segments.filter(
    ({ isComplete, isPinned, kind, liveBytes, segmentNumber, tombstoneBytes }) =>
      kind === 'log' &&
      isComplete &&
      !isPinned &&
      // Else it only waits to be dropped: for a checkpoint, or for whoever holds the log.
      liveBytes + tombstoneBytes > 0 &&
      segmentNumber < end &&
      !excluded.has(segmentNumber),
  )
  const best = bestOf(candidates)
  if (best === undefined) return undefined
  const isWorthIt = (segment: SurveyedSegment): boolean => ratioOf(segment) >= minGarbageRatio
  if (isWorthIt(best)) {
    if (best.liveBytes > 0) return best
    // Of one in which only tombstones count nothing is copied if what they keep dead goes before it.
    const isOlder = ({ segmentNumber }: SurveyedSegment): boolean =>
      segmentNumber < best.segmentNumber
    const older = candidates.find(
      (segment) => segment.hasDeadPuts && isOlder(segment) && isWorthIt(segment),
    )
    return older ?? best
  }
  if (excessBytes <= 0) return undefined
  const tombstoneBytes = candidates.reduce((sum, segment) => sum + segment.tombstoneBytes, 0)
  if (tombstoneBytes > excessBytes / 2) return candidates.find(({ hasDeadPuts }) => hasDeadPuts)
  return ratioOf(best) >= ratioMin ? best : undefined
}

/** The part of a segment that compacting it gives back. */
function ratioOf(segment: SurveyedSegment): number {
  return gainOf(segment) / segment.sizeBytes
}

/** Below this the copying costs more than ten times what it gives back. */
const ratioMin = 0.1

function bestOf(candidates: readonly SurveyedSegment[]): SurveyedSegment | undefined {
  const newest = candidates.at(-1)?.segmentNumber ?? 0
  let best: SurveyedSegment | undefined
  let bestScore = 0
  for (const segment of candidates) {
    const age = 1 + newest - segment.segmentNumber
    const { sizeBytes } = segment
    const gain = gainOf(segment)
    const score = (gain / (2 * sizeBytes - gain)) * Math.sqrt(age)
    if (score <= bestScore) continue
    best = segment
    bestScore = score
  }
  return best
}
