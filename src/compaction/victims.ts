/**
 * Which segment to compact next: where most is to be gained for what has to be copied, and of equals the
 * older one, whose records have shown that they stay. That is the cost-benefit rule of log-structured file
 * systems (M. Rosenblum, J. Ousterhout, "The design and implementation of a log-structured file system",
 * 1992) less reading, which costs little here, and with the root of the age, which tells less here: what is
 * written most is updated in place, and makes no garbage.
 *
 * Tombstones are not gained where an older segment has dead puts: they would have to be copied. Where most
 * of what is left to gain are such tombstones, the oldest segment with dead puts comes next, however
 * little it gives back itself: behind the last of these no tombstone is needed any more.
 */
import { gainOf, type SurveyedSegment } from './survey.js'

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
    const score = (gain / (sizeBytes - gain + 1)) * Math.sqrt(age)
    if (score <= bestScore) continue
    best = segment
    bestScore = score
  }
  return best
}
