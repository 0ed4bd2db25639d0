/**
 * Verifying the ordered index against the hash index: its keys rise, each is one that the hash index
 * knows, and of each keyspace it has as many that were live at the snapshot as were found in the log.
 */
import { hashKey, probe } from '../engine/probe.js'
import { takeTurn } from '../engine/read.js'
import { beforeAllTime, findHashedAt } from '../engine/snapshot.js'
import * as layout from '../format/control-layout.js'
import { orderFileName } from '../format/file-names.js'
import {
  contains,
  OrderedCursor,
  seekBusy,
  seekEdge,
  seekEnd,
  seekFound,
  seekNext,
} from '../index/ordered-cursor.js'
import { compareKeys, OrderedKey } from '../index/ordered-key.js'
import type { KeyspaceTally, Verification } from './verification.js'

const busyMax = 4

export function* verifyOrder(verification: Verification): Generator<void, void> {
  const { keyspaces, problems } = verification
  for (const keyspace of keyspaces.values()) {
    // Built anew from the hash index whenever it is given up.
    if (!isBuilt(verification)) return
    const before = problems.count
    const count = yield* countLive(verification, keyspace)
    if (!isBuilt(verification)) return
    if (count === undefined || problems.count > before) continue
    if (count === keyspace.found.records || verification.hasDamagedLog) continue
    problems.add(
      verification.engine.log.path(orderFileName),
      0,
      `of keyspace ${JSON.stringify(keyspace.name)} it has ${count} live keys, the log has ${keyspace.found.records}`,
    )
  }
}

function isBuilt({ engine }: Verification): boolean {
  return engine.control.read(layout.orderBuilt) === 1
}

/** Keys that were live at the snapshot; undefined where they could not all be read. */
function* countLive(
  verification: Verification,
  keyspace: KeyspaceTally,
): Generator<void, number | undefined> {
  const { engine, problems, sequence } = verification
  const file = engine.log.path(orderFileName)
  const cursor = new OrderedCursor()
  const last = new OrderedKey()
  const next = new OrderedKey()
  let isFirst = true
  let count = 0
  let busyCount = 0
  for (;;) {
    yield
    const result = isFirst
      ? seekEdge(engine.order, cursor, keyspace.id, false)
      : seekNext(engine.order, cursor)
    if (result === seekEnd) return count
    if (result === seekBusy) {
      takeTurn(engine)
      if (++busyCount < busyMax) continue
      if (isBuilt(verification)) problems.add(file, 0, 'its pages cannot be read')
      return undefined
    }
    for (let index = 0; index < cursor.count; index++) {
      next.set(keyspace.id, cursor.words, cursor.starts[index], cursor.sizesBytes[index])
      if (!isFirst && compareKeys(last, next) >= 0) problems.add(file, 0, 'its keys do not rise')
      isFirst = false
      last.setKey(next, next.sizeBytes)
      engine.key.setWords(cursor.words, cursor.starts[index], cursor.sizesBytes[index])
      const hash = hashKey(engine, keyspace.id)
      if (findHashedAt(engine, hash, keyspace.id, sequence, beforeAllTime)) count++
      else if (!verification.hasDamagedLog && !isKnown(verification, keyspace.id, hash, next)) {
        problems.add(file, 0, 'it has a key that the hash index does not know')
      }
    }
  }
}

/** A key that is newer than the snapshot, or that is deleted and kept for one. */
function isKnown(
  verification: Verification,
  keyspaceId: number,
  hash: number,
  key: OrderedKey,
): boolean {
  const { engine } = verification
  if (probe(engine, hash, keyspaceId)) return true
  return verification.exclusively(() => {
    engine.key.setWords(key.words, 1, key.sizeBytes - 4)
    if (probe(engine, hash, keyspaceId)) return true
    const cursor = new OrderedCursor()
    const isThere = contains(engine.order, cursor, keyspaceId, key.words, 1, key.sizeBytes - 4)
    return !isBuilt(verification) || isThere !== seekFound
  })
}
