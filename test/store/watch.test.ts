/**
 * Goal: a watcher is given every change, once and in order, from wherever it begins, and holds nothing back
 *   when it has ended.
 * Method: histories with updates in place, batches, deletes, large values, syncs, restarts on this boot and on
 *   another, written by this thread and by others; watchers that begin at every sequence of them.
 * Properties checked: the changes against what was written; that reads see what was told; updates in place
 *   before, during and after; the end of watchers by every cause, and of threads that watch; the refusals.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import * as layout from '../../src/format/control-layout.js'
import { type Change, open, type Store, type Watch } from '../../src/store/index.js'
import { collectUntil } from '../support/collect-garbage.js'
import { copyStore, temporaryDirectory } from '../support/directory.js'
import { engineOf } from '../support/engine-of.js'
import { Random } from '../support/random.js'
import { seed } from '../support/seed.js'
import { refused, storeErrorOf } from '../support/store-error.js'

const segmentSizeBytes = 2 ** 20
const options = { encoding: 'utf8', segmentSizeBytes, syncIntervalMs: 0 } as const

type Text = Store<string>
type TextChange = Change<string, string>

interface Told {
  readonly type: string
  readonly key: string
  readonly value: string | undefined
}

function told({ key, type, value }: TextChange): Told {
  return { type, key, value }
}

async function take(watch: Watch<string, string>, count: number): Promise<TextChange[]> {
  const changes: TextChange[] = []
  while (changes.length < count) {
    const { done, value } = await watch.next()
    assert.notEqual(done, true, `it ended after ${changes.length} of ${count}`)
    changes.push(value as TextChange)
  }
  return changes
}

/** What there is to be told, without waiting for more. */
async function takeAll(store: Text, since: number): Promise<TextChange[]> {
  const last = store.stats().sequence
  const changes: TextChange[] = []
  if (since === last) return changes
  for await (const change of store.watch({ sinceSequence: since })) {
    changes.push(change)
    if (change.sequence >= last) break
  }
  return changes
}

function assertOrdered(changes: readonly TextChange[]): void {
  for (const [index, { sequence }] of changes.entries()) {
    if (index > 0) assert.ok(sequence > changes[index - 1].sequence)
  }
}

function isWatched(store: Text): boolean {
  return engineOf(store).control.words[layout.watchedWord] === 1
}

async function until(what: string, isTrue: () => boolean): Promise<void> {
  for (let turn = 0; turn < 400; turn++) {
    if (isTrue()) return
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
  assert.fail(`${what} never came true`)
}

/** Writes something of every kind; returns what a watcher is to be told. */
async function writeAll(store: Text, random: Random, count: number): Promise<Told[]> {
  const expected: Told[] = []
  const value = (): string => 'v'.repeat(random.below(random.chance(0.03) ? 400_000 : 900))
  const set = (key: string, value: string): void => void expected.push({ type: 'put', key, value })
  for (let index = 0; index < count; index++) {
    const key = `k${random.below(12)}`
    if (random.chance(0.15)) {
      if (store.delete(key)) expected.push({ type: 'delete', key, value: undefined })
    } else if (random.chance(0.2)) {
      const parts = Array.from({ length: 1 + random.below(5) }, (_, part) => ({
        type: 'put' as const,
        key: `k${part}`,
        value: value(),
      }))
      store.write(parts)
      for (const { key, value } of parts) set(key, value)
    } else if (random.chance(0.05)) {
      await store.sync()
    } else {
      const text = value()
      store.put(key, text)
      set(key, text)
    }
  }
  return expected
}

describe(`watch (seed ${seed})`, () => {
  test('every change is told, once and in order, and reads see it', async (t) => {
    const random = new Random(seed)
    for (const [path, mapping] of [
      [temporaryDirectory(t), 'auto'],
      [temporaryDirectory(t), 'file'],
      [':memory:', 'auto'],
      [':memory:', 'file'],
    ] as const) {
      const store: Text = open(path, { ...options, mapping })
      store.put('before', 'x')
      const watch = store.watch()
      const expected = await writeAll(store, random, 150)
      const first = await take(watch, expected.length)
      assert.deepEqual(first.map(told), expected)
      assertOrdered(first)
      // As a consumer meets them, one by one.
      const version = (key: string): number => store.getEntry(key)?.version ?? 0
      for (let index = 0; index < 20; index++) {
        store.put('k', `${index}`)
        const [change] = await take(watch, 1)
        assert.deepEqual(told(change), { type: 'put', key: 'k', value: `${index}` })
        assert.equal(change.version, version('k'))
        assert.equal(change.sequence, store.stats().sequence)
      }
      await watch.return()
      await store.close()
    }
  })

  test('it begins behind any sequence, also after a restart and on another boot', async (t) => {
    const random = new Random(seed)
    const directory = temporaryDirectory(t)
    let store: Text = open(directory, options)
    store.put('registered', '')
    const watch = store.watch()
    // Watched: nothing of it is updated in place.
    await writeAll(store, random, 120)
    const all = [...(await takeAll(store, 0))]
    await watch.return()
    const check = async (): Promise<void> => {
      const sinces = [0, ...all.map(({ sequence }) => sequence)]
      for (const [index, since] of sinces.entries()) {
        if (index % 7 !== 0 && index < sinces.length - 3) continue
        const changes = await takeAll(store, since)
        assert.deepEqual(changes, all.slice(index), `since ${since}`)
      }
    }
    await check()
    await store.close()
    store = open(directory, options)
    await check()
    await store.close()
    for (let boot = 0; boot < 2; boot++) {
      const copy = temporaryDirectory(t)
      copyStore(directory, copy)
      store = open(copy, options)
      assert.equal(store.stats().lastRecovery.kind, 'replay')
      await check()
      const since = store.stats().sequence
      store.put('more', `${boot}`)
      assert.deepEqual((await takeAll(store, since)).map(told), [
        { type: 'put', key: 'more', value: `${boot}` },
      ])
      await store.close()
    }
  })

  test('of updates in place from before it the last is told, and all others are', async (t) => {
    const directory = temporaryDirectory(t)
    const random = new Random(seed)
    const store: Text = open(directory, options)
    const seen = new Map<number, Told>()
    for (let round = 0; round < 400; round++) {
      const key = `k${random.below(30)}`
      store.put(key, `${round}`.padEnd(20))
      const entry = store.getEntry(key)
      assert.ok(entry !== undefined)
      seen.set(entry.sequence, { type: 'put', key, value: `${round}`.padEnd(20) })
      if (random.chance(0.03)) await store.sync()
    }
    for (const since of [0, 100, 250, 399]) {
      const changes = await takeAll(store, since)
      assertOrdered(changes)
      for (const change of changes) assert.deepEqual(told(change), seen.get(change.sequence))
      // The newest state of every key that changed since is among them.
      const last = new Map(changes.map((change) => [change.key, change]))
      for (const [sequence, { key, value }] of seen) {
        if (sequence > since && store.getEntry(key)?.sequence === sequence) {
          assert.equal(last.get(key)?.value, value)
        }
      }
    }
    await store.close()
  })

  test('what the machine lost is not taken for what came in its place', async (t) => {
    const directory = temporaryDirectory(t)
    let store: Text = open(directory, options)
    store.put('a', 'kept')
    await store.sync()
    store.put('b', 'lost')
    const since = store.stats().sequence
    let image = directory
    // The second time before anything was written.
    for (let loss = 1; loss <= 2; loss++) {
      const former = image
      image = temporaryDirectory(t)
      copyStore(former, image)
      await store.close()
      // The control file is what proves the end that no sync covered.
      rmSync(join(image, 'control'))
      store = open(image, options)
      assert.equal(store.get('b'), undefined)
    }
    store.put('c', 'new')
    assert.deepEqual((await takeAll(store, since)).map(told), [
      { type: 'put', key: 'c', value: 'new' },
    ])
    assert.deepEqual(
      (await takeAll(store, 0)).map(({ key }) => key),
      ['a', 'c'],
    )
    await store.close()
  })

  test('a keyspace and a prefix are told apart', async (t) => {
    const store: Text = open(temporaryDirectory(t), options)
    const users = store.keyspace<string, (string | number)[]>('users', {
      encoding: 'json',
      keyEncoding: 'ordered',
    })
    const watches = [
      store.watch(),
      store.watch({ prefix: 'a:' }),
      users.watch(),
      users.watch({ prefix: ['x', 1] }),
    ] as const
    store.put('a:1', 'one')
    store.put('b:1', 'two')
    users.put(['x', 1], 'three')
    users.put(['y', 2], 'four')
    store.write([
      { type: 'put', key: 'a:2', value: 'five' },
      { type: 'delete', keyspace: 'users', key: ['x', 1] },
    ])
    assert.deepEqual(
      (await take(watches[0], 3)).map(({ key }) => key),
      ['a:1', 'b:1', 'a:2'],
    )
    assert.deepEqual(
      (await take(watches[1], 2)).map(({ key }) => key),
      ['a:1', 'a:2'],
    )
    const [third, fourth, last] = await take(watches[2] as never, 3)
    assert.deepEqual([third.key, third.value, third.keyspace], [['x', 1], 'three', 'users'])
    assert.deepEqual([fourth.key, last.key, last.type], [['y', 2], ['x', 1], 'delete'])
    assert.deepEqual(
      (await take(watches[3] as never, 2)).map(({ type }) => type),
      ['put', 'delete'],
    )
    const dropped = watches[2].next()
    store.dropKeyspace('users')
    await assert.rejects(dropped, { code: 'STORE_NOT_FOUND' })
    for (const watch of watches) watch.close()
    await store.close()
  })

  test('changes of other threads are told in order, and not before they can be seen', async (t) => {
    const store: Store<number> = open(temporaryDirectory(t), {
      segmentSizeBytes,
      syncIntervalMs: 0,
    })
    const worker = new Worker(fileURLToPath(new URL('./watch-worker.js', import.meta.url)), {
      workerData: store.share(),
    })
    await once(worker, 'message')
    const watch = store.watch()
    worker.postMessage({ do: 'put', prefix: 'w', count: 5000 })
    for (let index = 0; index < 5000; index++) {
      if (index % 10 === 0) store.put('own', index)
    }
    const values: number[] = []
    let own = 0
    let lastSequence = 0
    while (values.length + own < 5500) {
      const { value: change } = await watch.next()
      assert.ok(change.sequence > lastSequence)
      lastSequence = change.sequence
      if (change.key === 'own') own++
      else {
        values.push(change.value as number)
        // The one that was told, or a later one.
        assert.ok((store.getEntry(change.key)?.sequence ?? 0) >= change.sequence)
      }
    }
    assert.deepEqual(
      values,
      Array.from({ length: 5000 }, (_, index) => index),
    )
    watch.close()
    worker.postMessage({ do: 'close' })
    await once(worker, 'exit')
    await store.close()
  })

  test('while anybody watches nothing is updated in place, and again when nobody does', async (t) => {
    const store: Text = open(temporaryDirectory(t), options)
    const isUpdatedInPlace = (): boolean => {
      store.put('k', '1')
      const { tail } = store.stats()
      store.put('k', '2')
      return store.stats().tail === tail
    }
    assert.ok(isUpdatedInPlace())
    const first = store.watch()
    assert.ok(!isUpdatedInPlace())
    const second = store.watch({ sinceSequence: 0 })
    first.close()
    assert.ok(!isUpdatedInPlace())
    second.close()
    assert.ok(isUpdatedInPlace())
    assert.ok(!isWatched(store))
    await store.close()
  })

  test('one that is left, aborted, closed, or whose store is closed ends without an error', async (t) => {
    const store: Text = open(temporaryDirectory(t), options)
    store.put('a', '1')
    for await (const change of store.watch({ sinceSequence: 0 })) {
      assert.equal(change.value, '1')
      break
    }
    assert.ok(!isWatched(store))
    const abort = new AbortController()
    const ends = [
      store.watch({ signal: abort.signal }),
      store.watch(),
      store.watch(),
      store.watch(),
    ]
    const waiting = ends.map((watch) => watch.next())
    abort.abort()
    ends[1].close()
    await ends[2].return()
    assert.equal((await waiting[0]).done, true)
    assert.equal((await waiting[1]).done, true)
    assert.equal((await waiting[2]).done, true)
    assert.equal((await store.watch({ signal: abort.signal }).next()).done, true)
    assert.ok(isWatched(store))
    const closed = store.close()
    assert.equal((await waiting[3]).done, true)
    assert.equal((await ends[3].next()).done, true)
    await closed
    storeErrorOf(() => store.watch(), 'STORE_CLOSED')
  })

  test('one that nobody reaches, and those of a thread that died, hold nothing back', async (t) => {
    const store: Text = open(temporaryDirectory(t), options)
    store.watch()
    assert.ok(isWatched(store))
    await collectUntil(() => !isWatched(store))
    assert.ok(!isWatched(store))
    const worker = new Worker(fileURLToPath(new URL('./watch-worker.js', import.meta.url)), {
      workerData: store.share(),
    })
    await once(worker, 'message')
    worker.postMessage({ do: 'watch' })
    await once(worker, 'message')
    assert.ok(isWatched(store))
    worker.postMessage({ do: 'die' })
    await once(worker, 'exit')
    await until('the watcher is gone with its thread', () => !isWatched(store))
    await store.close()
  })

  test('what cannot be watched is refused', async (t) => {
    const directory = temporaryDirectory(t)
    const store: Text = open(directory, options)
    store.put('a', '1')
    const { sequence } = store.stats()
    refused(() => store.watch({ sinceSequence: sequence + 1 }), RangeError, `${sequence}`)
    refused(() => store.watch({ sinceSequence: -1 }), RangeError, '-1')
    refused(() => store.watch({ sinceSequence: '1' as never }), TypeError, 'sinceSequence')
    refused(() => store.watch({ prefix: 5 as never }), TypeError, 'key', '5')
    refused(() => store.watch({ signal: {} as never }), TypeError, 'AbortSignal')
    refused(() => store.watch({ since: 1 } as never), TypeError, 'since', 'sinceSequence')
    refused(() => store.watch(null as never), TypeError, 'options')
    assert.ok(!isWatched(store))
    await store.close()
  })

  test('where the log has a gap it says from where it can serve', async (t) => {
    const directory = temporaryDirectory(t)
    const store: Text = open(directory, options)
    for (let index = 0; index < 6; index++) store.put(`${index}`, 'x'.repeat(230_000))
    await store.sync()
    for (let index = 0; index < 6; index++) store.put(`${index}`, 'y'.repeat(230_000))
    const engine = engineOf(store)
    // As compaction leaves it.
    const second = engine.log.slotOf(2)
    engine.log.slots.set(second, 2, 0)
    engine.log.slots.set(second, 0, 0)
    const error = storeErrorOf(() => store.watch({ sinceSequence: 0 }), 'STORE_COMPACTED')
    const { oldest } = error.details
    assert.ok(oldest !== undefined && oldest > 0)
    const changes = await takeAll(store, oldest)
    assert.equal(changes[0].sequence, oldest + 1)
    assert.equal(changes[changes.length - 1].key, '5')
    storeErrorOf(() => store.watch({ sinceSequence: oldest - 1 }), 'STORE_COMPACTED')
    assert.ok(existsSync(directory))
  })
})
