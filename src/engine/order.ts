/**
 * The ordered index in step with the hash index, from when it is built (build-order.ts): followed by a
 * change of its own behind every change that brings or takes a key.
 *
 * The first change announces in the state what is left to do (which key, in or out), so that a kill
 * in between leaves nothing out. Where there is no space for a page, the ordered index counts as not
 * built: the next range builds it again, and no write fails because of it.
 */
import { StoreError } from '../base/errors.js'
import * as layout from '../format/control-layout.js'
import { planInsert } from '../index/ordered-insert.js'
import { planRemove } from '../index/ordered-remove.js'
import { recordKeyspace } from '../log/record-fields.js'
import { applyPending } from './apply.js'
import type { Engine } from './engine.js'
import { takeKey } from './take-key.js'

/** What the record at `slot` and `offset` brings or takes; between `begin` and `commit`. */
export function announceOrder(engine: Engine, kind: number, slot: number, offset: number): void {
  const { doubles, next } = engine.control
  if (doubles[next + layout.orderBuilt] === 0) return
  doubles[next + layout.orderKind] = kind
  doubles[next + layout.orderAddress] = engine.log.starts[slot] + offset
}

/** Does what a change left to do, by a change of its own. The key at hand is another afterwards. */
export function followOrder(engine: Engine): void {
  const { control } = engine
  const kind = control.doubles[control.state + layout.orderKind]
  if (kind !== 0) follow(engine, kind)
}

function follow(engine: Engine, kind: number): void {
  const { control, key, log, order } = engine
  const { slot, offset } = log.locate(control.get(layout.orderAddress))
  const words = log.words[slot]
  takeKey(engine, words, offset * 2)
  const keyspaceId = recordKeyspace(words, offset * 2)
  const plan = kind === layout.orderInsert ? planInsert : planRemove
  let sizeWords = 0
  let isBuilt = true
  // Planning asks of no page whether it is mapped, and others may have added some.
  order.region.ensure(order.pageEnd)
  try {
    sizeWords = plan(order, keyspaceId, key.words, 0, key.sizeBytes, control.nextRedo)
  } catch (error) {
    if (!(error instanceof StoreError && error.code === 'STORE_FULL')) throw error
    isBuilt = false
  }
  control.begin()
  control.set(layout.orderKind, 0)
  if (!isBuilt) control.set(layout.orderBuilt, 0)
  if (sizeWords > 0) control.set(layout.pendingKind, layout.changeOrder)
  control.commit()
  applyPending(engine)
}
