/**
 * The ordered index in step with the hash index, from when it is built (build-order.ts): a change that
 * brings or takes a key announces the patches of both, and one commit makes both count.
 *
 * Killed before the commit, the pages that were filled for it are free as they were; killed after it, the
 * patches lie in the redo area. Where there is no space for a page, the ordered index counts as not
 * built: the next range builds it again, and no write fails because of it.
 */
import { StoreError } from '../base/errors.js'
import * as layout from '../format/control-layout.js'
import { planInsert } from '../index/ordered-insert.js'
import { planRemove } from '../index/ordered-remove.js'
import type { Engine } from './engine.js'

/** The key at hand comes; between `begin` and `commit` of a change that leaves the redo area alone. */
export function announceOrderedInsert(engine: Engine, keyspaceId: number): void {
  announce(engine, keyspaceId, planInsert)
}

/** The key at hand goes. */
export function announceOrderedRemove(engine: Engine, keyspaceId: number): void {
  announce(engine, keyspaceId, planRemove)
}

function announce(
  engine: Engine,
  keyspaceId: number,
  plan: typeof planInsert | typeof planRemove,
): void {
  const { control, key, order } = engine
  const { doubles, next } = control
  if (doubles[next + layout.orderBuilt] === 0) return
  // Planning asks of no page whether it is mapped, and others may have added some.
  order.region.ensure(order.pageEnd)
  try {
    const sizeWords = plan(order, keyspaceId, key.words, 0, key.sizeBytes, control.nextRedo)
    if (sizeWords > 0) doubles[next + layout.pendingOrder] = 1
  } catch (error) {
    if (!(error instanceof StoreError && error.code === 'STORE_FULL')) throw error
    doubles[next + layout.orderBuilt] = 0
  }
}
