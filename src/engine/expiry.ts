/**
 * Records that expire: which of them count, and taking out those that do not any more.
 *
 * A record has expired when the time of the store has come to its `expiresAtMs`. From then on reads and
 * conditions take its key for missing; in indexes and counts it stays until somebody who writes comes
 * by, in the background or before a count, and deletes it with a tombstone of the same version: so
 * nothing that is older comes back, and two stores that were given the same commands stay equal.
 *
 * The time of the store is the wall clock, but never before what anybody who found a record expired
 * has seen: a key that was gone stays gone when the clock is set back, and time goes on from there by the
 * monotonic clock. What was seen lies in the control file. On another boot it is lost, where no tombstone
 * tells it, together with what was not synced; a proper close leaves it in the log.
 */
import { StoreError } from '../base/errors.js'
import * as layout from '../format/control-layout.js'
import {
  expiresAtDouble,
  flagExpiry,
  systemKeyspaceId,
  typePut,
  versionDouble,
} from '../format/record.js'
import type { DueStretch } from '../log/expiry-table.js'
import { noExpiry, sooner } from '../log/expiry-table.js'
import { LogWalk } from '../log/log-walk.js'
import {
  recordFlags,
  recordKeySize,
  recordKeyspace,
  recordValueSize,
} from '../log/record-fields.js'
import { removeFound } from './delete.js'
import type { Engine } from './engine.js'
import { enter, exclusively, leave, mend } from './exclusive.js'
import { hashKey, probe } from './probe.js'
import { anyVersion, putHeld } from './put.js'
import { getBytes } from './read.js'
import { readSettled } from './settled.js'
import { scheduleSync } from './sync.js'
import { takeKey } from './take-key.js'
import { isDue, noteSeen, timeNow } from './time.js'

/** Records that are taken out while others wait, and that are looked at for it: some 500 microseconds. */
const expiredAtOnce = 256
const walkedAtOnce = 4096
/** Slices in one turn of the event loop take no longer, but for the last: a busy loop has few turns. */
const turnMs = 2

/** Takes out everything that is due now. False where this one may not, or cannot. */
function expireAll(engine: Engine): boolean {
  if (engine.isReadOnly || engine.control.isPoisoned || engine.callbackOf !== '') return false
  const nowMs = timeNow(engine)
  try {
    while (isDue(engine, nowMs)) expireSlice(engine, nowMs)
    return true
  } catch (error) {
    // On a full disk nothing can be deleted; it can be counted.
    if (error instanceof StoreError && error.code === 'STORE_FULL') return false
    throw error
  }
}

/**
 * Takes out what is due between turns of the event loop, some slices at a time, until all stretches were looked at
 * once. Where something is always due the next look is the caller's next: the rows of a large store are a megabyte,
 * and looking at them without end would keep the writer's word from everybody else (`bench/bounds.mjs`, "mix").
 */
export function scheduleExpiry(engine: Engine): void {
  if (engine.isClosed || engine.isExpiryScheduled || engine.control.isPoisoned) return
  if (!isDue(engine, timeNow(engine))) return
  engine.isExpiryScheduled = true
  setImmediate(() => {
    engine.isExpiryScheduled = false
    if (engine.isClosed) return
    try {
      const endMs = performance.now() + turnMs
      let isEnd = false
      do isEnd = expireSlice(engine, timeNow(engine))
      while (!isEnd && performance.now() < endMs)
      if (!isEnd) scheduleExpiry(engine)
    } catch (error) {
      engine.onError?.(error)
    }
  })
}

/** True where it came to the last stretch. */
function expireSlice(engine: Engine, nowMs: number): boolean {
  const isEnd = exclusively(engine, () => expireHeld(engine, nowMs))
  scheduleSync(engine)
  return isEnd
}

/** The next slice begins where this one ends. True where it came to the last stretch. */
function expireHeld(engine: Engine, nowMs: number): boolean {
  const { control, expiries, log } = engine
  noteSeen(engine, nowMs)
  const tail = control.get(layout.tail)
  let expired = 0
  let walked = 0
  for (const stretch of expiries.due(log, nowMs, engine.expiryRow)) {
    engine.expiryRow = stretch.row
    // Of a stretch all is looked at: what is left of it is known only then.
    if (walked >= walkedAtOnce) return false
    let earliestMs = noExpiry
    const walk = walkOf(engine, stretch, tail)
    while (walk.next()) {
      walked++
      if (!isExpiring(engine, walk)) continue
      const expiresAtMs = log.doubles[walk.slot][walk.offset + expiresAtDouble]
      if (expiresAtMs > nowMs) {
        earliestMs = sooner(earliestMs, expiresAtMs)
        continue
      }
      if (expiresAtMs <= stretch.settledMs || !isNewest(engine, walk)) continue
      if (expired === expiredAtOnce) return false
      expireFound(engine, walk)
      expired++
    }
    expiries.settle(stretch.row, nowMs, earliestMs)
  }
  engine.expiryRow = 0
  expiries.settleAll(log)
  return true
}

/** Deletes the record that the lookup has, under the version that it has. */
function expireFound(engine: Engine, { slot, offset }: LogWalk): void {
  const { log } = engine
  const words = log.words[slot]
  const keyspaceId = recordKeyspace(words, offset * 2)
  const version = log.doubles[slot][offset + versionDouble]
  removeFound(engine, keyspaceId, hashKey(engine, keyspaceId), version)
}

function walkOf(engine: Engine, { start, end }: DueStretch, tail: number): LogWalk {
  return new LogWalk(engine.log, start, Math.min(end, tail))
}

function isExpiring({ log }: Engine, { slot, offset, type }: LogWalk): boolean {
  return type === typePut && (recordFlags(log.words[slot], offset * 2) & flagExpiry) !== 0
}

/** True where the index leads to this record; the lookup has it then, and its key is at hand. */
function isNewest(engine: Engine, { slot, offset }: LogWalk): boolean {
  const { log, lookup } = engine
  const words = log.words[slot]
  const keyspaceId = recordKeyspace(words, offset * 2)
  takeKey(engine, words, offset * 2)
  if (!probe(engine, hashKey(engine, keyspaceId), keyspaceId)) return false
  return log.starts[lookup.slot] + lookup.offset === log.starts[slot] + offset
}

/** Records, bytes of keys, bytes of values. */
export type Counts = readonly [records: number, keyBytes: number, valueBytes: number]

/**
 * What `read` gives, between two operations of whomever and with everything due taken out; where that
 * cannot be, with what is left of it as `due`, of the keyspaces that count.
 */
export function readCounts<T>(
  engine: Engine,
  isCounted: (keyspaceId: number) => boolean,
  read: (due: Counts) => T,
): T {
  const nowMs = isDue(engine, Number.POSITIVE_INFINITY) ? timeNow(engine) : 0
  const isClean = !isDue(engine, nowMs) || expireAll(engine)
  return readSettled(engine, () => read(isClean ? [0, 0, 0] : countDue(engine, isCounted, nowMs)))
}

/** Counts what is due and still in the index; believed only if nobody wrote meanwhile. */
function countDue(
  engine: Engine,
  isCounted: (keyspaceId: number) => boolean,
  nowMs: number,
): Counts {
  const { control, expiries, log } = engine
  const tail = control.read(layout.tail)
  const sums: [number, number, number] = [0, 0, 0]
  for (const stretch of expiries.due(log, nowMs, 0)) {
    const walk = walkOf(engine, stretch, tail)
    while (walk.next()) {
      if (!isExpiring(engine, walk)) continue
      const { offset, slot } = walk
      const words = log.words[slot]
      const expiresAtMs = log.doubles[slot][offset + expiresAtDouble]
      if (expiresAtMs > nowMs || expiresAtMs <= stretch.settledMs) continue
      if (!isCounted(recordKeyspace(words, offset * 2))) continue
      if (!isNewest(engine, walk)) continue
      sums[0]++
      sums[1] += recordKeySize(words, offset * 2)
      sums[2] += recordValueSize(words, offset * 2)
    }
  }
  if (sums[0] > 0) noteSeen(engine, nowMs)
  return sums
}

const timeKey = 'time'

/**
 * Before a proper close: what of the time was seen, and is not to be seen in the log, is left there.
 * With the store open and its writer's word free.
 */
export function keepTime(engine: Engine): void {
  if (engine.isReadOnly || engine.control.isPoisoned) return
  const nowMs = timeNow(engine)
  if (!isDue(engine, nowMs)) return
  enter(engine)
  try {
    const text = String(nowMs)
    engine.key.setText(timeKey)
    putHeld(engine, systemKeyspaceId, text, text.length, undefined, anyVersion, noExpiry)
  } catch (error) {
    mend(engine)
    // A full disk keeps nobody from closing.
    if (!(error instanceof StoreError && error.code === 'STORE_FULL')) throw error
  } finally {
    leave(engine)
  }
}

/** After opening: the time that was seen before. */
export function adoptTime(engine: Engine): void {
  if (engine.expiries.nextMs === noExpiry) return
  engine.key.setText(timeKey)
  const text = getBytes(engine, systemKeyspaceId)?.toString('latin1')
  if (text !== undefined) noteSeen(engine, Number(text))
}
