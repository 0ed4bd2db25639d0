/**
 * Goal: a transaction sees what it wrote, becomes visible whole when its function returns, and is
 *   nothing at all where that throws.
 * Method: every operation of a transaction against a model, in every key encoding; functions that throw
 *   at any point, return promises, nest, or go past the transaction.
 * Properties checked: what is read within and behind it; sequences; a refused transaction leaves
 *   sequence, tail and keyspaces as they were, and the store goes on.
 */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import {
  type KeyEncoding,
  open,
  type Store,
  StoreError,
  type StoreKey,
  type Transaction,
} from '../../src/store/index.js'
import { copyAsKilled } from '../kill/memory-image.js'
import { copyStore, temporaryDirectory } from '../support/directory.js'
import { Random } from '../support/random.js'
import { seed } from '../support/seed.js'
import { asStoreError, refused, storeErrorOf, thrownBy } from '../support/store-error.js'

const options = { segmentSizeBytes: 2 ** 20, syncIntervalMs: 0 } as const

function rolledBack(store: Store<unknown>, action: (tx: Transaction<unknown>) => unknown): unknown {
  const before = store.stats()
  const names = store.keyspaces()
  const error = thrownBy(() => store.transaction(action))
  const after = store.stats()
  assert.equal(after.sequence, before.sequence)
  assert.equal(after.tail, before.tail)
  assert.deepEqual(store.keyspaces(), names)
  assert.ok(store.put('goes on', after.sequence))
  return error
}

describe('a transaction', () => {
  test('reads its own writes, and is there as a whole when it returns', async () => {
    const store = open<unknown>(':memory:', options)
    const users = store.keyspace<unknown>('users')
    store.put('a', 1)
    store.put('b', 'old')
    const { sequence } = store.stats()
    const result = store.transaction((tx) => {
      assert.equal(tx.get('a'), 1)
      assert.equal(tx.put('a', 2), true)
      assert.equal(tx.get('a'), 2)
      assert.equal(tx.increment('a', 5), 7)
      assert.equal(tx.delete('b'), true)
      assert.equal(tx.has('b'), false)
      assert.equal(tx.delete('b'), false)
      assert.equal(tx.delete('missing'), false)
      const inUsers = tx.keyspace<string>('users')
      inUsers.put('a', 'another key')
      assert.equal(inUsers.get('a'), 'another key')
      assert.equal(tx.get('a'), 7)
      assert.equal(
        tx.getOrInsert('c', () => 'made'),
        'made',
      )
      assert.equal(tx.getOrInsert('c', 'not again'), 'made')
      assert.equal(
        tx.update('d', (value) => (value === undefined ? 'new' : 'there')),
        'new',
      )
      assert.equal(
        tx.update('d', (value) => `${value} and changed`),
        'new and changed',
      )
      // Nothing of it is there yet.
      assert.deepEqual([store.get('a'), store.get('b'), store.get('c')], [1, 'old', undefined])
      assert.equal(users.count(), 0)
      return 'the result'
    })
    assert.equal(result, 'the result')
    assert.deepEqual(store.range().toArray(), [
      ['a', 7],
      ['c', 'made'],
      ['d', 'new and changed'],
    ])
    assert.equal(users.get('a'), 'another key')
    assert.equal(store.stats().sequence, sequence + 5, 'one write for each key')
    await store.close()
  })

  test('makes a keyspace that it writes to, and none that it only reads', async () => {
    const store = open<unknown>(':memory:', options)
    store.transaction((tx) => {
      tx.keyspace('written').put('a', 1)
      assert.equal(tx.keyspace('read').get('a'), undefined)
    })
    assert.deepEqual(store.keyspaces(), ['written'])
    assert.equal(store.keyspace('written').get('a'), 1)
    await store.close()
  })

  test('conditions and entries are those of what it sees', async () => {
    const store = open<unknown>(':memory:', options)
    store.put('a', 1)
    const version = store.getEntry('a')?.version ?? 0
    store.transaction((tx) => {
      assert.equal(tx.getEntry('a')?.version, version)
      assert.equal(tx.put('a', 2, { ifAbsent: true }), false)
      assert.equal(tx.put('a', 2, { ifVersion: version + 1 }), false)
      assert.equal(tx.put('a', 2, { ifVersion: version }), true)
      assert.equal(tx.put('a', 3, { ifVersion: version }), false)
      const entry = tx.getEntry('a')
      assert.deepEqual([entry?.value, entry?.version, entry?.sequence], [2, 0, 0])
      assert.equal(tx.put('a', 3, { ifVersion: 0 }), true)
      assert.equal(tx.delete('a', { ifVersion: version }), false)
      assert.equal(tx.put('b', 1, { ifAbsent: true }), true)
      assert.equal(tx.put('b', 2, { ifAbsent: true }), false)
      assert.equal(tx.delete('b'), true)
      assert.equal(tx.getEntry('b'), undefined)
      assert.equal(tx.put('b', 3, { ifAbsent: true }), true)
    })
    assert.deepEqual([store.get('a'), store.get('b')], [3, 3])
    assert.ok((store.getEntry('a')?.version ?? 0) > version)
    await store.close()
  })

  test('expiry is set, kept, and over, as outside', async (t) => {
    const clock = { nowMs: Date.now() }
    t.mock.method(Date, 'now', () => clock.nowMs)
    const store = open<unknown>(':memory:', options)
    store.put('kept', 1, { ttlMs: 10 })
    store.put('cleared', 1, { ttlMs: 10 })
    store.transaction((tx) => {
      tx.increment('kept')
      tx.put('cleared', 2)
      tx.put('set', 1, { ttlMs: 5 })
      tx.put('short', 1, { ttlMs: 1 })
      assert.equal(tx.getEntry('set')?.expiresAtMs, clock.nowMs + 5)
      clock.nowMs += 1
      assert.equal(tx.get('short'), undefined)
      assert.equal(tx.has('short'), false)
      assert.equal(tx.put('short', 2, { ifAbsent: true, ttlMs: 1 }), true)
    })
    assert.equal(store.count(), 4)
    clock.nowMs += 4
    assert.deepEqual(store.keys().toArray(), ['cleared', 'kept'])
    clock.nowMs += 5
    assert.deepEqual(store.keys().toArray(), ['cleared'])
    assert.equal(store.count(), 1)
    await store.close()
  })

  for (const mapping of ['mmap', 'file'] as const) {
    test(`of small and large values survives what it may (${mapping})`, async (t) => {
      const directory = temporaryDirectory(t)
      const live = join(directory, 'live')
      const store = open<Buffer>(live, { ...options, mapping, encoding: 'binary' })
      const random = new Random(seed)
      const sizes = [0, 1, 8, 1024, 1025, 70_000, 2 ** 18 + 1, 2 ** 20]
      const values = sizes.map((size) => random.bytes(size))
      store.transaction((tx) => {
        values.forEach((value, index) => {
          const given = Buffer.from(value)
          tx.put(`key ${index}`, given)
          // The caller may use its memory again.
          given.fill(0)
          assert.ok(tx.get(`key ${index}`)?.equals(value))
        })
      })
      const requireAll = (one: Store<Buffer>): void => {
        values.forEach((value, index) => {
          assert.ok(one.get(`key ${index}`)?.equals(value), `VARVE_SEED=${seed}`)
        })
      }
      requireAll(store)
      assert.deepEqual((await store.verify()).problems, [])
      if (mapping === 'mmap') copyAsKilled(live, join(directory, 'killed'))
      copyStore(live, join(directory, 'copied'))
      await store.close()
      for (const name of mapping === 'mmap' ? ['killed', 'copied'] : ['copied']) {
        const again = open<Buffer>(join(directory, name), { ...options, mapping })
        requireAll(again)
        await again.close()
      }
    })
  }

  const keySets: Record<KeyEncoding, [StoreKey, StoreKey][]> = {
    utf8: [
      ['a', 'a'],
      ['ä', 'ä'],
      ['', ''],
    ],
    binary: [
      [Buffer.from([0xff, 0]), Uint8Array.of(0xff, 0)],
      [Buffer.from('ä'), Buffer.from([0xc3, 0xa4])],
    ],
    ordered: [
      [1, 1],
      [
        ['a', 1],
        ['a', 1],
      ],
      [-0, 0],
      ['text', 'text'],
    ],
  }
  for (const [keyEncoding, pairs] of Object.entries(keySets)) {
    test(`finds its own writes by the bytes of the key (${keyEncoding})`, async () => {
      const store = open<unknown, StoreKey>(':memory:', {
        ...options,
        keyEncoding: keyEncoding as KeyEncoding,
      })
      store.transaction((tx) => {
        pairs.forEach(([one, other], index) => {
          tx.put(one, index)
          assert.equal(tx.get(other), index)
        })
      })
      assert.equal(store.count(), pairs.length)
      pairs.forEach(([one], index) => {
        assert.equal(store.get(one), index)
      })
      await store.close()
    })
  }

  test('that throws, at whatever point, or returns a promise, changes nothing', async () => {
    const store = open<unknown>(':memory:', options)
    store.put('a', 1)
    const own = new Error('own')
    for (let point = 0; point < 5; point++) {
      const error = rolledBack(store, (tx) => {
        const steps = [
          () => tx.put('a', 2),
          () => tx.delete('a'),
          () => tx.keyspace('new').put('a', 2),
          () => tx.put('large', Buffer.alloc(2 ** 19)),
        ]
        for (const step of steps.slice(0, point)) step()
        throw own
      })
      assert.equal(error, own)
    }
    let later: Promise<unknown> | undefined
    const promised = rolledBack(store, (tx) => {
      tx.put('a', 3)
      later = (async () => {
        await null
        tx.put('a', 4)
      })()
      return later
    })
    assert.ok(promised instanceof TypeError && promised.message.includes('promise'))
    await assert.rejects(later as Promise<unknown>, (error) => {
      return error instanceof StoreError && error.code === 'STORE_CLOSED'
    })
    refused(() => store.transaction(null as never), TypeError, 'action', 'function')
    assert.ok(rolledBack(store, (tx) => tx.put('a', undefined)) instanceof TypeError)
    assert.ok(rolledBack(store, (tx) => tx.put('\ud800', 1)) instanceof TypeError)
    assert.ok(rolledBack(store, (tx) => tx.update('a', async () => 1)) instanceof TypeError)
    assert.ok(rolledBack(store, (tx) => tx.increment('a', Number.NaN)) instanceof TypeError)
    assert.equal(store.get('a'), 1)
    await store.close()
  })

  test('an error that its function catches is no end of it', async () => {
    const store = open<unknown>(':memory:', options)
    store.transaction((tx) => {
      tx.put('a', 1)
      refused(() => tx.put('\ud800', 1), TypeError, 'lone surrogate')
      refused(() => tx.put('b', Symbol('none')), TypeError, 'msgpack')
      storeErrorOf(() => store.put('b', 1), 'STORE_IN_USE')
      tx.put('c', 1)
    })
    assert.deepEqual(store.keys().toArray(), ['a', 'c'])
    await store.close()
  })

  test('refuses to nest, and to be gone past', async (t) => {
    const store = open<unknown>(join(temporaryDirectory(t), 'store'), options)
    const twin = open<unknown>(store.path, options)
    const attempts: (() => unknown)[] = [
      () => store.transaction(() => 1),
      () => twin.transaction(() => 1),
      () => store.put('a', 1),
      () => store.update('a', () => 1),
      () => store.range().toArray(),
      () => store.snapshot(),
      () => store.keyspace('new'),
    ]
    store.put('there', 1)
    for (const attempt of attempts) {
      const error = rolledBack(store, (tx) => {
        tx.put('a', 1)
        attempt()
      })
      assert.match(asStoreError(error, 'STORE_IN_USE').message, /transaction\(\)/, String(attempt))
    }
    let kept: Transaction<unknown> | undefined
    store.transaction((tx) => {
      kept = tx
    })
    for (const use of [
      () => kept?.get('a'),
      () => kept?.put('a', 1),
      () => kept?.delete('a'),
      () => kept?.keyspace('other'),
      () => kept?.increment('a'),
      () => kept?.getOrInsert('a', 1),
    ]) {
      storeErrorOf(use, 'STORE_CLOSED')
    }
    await twin.close()
    await store.close()
    storeErrorOf(() => store.transaction(() => 1), 'STORE_CLOSED')
  })

  test('with a full disk behind it leaves everything as it was', async (t) => {
    const store = open<unknown>(join(temporaryDirectory(t), 'store'), options)
    store.put('a', 1)
    const big = 'x'.repeat(200_000)
    const platform = (store as unknown as { engine: { platform: { openFile: unknown } } }).engine
      .platform
    const { openFile } = platform
    // No file can be made any more: the segment that the batch needs cannot be.
    platform.openFile = () => {
      throw new StoreError('STORE_FULL', 'no space, as the test wants it')
    }
    const error = thrownBy(() =>
      store.transaction((tx) => {
        for (let index = 0; index < 10; index++) tx.put(`key ${index}`, big)
        tx.put('a', 2)
      }),
    )
    platform.openFile = openFile
    asStoreError(error, 'STORE_FULL')
    assert.deepEqual(store.range().toArray(), [['a', 1]])
    store.transaction((tx) => tx.put('a', 3))
    assert.equal(store.get('a'), 3)
    assert.deepEqual((await store.verify()).problems, [])
    await store.close()
  })
})
