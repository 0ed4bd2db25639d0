/**
 * The moment that a checkpoint shows: an address of the log, and all that is counted up to there.
 *
 * It is taken in one turn of the writer's word. A marker goes to the tail, and the address is its end:
 * so replay begins with a digest of nothing, and no record below is updated in place any more. A pin
 * is set as a snapshot's is, so that whatever happens to a key afterwards, its entry stays and leads
 * back, by previous addresses, to the record that it had.
 *
 * A keyspace that is being swept away has counts that its entries do not bear out. It is swept first;
 * where a snapshot still shows it, the pin keeps it whole, entries and counts.
 */

import { pause } from '../base/pause.js'
import type { CheckpointExpiry, CheckpointKeyspace } from '../format/checkpoint.js'
import * as layout from '../format/control-layout.js'
import { checksumWord, systemKeyspaceId } from '../format/record.js'
import type { Log } from '../log/log.js'
import {
  kindDropped,
  kindLog,
  kindValue,
  slotDeadBytes,
  slotEndBytes,
  slotEpoch,
  slotKind,
  slotNumber,
  slotOverheadBytes,
  slotSizeBytes,
  slotTombstoneBytes,
} from '../log/slot-table.js'
import { type Engine, poisonedError } from './engine.js'
import { exclusively } from './exclusive.js'
import { readRegistry } from './keyspaces.js'
import { sweepDropped, unsweptIds } from './sweep-keyspaces.js'
import { scheduleSweep } from './sweep-tombstones.js'
import { writeMarker } from './sync.js'

export interface MomentSegment {
  readonly segmentNumber: number
  readonly epoch: number
  readonly sizeBytes: number
  readonly endBytes: number
  readonly deadBytes: number
  readonly overheadBytes: number
  readonly tombstoneBytes: number
  readonly kind: number
}

export interface CheckpointMoment {
  /** Behind the marker. */
  readonly address: number
  readonly marker: number
  readonly markerChecksum: number
  readonly createdAtMs: number
  /** The fields of the control state. */
  readonly state: Float64Array
  /** By slot. */
  readonly segments: readonly MomentSegment[]
  readonly keyspaces: readonly CheckpointKeyspace[]
  readonly expiries: readonly CheckpointExpiry[]
  readonly nextKeyspaceId: number
  /** Records of keyspaces that have a name. */
  readonly namedRecords: number
}

const pauseMs = 1

/** Takes the moment, and the pin that {@link releaseMoment} gives back. */
export function takeMoment(engine: Engine): CheckpointMoment {
  for (;;) {
    sweepDropped(engine)
    const moment = exclusively(engine, () => takeHeld(engine))
    if (moment !== undefined) return moment
    // The sweep waits for one that builds the ordered index.
    pause(pauseMs)
  }
}

export function releaseMoment(engine: Engine): void {
  const { attachments, pins } = engine
  pins.ofCheckpoint = Number.POSITIVE_INFINITY
  if (!engine.isMapped) return
  attachments.setPin(pins.lowest)
  if (!engine.isClosed) scheduleSweep(engine)
}

/** Undefined where a keyspace is being swept away. */
function takeHeld(engine: Engine): CheckpointMoment | undefined {
  const { attachments, control, log, pins, platform } = engine
  if (control.isPoisoned) throw poisonedError(engine)
  const lowestPin = attachments.lowestPin()
  const unswept = unsweptIds(engine)
  if (unswept.some(([, dropSequence]) => dropSequence <= lowestPin)) return undefined
  writeMarker(engine)
  const state = control.readState()
  const marker = state[layout.lastMarker]
  const { offset, slot } = log.locate(marker)
  const shownUntil = unswept.map(([, dropSequence]) => dropSequence - 1)
  pins.ofCheckpoint = Math.min(state[layout.sequence], ...shownUntil)
  attachments.setPin(pins.lowest)
  const nextKeyspaceId = Math.max(state[layout.nextKeyspaceId], readRegistry(engine).nextId)
  const keyspaces = countedKeyspaces(engine, nextKeyspaceId)
  const unnamed = new Set([systemKeyspaceId, ...unswept.map(([id]) => id)])
  return {
    address: state[layout.tail],
    marker,
    markerChecksum: log.words[slot][offset * 2 + checksumWord],
    createdAtMs: platform.nowMs(),
    state,
    segments: segmentsAt(engine, state),
    keyspaces,
    expiries: [...engine.expiries.rows(log)],
    nextKeyspaceId,
    namedRecords: keyspaces.reduce(
      (sum, { keyspaceId, records }) => sum + (unnamed.has(keyspaceId) ? 0 : records),
      0,
    ),
  }
}

function countedKeyspaces({ counts }: Engine, nextKeyspaceId: number): CheckpointKeyspace[] {
  const found: CheckpointKeyspace[] = []
  for (let keyspaceId = 0; keyspaceId < nextKeyspaceId; keyspaceId++) {
    const records = counts.get(keyspaceId, 0)
    if (records === 0) continue
    const keyBytes = counts.get(keyspaceId, 1)
    found.push({ keyspaceId, records, keyBytes, valueBytes: counts.get(keyspaceId, 2) })
  }
  return found
}

/**
 * The segment of the tail is given as if it were sealed where the checkpoint ends: replay goes on counting
 * from there as it does for every other one.
 */
function segmentsAt({ log }: Engine, state: Float64Array): MomentSegment[] {
  const tailSlot = log.firstSlotOf(state[layout.tailSlot])
  const { slots } = log
  const found: MomentSegment[] = []
  for (let slot = 0; slot < state[layout.slotEnd]; slot++) {
    const segmentNumber = slots.get(slot, slotNumber)
    const sizeBytes = slots.get(slot, slotSizeBytes)
    const tailEndBytes = (state[layout.tail] - segmentNumber * log.segmentWords) * 8
    const isTail = slot === tailSlot
    const restBytes = isTail ? state[layout.tailOverheadBytes] + sizeBytes - tailEndBytes : 0
    found.push({
      segmentNumber,
      epoch: slots.get(slot, slotEpoch),
      sizeBytes,
      endBytes: isTail ? tailEndBytes : slots.get(slot, slotEndBytes),
      deadBytes: slots.get(slot, slotDeadBytes) + restBytes,
      overheadBytes: isTail ? restBytes : slots.get(slot, slotOverheadBytes),
      tombstoneBytes: isTail
        ? state[layout.tailTombstoneBytes]
        : slots.get(slot, slotTombstoneBytes),
      kind: kindOf(log, slot),
    })
  }
  return found
}

/** What is being dropped counts as what it was: the manifest may name it still. Nothing leads into it. */
function kindOf({ slots }: Log, slot: number): number {
  const kind = slots.get(slot, slotKind)
  if (kind !== kindDropped) return kind
  // A value has no end that was sealed.
  return slots.get(slot, slotEndBytes) === 0 ? kindValue : kindLog
}
