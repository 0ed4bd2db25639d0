/**
 * Goal: none of the faults that the compactions of MmapStateStore, simd-r-drive, hightower-kv and rskv have.
 * Method: stores with many overwritten and deleted records, compacted, killed, crashed and opened again, with
 *   reads, writes and snapshots in between.
 * Properties checked: every answer; that space comes back, and only that of dead records.
 */
import assert from 'node:assert/strict'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { Store } from '../../src/store/index.js'
import { openOn, SimulatedDisk } from '../../src/testing/index.js'
import { segmentNames } from '../support/directory.js'
import { Random } from '../support/random.js'
import { entriesOf, numbered, onAnotherBoot, openAt, openFresh } from './stores.js'

const manual = { encoding: 'utf8', autoCompact: false } as const

const segmentBytes = (store: Store<string>): number =>
  segmentNames(store.path).reduce((sum, name) => sum + statSync(join(store.path, name)).size, 0)

const value = (index: number, round: number): string =>
  `value ${index} of round ${round} `.padEnd(400, 'x')

/** Rounds of overwriting the same keys, so that most of the log is dead. */
function overwrite(store: Store<string>, rounds: number, keys = 500): void {
  for (let round = 0; round < rounds; round++) {
    // Descending: no record comes to lie where its key was before.
    for (let index = keys - 1; index >= 0; index--) {
      store.put(numbered('k', index), value(index, round).slice(0, 400 - (round % 2)))
    }
  }
}

function requireRound(store: Store<string>, round: number, keys = 500): void {
  for (let index = 0; index < keys; index++) {
    assert.equal(store.get(numbered('k', index)), value(index, round).slice(0, 400 - (round % 2)))
  }
}

/** Overwrites in place cost nothing: a sync in between makes each round records of its own. */
async function overwriteSynced(store: Store<string>, rounds: number, keys = 500): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    for (let index = keys - 1; index >= 0; index--) {
      store.put(numbered('k', index), value(index, round).slice(0, 400 - (round % 2)))
    }
    await store.sync()
  }
}

describe('compaction, and what became of the faults of others in it', () => {
  test('garbage is counted, given back by compact, and the files shrink; data is as it was', async (t) => {
    const store = openFresh<string>(t, manual)
    await overwriteSynced(store, 12)
    assert.ok(store.stats().garbageRatio > 0.5)
    assert.ok(store.compactionEstimate().reclaimableBytes > 0)
    const before = segmentBytes(store)
    const report = await store.compact()
    assert.ok(report.bytesAfter < report.bytesBefore && segmentBytes(store) < before)
    assert.ok(store.stats().garbageRatio < 0.9)
    requireRound(store, 11)
    assert.equal((await store.verify()).ok, true)
  })

  test('a stale index after a compaction without a flush: no key leads to the value of another, after a kill', async (t) => {
    const store = openFresh<string>(t, manual)
    await overwriteSynced(store, 8)
    await store.compact()
    requireRound(onAnotherBoot(t, store), 7)
    overwrite(store, 2)
    requireRound(onAnotherBoot(t, store), 1)
  })

  test('a workload of overwrites alone that grows without bound: in the background it stays bounded', async (t) => {
    const store = openFresh<string>(t, { encoding: 'utf8' })
    for (let round = 0; round < 60; round++) {
      await overwriteSynced(store, 1, 300)
      await delay(20)
    }
    // 7 MB and more were written; 120 KB live.
    for (let turn = 0; turn < 400 && segmentBytes(store) > 4 * 2 ** 20; turn++) await delay(25)
    assert.ok(segmentBytes(store) <= 4 * 2 ** 20, `${segmentBytes(store)} bytes`)
    requireRound(store, 0, 300)
  })

  test('writes after a compaction that go to a file without a name: they are there after a close and a kill', async (t) => {
    const store = openFresh<string>(t, manual)
    await overwriteSynced(store, 8)
    await store.compact()
    store.put('after', 'the compaction')
    store.delete(numbered('k', 3))
    const other = onAnotherBoot(t, store)
    await store.close()
    for (const one of [other, openAt<string>(t, store.path, manual)]) {
      assert.equal(one.get('after'), 'the compaction')
      assert.equal(one.get(numbered('k', 3)), undefined)
      assert.equal(one.count(), 500)
    }
  })

  test('an interrupted compaction whose leftovers resurrect keys: a crash at any moment of one changes nothing', async () => {
    for (let moment = 0, isOver = false; !isOver; moment += 3) {
      const disk = new SimulatedDisk()
      const store = openOn<string>(disk, manual)
      for (let round = 0; round < 6; round++) {
        for (let index = 0; index < 40; index++)
          store.put(numbered('k', index), value(index, round))
        await store.sync()
      }
      for (let index = 0; index < 40; index += 2) store.delete(numbered('k', index))
      await store.sync()
      const expected = entriesOf(store)
      let after: SimulatedDisk | undefined
      let changes = 0
      disk.onChange = () => {
        if (changes++ === moment)
          after = disk.crash(({ count, sector }) => (sector % 2) * (count - 1))
      }
      await store.compact()
      disk.onChange = undefined
      assert.deepEqual(entriesOf(store), expected)
      if (after === undefined) {
        assert.ok(moment >= 3, 'a compaction changes the disk several times')
        isOver = true
      } else {
        const found = openOn<string>(after, manual)
        assert.deepEqual(entriesOf(found), expected)
        await found.compact()
        assert.deepEqual(entriesOf(found), expected)
        after.dispose()
      }
      disk.dispose()
    }
  })

  test('zeros that make a compaction fail for ever: values of zeros and of nothing are copied like others', async (t) => {
    const store = openFresh<Buffer>(t, { encoding: 'binary', autoCompact: false })
    for (let round = 0; round < 6; round++) {
      for (let index = 0; index < 300; index++) {
        store.put(numbered('k', index), Buffer.alloc(index % 2 === 0 ? 0 : 600))
        store.put(numbered('other', index), Buffer.alloc(600, round))
      }
      await store.sync()
    }
    store.clear({ prefix: 'other' })
    await store.sync()
    const { recordsMoved } = await store.compact({ minGarbageRatio: 0.01 })
    assert.ok(recordsMoved > 0)
    for (let index = 0; index < 300; index++) {
      assert.deepEqual(store.get(numbered('k', index)), Buffer.alloc(index % 2 === 0 ? 0 : 600))
    }
  })

  test('a compaction that changes the order: the entry written last, versions and sequences are as before it', async (t) => {
    const store = openFresh<string>(t, manual)
    await overwriteSynced(store, 8)
    store.put(numbered('k', 7), 'last')
    const facts = (one: Store<string>): unknown =>
      one
        .keys()
        .map((key) => [key, one.getEntry(key)?.version, one.getEntry(key)?.sequence])
        .toArray()
    const before = facts(store)
    await store.compact()
    assert.equal(store.lastEntry()?.key, numbered('k', 7))
    assert.deepEqual(facts(store), before)
    assert.deepEqual(facts(onAnotherBoot(t, store)), before)
  })

  test('deleted keys that come back, and values that go back, after a compaction and a restart, and another one', async (t) => {
    let store = openFresh<string>(t, manual)
    await overwriteSynced(store, 6)
    for (let index = 0; index < 500; index += 2) store.delete(numbered('k', index))
    await store.sync()
    await store.compact()
    for (let index = 1; index < 500; index += 4) store.put(numbered('k', index), 'newer')
    for (let index = 3; index < 500; index += 4) store.delete(numbered('k', index))
    const expected = entriesOf(store)
    assert.equal(expected.length, 125)
    for (let round = 0; round < 2; round++) {
      assert.deepEqual(entriesOf(onAnotherBoot(t, store)), expected)
      await store.close()
      store = openAt<string>(t, store.path, manual)
      assert.deepEqual(entriesOf(store), expected)
      await store.compact({ minGarbageRatio: 0.01 })
      assert.deepEqual(entriesOf(store), expected)
    }
  })

  test('a segment that is dead as a whole and stops all compaction: it is dropped, and its space comes back', async (t) => {
    const store = openFresh<string>(t, manual)
    for (let index = 0; index < 6000; index++) store.put(numbered('dead', index), value(index, 0))
    await store.sync()
    store.clear()
    await store.sync()
    store.put('live', '1')
    const before = segmentBytes(store)
    const { segmentsDropped } = await store.compact()
    assert.ok(segmentsDropped >= 2)
    assert.ok(segmentBytes(store) < before)
    // Tombstones that it had to keep for what it dropped are garbage themselves, the next time.
    await store.compact()
    assert.ok(segmentBytes(store) <= 3 * 2 ** 20, `${segmentBytes(store)} bytes`)
    assert.deepEqual(entriesOf(store), [['live', '1']])
  })

  test('live segments that are rewritten again and again: where there is no garbage nothing is moved', async (t) => {
    const store = openFresh<string>(t, manual)
    for (let index = 0; index < 8000; index++) store.put(numbered('k', index), value(index, 0))
    await store.sync()
    for (let round = 0; round < 2; round++) {
      const { bytesMoved, recordsMoved, segmentsDropped } = await store.compact()
      assert.deepEqual([bytesMoved, recordsMoved, segmentsDropped], [0, 0, 0])
    }
  })

  test('writes, reads, ranges and snapshots beside a compaction: none fails, vanishes or goes stale', async (t) => {
    const store = openFresh<string>(t, manual)
    await overwriteSynced(store, 10)
    const expected = new Map(entriesOf(store))
    using snapshot = store.snapshot()
    const moment = entriesOf(snapshot)
    const random = new Random(11)
    const running = store.compact({ minGarbageRatio: 0.01 })
    let isOver = false
    void running.finally(() => {
      isOver = true
    })
    let turns = 0
    while (!isOver) {
      for (let turn = 0; turn < 20; turn++, turns++) {
        const key = numbered('k', random.below(600))
        assert.equal(store.get(key), expected.get(key))
        if (random.chance(0.3)) {
          store.delete(key)
          expected.delete(key)
        } else {
          store.put(key, `beside ${turns}`)
          expected.set(key, `beside ${turns}`)
        }
      }
      assert.equal(store.count(), expected.size)
      await delay(0)
    }
    await running
    assert.ok(turns > 0)
    assert.deepEqual(new Map(entriesOf(store)), expected)
    assert.deepEqual(new Map(entriesOf(onAnotherBoot(t, store))), expected)
    assert.deepEqual(entriesOf(snapshot), moment)
  })

  test('remembered deletes that a compaction forgets: a late command stays stale after it', async (t) => {
    const store = openFresh<string>(t, manual)
    store.apply([
      { type: 'put', key: 'a', value: '1', version: 5 },
      { type: 'delete', key: 'a', version: 7 },
    ])
    await overwriteSynced(store, 8)
    await store.compact({ minGarbageRatio: 0.01 })
    for (const one of [store, onAnotherBoot(t, store)]) {
      assert.equal(one.apply({ type: 'put', key: 'a', value: 'back', version: 6 }), 'stale')
      assert.equal(one.get('a'), undefined)
    }
  })

  test('collections that are asked for at once: each ends, and the store is whole', async (t) => {
    const store = openFresh<string>(t, manual)
    await overwriteSynced(store, 8)
    const reports = await Promise.all([store.compact(), store.compact(), store.checkpoint()])
    assert.equal(reports.length, 3)
    requireRound(store, 7)
    assert.equal((await store.verify()).ok, true)
  })
})
