/**
 * Goal: a key is missing from the moment at which it expires, for every operation and every count, and
 *   stays so whatever the clock does, through closing, kills and other boots.
 * Method: a wall clock of the test's own, set forward and back; mapped, not mapped and in memory;
 *   copies of the directory as a kill and as another boot find it.
 * Properties checked: all reads, counts, ranges, snapshots and conditions before and behind the
 *   moment; `verify` finds nothing wrong; what was taken out leaves nothing in the indexes.
 */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { describe, type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import * as layout from '../../src/format/control-layout.js'
import { type Keyspace, open, type Store, type StoreOptions } from '../../src/store/index.js'
import { copyAsKilled } from '../kill/memory-image.js'
import { copyStore, temporaryDirectory } from '../support/directory.js'
import { engineOf } from '../support/engine-of.js'
import { Random } from '../support/random.js'
import { seed } from '../support/seed.js'
import { refused } from '../support/store-error.js'

const options = { segmentSizeBytes: 2 ** 20, syncIntervalMs: 0 } as const
const hourMs = 3_600_000

function ownClock(t: TestContext): { nowMs: number } {
  const clock = { nowMs: Date.now() }
  t.mock.method(Date, 'now', () => clock.nowMs)
  return clock
}

type Path = 'mmap' | 'file' | ':memory:'

function opened(t: TestContext, path: Path, more: StoreOptions<unknown> = {}): Store<unknown> {
  if (path === ':memory:') return open<unknown>(':memory:', { ...options, ...more })
  return open<unknown>(join(temporaryDirectory(t), 'store'), { ...options, mapping: path, ...more })
}

/** What of these keys and no others is there, by every way to ask; the counts first or last. */
function requireKeys(store: Store<unknown>, expected: readonly string[], all: readonly string[]) {
  const keys = [...expected].sort()
  assert.deepEqual(store.keys().toArray(), keys)
  assert.deepEqual(
    store
      .range()
      .map(([key]) => key)
      .toArray(),
    keys,
  )
  assert.equal(store.values().toArray().length, keys.length)
  assert.equal(store.count({}), keys.length)
  assert.deepEqual(
    store
      .scan()
      .map(({ key }) => key)
      .toArray()
      .sort(),
    keys,
  )
  assert.deepEqual(
    store
      .scan({ reverse: true })
      .map(({ key }) => key)
      .toArray()
      .sort(),
    keys,
  )
  for (const key of all) {
    const isThere = expected.includes(key)
    assert.equal(store.has(key), isThere, key)
    assert.equal(store.get(key) !== undefined, isThere, key)
    assert.equal(store.getEntry(key) !== undefined, isThere, key)
    assert.equal(store.getInto(key, Buffer.alloc(4096)) >= 0, isThere, key)
    assert.equal(store.getMany([key])[0] !== undefined, isThere, key)
  }
  using snapshot = store.snapshot()
  assert.deepEqual(snapshot.keys().toArray(), keys)
  assert.equal(snapshot.count(), keys.length)
  for (const key of all) {
    assert.equal(snapshot.has(key), expected.includes(key))
    assert.equal(snapshot.get(key) !== undefined, expected.includes(key))
    assert.equal(snapshot.getEntry(key) !== undefined, expected.includes(key))
  }
  assert.equal(store.count(), keys.length)
  assert.equal(store.stats().records, keys.length)
}

for (const path of ['mmap', 'file', ':memory:'] as const) {
  describe(`expiry, ${path}`, () => {
    test('a key is there until its moment and missing from then on', async (t) => {
      const clock = ownClock(t)
      const store = opened(t, path)
      const all = ['at', 'for', 'in a batch', 'past', 'plain']
      store.put('plain', 1)
      store.put('at', 1, { expiresAtMs: clock.nowMs + 10 })
      store.put('for', 1, { ttlMs: 20 })
      store.write([
        { type: 'put', key: 'in a batch', value: 1, ttlMs: 30 },
        { type: 'put', key: 'past', value: 1, expiresAtMs: 1 },
      ])
      assert.equal(store.getEntry('for')?.expiresAtMs, clock.nowMs + 20)
      assert.equal(store.getEntry('plain')?.expiresAtMs, undefined)
      const expected = ['at', 'for', 'in a batch', 'plain']
      requireKeys(store, expected, all)
      for (const [key, afterMs] of [
        ['at', 10],
        ['for', 10],
        ['in a batch', 10],
      ] as const) {
        clock.nowMs += afterMs - 1
        requireKeys(store, expected, all)
        assert.deepEqual(
          store.lastEntry()?.key,
          expected.includes('in a batch') ? 'in a batch' : undefined,
        )
        clock.nowMs += 1
        expected.splice(expected.indexOf(key), 1)
        requireKeys(store, expected, all)
      }
      assert.equal(store.lastEntry()?.key, 'plain')
      const report = await store.verify()
      assert.deepEqual(report.problems, [])
      await store.close()
    })

    test('conditions take an expired key for missing', async (t) => {
      const clock = ownClock(t)
      const store = opened(t, path)
      store.put('a', 1, { ttlMs: 5 })
      const version = store.getEntry('a')?.version ?? 0
      assert.equal(store.put('a', 2, { ifAbsent: true }), false)
      clock.nowMs += 5
      assert.equal(store.put('a', 2, { ifVersion: version }), false)
      assert.equal(store.delete('a'), false)
      assert.equal(store.delete('a', { ifVersion: version }), false)
      assert.equal(store.put('a', 3, { ifAbsent: true }), true)
      assert.equal(store.get('a'), 3)
      assert.equal(store.getEntry('a')?.expiresAtMs, undefined)
      assert.equal(store.count(), 1)
      await store.close()
    })

    test('a put sets the expiry anew, or ends it; update and increment keep it', async (t) => {
      const clock = ownClock(t)
      const store = opened(t, path)
      const expiresAtMs = clock.nowMs + 10
      store.put('a', 1, { expiresAtMs })
      store.put('b', 1, { expiresAtMs })
      store.put('c', 1, { expiresAtMs })
      store.put('d', 1)
      assert.equal(store.increment('a'), 2)
      assert.equal(
        store.update('a', (value) => `${value} and longer than it was`),
        '2 and longer than it was',
      )
      assert.equal(store.getEntry('a')?.expiresAtMs, expiresAtMs)
      store.put('b', 2, { ttlMs: 30 })
      assert.equal(store.getEntry('b')?.expiresAtMs, clock.nowMs + 30)
      store.put('c', 2)
      store.put('d', 2, { expiresAtMs })
      assert.equal(store.getOrInsert('e', 1, { expiresAtMs }), 1)
      assert.equal(store.getOrInsert('c', 1, { expiresAtMs }), 2)
      clock.nowMs = expiresAtMs
      requireKeys(store, ['b', 'c'], ['a', 'b', 'c', 'd', 'e'])
      // Behind the moment they begin anew, for good.
      assert.equal(store.increment('a'), 1)
      assert.equal(
        store.update('d', (value) => (value === undefined ? 'new' : 'old')),
        'new',
      )
      assert.equal(
        store.update('e', () => undefined),
        undefined,
      )
      assert.equal(store.getOrInsert('e', 2), 2)
      clock.nowMs += 20
      requireKeys(store, ['a', 'c', 'd', 'e'], ['a', 'b', 'c', 'd', 'e'])
      await store.close()
    })

    test('a snapshot and an iteration go by the time at which they began', async (t) => {
      const clock = ownClock(t)
      const store = opened(t, path)
      for (let index = 0; index < 200; index++) {
        store.put(`key ${index}`, index, { ttlMs: index < 100 ? 10 : 20 })
      }
      using before = store.snapshot()
      const held = store.range()[Symbol.iterator]()
      held.next()
      clock.nowMs += 10
      using between = store.snapshot()
      assert.equal(store.count(), 100)
      clock.nowMs += 10
      assert.equal(store.count(), 0)
      assert.equal(before.count(), 200)
      assert.equal(before.get('key 5'), 5)
      assert.equal(before.range().toArray().length, 200)
      assert.equal(between.count(), 100)
      assert.equal(between.get('key 5'), undefined)
      assert.equal(between.get('key 105'), 105)
      let count = 1
      while (held.next().done !== true) count++
      assert.equal(count, 200)
      assert.deepEqual((await store.verify()).problems, [])
      await store.close()
    })

    test('what was seen expired stays so when the clock goes back, and time goes on', async (t) => {
      const clock = ownClock(t)
      const store = opened(t, path)
      const other = store.keyspace<number>('other')
      store.put('a', 1, { ttlMs: hourMs })
      other.put('unseen', 1, { ttlMs: hourMs + 2 })
      clock.nowMs += hourMs + 1
      assert.equal(store.get('a'), undefined)
      clock.nowMs -= 2 * hourMs
      assert.equal(store.get('a'), undefined)
      assert.equal(store.has('a'), false)
      assert.equal(store.count(), 0)
      // One that nobody saw expired may still be there, and one put now is not expired at once.
      store.put('b', 1, { ttlMs: 40 })
      assert.equal(store.get('b'), 1)
      await delay(60)
      assert.equal(store.get('b'), undefined, 'time goes on while the clock is behind')
      assert.equal(other.get('unseen'), undefined)
      await store.close()
    })

    test('expired records leave the indexes in the background', async (t) => {
      const store = opened(t, path)
      store.put('stays', 1)
      for (let index = 0; index < 1000; index++) store.put(`key ${index}`, 1, { ttlMs: 1 })
      store.put('later', 1, { ttlMs: hourMs })
      const { control } = engineOf(store)
      // The registry of keyspaces is a record, too.
      for (let wait = 0; wait < 400 && control.read(layout.records) > 3; wait++) await delay(10)
      assert.equal(control.read(layout.records), 3)
      assert.deepEqual(store.keys().toArray(), ['later', 'stays'])
      await store.close()
    })

    test('large values and updates in place expire as others do', async (t) => {
      const clock = ownClock(t)
      const store = opened(t, path, { encoding: 'binary' })
      const large = Buffer.alloc(2 ** 19, 5)
      store.put('large', large, { ttlMs: 10 })
      store.write([{ type: 'put', key: 'of a batch', value: large, ttlMs: 20 }])
      store.put('in place', Buffer.alloc(10), { ttlMs: 10 })
      const { tail } = store.stats()
      store.put('in place', Buffer.alloc(12), { ttlMs: 20 })
      if (path !== 'file') assert.equal(store.stats().tail, tail, 'updated in place')
      assert.equal(store.getEntry('in place')?.expiresAtMs, clock.nowMs + 20)
      const all = ['large', 'of a batch', 'in place']
      assert.ok((store.get('large') as Buffer).equals(large))
      clock.nowMs += 10
      requireKeys(store as Store<unknown>, ['of a batch', 'in place'], ['large'])
      assert.ok((store.get('of a batch') as Buffer).equals(large))
      // Sooner than it was, in place.
      store.put('in place', Buffer.alloc(12), { ttlMs: 1 })
      clock.nowMs += 1
      assert.equal(store.count(), 1)
      clock.nowMs += 9
      requireKeys(store, [], all)
      assert.deepEqual((await store.verify()).problems, [])
      await store.close()
    })

    test('what is written with a time that is over, behind a look at what had expired, is taken out, too', async (t) => {
      const clock = ownClock(t)
      const store = opened(t, path, { encoding: 'binary' })
      store.put('former', Buffer.alloc(10), { ttlMs: 10 })
      store.put('stays', Buffer.alloc(10), { ttlMs: hourMs })
      clock.nowMs += 10
      assert.equal(store.count(), 1)
      const { control } = engineOf(store)
      const recordsLeft = control.read(layout.records)
      store.put('over', Buffer.alloc(10), { expiresAtMs: clock.nowMs - 5 })
      store.write([
        { type: 'put', key: 'of a batch', value: Buffer.alloc(10), expiresAtMs: clock.nowMs - 5 },
      ])
      store.put('stays', Buffer.alloc(10), { expiresAtMs: clock.nowMs - 5 })
      assert.equal(store.count(), 0)
      assert.equal(control.read(layout.records), recordsLeft - 1)
      await store.close()
    })

    test('many times of expiry, in no order: counts agree at every moment', async (t) => {
      const clock = ownClock(t)
      const random = new Random(seed)
      const store = opened(t, path, { encoding: 'binary' })
      const spaces: Keyspace<unknown>[] = [
        store,
        store.keyspace<unknown>('two', { encoding: 'binary' }),
      ]
      const expected = spaces.map(() => new Map<string, number>())
      for (let round = 0; round < 3000; round++) {
        const space = random.below(2)
        const key = `key ${random.below(400)}`
        const value = Buffer.alloc(random.below(900))
        if (random.chance(0.1)) {
          spaces[space].delete(key)
          expected[space].delete(key)
        } else if (random.chance(0.2)) {
          spaces[space].put(key, value)
          expected[space].set(key, Number.POSITIVE_INFINITY)
        } else {
          const expiresAtMs = clock.nowMs + 1 + random.below(300)
          spaces[space].put(key, value, { expiresAtMs })
          expected[space].set(key, expiresAtMs)
        }
        if (random.chance(0.02)) await store.sync()
        if (random.chance(0.3)) clock.nowMs += random.below(4)
        for (const [index, keyspace] of spaces.entries()) {
          for (const [name, atMs] of expected[index]) {
            if (atMs <= clock.nowMs) expected[index].delete(name)
          }
          if (round % 7 === 0) {
            assert.equal(keyspace.count(), expected[index].size, `VARVE_SEED=${seed}`)
          }
          if (round % 250 === 0) {
            assert.deepEqual(keyspace.keys().toArray(), [...expected[index].keys()].sort())
          }
        }
      }
      assert.deepEqual((await store.verify()).problems, [])
      await store.close()
    })
  })
}

for (const mapping of ['mmap', 'file'] as const) {
  test(`expiry survives closing, kills and other boots (${mapping})`, async (t) => {
    const clock = ownClock(t)
    const parent = temporaryDirectory(t)
    const live = join(parent, 'live')
    const store = open<unknown>(live, { ...options, mapping })
    const all = ['gone', 'later', 'plain', 'seen']
    // Of a key that never expired, the older record must not come back.
    store.put('gone', 'for good')
    await store.sync()
    store.put('gone', 'for a while', { ttlMs: 10 })
    store.put('later', 1, { ttlMs: hourMs })
    store.put('plain', 1)
    store.put('seen', 1, { ttlMs: 20 })
    clock.nowMs += 10
    assert.equal(store.count(), 3)
    clock.nowMs += 10
    assert.equal(store.get('seen'), undefined)
    await store.sync()
    if (mapping === 'mmap') copyAsKilled(live, join(parent, 'killed'))
    await store.close()
    copyStore(live, join(parent, 'copied'))
    for (const name of ['live', 'killed', 'copied']) {
      if (mapping === 'file' && name === 'killed') continue
      // Also where the clock stands before all that was written.
      clock.nowMs -= hourMs / 2
      const again = open<unknown>(join(parent, name), { ...options, mapping })
      requireKeys(again, ['later', 'plain'], all)
      clock.nowMs += 2 * hourMs
      requireKeys(again, ['plain'], all)
      assert.deepEqual((await again.verify()).problems, [])
      await again.close()
      clock.nowMs -= 1.5 * hourMs
    }
  })
}

test('a recovery from a checkpoint knows what expires, and what deletes are remembered', async (t) => {
  const clock = ownClock(t)
  const parent = temporaryDirectory(t)
  const store = open<unknown>(join(parent, 'live'), options)
  const all = ['early', 'late', 'plain', 'removed', 'replaced']
  store.apply({ type: 'put', key: 'plain', value: 1, version: 1 })
  store.put('early', 1, { ttlMs: 10 })
  store.put('late', 1, { ttlMs: 1000 })
  store.put('replaced', 1, { ttlMs: 10 })
  store.put('removed', 1)
  store.delete('removed')
  await store.checkpoint()
  // Behind the checkpoint: what it shows is taken out, and put anew.
  store.put('replaced', 2, { ttlMs: 500 })
  clock.nowMs += 10
  assert.equal(store.count(), 3)
  await store.sync()
  copyStore(join(parent, 'live'), join(parent, 'copied'))
  await store.close()
  const again = open<unknown>(join(parent, 'copied'), options)
  assert.equal(again.stats().lastRecovery.kind, 'replay')
  assert.ok(again.stats().lastRecovery.recordsReplayed < 6, 'from the checkpoint')
  requireKeys(again, ['late', 'plain', 'replaced'], all)
  assert.equal(again.apply({ type: 'put', key: 'removed', value: 1, version: 2 }), 'stale')
  clock.nowMs += 490
  requireKeys(again, ['late', 'plain'], all)
  clock.nowMs += 500
  requireKeys(again, ['plain'], all)
  assert.deepEqual((await again.verify()).problems, [])
  await again.close()
})

test('what is left to be taken out when a store is closed is known by its time', async (t) => {
  const clock = ownClock(t)
  const parent = temporaryDirectory(t)
  const store = open<unknown>(join(parent, 'live'), options)
  store.put('a', 1, { ttlMs: 10 })
  clock.nowMs += 10
  assert.equal(store.get('a'), undefined)
  await store.close()
  copyStore(join(parent, 'live'), join(parent, 'copied'))
  clock.nowMs -= hourMs
  for (const readOnly of [true, false]) {
    const again = open<unknown>(join(parent, 'copied'), { ...options, readOnly })
    assert.equal(again.stats().lastRecovery.kind, 'replay')
    assert.equal(again.get('a'), undefined)
    assert.equal(again.count(), 0)
    await again.close()
  }
})

test('where something is always due it is looked for twice a second, not without end', async (t) => {
  const store = open<Buffer>(temporaryDirectory(t), { encoding: 'binary', syncIntervalMs: 0 })
  const { expiries } = engineOf(store)
  let passes = 0
  const { settleAll } = expiries
  expiries.settleAll = (log) => {
    passes++
    settleAll.call(expiries, log)
  }
  const count = 20_000
  for (let index = 0; index < count; index++) {
    store.put(`key ${index}`, Buffer.alloc(100), { ttlMs: 1 + (index % 2000) })
  }
  const endMs = performance.now() + 2200
  while (performance.now() < endMs) await delay(5)
  // Of 500 ms each, and none of them need be late.
  assert.ok(passes >= 1 && passes <= 8, `${passes} passes in two seconds`)
  assert.equal(store.stats().records, 0)
  await store.close()
})

test('one that only reads counts without what has expired, and changes nothing', async (t) => {
  const clock = ownClock(t)
  const directory = join(temporaryDirectory(t), 'store')
  const store = open<unknown>(directory, options)
  const all = ['a', 'b', 'c']
  store.put('a', 1, { ttlMs: 10 })
  store.put('b', 1, { ttlMs: 20 })
  store.put('c', 1)
  const reader = open<unknown>(directory, { readOnly: true })
  requireKeys(reader, all, all)
  clock.nowMs += 10
  const before = store.stats().sequence
  assert.equal(reader.count(), 2)
  assert.equal(reader.stats().records, 2)
  assert.equal(reader.stats().sequence, before)
  await reader.close()
  await store.close()
  clock.nowMs += 10
  const alone = open<unknown>(directory, { readOnly: true })
  assert.equal(alone.count(), 1)
  assert.equal(alone.has('b'), false)
  assert.deepEqual(
    alone
      .scan()
      .map(({ key }) => key)
      .toArray(),
    ['c'],
  )
  await alone.close()
})

test('counting within a function that holds the store takes out nothing', async (t) => {
  const clock = ownClock(t)
  const store = open<number>(':memory:', options)
  store.put('a', 1, { ttlMs: 10 })
  store.put('b', 1)
  clock.nowMs += 10
  assert.equal(
    store.update('b', () => store.count()),
    1,
  )
  assert.equal(store.count(), 1)
  await store.close()
})

test('an export carries the time of expiry', async (t) => {
  const clock = ownClock(t)
  const store = open<unknown>(':memory:', options)
  store.put('a', 1, { ttlMs: 10 })
  store.put('b', 1, { ttlMs: 20 })
  store.put('c', 1)
  const stream = new PassThrough()
  clock.nowMs += 10
  using snapshot = store.snapshot()
  const [bytes] = await Promise.all([buffer(stream), snapshot.export(stream)])
  const copy = open<unknown>(':memory:', options)
  await copy.import([bytes])
  assert.deepEqual(copy.range().toArray(), [
    ['b', 1],
    ['c', 1],
  ])
  assert.equal(copy.getEntry('b')?.expiresAtMs, clock.nowMs + 10)
  clock.nowMs += 10
  assert.deepEqual(copy.keys().toArray(), ['c'])
  await copy.close()
  await store.close()
})

test('times that are none are refused, and two at once', async () => {
  const store = open<unknown>(':memory:', options)
  const wrong: [string, unknown, typeof TypeError | typeof RangeError][] = [
    ['ttlMs', 0, RangeError],
    ['ttlMs', -1, RangeError],
    ['ttlMs', 1.5, RangeError],
    ['ttlMs', Number.NaN, RangeError],
    ['ttlMs', '5', TypeError],
    ['expiresAtMs', 0, RangeError],
    ['expiresAtMs', 8.64e15 + 2, RangeError],
    ['expiresAtMs', new Date(), TypeError],
  ]
  for (const [name, value, type] of wrong) {
    refused(() => store.put('a', 1, { [name]: value }), type, name)
    refused(() => store.getOrInsert('a', 1, { [name]: value }), type, name)
    const operation = { type: 'put', key: 'a', value: 1, [name]: value } as const
    refused(() => store.write([operation]), type, name)
  }
  refused(() => store.put('a', 1, { ttlMs: 1, expiresAtMs: 1 }), TypeError, 'ttlMs', 'expiresAtMs')
  assert.equal(store.put('a', 1, { ttlMs: 8.64e15 }), true)
  assert.equal(store.getEntry('a')?.expiresAtMs, 8.64e15)
  assert.equal(store.count(), 1)
  await store.close()
})
