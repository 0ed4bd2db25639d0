/**
 * Values that come in pieces and are larger than what is kept in memory. Their size is known by now: they
 * lie in a spool. As with any large value, a value segment is entered with the writer's word in hand,
 * filled without it, and named by a record at last (reference.ts); here it is filled in slices, between
 * which the event loop turns.
 */
import { RunningChecksum } from '../base/checksum.js'
import * as layout from '../format/control-layout.js'
import { segmentHeaderSizeBytes } from '../format/segment-header.js'
import { noBytes } from './append-record.js'
import type { Engine } from './engine.js'
import { enter, leave, mend } from './exclusive.js'
import { putHeld } from './put.js'
import { enterValueSegment, type ValueReference } from './reference.js'
import { scheduleSync } from './sync.js'

/** Bytes that a running checksum takes at a time. */
const checksumStepBytes = 16

/** Makes a value segment of the pieces, `valueSizeBytes` in all. Throws `STORE_FULL`. */
export async function fillValueSegment(
  engine: Engine,
  valueSizeBytes: number,
  pieces: AsyncIterable<Uint8Array>,
): Promise<ValueReference> {
  const { log } = engine
  const slot = enterValueSegment(engine, valueSizeBytes)
  const checksum = new RunningChecksum(log.seeds[slot])
  const firstWord = segmentHeaderSizeBytes / 4
  let filled = 0
  let summed = 0
  for await (const piece of pieces) {
    // Closed meanwhile: there is nothing mapped any more.
    engine.requireWritable()
    log.bytes[slot].set(piece, segmentHeaderSizeBytes + filled)
    writePiece(engine, slot, filled, piece.length)
    filled += piece.length
    const whole = filled < valueSizeBytes ? filled - (filled % checksumStepBytes) : summed
    if (whole > summed) checksum.add(log.words[slot], firstWord + summed / 4, (whole - summed) / 4)
    summed = Math.max(summed, whole)
  }
  engine.requireWritable()
  const restWords = Math.ceil((valueSizeBytes - summed) / 4)
  return { slot, checksum: checksum.end(log.words[slot], firstWord + summed / 4, restWords) }
}

/** To the file, where memory is not the file. */
function writePiece({ log }: Engine, slot: number, start: number, sizeBytes: number): void {
  if (!log.isAppendOnly) return
  const first = Math.floor((segmentHeaderSizeBytes + start) / 8)
  const end = Math.ceil((segmentHeaderSizeBytes + start + sizeBytes) / 8)
  log.writeThrough(slot, first, end - first)
}

/** `put` of a value that is in its segment already. */
export function putReference(
  engine: Engine,
  keyspaceId: number,
  generation: number,
  valueSizeBytes: number,
  reference: ValueReference,
  condition: number,
  expiresAtMs: number,
): boolean | undefined {
  engine.requireWritable()
  enter(engine)
  let isDone = false
  try {
    if (engine.control.words[layout.keyspaceGenerationWord] !== generation) return undefined
    isDone = putHeld(engine, keyspaceId, noBytes, valueSizeBytes, reference, condition, expiresAtMs)
  } catch (error) {
    mend(engine)
    throw error
  } finally {
    leave(engine)
  }
  if (isDone) scheduleSync(engine)
  return isDone
}
