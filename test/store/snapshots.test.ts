/**
 * Goal: a snapshot shows exactly the store as it was when it was made, whatever is written, by
 *   whomever, until it is closed; and then holds nothing back.
 * Method: a model of every moment that a snapshot was made at; changes of every kind in between;
 *   snapshots of other attachments, threads and processes, that close, or die.
 * Properties checked: every read of every open snapshot; the tombstones that the indexes keep; that
 *   the ordered index has the live keys and no others when nobody needs more.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import * as layout from '../../src/format/control-layout.js'
import { type Keyspace, open, type Snapshot, type Store } from '../../src/store/index.js'
import { openSession } from '../sharing/session.js'
import { collectUntil } from '../support/collect-garbage.js'
import { copyStore, temporaryDirectory } from '../support/directory.js'
import { engineOf } from '../support/engine-of.js'
import { checkTree } from '../support/ordered-tree.js'
import { Random } from '../support/random.js'
import { seed } from '../support/seed.js'
import { storeErrorOf, thrownBy } from '../support/store-error.js'

const segmentSizeBytes = 2 ** 20
const options = { encoding: 'utf8', segmentSizeBytes, syncIntervalMs: 0 } as const

type State = Map<string, string>

function tombstonesOf(store: Store<string>): number {
  return engineOf(store).control.read(layout.tombstones)
}

/** Every way to read a snapshot gives the state. */
function compare(snapshot: Snapshot<string>, state: State): void {
  const expected = [...state].sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
  assert.deepEqual(snapshot.range().toArray(), expected)
  assert.deepEqual(snapshot.range({ reverse: true }).toArray(), expected.reverse())
  assert.equal(snapshot.count(), state.size)
  const keys = [...state.keys()]
  assert.deepEqual(snapshot.getMany(keys), [...state.values()])
  for (const key of keys.slice(0, 20)) {
    assert.equal(snapshot.get(key), state.get(key))
    assert.ok(snapshot.has(key))
    const entry = snapshot.getEntry(key)
    assert.equal(entry?.value, state.get(key))
    assert.ok(entry !== undefined && entry.sequence <= snapshot.sequence)
  }
  assert.equal(snapshot.get('never there'), undefined)
}

async function until(what: string, isTrue: () => boolean): Promise<void> {
  for (let turn = 0; turn < 400; turn++) {
    if (isTrue()) return
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
  assert.fail(`${what} never came true`)
}

/** No snapshot is open: the indexes have the live keys, and nothing else. */
async function requireClean(store: Store<string>): Promise<void> {
  const engine = engineOf(store)
  await until('the end of all tombstones', () => tombstonesOf(store) === 0)
  store.count({})
  const { keys } = checkTree(engine.order)
  assert.equal(keys.length, engine.control.read(layout.records), 'keys in the ordered index')
  for (const { keyspaceId, bytes } of keys) {
    if (keyspaceId === 0) assert.ok(store.has(bytes.toString('utf8')))
  }
}

const key = (index: number): string => `key ${String(index).padStart(4, '0')}`

function filled(path = ':memory:', count = 500): Store<string> {
  const store = open<string>(path, options)
  for (let index = 0; index < count; index++) store.put(key(index), `value ${index}`)
  return store
}

function stateOf(store: Store<string>): State {
  return new Map(store.range())
}

describe('a snapshot shows the store as it was, through', () => {
  const changes: Record<string, (store: Store<string>) => void> = {
    'updates in place': (store) => {
      for (let index = 0; index < 500; index++) store.put(key(index), `other ${index % 9}`)
    },
    'updates that are appended': (store) => {
      for (let index = 0; index < 500; index++) store.put(key(index), 'x'.repeat(200 + index))
    },
    deletes: (store) => {
      for (let index = 0; index < 500; index += 2) store.delete(key(index))
    },
    'deletes and re-creations, twice': (store) => {
      for (const value of ['once', 'twice']) {
        for (let index = 0; index < 500; index++) store.delete(key(index))
        for (let index = 0; index < 500; index += 3) store.put(key(index), value)
      }
    },
    'batches that put, delete, and name a key twice': (store) => {
      for (let index = 0; index < 500; index += 5) {
        store.write([
          { type: 'delete', key: key(index) },
          { type: 'put', key: key(index + 1), value: 'batch' },
          { type: 'put', key: key(index + 2), value: 'batch' },
          { type: 'delete', key: key(index + 2) },
          { type: 'delete', key: key(index + 3) },
          { type: 'put', key: key(index + 3), value: 'again' },
          { type: 'put', key: `new ${index}`, value: 'new' },
        ])
      }
    },
    'the growth of the indexes': (store) => {
      for (let index = 0; index < 20_000; index++) store.put(`more ${index}`, '')
    },
    'values in segments of their own': (store) => {
      for (let index = 0; index < 6; index++) store.put(key(index), 'l'.repeat(300_000 + index))
    },
    'a batch larger than a segment': (store) => {
      store.write(
        Array.from({ length: 6 }, (_, index) => ({
          type: 'put' as const,
          key: key(index),
          value: 'l'.repeat(250_000),
        })),
      )
      for (let index = 0; index < 6; index++) store.delete(key(index))
    },
  }
  for (const [name, change] of Object.entries(changes)) {
    for (const isBuilt of [true, false]) {
      test(`${name}${isBuilt ? '' : ', with the ordered index built afterwards'}`, async (t) => {
        await using store = filled(temporaryDirectory(t))
        const state = new Map(Array.from({ length: 500 }, (_, i) => [key(i), `value ${i}`]))
        if (isBuilt) store.count({})
        const snapshot = store.snapshot()
        change(store)
        const between = store.snapshot()
        const then = stateOf(store)
        change(store)
        compare(snapshot, state)
        compare(between, then)
        snapshot.close()
        compare(between, then)
        between.close()
        await requireClean(store)
        assert.equal(store.count(), store.count({}))
      })
    }
  }

  test('100,000 updates of few keys, and sees only what was there', async (t) => {
    await using store = filled(temporaryDirectory(t), 100)
    const state = stateOf(store)
    using snapshot = store.snapshot()
    for (let index = 0; index < 100_000; index++) {
      const length = index % 1000 === 0 ? 60 + (index % 7) : 8
      store.put(key(index % 100), 'u'.repeat(length))
      // Implicit snapshots in between: each update behind them is appended.
      if (index % 5000 === 0) store.keys({ limit: 1 }).toArray()
    }
    compare(snapshot, state)
  })

  test('1,000,000 updates, the kill of another process within a write, and growth of the index', async (t) => {
    const path = temporaryDirectory(t)
    await using store = open<string>(path, { ...options, segmentSizeBytes: 2 ** 24 })
    const names = Array.from({ length: 5000 }, (_, index) => key(index))
    for (const name of names) store.put(name, `before ${name}`)
    const state = stateOf(store)
    const { index } = engineOf(store)
    const bucketCount = index.bucketCount
    using snapshot = store.snapshot()
    const other = await openSession(t, path, { encoding: 'utf8' })
    await other.do({ do: 'delete', key: key(17) })
    await other.do({ do: 'put', key: key(18), value: 'from another process' })
    await other.dieIn({ do: 'dieInBatch', keys: 3000, applied: 1500 })
    const updates = 1_000_000
    const perBatch = 5000
    for (let done = 0; done < updates; done += perBatch) {
      const value = `update ${done}`
      store.write(names.map((name) => ({ type: 'put', key: name, value })))
      const added = Array.from({ length: 250 }, (_, at) => `more ${done + at}`)
      for (const name of added) store.put(name, value)
      store.delete(names[(done / perBatch) % names.length])
      if (done % 100_000 === 0) assert.equal(snapshot.get(key(18)), `before ${key(18)}`)
    }
    assert.equal(store.get('batch 2999'), '2999', 'the batch was finished for the dead')
    index.adoptBucketCount()
    assert.ok(index.bucketCount > bucketCount * 4, `${bucketCount} to ${index.bucketCount} buckets`)
    compare(snapshot, state)
    assert.ok(store.count() > 50_000)
  })

  test('keyspaces that are dropped, made, and made again', async (t) => {
    await using store = filled(temporaryDirectory(t), 10)
    const encodings = { encoding: 'utf8' } as const
    const one = store.keyspace<string>('one', encodings)
    const two = store.keyspace<string>('two', encodings)
    for (let index = 0; index < 100; index++) {
      one.put(key(index), `one ${index}`)
      two.put(key(index), `two ${index}`)
    }
    one.delete(key(5))
    const snapshot = store.snapshot()
    two.delete(key(7))
    assert.ok(store.dropKeyspace('one'))
    const again = store.keyspace<string>('one', { encoding: 'utf8', keyEncoding: 'ordered' })
    again.put('other', 'other')
    const three = store.keyspace<string>('three', encodings)
    three.put('a', 'a')
    store.put('more', 'more')

    assert.deepEqual(snapshot.keyspaces(), ['one', 'two'])
    assert.equal(store.stats().records, 10 + 1 + 1 + 1 + 99)
    for (const was of [snapshot.keyspace<string>('one'), snapshot.keyspace(one)]) {
      assert.equal(was.get(key(3)), 'one 3')
      assert.equal(was.has(key(5)), false)
      assert.equal(was.count(), 99)
      assert.deepEqual(was.values({ limit: 2, reverse: true }).toArray(), ['one 99', 'one 98'])
    }
    assert.equal(snapshot.keyspace(two).get(key(7)), 'two 7')
    assert.ok(thrownBy(() => snapshot.keyspace(again)) instanceof TypeError)
    for (const none of [snapshot.keyspace(three), snapshot.keyspace<string>('never')]) {
      assert.equal(none.get('a'), undefined)
      assert.equal(none.has('a'), false)
      assert.equal(none.getEntry('a'), undefined)
      assert.equal(none.count(), 0)
      assert.deepEqual(none.range().toArray(), [])
    }
    const later = store.snapshot()
    snapshot.close()
    // The later one does not show the dropped keyspace, and need not keep it.
    assert.equal(engineOf(store).counts.get(2, 0), 0)
    assert.equal(later.keyspace<string>('one').count(), 1)
    later.close()
    await requireClean(store)
  })

  test('a keyspace dropped under a snapshot, and the store opened again', async (t) => {
    const parent = temporaryDirectory(t)
    const path = join(parent, 'store')
    const store = filled(path, 10)
    store.keyspace<string>('gone', { encoding: 'utf8' }).put('a', 'a')
    const snapshot = store.snapshot()
    store.dropKeyspace('gone')
    assert.equal(snapshot.keyspace<string>('gone').get('a'), 'a')
    copyStore(path, join(parent, 'copy'))
    await store.close()
    for (const name of ['store', 'copy']) {
      await using again = open<string>(join(parent, name), options)
      assert.deepEqual(again.keyspaces(), [])
      assert.equal(again.stats().records, 10)
      assert.equal(engineOf(again).counts.get(2, 0), 0)
      await requireClean(again)
    }
  })
})

describe('many snapshots', () => {
  test('each show their own moment, closed in any order, with random changes between', async (t) => {
    const random = new Random(seed)
    await using store = filled(temporaryDirectory(t), 60)
    const opened: { snapshot: Snapshot<string>; state: State }[] = []
    const state = stateOf(store)
    for (let round = 0; round < 400; round++) {
      for (let change = 0; change < 20; change++) {
        const one = key(random.below(90))
        const kind = random.below(10)
        if (kind < 3) {
          assert.equal(store.delete(one), state.delete(one))
        } else if (kind < 5) {
          const other = key(random.below(90))
          store.write([
            { type: 'delete', key: one },
            { type: 'put', key: other, value: `batch ${round}` },
          ])
          state.delete(one)
          state.set(other, `batch ${round}`)
        } else {
          const value = 'v'.repeat(random.below(40))
          store.put(one, value)
          state.set(one, value)
        }
      }
      if (random.chance(0.3)) opened.push({ snapshot: store.snapshot(), state: new Map(state) })
      if (opened.length > 0 && random.chance(0.2)) {
        const [{ snapshot }] = opened.splice(random.below(opened.length), 1)
        snapshot.close()
      }
      if (opened.length > 0 && round % 10 === 0) {
        const { snapshot, state: then } = random.pick(opened)
        compare(snapshot, then)
      }
    }
    for (const { snapshot, state: then } of opened) compare(snapshot, then)
    assert.equal(store.stats().snapshots, opened.length)
    while (opened.length > 0) {
      const [{ snapshot }] = opened.splice(random.below(opened.length), 1)
      snapshot.close()
      for (const { snapshot: other, state: then } of opened.slice(0, 2)) compare(other, then)
    }
    assert.deepEqual(stateOf(store), new Map([...state].sort(([a], [b]) => (a < b ? -1 : 1))))
    await requireClean(store)
  })

  test('are counted, and the oldest of them named', async () => {
    await using store = filled()
    const none = store.stats()
    assert.equal(none.snapshots, 0)
    assert.equal(none.oldestSnapshotSequence, undefined)
    const first = store.snapshot()
    store.put('a', 'a')
    const second = store.snapshot()
    const same = store.snapshot()
    assert.equal(same.sequence, second.sequence)
    assert.equal(store.stats().snapshots, 3)
    assert.equal(store.stats().oldestSnapshotSequence, first.sequence)
    first.close()
    same.close()
    assert.equal(store.stats().snapshots, 1)
    assert.equal(store.stats().oldestSnapshotSequence, second.sequence)
    assert.equal(second.get('a'), 'a')
    second.close()
    second.close()
    assert.equal(store.stats().oldestSnapshotSequence, undefined)
  })

  test('hold back what is replaced and deleted from the oldest of them on', async (t) => {
    const path = temporaryDirectory(t)
    await using store = filled(path)
    const held = (): number => store.stats().pinnedBytes
    for (let index = 0; index < 500; index++) store.put(key(index), 'x'.repeat(500))
    assert.ok(store.stats().garbageBytes > 0)
    assert.equal(held(), 0, 'garbage from before, and no snapshot')
    const first = store.snapshot()
    assert.equal(held(), 0)
    for (let index = 0; index < 10; index++) store.put(key(index), 'y'.repeat(1000))
    const replaced = held()
    // All garbage of their segments, older one too: compaction takes none of it before.
    assert.ok(replaced >= 10 * 500 && replaced <= store.stats().garbageBytes, `${replaced} bytes`)
    await using other = open<string>(path, options)
    const second = other.snapshot()
    for (let index = 0; index < 10; index++) store.delete(key(index))
    const deleted = held() - replaced
    assert.ok(deleted >= 10 * 1000 && deleted < 10 * 1300, `${deleted} bytes`)
    assert.equal(other.stats().pinnedBytes, replaced + deleted)
    first.close()
    assert.ok(held() >= deleted, 'the other one still sees what was deleted')
    second.close()
    assert.equal(held(), 0)
  })

  test('of an empty store show nothing, ever', async () => {
    await using store = open<string>(':memory:', options)
    using snapshot = store.snapshot()
    store.keyspace('one').put('a', 1)
    store.put('a', 'a')
    store.delete('a')
    assert.equal(tombstonesOf(store), 1)
    assert.deepEqual(snapshot.keyspaces(), [])
    assert.equal(snapshot.get('a'), undefined)
    assert.deepEqual(snapshot.range().toArray(), [])
    assert.equal(snapshot.count(), 0)
  })
})

describe('a snapshot that is closed', () => {
  test('reads no more, not even in an iteration that was begun', async () => {
    await using store = filled()
    const snapshot = store.snapshot()
    const view = snapshot.keyspace(store as Keyspace<string>)
    const iterator = snapshot.keys()[Symbol.iterator]()
    iterator.next()
    snapshot.close()
    const reads = [
      () => snapshot.get('a'),
      () => snapshot.getMany([]),
      () => snapshot.has('a'),
      () => snapshot.getEntry('a'),
      () => snapshot.count(),
      () => snapshot.range().toArray(),
      () => snapshot.keyspaces(),
      () => snapshot.keyspace('one'),
      () => view.get('a'),
      () => [...iterator],
    ]
    for (const read of reads) storeErrorOf(read, 'STORE_CLOSED')
  })

  test('is closed by its store, and may be closed after it', async () => {
    const store = filled()
    const snapshot = store.snapshot()
    await store.close()
    storeErrorOf(() => snapshot.get('a'), 'STORE_CLOSED')
    storeErrorOf(() => store.snapshot(), 'STORE_CLOSED')
    snapshot.close()
  })

  test('by nobody is given back when it is collected, with a warning', async () => {
    await using store = filled()
    const warnings: string[] = []
    store.on('warning', (words) => warnings.push(words))
    ;(() => {
      store.snapshot().get('a')
      store.range()[Symbol.iterator]().next()
    })()
    assert.equal(store.stats().snapshots, 2)
    store.delete(key(0))
    assert.equal(tombstonesOf(store), 1)
    await collectUntil(() => store.stats().snapshots === 0)
    assert.equal(store.stats().snapshots, 0)
    assert.equal(warnings.length, 1, 'the iteration is not worth one')
    assert.match(warnings[0], /snapshot.*never closed/)
    await requireClean(store)
  })

  test('by nobody stays open as long as something reads from it', async () => {
    await using store = filled()
    const iterator = (() => store.snapshot().keys()[Symbol.iterator]())()
    const view = (() => store.snapshot().keyspace(store as Keyspace<string>))()
    iterator.next()
    let turns = 0
    await collectUntil(() => ++turns > 10)
    for (let index = 0; index < 500; index++) store.delete(key(index))
    assert.equal([...iterator].length, 499)
    assert.equal(view.count(), 500)
  })
})

describe('the snapshot of another attachment is respected', () => {
  const readsFull = (snapshot: Snapshot<string>): void => {
    assert.equal(snapshot.count(), 500)
    assert.equal(snapshot.get(key(3)), 'value 3')
  }

  test('in the same thread', async (t) => {
    const path = temporaryDirectory(t)
    await using store = filled(path)
    const other = open<string>(path, options)
    const snapshot = other.snapshot()
    assert.equal(store.stats().oldestSnapshotSequence, snapshot.sequence)
    assert.equal(store.stats().snapshots, 0)
    for (let index = 0; index < 500; index++) {
      if (index % 2 === 0) store.delete(key(index))
      else store.put(key(index), 'other')
    }
    store.dropKeyspace('none')
    readsFull(snapshot)
    assert.equal(tombstonesOf(store), 250)
    snapshot.close()
    await requireClean(store)
    // Closed by the end of its store, and not by itself.
    other.snapshot()
    store.delete(key(1))
    assert.equal(tombstonesOf(store), 1)
    await other.close()
    await requireClean(store)
  })

  test('in a worker, and forgotten when it is terminated', async (t) => {
    const path = temporaryDirectory(t)
    await using store = filled(path)
    const file = fileURLToPath(new URL('./snapshot-worker.js', import.meta.url))
    const worker = new Worker(file, { workerData: { path, options } })
    const ask = async (key: string): Promise<unknown> => {
      const answer = once(worker, 'message')
      worker.postMessage(key)
      return (await answer)[0] as unknown
    }
    await once(worker, 'message')
    for (let index = 0; index < 500; index++) store.delete(key(index))
    assert.deepEqual(await ask(key(3)), { value: 'value 3', count: 500 })
    assert.equal(tombstonesOf(store), 500)
    await worker.terminate()
    await requireClean(store)
    assert.equal(store.stats().oldestSnapshotSequence, undefined)
  })

  test('in a process, and forgotten when it is killed', async (t) => {
    const path = temporaryDirectory(t)
    await using store = filled(path)
    const session = await openSession(t, path, options)
    await session.do({ do: 'snapshot' })
    for (let index = 0; index < 500; index++) store.delete(key(index))
    assert.equal((await session.do({ do: 'countInSnapshot' })).value, 500)
    assert.equal(tombstonesOf(store), 500)
    await session.kill()
    await requireClean(store)
    assert.equal(store.stats().oldestSnapshotSequence, undefined)
  })

  test('in a process that was killed while it was alone: the next one to open forgets it', async (t) => {
    const path = temporaryDirectory(t)
    const before = filled(path)
    await before.close()
    const first = await openSession(t, path, options)
    const second = await openSession(t, path, options)
    await second.do({ do: 'snapshot' })
    await first.do({ do: 'delete', key: key(1) })
    await first.kill()
    await second.kill()
    await using store = open<string>(path, options)
    assert.equal(store.stats().lastRecovery.kind, 'same-boot')
    assert.equal(store.stats().oldestSnapshotSequence, undefined)
    assert.equal(store.count(), 499)
    await requireClean(store)
  })
})
