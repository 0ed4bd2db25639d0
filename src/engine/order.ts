/**
 * The ordered index in step with the hash index: built when a range is first asked for, and from
 * then on followed by a change of its own behind every change that brings or takes a key.
 *
 * The first change announces in the state what is left to do (which key, in or out), so that a kill
 * in between leaves nothing out. Where there is no space for a page, the ordered index counts as not
 * built: the next range builds it again, and no write fails because of it.
 */
import { StoreError } from '../base/errors.js'
import { entriesPerBucket, entryWords, linkWordInBucket } from '../format/bucket.js'
import * as layout from '../format/control-layout.js'
import { wordOf } from '../index/hash-index.js'
import { KeyList } from '../index/key-list.js'
import { planBuild } from '../index/ordered-build.js'
import { planInsert } from '../index/ordered-insert.js'
import { planRemove } from '../index/ordered-remove.js'
import { recordKeyspace } from '../log/record-fields.js'
import { applyPending } from './apply.js'
import type { Engine } from './engine.js'
import { enter, leave, mend } from './exclusive.js'
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

/**
 * Builds the ordered index where there is none. The writer's word is held meanwhile: a second for a
 * million keys.
 */
export function requireOrder(engine: Engine): void {
  if (engine.control.read(layout.orderBuilt) === 1) return
  if (engine.log.access === 'private' && !engine.isCopy) {
    throw new StoreError(
      'STORE_READ_ONLY',
      `the ordered index of ${engine.directory} is not built, and this reader may not write there: ask for a range once where it may be written`,
      { details: { file: engine.directory } },
    )
  }
  enter(engine)
  try {
    if (engine.control.get(layout.orderBuilt) === 0) build(engine)
  } catch (error) {
    mend(engine)
    throw error
  } finally {
    leave(engine)
  }
}

function build(engine: Engine): void {
  const { control, order } = engine
  const keys = collectKeys(engine)
  keys.sort()
  // Nobody reads it before it counts as built; what a dead builder left is overwritten.
  order.initialize()
  const sizeWords = planBuild(order, keys, control.nextRedo)
  control.begin()
  control.set(layout.orderBuilt, 1)
  control.set(layout.orderKind, 0)
  if (sizeWords > 0) control.set(layout.pendingKind, layout.changeOrder)
  control.commit()
  applyPending(engine)
}

/** The keys of all entries of the hash index. */
function collectKeys(engine: Engine): KeyList {
  const { index } = engine
  const keys = new KeyList()
  for (let home = 0; home < index.bucketCount; home++) {
    let words = index.wordsOf(home)
    let start = wordOf(home)
    for (;;) {
      collectBucket(engine, keys, words, start)
      const link = words[start + linkWordInBucket]
      if (link === 0) break
      words = index.overflowWordsOf(link)
      start = wordOf(link)
    }
  }
  return keys
}

function collectBucket(engine: Engine, keys: KeyList, words: Int32Array, start: number): void {
  const { key, log } = engine
  for (let entry = 0; entry < entriesPerBucket * entryWords; entry += entryWords) {
    const low = words[start + entry]
    const high = words[start + entry + 1]
    if (high === 0 && (low & 0xff) === 0) continue
    const slot = ((low & 0xff) << (32 - log.shift)) | (high >>> log.shift)
    const record = (high & log.offsetMask) * 2
    if (log.words[slot] === undefined) log.mapSlot(slot)
    takeKey(engine, log.words[slot], record)
    keys.add(recordKeyspace(log.words[slot], record), key.words, 0, key.sizeBytes)
  }
}
