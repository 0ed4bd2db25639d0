/**
 * Goal: compaction takes nothing from those who read.
 * Method: snapshots, iterations, scans, exports and verifications that were begun before a compaction, or in
 *   the middle of one, and read behind it.
 * Properties checked: each shows what it showed before; what only they need is named, and given back when
 *   they are closed.
 */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { describe, test } from 'node:test'
import { open, type Snapshot, type Store } from '../../src/store/index.js'
import { segmentNames, temporaryDirectory } from '../support/directory.js'
import { Random } from '../support/random.js'
import { type Model, options, type Round, requireModel, write } from './support.js'

const keyCount = 600
const round: Round = { count: 2500, keyCount, deletePart: 0.2, batchPart: 0.1, sizeMax: 3000 }
const all = { minGarbageRatio: 0.01 }

function filled(directory: string, random: Random): { store: Store<Buffer>; model: Model } {
  const store = open<Buffer>(directory, options)
  const model: Model = new Map()
  write(store, model, random, round)
  return { store, model }
}

async function exported(snapshot: Snapshot<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = []
  const sink = new Writable({
    write(chunk: Buffer, _, done): void {
      chunks.push(chunk)
      done()
    },
  })
  await snapshot.export(sink)
  return Buffer.concat(chunks)
}

describe('over a compaction', () => {
  test('a snapshot shows what it showed, and what it needs goes when it is closed', async (t) => {
    const directory = temporaryDirectory(t)
    const random = new Random(1)
    const { store, model } = filled(directory, random)
    for (let times = 0; times < 3; times++) {
      const snapshot = store.snapshot()
      const shown: Model = new Map(model)
      write(store, model, random, round)
      await store.compact(all)
      requireModel(snapshot, shown, keyCount)
      const { oldestSnapshotSequence, pinnedBytes } = store.stats()
      assert.equal(oldestSnapshotSequence, snapshot.sequence)
      assert.ok(pinnedBytes > 0)
      write(store, model, random, round)
      await store.compact(all)
      requireModel(snapshot, shown, keyCount)
      requireModel(store, model, keyCount)
      assert.deepEqual((await store.verify()).problems, [])
      snapshot.close()
      const pinnedFileBytes = store.stats().fileBytes
      await store.compact(all)
      assert.equal(store.stats().pinnedBytes, 0)
      assert.ok(store.stats().fileBytes < pinnedFileBytes)
      requireModel(store, model, keyCount)
    }
    await store.close()
  })

  test('a checkpoint that is being made is waited for, and keeps nothing back', async (t) => {
    const { store, model } = filled(temporaryDirectory(t), new Random(2))
    const checkpoint = store.checkpoint()
    while (store.stats().oldestSnapshotSequence === undefined) {
      await new Promise((resolve) => setImmediate(resolve))
    }
    // All of what it shows becomes garbage.
    for (const name of model.keys()) store.delete(name)
    const { pinnedBytes } = store.stats()
    assert.ok(pinnedBytes > 0)
    const report = await store.compact(all)
    assert.ok(report.segmentsDropped > 1, `${report.segmentsDropped}`)
    assert.equal(store.stats().pinnedBytes, 0)
    await checkpoint
    assert.equal(store.checkpoints().length, 1)
    await store.close()
  })

  test('a copy that a snapshot shows is not updated in place', async (t) => {
    const store = open<Buffer>(temporaryDirectory(t), options)
    store.put('kept', Buffer.from('before'))
    for (let index = 0; index < 30; index++) store.put('other', Buffer.alloc(100_000, index))
    await store.sync()
    const snapshot = store.snapshot()
    // And the registry of keyspaces.
    assert.equal((await store.compact(all)).recordsMoved, 2)
    store.put('kept', Buffer.from('behind'))
    assert.equal(snapshot.get('kept')?.toString(), 'before')
    assert.equal(store.get('kept')?.toString(), 'behind')
    snapshot.close()
    await store.close()
  })

  test('an iteration and an export give what they would have given', async (t) => {
    const parent = temporaryDirectory(t)
    const random = new Random(2)
    const { store, model } = filled(join(parent, 'store'), random)
    const snapshot = store.snapshot()
    const expected = store.range().toArray()
    const bytes = await exported(snapshot)
    const entries = store.range()[Symbol.iterator]()
    const first = entries.next().value
    write(store, model, random, round)
    await store.compact(all)
    const exporting = exported(snapshot)
    write(store, model, random, round)
    await store.compact(all)
    const rest: unknown[] = []
    for (let step = entries.next(); step.done !== true; step = entries.next()) rest.push(step.value)
    assert.deepEqual([first, ...rest], expected)
    assert.ok((await exporting).equals(bytes))
    snapshot.close()
    await store.close()
  })

  test('a tombstone that a snapshot sees behind keeps its place in the index', async (t) => {
    const store = open<Buffer>(temporaryDirectory(t), options)
    store.put('gone', Buffer.from('shown'))
    const snapshot = store.snapshot()
    store.delete('gone')
    for (let index = 0; index < 30; index++) store.put('other', Buffer.alloc(100_000, index))
    const later = store.snapshot()
    await store.compact(all)
    assert.equal(snapshot.get('gone')?.toString(), 'shown')
    assert.equal(later.get('gone'), undefined)
    snapshot.close()
    await store.compact(all)
    assert.equal(later.get('gone'), undefined)
    assert.equal(store.get('gone'), undefined)
    later.close()
    await store.compact(all)
    assert.deepEqual((await store.verify()).problems, [])
    await store.close()
  })

  test('a scan that is under way ends it early, and gives every record once', async (t) => {
    const random = new Random(3)
    const directory = temporaryDirectory(t)
    const { store, model } = filled(directory, random)
    await store.compact({ minGarbageRatio: 0.3 })
    write(store, model, random, round)
    const scan = store.scan()[Symbol.iterator]()
    const keys = [scan.next().value?.key]
    const before = segmentNames(directory)
    const report = await store.compact(all)
    assert.equal(report.isPostponed, true)
    assert.equal(report.recordsMoved, 0)
    assert.deepEqual(segmentNames(directory).slice(0, before.length), before)
    for (let step = scan.next(); step.done !== true; step = scan.next()) keys.push(step.value.key)
    assert.deepEqual(keys.sort(), [...model.keys()].sort())
    assert.equal((await store.compact(all)).isPostponed, false)
    assert.deepEqual(
      store
        .scan()
        .map(({ key }) => key)
        .toArray()
        .sort(),
      [...model.keys()].sort(),
    )
    await store.close()
  })

  test('verify and backup that run meanwhile find nothing wrong', async (t) => {
    const parent = temporaryDirectory(t)
    const random = new Random(4)
    const { store, model } = filled(join(parent, 'store'), random)
    for (let times = 0; times < 4; times++) {
      const compacting = store.compact(all)
      const verifying = store.verify()
      const backingUp = store.backup(join(parent, 'backup'))
      write(store, model, random, { ...round, count: 500 })
      const shown: Model = new Map(model)
      assert.deepEqual((await verifying).problems, [])
      await backingUp
      await compacting
      requireModel(store, model, keyCount)
      await store.compact(all)
      // A backup on top of one that has segments which are gone since.
      await store.backup(join(parent, 'backup'))
      const copy = open<Buffer>(join(parent, 'backup'), { ...options, readOnly: true })
      requireModel(copy, shown, keyCount)
      assert.deepEqual((await copy.verify()).problems, [])
      await copy.close()
    }
    await store.close()
  })

  test('the record written last is still the last one', async (t) => {
    const store = open<Buffer>(temporaryDirectory(t), options)
    for (let index = 0; index < 30; index++) store.put('other', Buffer.alloc(100_000, index))
    store.put('last', Buffer.from('one'))
    await store.sync()
    // Nothing but markers from here on.
    await store.compact(all)
    assert.equal(store.lastEntry()?.key, 'last')
    for (let index = 0; index < 30; index++) store.put('other', Buffer.alloc(100_000, index))
    assert.equal(store.lastEntry()?.key, 'other')
    await store.compact(all)
    assert.equal(store.lastEntry()?.key, 'other')
    await store.close()
  })
})
