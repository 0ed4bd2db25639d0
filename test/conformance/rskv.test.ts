/**
 * Goal: a program that keeps its data in rskv (a hybrid log after FASTER) finds every operation here, with
 *   the promises that its tests make, and without the faults that it has.
 * Method: each behaviour of its tests, and each of its faults, restated for Varve's public API, on real
 *   directories, and on a simulated disk where a machine has to fail.
 * Properties checked: answers, and what is left after closing, kills, crashes and damage.
 *
 * What its compaction does wrong is in compaction.test.ts, for all four.
 *
 * What cannot be stated for Varve:
 * - epochs, pages and latency histograms as objects of their own: Varve has none that a caller could reach;
 * - blocking calls within asynchronous functions: Varve's reads and writes are synchronous by contract;
 * - a test that prints a failure and passes: a fault of a test.
 */
import assert from 'node:assert/strict'
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { open } from '../../src/store/index.js'
import { openOn, SimulatedDisk } from '../../src/testing/index.js'
import { hostsFor } from '../sharing/hosts.js'
import { copyStore, overwrite, segmentNames, temporaryDirectory } from '../support/directory.js'
import { atEnd } from '../support/ending.js'
import { asStoreError, refused, storeErrorOf } from '../support/store-error.js'
import { entriesOf, numbered, onAnotherBoot, openAt, openFresh, small } from './stores.js'

const utf8 = { encoding: 'utf8' } as const
const binary = { encoding: 'binary' } as const

describe('the operations of a store', () => {
  test('upsert, read, delete, contains; a missing key is undefined', (t) => {
    const store = openFresh<Buffer, Buffer>(t, { ...binary, keyEncoding: 'binary' })
    const [key, value] = [Buffer.from('key'), Buffer.from('value')]
    assert.equal(store.get(key), undefined)
    store.put(key, value)
    assert.deepEqual(store.get(key), value)
    assert.equal(store.has(key), true)
    assert.equal(store.delete(key), true)
    assert.equal(store.get(key), undefined)
    assert.equal(store.has(key), false)
  })

  test('an upsert of a key that is there gives the new value, and one key', (t) => {
    const store = openFresh<string>(t, utf8)
    for (const value of ['first', 'second, and longer', '3rd']) store.put('key', value)
    assert.equal(store.get('key'), '3rd')
    assert.equal(store.count(), 1)
  })

  test('many keys, scans of all and by prefix, and their counts', (t) => {
    const store = openFresh<string>(t, utf8)
    for (let index = 0; index < 100; index++) {
      store.put(numbered('user:', index), `u${index}`)
      store.put(numbered('order:', index), `o${index}`)
    }
    assert.equal(store.count(), 200)
    assert.equal(store.range().toArray().length, 200)
    assert.equal(store.count({ prefix: 'user:' }), 100)
    assert.equal(store.range({ prefix: 'user:' }).toArray()[42][1], 'u42')
    assert.equal(store.count({ prefix: 'none:' }), 0)
  })

  test('the numbers of the log move with writes: its regions, addresses and records', async (t) => {
    const store = openFresh<string>(t, utf8)
    const regions = (): number[] => {
      const { begin, durable, mutableBytes, readOnlyBytes, records, tail } = store.stats()
      assert.ok(begin <= durable && durable <= tail)
      return [records, tail, mutableBytes, readOnlyBytes]
    }
    const [records, tail, mutable, readOnly] = regions()
    for (let index = 0; index < 10; index++) store.put(`${index}`, 'value')
    const written = regions()
    assert.equal(written[0], records + 10)
    assert.ok(written[1] > tail && written[2] > mutable)
    await store.sync()
    assert.ok(regions()[3] > readOnly, 'what was synced is never changed again')
  })

  test('a write in place happens where the value fits, and is a new record where it was synced', async (t) => {
    const store = openFresh<string>(t, utf8)
    store.put('a', 'value 1')
    const { tail } = store.stats()
    store.put('a', 'value 2')
    assert.equal(store.stats().tail, tail)
    await store.sync()
    store.put('a', 'value 3')
    assert.ok(store.stats().tail > tail)
    assert.equal(store.get('a'), 'value 3')
  })

  test('insert if absent, update if the version is still that, delete if it is', (t) => {
    const store = openFresh<string>(t, utf8)
    assert.equal(store.put('a', '1', { ifAbsent: true }), true)
    assert.equal(store.put('a', '2', { ifAbsent: true }), false)
    const version = store.getEntry('a')?.version ?? 0
    assert.equal(store.put('a', '3', { ifVersion: version }), true)
    assert.equal(store.put('a', '4', { ifVersion: version }), false)
    assert.equal(store.delete('a', { ifVersion: version }), false)
    assert.equal(store.put('missing', '5', { ifVersion: version }), false)
    assert.deepEqual(entriesOf(store), [['a', '3']])
    assert.equal(store.delete('a', { ifVersion: store.getEntry('a')?.version ?? 0 }), true)
  })

  test('rmw: the next value is made of the one there is, once, and nobody comes between', (t) => {
    const store = openFresh<{ count: number }>(t)
    let calls = 0
    for (let round = 1; round <= 5; round++) {
      const next = store.update('a', (value) => {
        calls++
        return { count: (value?.count ?? 0) + 1 }
      })
      assert.deepEqual(next, { count: round })
    }
    assert.equal(calls, 5)
  })

  test('checkpoints are listed in their order, and those beyond the newest are cleaned up', async (t) => {
    const store = openFresh<string>(t, utf8)
    const ids: number[] = []
    for (let round = 0; round < 3; round++) {
      store.put(`${round}`, 'v')
      const { bytes, createdAtMs, id, records } = await store.checkpoint()
      assert.equal(records, round + 1)
      assert.ok(bytes > 0 && Math.abs(createdAtMs - Date.now()) < 60_000)
      ids.push(id)
    }
    assert.deepEqual(
      ids,
      [...ids].sort((a, b) => a - b),
    )
    store.pruneCheckpoints(1)
    assert.deepEqual(
      store.checkpoints().map(({ id }) => id),
      [ids[2]],
    )
    assert.equal(onAnotherBoot(t, store).stats().lastRecovery.checkpoint, ids[2])
  })

  test('checkpoints that are asked for at once are made one after the other, all of them whole', async (t) => {
    const store = openFresh<string>(t, utf8)
    for (let index = 0; index < 500; index++) store.put(numbered('k', index), 'v')
    const made = await Promise.all([store.checkpoint(), store.checkpoint(), store.checkpoint()])
    for (const { records } of made) assert.equal(records, 500)
    assert.equal((await store.verify()).ok, true)
  })

  test('close may be called again, and while it is under way', async (t) => {
    const store = openFresh<string>(t, utf8)
    store.put('a', '1')
    await Promise.all([store.close(), store.close()])
    await store.close()
    assert.equal(openAt<string>(t, store.path, utf8).get('a'), '1')
  })
})

describe('what became of the faults of rskv', () => {
  test('opening that erases: ten openings, by every way to end before, and every value is there', async (t) => {
    const store = openFresh<string>(t, utf8)
    store.put('0', 'value 0')
    await store.checkpoint()
    let last = store
    for (let round = 1; round <= 5; round++) {
      const other = onAnotherBoot(t, last)
      await last.close()
      other.put(`${round}`, `value ${round}`)
      await other.close()
      last = openAt<string>(t, other.path, utf8)
      for (let index = 0; index <= round; index++) {
        assert.equal(last.get(`${index}`), `value ${index}`)
      }
      assert.equal(last.values({ prefix: '0' }).toArray()[0], 'value 0')
    }
  })

  test('a checkpoint that flushes what was before the last one: after it everything is on the medium', async () => {
    for (const mapping of ['mmap', 'file'] as const) {
      const disk = new SimulatedDisk({ mapping })
      const store = openOn<string>(disk, utf8)
      for (let round = 1; round <= 3; round++) {
        for (let index = 0; index < 30; index++) store.put(`${round} ${index}`, 'v')
        await store.checkpoint()
        const found = openOn<string>(
          disk.crash(() => 0),
          utf8,
        )
        assert.equal(found.count(), 30 * round)
        assert.equal(found.stats().lastRecovery.recordsReplayed, 0)
      }
      disk.dispose()
    }
  })

  test('pages that are overwritten in memory: old keys are read as well as new ones, however long the log', async (t) => {
    const store = openFresh<Buffer>(t, binary)
    for (let index = 0; index < 300; index++) {
      store.put(numbered('k', index), Buffer.alloc(40_000, index))
      if (index % 50 === 0) await store.sync()
    }
    assert.ok(store.stats().segments > 10)
    for (let round = 0; round < 2; round++) {
      for (let index = 0; index < 300; index += 7) {
        assert.ok(store.get(numbered('k', index))?.equals(Buffer.alloc(40_000, index)))
      }
      // Old records are updated, and flushed again.
      store.put(numbered('k', 0), Buffer.alloc(40_000, 0))
      await store.sync()
    }
  })

  test('a close that says nothing: it persists, or it rejects', async () => {
    const good = new SimulatedDisk()
    const store = openOn<string>(good, utf8)
    store.put('a', '1')
    await store.close()
    assert.equal(
      openOn<string>(
        good.crash(() => 0),
        utf8,
      ).get('a'),
      '1',
    )
    const bad = new SimulatedDisk()
    const failing = openOn<string>(bad, utf8)
    failing.put('a', '1')
    bad.faults.set({ call: 'sync', at: 1, isLasting: true })
    await assert.rejects(failing.close(), (error) => {
      asStoreError(error, 'STORE_POISONED')
      return true
    })
  })

  test('a flag that stays: a checkpoint that failed, or was cut off, hinders no later one', async (t) => {
    const disk = new SimulatedDisk()
    const store = openOn<string>(disk, utf8)
    store.put('a', '1')
    await store.sync()
    disk.faults.set({ call: 'directory', at: 1 })
    await assert.rejects(store.checkpoint())
    disk.faults.clear()
    assert.equal((await store.checkpoint()).records, 1)
    const closing = openFresh<string>(t, utf8)
    for (let index = 0; index < 2000; index++) closing.put(numbered('k', index), 'v')
    const cut = closing.checkpoint().then(
      () => undefined,
      (error: unknown) => asStoreError(error, 'STORE_CLOSED'),
    )
    await closing.close()
    await cut
    const again = openAt<string>(t, closing.path, utf8)
    assert.equal(again.count(), 2000)
    assert.equal((await again.checkpoint()).records, 2000)
  })

  test('ids that begin at 1 with each opening: the newest checkpoint is the one that is used, and kept', async (t) => {
    const path = temporaryDirectory(t)
    const ids: number[] = []
    for (let round = 0; round < 3; round++) {
      const store = openAt<string>(t, path, utf8)
      store.put(`${round}`, 'v')
      ids.push((await store.checkpoint()).id)
      store.pruneCheckpoints(2)
      assert.equal(store.checkpoints().at(-1)?.id, ids[round])
      await store.close()
    }
    assert.ok(ids[0] < ids[1] && ids[1] < ids[2])
    const store = openAt<string>(t, path, utf8)
    const again = onAnotherBoot(t, store)
    assert.equal(again.stats().lastRecovery.checkpoint, ids[2])
    assert.deepEqual(again.keys().toArray(), ['0', '1', '2'])
  })

  test('memory that is given away and used again: what get gave stays, whatever is written', (t) => {
    const store = openFresh<Buffer>(t, binary)
    store.put('a', Buffer.alloc(600, 1))
    const [got, entry, viewed] = [
      store.get('a'),
      store.getEntry('a')?.value,
      store.view('a', Uint8Array),
    ]
    for (let round = 2; round < 50; round++) store.put('a', Buffer.alloc(600, round))
    store.delete('a')
    for (const bytes of [got, entry, viewed]) {
      assert.ok(bytes?.every((byte) => byte === 1))
    }
    // And it is the caller's: changing it changes no store.
    store.put('a', Buffer.alloc(600, 1))
    store.get('a')?.fill(9)
    assert.ok(store.get('a')?.equals(Buffer.alloc(600, 1)))
  })

  test('records that cannot be read back: of more than 64 KiB, and of more than 32 MiB', async (t) => {
    const store = openFresh<Buffer>(t, binary)
    const sizes = [65_535, 65_536, 65_537, 200_000, 33 * 2 ** 20]
    for (const sizeBytes of sizes) store.put(`${sizeBytes}`, Buffer.alloc(sizeBytes, 'x'))
    await store.close()
    const again = openAt<Buffer>(t, store.path, binary)
    for (const sizeBytes of sizes) {
      assert.ok(again.get(`${sizeBytes}`)?.equals(Buffer.alloc(sizeBytes, 'x')))
    }
  })

  test('an older record that wins: of writers by compare-and-set none is lost, in threads and processes', async (t) => {
    const pool = hostsFor({ after: (action) => atEnd(t, action) })
    const directory = temporaryDirectory(t)
    const path = join(directory, 'store')
    await Promise.all(
      (['thread', 'process'] as const).map((kind, index) =>
        pool.take(kind).call('raiseCounter', {
          ...{ path, options: small, key: 'counter', times: 500 },
          ...{ by: 'ifVersion', file: join(directory, `${index}`) },
        }),
      ),
    )
    assert.equal(openAt<number>(t, path, { encoding: 'json' }).get('counter'), 1000)
  })

  test('deleted keys that stay in the index: they leave counts, ranges and memory, and a missing one adds nothing', async (t) => {
    const store = openFresh<string>(t, utf8)
    store.put('kept', '1')
    const { garbageBytes, tail } = store.stats()
    for (let index = 0; index < 100; index++) assert.equal(store.delete(`missing ${index}`), false)
    assert.equal(store.stats().tail, tail)
    assert.equal(store.stats().garbageBytes, garbageBytes)
    for (let round = 0; round < 20; round++) {
      for (let index = 0; index < 200; index++) store.put(`${round} ${index}`, 'v')
      for (let index = 0; index < 200; index++) store.delete(`${round} ${index}`)
    }
    assert.equal(store.count(), 1)
    assert.deepEqual(store.keys().toArray(), ['kept'])
    assert.deepEqual([store.stats().records, store.stats().keyBytes], [1, 4])
    const again = onAnotherBoot(t, store)
    assert.equal(again.count(), 1)
    assert.ok(again.stats().indexBytes <= store.stats().indexBytes)
  })

  test('scans that swallow errors: a damaged record ends a range and a scan with STORE_CORRUPT, and is not left out', async (t) => {
    const store = openFresh<string>(t, utf8)
    for (const key of ['a', 'b', 'c']) store.put(key, `the value of ${key}`)
    await store.close()
    const copy = `${store.path}-damaged`
    copyStore(store.path, copy)
    const [name] = segmentNames(copy)
    const position = readFileSync(join(copy, name)).indexOf('the value of b')
    // Opened by what was in memory: the log is not read then.
    const found = openAt<string>(t, store.path, { ...utf8, verifyReads: 'always' })
    overwrite(join(found.path, name), position, Buffer.from('T'))
    storeErrorOf(() => found.range().toArray(), 'STORE_CORRUPT')
    storeErrorOf(() => found.scan().toArray(), 'STORE_CORRUPT')
    storeErrorOf(() => found.get('b'), 'STORE_CORRUPT')
    assert.equal(found.get('c'), 'the value of c')
  })

  test('sizes that pass and then fail: every segment size that is accepted works, others are refused at once', async (t) => {
    for (let sizeBytes = 2 ** 20; sizeBytes <= 2 ** 25; sizeBytes *= 2) {
      const store = openFresh<string>(t, { ...utf8, segmentSizeBytes: sizeBytes })
      store.put('a', '1')
      assert.equal(store.stats().segmentSizeBytes, sizeBytes)
      assert.equal(statSync(join(store.path, segmentNames(store.path)[0])).size, sizeBytes)
      await store.close()
    }
    for (const sizeBytes of [0, 2 ** 19, 3 * 2 ** 20, 2 ** 31]) {
      const path = join(temporaryDirectory(t), 'store')
      refused(() => open(path, { segmentSizeBytes: sizeBytes }), RangeError, `${sizeBytes}`)
      assert.throws(() => statSync(path), { code: 'ENOENT' })
    }
  })

  test('options without effect: each option of open changes what the store does', async (t) => {
    const path = join(temporaryDirectory(t), 'store')
    storeErrorOf(() => openAt(t, path, { createIfMissing: false }), 'STORE_NOT_FOUND')
    const store = openAt<unknown>(t, path, {
      encoding: 'json',
      keyEncoding: 'ordered',
      mapping: 'file',
    })
    assert.deepEqual(store.encodings, { encoding: 'json', keyEncoding: 'ordered' })
    assert.deepEqual([store.stats().mapping, store.stats().segmentSizeBytes], ['file', 2 ** 20])
    storeErrorOf(() => open(path, { lockTimeoutMs: 1 }), 'STORE_LOCKED')
    await store.close()
    storeErrorOf(() => openAt(t, path, { errorIfExists: true }), 'STORE_EXISTS')
    const reader = openAt(t, path, { readOnly: true })
    storeErrorOf(() => reader.put('a', 1), 'STORE_READ_ONLY')
    // The rest: syncIntervalMs in hightower.test.ts, verifyReads above, autoCheckpoint in
    // test/checkpoint/checkpoints, rememberDeletesMs in test/store/apply, lockTimeoutMs in test/sharing/hazards.
  })

  test('an update that is not there to be read: every reader sees it at once, through any handle', (t) => {
    const path = temporaryDirectory(t)
    const stores = [1, 2, 3].map(() => openAt<string>(t, path, utf8))
    for (let round = 0; round < 100; round++) {
      stores[round % 3].put('a', `${round}`)
      for (const store of stores) assert.equal(store.get('a'), `${round}`)
    }
    for (const store of stores) assert.deepEqual(entriesOf(store), [['a', '99']])
  })
})
