/**
 * Goal: a program that keeps its state in LaminarDB's MmapStateStore finds every operation here, with the
 *   promises that its tests make, and without the faults that it has.
 * Method: each behaviour of its tests, and each of its faults, restated for Varve's public API, on real
 *   directories, and on a simulated disk where a machine has to fail.
 * Properties checked: answers, and what is left after closing, kills, crashes and damage.
 *
 * What its compaction does wrong is in compaction.test.ts, for all four.
 *
 * Faults that cannot be stated for Varve:
 * - header fields that nobody reads: what is in Varve's headers is checked in test/format;
 * - offsets cut to 32 bits (more than 4 GiB): takes 4 GiB to state, and so lies in test/soak.
 */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { describe, test } from 'node:test'
import { recordHeaderSizeBytes } from '../../src/format/record.js'
import { type Store, StoreError } from '../../src/store/index.js'
import { openOn, SimulatedDisk } from '../../src/testing/index.js'
import { holdElsewhere, killAndWait, openElsewhere } from '../store/child.js'
import {
  contentsOf,
  copyStore,
  overwrite,
  removeDirectory,
  segmentNames,
  temporaryDirectory,
} from '../support/directory.js'
import { asStoreError, isDamageError, storeErrorOf, thrownBy } from '../support/store-error.js'
import { entriesOf, exportOf, numbered, onAnotherBoot, openAt, openFresh, small } from './stores.js'

const utf8 = { encoding: 'utf8' } as const
const binary = { encoding: 'binary' } as const
const bytes = { encoding: 'binary', keyEncoding: 'binary' } as const

for (const path of ['a directory', ':memory:']) {
  describe(`the operations of a state store, in ${path}`, () => {
    const openOne = (t: Parameters<typeof openFresh>[0]): Store<string> =>
      path === ':memory:' ? openAt<string>(t, path, utf8) : openFresh<string>(t, utf8)

    test('put, get, overwrite, delete; a missing key is undefined, and deleting it is no error', (t) => {
      const store = openOne(t)
      assert.equal(store.get('key1'), undefined)
      assert.equal(store.put('key1', 'value1'), true)
      assert.equal(store.get('key1'), 'value1')
      store.put('key1', 'value2')
      assert.equal(store.get('key1'), 'value2')
      assert.equal(store.count(), 1)
      assert.equal(store.delete('key1'), true)
      assert.equal(store.get('key1'), undefined)
      assert.equal(store.delete('key1'), false)
    })

    test('has follows put and delete', (t) => {
      const store = openOne(t)
      assert.equal(store.has('a'), false)
      store.put('a', '1')
      assert.equal(store.has('a'), true)
      store.delete('a')
      assert.equal(store.has('a'), false)
    })

    test('an empty store has no keys, no bytes, no range, no last entry', (t) => {
      const store = openOne(t)
      assert.equal(store.count(), 0)
      assert.deepEqual(entriesOf(store), [])
      assert.equal(store.lastEntry(), undefined)
      const { keyBytes, records, valueBytes } = store.stats()
      assert.deepEqual([records, keyBytes, valueBytes], [0, 0, 0])
    })

    test('a range by prefix gives the keys with the prefix, all of them, in order', (t) => {
      const store = openOne(t)
      for (const key of ['prod:2', 'test:1', 'prod:1', 'prod:10', 'pro', 'proe']) {
        store.put(key, `v ${key}`)
      }
      assert.deepEqual(store.keys({ prefix: 'prod:' }).toArray(), ['prod:1', 'prod:10', 'prod:2'])
      assert.equal(store.range({ prefix: 'prod:' }).toArray()[1][1], 'v prod:10')
      assert.equal(store.keys({ prefix: '' }).toArray().length, 6)
      assert.deepEqual(store.keys({ prefix: 'none' }).toArray(), [])
    })

    test('a range has its start and not its end', (t) => {
      const store = openOne(t)
      for (const key of ['a', 'b', 'c', 'd']) store.put(key, key)
      assert.deepEqual(store.keys({ gte: 'b', lt: 'd' }).toArray(), ['b', 'c'])
      assert.deepEqual(store.keys({ gte: 'aa', lt: 'bb' }).toArray(), ['b'])
    })

    test('clear empties the store, which goes on from there', (t) => {
      const store = openOne(t)
      for (let index = 0; index < 1000; index++) store.put(numbered('k', index), 'v')
      store.clear()
      assert.equal(store.count(), 0)
      assert.equal(store.get(numbered('k', 7)), undefined)
      assert.deepEqual(entriesOf(store), [])
      store.put('k', 'v')
      assert.deepEqual(entriesOf(store), [['k', 'v']])
    })

    test('the bytes of keys and values are counted exactly, through every change', (t) => {
      const store = openOne(t)
      const sizes = (): number[] => {
        const { keyBytes, records, valueBytes } = store.stats()
        return [records, keyBytes, valueBytes]
      }
      store.put('key1', 'value1')
      assert.deepEqual(sizes(), [1, 4, 6])
      store.put('é', 'ü')
      assert.deepEqual(sizes(), [2, 6, 8])
      store.put('key1', 'v')
      assert.deepEqual(sizes(), [2, 6, 3])
      store.put('key1', 'a longer value than before')
      assert.deepEqual(sizes(), [2, 6, 28])
      store.delete('é')
      assert.deepEqual(sizes(), [1, 4, 26])
      store.write([
        { type: 'put', key: 'x', value: 'y' },
        { type: 'delete', key: 'key1' },
      ])
      assert.deepEqual(sizes(), [1, 1, 1])
      store.clear()
      assert.deepEqual(sizes(), [0, 0, 0])
    })
  })
}

describe('keys and values of any bytes', () => {
  const keys = [[], [0], [0, 0], [0, 1], [0xff], [0xff, 0], [0xff, 0xff], [1, 0, 0xff, 7]]

  test('NUL, 0xff and empty keys and values come back as they were, in the order of their bytes', async (t) => {
    const store = openFresh<Buffer, Buffer>(t, bytes)
    const entries = keys.map((key) => [Buffer.from(key), Buffer.from([...key, 0, 0xff])] as const)
    for (const [key, value] of entries) store.put(key, value)
    const sorted = [...entries].sort(([a], [b]) => Buffer.compare(a, b))
    const copy = onAnotherBoot(t, store)
    for (const one of [store, copy]) {
      assert.deepEqual(entriesOf(one), sorted)
      for (const [key, value] of entries) assert.deepEqual(one.get(key), value)
    }
  })

  test('a prefix of nothing but 0xff ends with the last key, and not before', (t) => {
    const store = openFresh<Buffer, Buffer>(t, bytes)
    // Keys of another keyspace come behind these in the index.
    const behind = store.keyspace<Buffer, Buffer>('behind', bytes)
    for (const key of keys) {
      store.put(Buffer.from(key), Buffer.from(key))
      behind.put(Buffer.from([0xff, ...key]), Buffer.alloc(1))
    }
    const found = (prefix: number[]): number[][] =>
      store
        .keys({ prefix: Buffer.from(prefix) })
        .map((key) => [...key])
        .toArray()
    assert.deepEqual(found([0xff]), [[0xff], [0xff, 0], [0xff, 0xff]])
    assert.deepEqual(found([0xff, 0xff]), [[0xff, 0xff]])
    assert.deepEqual(found([0xff, 0xff, 0xff]), [])
    assert.deepEqual(found([0]), [[0], [0, 0], [0, 1]])
    // What LaminarDB calls the successor of a prefix: where it ends.
    assert.deepEqual(found([0, 0xff]), [])
  })

  test('values of 100 KiB, and larger than a segment', (t) => {
    const store = openFresh<Buffer>(t, binary)
    for (const sizeBytes of [100 * 1024, 2 ** 20, 3 * 2 ** 20 + 1]) {
      const value = Buffer.alloc(sizeBytes, String(sizeBytes))
      store.put(`of ${sizeBytes}`, value)
      assert.ok(store.get(`of ${sizeBytes}`)?.equals(value))
    }
  })

  test('a store grows far beyond its first segment', (t) => {
    const store = openFresh<string>(t, utf8)
    const value = 'x'.repeat(1000)
    for (let index = 0; index < 5000; index++) store.put(numbered('key:', index), value)
    assert.ok(store.stats().segments >= 5)
    assert.equal(store.count(), 5000)
    for (let index = 0; index < 5000; index += 7) {
      assert.equal(store.get(numbered('key:', index)), value)
    }
  })
})

describe('read, modify, write', () => {
  test('getOrInsert gives what is there, or stores the default', (t) => {
    const store = openFresh<string>(t, utf8)
    assert.equal(store.getOrInsert('a', 'default'), 'default')
    assert.equal(store.getOrInsert('a', 'other'), 'default')
    assert.equal(store.get('a'), 'default')
  })

  test('update makes the next value of the one there is, and deletes where it makes none', (t) => {
    const store = openFresh<string>(t, utf8)
    assert.equal(
      store.update('a', (value) => `${value ?? 'none'}+`),
      'none+',
    )
    assert.equal(
      store.update('a', (value) => `${value}+`),
      'none++',
    )
    assert.equal(
      store.update('a', () => undefined),
      undefined,
    )
    assert.equal(store.has('a'), false)
    assert.equal(
      store.update('missing', () => undefined),
      undefined,
    )
    assert.equal(store.count(), 0)
  })

  test('typed values come back with their types: whole numbers, text, arrays; a missing one as undefined', (t) => {
    const store = openFresh(t)
    const values = [2 ** 53 - 1, 'hello', [1, -2, 3], 1n << 60n, null, { a: [true] }, new Date(7)]
    for (const [index, value] of values.entries()) store.put(`${index}`, value)
    for (const [index, value] of values.entries()) assert.deepEqual(store.get(`${index}`), value)
    assert.equal(store.get('none'), undefined)
  })

  test('a dictionary gives each text a code of its own, the same one for good, and leads back from it', async (t) => {
    const store = openFresh(t)
    const codes = store.keyspace<number>('codes')
    const texts = store.keyspace<string, number>('texts', { keyEncoding: 'ordered' })
    const codeOf = (text: string): number =>
      codes.get(text) ??
      store.transaction((tx) => {
        const code = tx.keyspace<number>('codes').getOrInsert(text, () => tx.increment('next') - 1)
        tx.keyspace<string, number>('texts').put(code, text)
        return code
      })
    assert.deepEqual(['a', 'b', 'a', '', 'c'].map(codeOf), [0, 1, 0, 2, 3])
    assert.deepEqual(texts.range().toArray(), [
      [0, 'a'],
      [1, 'b'],
      [2, ''],
      [3, 'c'],
    ])
    const again = onAnotherBoot(t, store)
    assert.equal(again.keyspace<number>('codes').get('c'), 3)
    assert.equal(again.keyspace<string, number>('texts', { keyEncoding: 'ordered' }).get(2), '')
  })
})

describe('snapshots', () => {
  test('a snapshot stays as it is while the store goes on, and restores it', async (t) => {
    const store = openFresh<string>(t, utf8)
    store.put('a', '1')
    store.put('b', '2')
    using snapshot = store.snapshot()
    store.put('a', 'changed')
    store.put('c', '3')
    store.delete('b')
    assert.deepEqual(entriesOf(snapshot), [
      ['a', '1'],
      ['b', '2'],
    ])
    const stream = await exportOf(snapshot as never)
    store.clear()
    await store.import([stream])
    assert.deepEqual(entriesOf(store), entriesOf(snapshot))
  })

  test('an exported snapshot is the same in another store, with 10,000 keys and with none', async (t) => {
    for (const count of [0, 10_000]) {
      const store = openFresh<string>(t, utf8)
      for (let index = 0; index < count; index++) store.put(numbered('key:', index), `${index}`)
      using snapshot = store.snapshot()
      const other = openAt<string>(t, ':memory:', utf8)
      await other.import([await exportOf(snapshot as never)])
      assert.equal(other.count(), count)
      assert.deepEqual(entriesOf(other), entriesOf(store))
    }
  })

  test('a stream that is damaged anywhere restores nothing', async (t) => {
    const store = openAt<string>(t, ':memory:', utf8)
    store.put('a', '1')
    using snapshot = store.snapshot()
    const stream = await exportOf(snapshot as never)
    const other = openAt<string>(t, ':memory:', utf8)
    other.put('mine', 'kept')
    for (let position = 0; position < stream.length; position += 3) {
      const damaged = Buffer.from(stream)
      damaged[position] ^= 1
      const error = await other.import([damaged]).then(
        () => undefined,
        (thrown: unknown) => thrown,
      )
      assert.ok(isDamageError(error), `byte ${position} of ${stream.length}: ${String(error)}`)
    }
    assert.deepEqual(entriesOf(other), [['mine', 'kept']])
  })
})

describe('persistence, as a log and as checkpoints', () => {
  test('what was synced and closed is there when it is opened again', async (t) => {
    const path = temporaryDirectory(t)
    for (let round = 0; round < 3; round++) {
      const store = openAt<string>(t, path, utf8)
      assert.equal(store.count(), round * 100)
      for (let index = 0; index < 100; index++) store.put(`${round} ${index}`, `v${index}`)
      await store.sync()
      await store.close()
    }
    const store = openAt<string>(t, path, utf8)
    assert.equal(store.get('1 7'), 'v7')
    assert.equal(store.count(), 300)
  })

  test('records are replayed in their order, with their deletes, as the last of each key says', async (t) => {
    const store = openFresh<string>(t, utf8)
    for (let index = 0; index < 500; index++) {
      store.put(`k${index % 50}`, `${index}`)
      if (index % 7 === 0) store.delete(`k${(index * 3) % 50}`)
      if (index % 100 === 0) await store.sync()
    }
    const again = onAnotherBoot(t, store)
    assert.equal(again.stats().lastRecovery.kind, 'replay')
    assert.deepEqual(entriesOf(again), entriesOf(store))
    const versions = (one: Store<string>): number[] => [...one.scan()].map((entry) => entry.version)
    assert.deepEqual(versions(again), versions(store))
  })

  test('a checkpoint, and the log behind it, are the state', async (t) => {
    const store = openFresh<string>(t, utf8)
    for (let index = 0; index < 1000; index++) store.put(numbered('k', index), 'before')
    const { id, records } = await store.checkpoint()
    assert.equal(records, 1000)
    store.put(numbered('k', 3), 'after')
    store.delete(numbered('k', 4))
    const again = onAnotherBoot(t, store)
    const { checkpoint, recordsReplayed } = again.stats().lastRecovery
    assert.equal(checkpoint, id)
    assert.ok(recordsReplayed < 10)
    assert.deepEqual(entriesOf(again), entriesOf(store))
  })

  test('checkpoints are listed, and all but the newest pruned', async (t) => {
    const store = openFresh<string>(t, utf8)
    const made: number[] = []
    for (let round = 0; round < 4; round++) {
      store.put('round', `${round}`)
      made.push((await store.checkpoint()).id)
    }
    assert.deepEqual(
      store.checkpoints().map(({ id }) => id),
      made.slice(-store.checkpoints().length),
    )
    store.pruneCheckpoints(1)
    assert.deepEqual(
      store.checkpoints().map(({ id }) => id),
      made.slice(3),
    )
    store.pruneCheckpoints(0)
    assert.deepEqual(entriesOf(onAnotherBoot(t, store)), [['round', '3']])
  })

  test('a damaged checkpoint is passed over for the one before it, and then for the log', async (t) => {
    const store = openFresh<string>(t, utf8)
    store.put('a', '1')
    const first = await store.checkpoint()
    store.put('b', '2')
    const second = await store.checkpoint()
    store.put('c', '3')
    const copy = `${store.path}-damaged`
    copyStore(store.path, copy)
    const files = readdirSync(copy).filter((name) => /^checkpoint-\d+$/.test(name))
    assert.equal(files.length, 2)
    for (const [damaged, used] of [
      [second, first.id],
      [first, undefined],
    ] as const) {
      const name = files.find((file) => Number(file.slice('checkpoint-'.length)) === damaged.id)
      overwrite(join(copy, name as string), damaged.bytes >> 1, Buffer.alloc(8, 0xee))
      const again = openAt<string>(t, copy, { ...utf8, readOnly: true })
      again.on('warning', (words) => assert.match(words, /passed over/))
      assert.equal(again.stats().lastRecovery.checkpoint, used)
      assert.deepEqual(entriesOf(again), entriesOf(store))
      await again.close()
    }
  })
})

describe('a changelog, as ChangelogAwareStore keeps it', () => {
  /** The changes behind a sequence that there are by now. */
  const changesSince = async (store: Store<string>, sinceSequence: number): Promise<string[]> => {
    const { sequence } = store.stats()
    const found: string[] = []
    const changes = store.watch({ sinceSequence })
    while (sequence > sinceSequence) {
      const { done, value: change } = await changes.next()
      if (done === true) break
      found.push(change.type === 'put' ? `${change.key}=${change.value}` : `${change.key} deleted`)
      if (change.sequence === sequence) break
    }
    changes.close()
    return found
  }

  test('puts and deletes are recorded, in their order, with their values; reads are not', async (t) => {
    const store = openFresh<string>(t, utf8)
    // While somebody watches, every change is a record of its own.
    const watching = store.watch()
    const { sequence } = store.stats()
    store.put('a', '1')
    store.put('a', '2')
    store.get('a')
    store.count()
    store.delete('a')
    store.delete('a')
    store.write([
      { type: 'put', key: 'b', value: '3' },
      { type: 'put', key: 'c', value: '4' },
    ])
    assert.deepEqual(await changesSince(store, sequence), ['a=1', 'a=2', 'a deleted', 'b=3', 'c=4'])
    watching.close()
  })

  test('changes since a sequence are those behind it, and none where nothing was changed; also after a restart', async (t) => {
    const store = openFresh<string>(t, utf8)
    store.put('a', '1')
    const { sequence } = store.stats()
    assert.deepEqual(await changesSince(store, sequence), [])
    store.put('b', '2')
    await store.close()
    const again = openAt<string>(t, store.path, utf8)
    again.put('c', '3')
    assert.deepEqual(await changesSince(again, sequence), ['b=2', 'c=3'])
  })

  test('clear and restore are changes like any others: whoever follows ends with the same state', async (t) => {
    const store = openFresh<string>(t, utf8)
    const replica = openAt<string>(t, ':memory:', utf8)
    const changes = store.watch()
    for (let index = 0; index < 20; index++) store.put(numbered('k', index), `${index}`)
    using snapshot = store.snapshot()
    const stream = await exportOf(snapshot as never)
    store.clear()
    store.put('after', 'the clear')
    await store.import([stream])
    const { sequence } = store.stats()
    for await (const change of changes) {
      if (change.type === 'put') replica.put(change.key, change.value)
      else replica.delete(change.key)
      if (change.sequence === sequence) break
    }
    assert.deepEqual(entriesOf(replica), entriesOf(store))
    assert.equal(replica.count(), 21)
  })

  test('records that are dropped when the log of changes is full: one that reads late gets all, and no write fails', async (t) => {
    const store = openFresh<string>(t, utf8)
    const changes = store.watch()
    // More than the 16,384 entries of its ring.
    for (let index = 0; index < 20_000; index++)
      assert.equal(store.put(`k${index % 100}`, `${index}`), true)
    let expected = 0
    for await (const { value } of changes) {
      assert.equal(value, `${expected}`)
      if (++expected === 20_000) break
    }
    assert.equal(expected, 20_000)
  })
})

describe('what became of the faults of MmapStateStore', () => {
  test('stale index: no key leads to the value of another after clear and import, without a sync or a close', async (t) => {
    const path = temporaryDirectory(t)
    const store = openAt<string>(t, path, utf8)
    const value = (index: number, round: number): string => `value ${index} of round ${round}`
    for (let index = 149; index >= 0; index--) store.put(numbered('k', index), value(index, 1))
    await store.sync()
    using snapshot = store.snapshot()
    const stream = await exportOf(snapshot as never)
    store.clear()
    for (let index = 0; index < 75; index++) store.put(numbered('k', index), value(index, 2))
    await store.import([stream])
    for (let index = 0; index < 20; index++) store.put(numbered('k', index), value(index, 3))
    const again = onAnotherBoot(t, store)
    for (let index = 0; index < 150; index++) {
      assert.equal(again.get(numbered('k', index)), value(index, index < 20 ? 3 : 1))
    }
  })

  test('nothing written at exit: a process that ends without a close, or is killed, loses no write', async (t) => {
    const path = temporaryDirectory(t)
    for (const key of ['one', 'two']) {
      const { process: running } = await holdElsewhere({ path, options: small, put: key })
      await killAndWait(running)
    }
    const store = openAt(t, path)
    assert.equal(store.get('one'), 'one')
    assert.equal(store.get('two'), 'two')
  })

  test('a put that walks the index: it asks no more of the disk in a large store than in a small one', async () => {
    const disk = new SimulatedDisk({ mapping: 'file' })
    const store = openOn<string>(disk, { ...utf8, segmentSizeBytes: 2 ** 20 })
    store.put('first', 'v')
    const callsOf = (from: number): number => {
      const count = (): number => disk.faults.count('write') + disk.faults.count('read')
      const before = count()
      for (let index = from; index < from + 50; index++) store.put(numbered('k', index), 'v')
      return count() - before
    }
    const calls = [0, 100, 3000].map((from) => {
      for (let index = store.count(); index < from; index++) store.put(numbered('k', index), 'v')
      return callsOf(from)
    })
    assert.deepEqual(calls, [calls[0], calls[0], calls[0]])
    disk.dispose()
  })

  test('keys in the index file only: the log alone, without any index, has every key', async (t) => {
    const store = openFresh<string>(t, utf8)
    for (let index = 0; index < 1000; index++) store.put(numbered('k', index), `${index}`)
    await store.checkpoint()
    const expected = entriesOf(store)
    await store.close()
    for (const name of readdirSync(store.path)) {
      const isKept = /^(segment|value)-\d+$/.test(name) || ['superblock', 'manifest'].includes(name)
      if (!isKept) rmSync(join(store.path, name))
    }
    assert.deepEqual(entriesOf(openAt<string>(t, store.path, utf8)), expected)
  })

  test('an index written in place: a crash anywhere in a checkpoint costs no record', async () => {
    for (let moment = 0, isOver = false; !isOver; moment++) {
      const disk = new SimulatedDisk()
      const store = openOn<string>(disk, utf8)
      for (let index = 0; index < 50; index++) store.put(numbered('k', index), `${index}`)
      await store.checkpoint()
      store.put('last', 'one')
      await store.sync()
      const expected = entriesOf(store)
      let after: SimulatedDisk | undefined
      let changes = 0
      disk.onChange = () => {
        if (changes++ === moment)
          after = disk.crash(({ count, sector }) => (sector % 2) * (count - 1))
      }
      await store.checkpoint()
      disk.onChange = undefined
      if (after === undefined) {
        assert.ok(moment >= 3, 'a checkpoint changes the disk several times')
        isOver = true
      } else {
        assert.deepEqual(entriesOf(openOn<string>(after, utf8)), expected)
        after.dispose()
      }
      disk.dispose()
    }
  })

  test('no checksum anywhere: a flipped bit of a value is found, and never given as the value', async (t) => {
    const store = openFresh<Buffer>(t, binary)
    const value = Buffer.alloc(1000, 'value ')
    for (const key of ['a', 'b', 'c']) store.put(key, value)
    await store.close()
    const [name] = segmentNames(store.path)
    const path = join(store.path, name)
    const position = readFileSync(path).indexOf(value)
    overwrite(path, position + 500, Buffer.from([0xee]))
    const found = openAt<Buffer>(t, store.path, {
      ...binary,
      readOnly: true,
      verifyReads: 'always',
    })
    const report = await found.verify()
    assert.equal(report.ok, false)
    assert.equal(report.problems.length >= 1, true)
    let refusals = 0
    for (const key of ['a', 'b', 'c']) {
      try {
        assert.ok(found.get(key)?.equals(value))
      } catch (error) {
        asStoreError(error, 'STORE_CORRUPT')
        refusals++
      }
    }
    assert.equal(refusals, 1)
  })

  test('an index beside the store: two stores whose names differ in their ends are two stores', async (t) => {
    const parent = temporaryDirectory(t)
    const stores = ['a.db', 'a.dat', 'a.idx', 'a'].map((name) => openAt(t, join(parent, name)))
    for (const store of stores) store.put('who', store.path)
    for (const store of stores) await store.close()
    for (const { path } of stores) assert.equal(openAt(t, path).get('who'), path)
    assert.deepEqual(readdirSync(parent).sort(), ['a', 'a.dat', 'a.db', 'a.idx'])
  })

  test('a foreign data file beside a good index: each foreign file of a store is refused and left as it is', async (t) => {
    const store = openFresh<string>(t, utf8)
    store.put('a', '1')
    await store.close()
    const [segment] = segmentNames(store.path)
    for (const name of ['superblock', 'manifest', segment]) {
      const copy = `${store.path}-${name}`
      copyStore(store.path, copy)
      writeFileSync(join(copy, name), Buffer.alloc(2 ** 20, 'this is no part of a store. '))
      const before = contentsOf(copy)
      const error = thrownBy(() => openAt<string>(t, copy, { ...utf8, readOnly: true }))
      assert.ok(isDamageError(error), String(error))
      assert.deepEqual(contentsOf(copy), before)
    }
  })

  test('short files: each file of a store cut to few bytes is refused, or made anew', async (t) => {
    const store = openFresh<string>(t, utf8)
    store.put('a', '1')
    await store.close()
    let cuts = 0
    for (const name of readdirSync(store.path)) {
      for (const sizeBytes of [0, 27, 28]) {
        if (statSync(join(store.path, name)).size <= sizeBytes) continue
        cuts++
        const copy = `${store.path}-${name}-${sizeBytes}`
        copyStore(store.path, copy)
        truncateSync(join(copy, name), sizeBytes)
        try {
          const opened = openAt<string>(t, copy, utf8)
          assert.deepEqual(entriesOf(opened), [['a', '1']], `${name} of ${sizeBytes} bytes`)
          await opened.close()
        } catch (error) {
          assert.ok(isDamageError(error), `${name} of ${sizeBytes} bytes: ${String(error)}`)
        }
        removeDirectory(copy)
      }
    }
    assert.ok(cuts >= 9)
  })

  test('a range from behind its end is empty, in both directions and in every kind of reading', (t) => {
    const store = openFresh<string>(t, utf8)
    for (const key of ['a', 'b', 'c', 'd']) store.put(key, key)
    for (const range of [
      { gte: 'd', lt: 'b' },
      { gt: 'd', lte: 'a' },
      { gt: 'b', lt: 'b' },
      { gte: 'b', lt: 'b' },
      { gt: 'b', lte: 'b' },
      { prefix: 'a', gte: 'b' },
    ]) {
      for (const reverse of [false, true]) {
        assert.deepEqual(store.range({ ...range, reverse }).toArray(), [])
        assert.deepEqual(store.keys({ ...range, reverse }).toArray(), [])
        assert.equal(store.count(range), 0)
      }
      store.clear(range)
    }
    assert.equal(store.count(), 4)
  })

  test('a restore that panics: a disk that fails under an import is an error, and the store readable', async () => {
    const source = openOn<string>(new SimulatedDisk(), utf8)
    for (let index = 0; index < 2000; index++) source.put(numbered('k', index), 'x'.repeat(50))
    using snapshot = source.snapshot()
    const stream = await exportOf(snapshot as never)
    const disk = new SimulatedDisk({ mapping: 'file' })
    const store = openOn<string>(disk, utf8)
    store.put('mine', 'kept')
    disk.faults.set({ call: 'write', at: 5, isLasting: true })
    await assert.rejects(
      store.import([stream]),
      (error: unknown) => error instanceof StoreError && error.code === 'STORE_POISONED',
    )
    assert.equal(store.get('mine'), 'kept')
    disk.faults.clear()
    storeErrorOf(() => store.put('a', 'b'), 'STORE_POISONED')
  })

  test('sparse files: segments have their blocks before they are written to, so that a full disk is an error', {
    skip: process.platform !== 'linux',
  }, async (t) => {
    const store = openFresh<string>(t, utf8)
    store.put('a', '1')
    for (const name of segmentNames(store.path)) {
      const { blocks, size } = statSync(join(store.path, name))
      assert.ok(blocks * 512 >= size, `${name}: ${blocks} blocks for ${size} bytes`)
    }
  })

  test('a full disk: STORE_FULL on the write that needs room, what is there stays readable, and deletes work', async () => {
    for (const mapping of ['mmap', 'file'] as const) {
      const disk = new SimulatedDisk({ mapping })
      const store = openOn<string>(disk, utf8)
      store.put('first', '1')
      disk.capacityBytes = 2 ** 18
      let count = 0
      const error = thrownBy(() => {
        for (; ; count++) store.put(numbered('k', count), 'x'.repeat(500))
      })
      asStoreError(error, 'STORE_FULL')
      assert.equal(store.get('first'), '1')
      assert.equal(store.get(numbered('k', count - 1)), 'x'.repeat(500))
      assert.equal(store.get(numbered('k', count)), undefined)
      assert.equal(store.count(), count + 1)
      for (let index = 0; index < 10; index++)
        assert.equal(store.delete(numbered('k', index)), true)
      assert.equal(store.count(), count - 9)
      disk.capacityBytes = Number.POSITIVE_INFINITY
      assert.equal(store.keys().toArray().length, count - 9)
      store.put('more', 'x')
      disk.dispose()
    }
  })

  test('a full disk: the first range of a store says so where it finds no room for the ordered index', () => {
    const disk = new SimulatedDisk()
    const store = openOn<string>(disk, utf8)
    for (let index = 0; index < 100; index++) store.put(numbered('k', index), 'v')
    disk.capacityBytes = 0
    storeErrorOf(() => store.range().toArray(), 'STORE_FULL')
    assert.equal(store.get(numbered('k', 7)), 'v')
    assert.equal(store.count(), 100)
    disk.capacityBytes = Number.POSITIVE_INFINITY
    assert.equal(store.range().toArray().length, 100)
    disk.dispose()
  })

  test('an index that is written whole by each flush: a sync of one write costs the same in a large store', async () => {
    const bytesOfSync = async (records: number): Promise<number> => {
      const disk = new SimulatedDisk({ mapping: 'file' })
      const store = openOn<string>(disk, { ...utf8, segmentSizeBytes: 2 ** 20 })
      for (let index = 0; index < records; index++) store.put(numbered('k', index), 'v')
      await store.sync()
      const before = disk.faults.count('write')
      store.put('one', 'more')
      await store.sync()
      const writes = disk.faults.count('write') - before
      disk.dispose()
      return writes
    }
    assert.equal(await bytesOfSync(3000), await bytesOfSync(10))
  })

  test('undefined with two meanings: a view is undefined for a missing key only', (t) => {
    const store = openFresh<Buffer>(t, binary)
    for (const sizeBytes of [0, 8, 4096]) store.put(`${sizeBytes}`, Buffer.alloc(sizeBytes, 7))
    for (const sizeBytes of [0, 8, 4096]) {
      assert.deepEqual(store.view(`${sizeBytes}`, Uint8Array), new Uint8Array(sizeBytes).fill(7))
    }
    assert.equal(store.view('missing', Uint8Array), undefined)
  })

  test('no lock: a second process that writes to the same path damages nothing', async (t) => {
    const path = temporaryDirectory(t)
    const store = openAt(t, path)
    for (let index = 0; index < 3; index++) {
      store.put(`here ${index}`, index)
      assert.equal(openElsewhere({ path, options: small, put: `there ${index}` }).opened, true)
    }
    for (let index = 0; index < 3; index++) {
      assert.equal(store.get(`here ${index}`), index)
      assert.equal(store.get(`there ${index}`), `there ${index}`)
    }
    assert.equal(store.count(), 6)
  })

  test('has, count and get agree for every key, after a recovery as before it', async (t) => {
    const store = openFresh<string>(t, utf8)
    for (let index = 0; index < 300; index++) store.put(`k${index % 90}`, `${index}`)
    for (let index = 0; index < 90; index += 4) store.delete(`k${index}`)
    for (const one of [store, onAnotherBoot(t, store)]) {
      const keys = one.keys().toArray()
      assert.equal(one.count(), keys.length)
      assert.equal(one.count({}), keys.length)
      assert.ok(keys.every((key) => one.has(key) && one.get(key) !== undefined))
      assert.equal(one.getMany(keys).filter((value) => value === undefined).length, 0)
    }
  })

  test('what it lacked: batches, expiry, conditions, transactions, iterators, reverse ranges and limits', (t) => {
    const store = openFresh<number>(t, { encoding: 'json' })
    store.write(['a', 'b', 'c'].map((key, value) => ({ type: 'put', key, value })))
    assert.equal(store.put('gone', 1, { expiresAtMs: 1 }), true)
    assert.equal(store.has('gone'), false)
    assert.equal(store.put('a', 9, { ifAbsent: true }), false)
    assert.equal(store.put('a', 9, { ifVersion: 1 }), false)
    store.transaction((tx) => tx.put('d', (tx.get('c') ?? 0) + 1))
    assert.deepEqual(store.keys({ reverse: true, limit: 2 }).toArray(), ['d', 'c'])
    const steps = store.range()[Symbol.iterator]()
    assert.deepEqual(steps.next().value, ['a', 0])
    store.put('a', 5)
    store.put('b', 6)
    assert.deepEqual(steps.next().value, ['b', 1])
  })

  test('a length that cannot be, at the end of the log or in it, is no end of recovery', async (t) => {
    const store = openFresh<Buffer>(t, { ...binary, ...small })
    for (let index = 0; index < 20; index++)
      store.put(numbered('k', index), Buffer.alloc(40, index))
    await store.sync()
    const { tail } = store.stats()
    const [name] = segmentNames(store.path)
    const copy = `${store.path}-damaged`
    copyStore(store.path, copy)
    // Behind what was synced: as an append that was cut off, and then garbage.
    overwrite(join(copy, name), (tail * 8) % 2 ** 20, Buffer.alloc(300, 0xff))
    const opened = openAt<Buffer>(t, copy, binary)
    assert.equal(opened.count(), 20)
    opened.put('more', Buffer.from('more'))
    await opened.sync()
    assert.equal(onAnotherBoot(t, opened).count(), 21)
    // In the middle of it: nothing is given that is not as it was written, and nothing is thrown away.
    // The next sync says of this one that it had ended.
    store.put('next', Buffer.from('next'))
    await store.sync()
    const middle = `${store.path}-middle`
    copyStore(store.path, middle)
    const fifth = readFileSync(join(middle, name)).indexOf(numbered('k', 5))
    overwrite(join(middle, name), fifth - recordHeaderSizeBytes, Buffer.alloc(40, 0xff))
    const before = contentsOf(middle)
    const error = thrownBy(() => openAt<Buffer>(t, middle, { ...binary, readOnly: true }))
    assert.ok(isDamageError(error), String(error))
    assert.deepEqual(contentsOf(middle), before)
  })

  test('an import whose source fails restores nothing, and its error is thrown', async (t) => {
    const store = openFresh<string>(t, utf8)
    store.put('a', '1')
    const failure = new Error('the source failed')
    const source = Readable.from(
      (function* () {
        yield Buffer.from('VARVE')
        throw failure
      })(),
    )
    await assert.rejects(store.import(source), (error) => error === failure)
    assert.deepEqual(entriesOf(store), [['a', '1']])
  })
})
