/**
 * Taking tombstones out of the indexes once no snapshot sees behind them, and they need not be remembered:
 * in the order of the log, from the oldest one that was kept, up to the first one that is still needed.
 *
 * A slice at a time with the writer's word in hand, so that nobody waits for long; the state says
 * where the next one begins, so that whoever comes next goes on from there.
 */
import * as layout from '../format/control-layout.js'
import { sequenceDouble, timestampDouble, typeTombstone } from '../format/record.js'
import { LogWalk } from '../log/log-walk.js'
import { recordKeyspace } from '../log/record-fields.js'
import { applyPending } from './apply.js'
import { isOrderBeingBuilt } from './build-order.js'
import type { Engine } from './engine.js'
import { exclusively } from './exclusive.js'
import { announceOrderedRemove } from './order.js'
import { hashKey, probe } from './probe.js'
import { announceRemove } from './publish.js'
import { sweepDropped } from './sweep-keyspaces.js'
import { takeKey } from './take-key.js'
import { isRemembered, rememberMs } from './tombstones.js'

/** Records of a slice: some 100 microseconds. */
const recordsAtOnce = 256

/** Sweeps dropped keyspaces and a slice of tombstones at once, and the rest between turns of the event loop. */
export function scheduleSweep(engine: Engine): void {
  if (engine.isClosed || engine.control.isPoisoned) return
  sweepDropped(engine)
  if (engine.control.read(layout.tombstones) === 0) return
  if (rememberMs(engine) === Number.POSITIVE_INFINITY) return
  const isMore = exclusively(engine, () => sweepSlice(engine))
  if (!isMore || engine.isSweepScheduled) return
  engine.isSweepScheduled = true
  setImmediate(() => {
    engine.isSweepScheduled = false
    try {
      scheduleSweep(engine)
    } catch (error) {
      engine.onError?.(error)
    }
  })
}

/** True where there may be more to do. */
function sweepSlice(engine: Engine): boolean {
  const { attachments, control, log } = engine
  // It would keep the keys. Whoever does the background work of all sweeps later.
  if (isOrderBeingBuilt(engine)) return false
  const pin = attachments.lowestPin()
  const from = control.get(layout.tombstonesFrom)
  const walk = new LogWalk(log, from, control.get(layout.tail))
  let isAtEnd = false
  for (let count = 0; count < recordsAtOnce; count++) {
    if (control.get(layout.tombstones) === 0 || !walk.next()) {
      isAtEnd = true
      break
    }
    if (walk.type !== typeTombstone) continue
    // A snapshot of a lower sequence shows what was deleted here.
    if (log.doubles[walk.slot][walk.offset + sequenceDouble] > pin) break
    if (isRemembered(engine, log.doubles[walk.slot][walk.offset + timestampDouble])) break
    removeTombstone(engine, walk.slot, walk.offset)
  }
  if (isAtEnd || walk.address === from) return false
  control.begin()
  control.set(layout.tombstonesFrom, walk.address)
  control.commit()
  return true
}

/** The entry goes, if it still leads to this tombstone. */
function removeTombstone(engine: Engine, slot: number, offset: number): void {
  const { control, log, lookup } = engine
  const words = log.words[slot]
  const keyspaceId = recordKeyspace(words, offset * 2)
  takeKey(engine, words, offset * 2)
  const found = probe(engine, hashKey(engine, keyspaceId), keyspaceId)
  if (!found || log.starts[lookup.slot] + lookup.offset !== log.starts[slot] + offset) return
  control.begin()
  control.set(layout.tombstones, control.get(layout.tombstones) - 1)
  announceRemove(engine)
  announceOrderedRemove(engine, keyspaceId)
  control.commit()
  applyPending(engine)
}
