/**
 * The time of the store, by which records expire: see expiry.ts.
 *
 * What was seen is one double in the control file that only rises. Its bits, taken as a whole number, are
 * in the order of times, so that it is raised by compare-and-swap.
 */
import * as layout from '../format/control-layout.js'
import { expiresAtDouble, flagExpiry, kindWord } from '../format/record.js'
import { noExpiry } from '../log/expiry-table.js'
import { entryOf, liveEntry } from './announce-record.js'
import type { Engine } from './engine.js'

/** Asks the wall clock each time: two reads in a row may lie on two sides of an expiry. */
export function timeNow(engine: Engine): number {
  const wallMs = engine.platform.nowMs()
  const seenMs = seen(engine)
  return wallMs >= seenMs ? wallMs : engine.clock.behind(seenMs)
}

function seen(engine: Engine): number {
  return Math.max(engine.ownSeenMs, engine.control.doubles[layout.timeSeenDouble])
}

/** Something was found expired at this time: it never gets earlier again. */
export function noteSeen(engine: Engine, timeMs: number): void {
  const { control, log } = engine
  if (timeMs <= seen(engine)) return
  // Memory that others write to, mapped for this one alone, would be parted from theirs by a store.
  if (log.access === 'private' && !engine.isCopy) engine.ownSeenMs = timeMs
  else control.raise(layout.timeSeenDouble, timeMs)
}

/** True where a record may have expired at `nowMs` and still be in the indexes. */
export function isDue(engine: Engine, nowMs: number): boolean {
  const { nextMs } = engine.expiries
  return nextMs !== noExpiry && nextMs <= nowMs
}

const expiryInKindWord = flagExpiry << 8

/** True where the record that the lookup has expired by now, or was just overwritten. */
export function isExpiredFound(engine: Engine): boolean {
  const { lookup } = engine
  const kind = lookup.recordWords[(lookup.offset << 1) + kindWord]
  return (kind & expiryInKindWord) !== 0 && isExpiredAt(engine, timeNow(engine))
}

/** The same at a time that was taken before; of a record that has an expiry. */
export function isExpiredAt(engine: Engine, timeMs: number): boolean {
  const { log, lookup } = engine
  return log.doubles[lookup.slot][lookup.offset + expiresAtDouble] <= timeMs
}

/** When the record that the lookup has expires. */
export function expiryFound(engine: Engine): number {
  const { log, lookup } = engine
  const kind = lookup.recordWords[(lookup.offset << 1) + kindWord]
  if ((kind & expiryInKindWord) === 0) return noExpiry
  return log.doubles[lookup.slot][lookup.offset + expiresAtDouble]
}

/** True where the lookup found a record that counts. */
export function isLiveFound(engine: Engine, isFound: boolean): boolean {
  return entryOf(engine, isFound) === liveEntry && !isExpiredFound(engine)
}
