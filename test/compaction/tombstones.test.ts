/**
 * Goal: no tombstone goes before everything that it keeps from coming back, and none is copied that can go with it.
 * Method: a segment of puts, and behind it one of their tombstones, both dead; dropped while a checkpoint holds the
 *   first one back, and compacted.
 * Properties checked: what the log alone tells, without checkpoints; what was copied.
 * Kept by: `isStaying` in drop-segments.ts; the order of victims in victims.ts.
 */
import assert from 'node:assert/strict'
import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { dropSegments } from '../../src/compaction/drop-segments.js'
import * as layout from '../../src/format/control-layout.js'
import { open, type Store } from '../../src/store/index.js'
import { copyStore, temporaryDirectory } from '../support/directory.js'
import { engineOf } from '../support/engine-of.js'
import { options } from './support.js'

const tailSlot = (store: Store<Buffer>): number => engineOf(store).control.get(layout.tailSlot)

/** Calls `put` with 0, 1, … until the log is in another segment; returns how often. */
function untilNextSegment(store: Store<Buffer>, put: (index: number) => void): number {
  const before = tailSlot(store)
  let index = 0
  while (tailSlot(store) === before) put(index++)
  return index
}

const filler = (store: Store<Buffer>) => (index: number) =>
  store.put('filler', Buffer.alloc(50_000 + index))

describe('tombstones', () => {
  test('stay as long as a checkpoint keeps the segment of what they deleted (I8)', async (t) => {
    const parent = temporaryDirectory(t)
    const directory = join(parent, 'store')
    const store = open<Buffer>(directory, options)
    // An index that is larger than what waits: the background makes no checkpoint for it.
    for (let index = 0; index < 160_000; index++) store.put(`${index}`, Buffer.alloc(1))
    const more = untilNextSegment(store, (index) => store.put(`more ${index}`, Buffer.alloc(900)))
    const goneCount = untilNextSegment(store, (index) =>
      store.put(`gone ${index}`, Buffer.alloc(900)),
    )
    for (let index = 0; index < 20; index++) filler(store)(index)
    await store.checkpoint()
    // The last of them lies in the next segment, where nothing is to live either.
    for (let index = 0; index < goneCount - 1; index++) store.delete(`gone ${index}`)
    untilNextSegment(store, filler(store))
    store.put(`gone ${goneCount - 1}`, Buffer.alloc(901))
    store.put(`more ${more - 1}`, Buffer.alloc(901))
    untilNextSegment(store, filler(store))
    await store.sync()
    const engine = engineOf(store)
    const segments = store.stats().segments

    for (let pass = 0; pass < 2; pass++)
      await dropSegments(engine, new Set(), engine.index.sizeBytes)
    assert.ok(store.stats().segments <= segments)
    const copy = join(parent, 'copy')
    copyStore(directory, copy)
    for (const name of readdirSync(copy)) {
      if (name.startsWith('checkpoint')) rmSync(join(copy, name))
    }
    const replayed = open<Buffer>(copy, options)
    assert.equal(replayed.stats().lastRecovery.kind, 'replay')
    assert.equal(replayed.get('gone 0'), undefined)
    assert.equal(replayed.count({ prefix: 'gone' }), 1)
    assert.equal(replayed.count(), store.count())
    await replayed.close()
    await store.close()
  })

  test('go uncopied with the segments of what they deleted', async (t) => {
    const parent = temporaryDirectory(t)
    const directory = join(parent, 'store')
    const store = open<Buffer>(directory, options)
    // A segment with a live record and dead puts, and behind it their tombstones and nothing that lives.
    store.put('lives', Buffer.alloc(10))
    const goneCount = untilNextSegment(store, (index) =>
      store.put(`gone ${index}`, Buffer.alloc(900)),
    )
    for (let index = 0; index < goneCount; index++) store.delete(`gone ${index}`)
    for (let round = 0; round < 2; round++) untilNextSegment(store, filler(store))
    const { recordsMoved, segmentsDropped } = await store.compact({ minGarbageRatio: 0.01 })
    // Those that live: one of the first segment, and the filler where it came to lie in a full one.
    assert.ok(recordsMoved <= 2, `${recordsMoved} records were moved`)
    assert.ok(segmentsDropped >= 2)
    assert.deepEqual((await store.verify()).problems, [])
    copyStore(directory, join(parent, 'copy'))
    const replayed = open<Buffer>(join(parent, 'copy'), options)
    assert.equal(replayed.count({ prefix: 'gone' }), 0)
    assert.equal(replayed.get('lives')?.byteLength, 10)
    await replayed.close()
    await store.close()
  })
})
