/**
 * Goal: rename, copy and move never lose a value, show it in one place at a time within a store, and carry
 *   its bytes and its expiry.
 * Method: within a keyspace, between keyspaces, between two handles of one store, and between stores, with
 *   equal and other encodings; changes by others in the middle; kills and other boots afterwards.
 * Properties checked: what is where; that a move between stores is synced there first; that a copied
 *   directory is another store, and the same one opened twice is not.
 */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { type Keyspace, open, type Store } from '../../src/store/index.js'
import { copyAsKilled } from '../kill/memory-image.js'
import { copyStore, temporaryDirectory } from '../support/directory.js'
import { refused, storeErrorOf } from '../support/store-error.js'

const options = { segmentSizeBytes: 2 ** 20, syncIntervalMs: 0 } as const

describe('rename', () => {
  for (const mapping of ['mmap', 'file'] as const) {
    test(`puts the value under the other key, and survives (${mapping})`, async (t) => {
      const parent = temporaryDirectory(t)
      const live = join(parent, 'live')
      const store = open<Buffer>(live, { ...options, mapping, encoding: 'binary' })
      const large = Buffer.alloc(2 ** 19, 3)
      const expiresAtMs = Date.now() + 3_600_000
      store.put('a', Buffer.from('a'), { expiresAtMs })
      store.put('large', large)
      store.put('there', Buffer.from('replaced'))
      const version = store.getEntry('a')?.version ?? 0
      assert.equal(store.rename('a', 'b'), true)
      assert.equal(store.has('a'), false)
      assert.equal(store.getEntry('b')?.expiresAtMs, expiresAtMs)
      assert.ok((store.getEntry('b')?.version ?? 0) > version)
      assert.equal(store.rename('large', 'there', { ifAbsent: true }), false)
      assert.equal(store.get('there')?.toString(), 'replaced')
      assert.equal(store.rename('large', 'there'), true)
      assert.equal(store.rename('missing', 'b'), false)
      const { sequence } = store.stats()
      assert.equal(store.rename('b', 'b'), true)
      assert.equal(store.rename('b', 'b', { ifAbsent: true }), false)
      assert.equal(store.rename('missing', 'missing'), false)
      assert.equal(store.stats().sequence, sequence, 'a key renamed to itself stays as it is')
      const requireAll = (one: Store<Buffer>): void => {
        assert.deepEqual(one.keys().toArray(), ['b', 'there'])
        assert.equal(one.count(), 2)
        assert.equal(one.get('b')?.toString(), 'a')
        assert.ok(one.get('there')?.equals(large))
      }
      requireAll(store)
      assert.deepEqual((await store.verify()).problems, [])
      await store.sync()
      if (mapping === 'mmap') copyAsKilled(live, join(parent, 'killed'))
      copyStore(live, join(parent, 'copied'))
      await store.close()
      for (const name of mapping === 'mmap' ? ['killed', 'copied'] : ['copied']) {
        const again = open<Buffer>(join(parent, name), { ...options, mapping })
        requireAll(again)
        await again.close()
      }
    })
  }

  test('takes an expired key for missing, on both sides', async (t) => {
    const clock = { nowMs: Date.now() }
    t.mock.method(Date, 'now', () => clock.nowMs)
    const store = open<number>(':memory:', options)
    store.put('a', 1, { ttlMs: 10 })
    store.put('b', 2, { ttlMs: 20 })
    clock.nowMs += 10
    assert.equal(store.rename('a', 'c'), false)
    assert.equal(store.rename('b', 'a', { ifAbsent: true }), true)
    assert.deepEqual(store.range().toArray(), [['a', 2]])
    clock.nowMs += 10
    assert.equal(store.count(), 0)
    await store.close()
  })

  test('refuses what cannot be, and changes nothing', async () => {
    const store = open<number>(':memory:', options)
    store.put('a', 1)
    refused(() => store.rename('a', '\ud800'), TypeError, 'lone surrogate')
    refused(() => store.rename('a', 'b', { ifVersion: 1 } as never), TypeError, 'ifVersion')
    refused(() => store.copy('a', {} as never), TypeError, 'the other store')
    refused(() => store.move('a', 'path' as never), TypeError, 'the other store')
    storeErrorOf(() => store.update('a', () => Number(store.rename('a', 'b'))), 'STORE_IN_USE')
    assert.deepEqual(store.range().toArray(), [['a', 1]])
    await store.close()
    storeErrorOf(() => store.rename('a', 'b'), 'STORE_CLOSED')
  })
})

describe('copy and move within a store', () => {
  test('between keyspaces, with the same and with other encodings', async () => {
    const store = open<unknown>(':memory:', options)
    const same = store.keyspace<unknown>('same')
    const other = store.keyspace<unknown, number>('other', {
      encoding: 'json',
      keyEncoding: 'ordered',
    })
    store.put('a', { n: 1 })
    assert.equal(store.copy('a', same), true)
    assert.equal(store.copy('a', other, 7), true)
    assert.deepEqual([store.get('a'), same.get('a'), other.get(7)], [{ n: 1 }, { n: 1 }, { n: 1 }])
    const { sequence } = store.stats()
    assert.equal(store.move('a', other, 8), true)
    assert.equal(store.stats().sequence, sequence + 2, 'one batch')
    assert.deepEqual([store.has('a'), other.get(8)], [false, { n: 1 }])
    assert.equal(other.move(8, same, 'a', { ifAbsent: true }), false)
    assert.equal(other.move(8, same, 'b', { ifAbsent: true }), true)
    assert.equal(store.move('missing', same), false)
    // What the other encoding cannot carry stays.
    const text = store.keyspace<string>('text', { encoding: 'utf8' })
    refused(() => same.move('a', text), TypeError, 'utf8')
    assert.equal(same.count(), 2)
    await store.close()
  })

  test('a store that was opened twice is one store', async (t) => {
    const directory = join(temporaryDirectory(t), 'store')
    const store = open<number>(directory, options)
    const twin = open<number>(directory, options)
    store.put('a', 1)
    assert.equal(store.move('a', twin), true, 'to itself')
    assert.equal(store.get('a'), 1)
    assert.equal(store.move('a', twin, 'b'), true)
    assert.deepEqual(store.range().toArray(), [['b', 1]])
    assert.equal(store.copy('b', twin.keyspace<number>('made by the twin')), true)
    assert.equal(store.keyspace('made by the twin').get('b'), 1)
    await twin.close()
    await store.close()
  })

  test('others see the value in one place, never in none or two', async (t) => {
    const directory = join(temporaryDirectory(t), 'store')
    const store = open<number>(directory, options)
    const reader = open<number>(directory, { readOnly: true })
    store.put('a', 1)
    for (let round = 0; round < 200; round++) {
      const [from, to] = round % 2 === 0 ? ['a', 'b'] : ['b', 'a']
      assert.equal(store.rename(from, to), true)
      assert.deepEqual(reader.getMany([from, to]), [undefined, 1])
      assert.equal(reader.count(), 1)
    }
    await reader.close()
    await store.close()
  })
})

describe('copy and move between stores', () => {
  test('carry value and expiry; a move has synced it there before it is gone here', async (t) => {
    const parent = temporaryDirectory(t)
    const one = open<unknown>(join(parent, 'one'), options)
    const two = open<unknown>(join(parent, 'two'), options)
    const expiresAtMs = Date.now() + 3_600_000
    one.put('a', { n: 1 }, { expiresAtMs })
    one.put('b', 2)
    two.put('b', 'there')
    assert.equal(one.copy('a', two), true)
    assert.deepEqual([one.get('a'), two.get('a')], [{ n: 1 }, { n: 1 }])
    assert.equal(two.getEntry('a')?.expiresAtMs, expiresAtMs)
    assert.equal(one.move('b', two, 'b', { ifAbsent: true }), false)
    assert.deepEqual([one.get('b'), two.get('b')], [2, 'there'])
    assert.equal(one.move('b', two.keyspace('k')), true)
    const { durable, tail } = two.stats()
    assert.equal(durable, tail, 'synced')
    assert.equal(one.has('b'), false)
    assert.equal(two.keyspace('k').get('b'), 2)
    assert.equal(one.move('missing', two), false)
    await one.close()
    await two.close()
  })

  test('a copied directory is a store of its own', async (t) => {
    const parent = temporaryDirectory(t)
    const one = open<number>(join(parent, 'one'), options)
    one.put('a', 1)
    await one.sync()
    copyStore(join(parent, 'one'), join(parent, 'two'))
    const two = open<number>(join(parent, 'two'), options)
    one.put('a', 2)
    assert.equal(one.move('a', two), true)
    assert.deepEqual([one.has('a'), two.get('a')], [false, 2])
    await one.close()
    await two.close()
  })

  test('what is changed here meanwhile goes as it is then', async () => {
    const one = open<number>(':memory:', options)
    let change = (): unknown => undefined
    const target = open<number>(':memory:', {
      ...options,
      encoding: {
        encode(value: number) {
          const act = change
          change = () => undefined
          act()
          return Buffer.from(String(value))
        },
        decode: (bytes) => Number(bytes.toString()),
      },
    })
    for (const ifAbsent of [false, true]) {
      one.put('a', 1)
      change = () => one.put('a', 2)
      assert.equal(one.move('a', target, 'a', { ifAbsent }), true)
      assert.deepEqual([one.has('a'), target.get('a')], [false, 2])
      target.delete('a')
    }
    one.put('a', 1)
    change = () => one.delete('a')
    assert.equal(one.move('a', target), true)
    assert.deepEqual([one.has('a'), target.get('a')], [false, 1])
    await one.close()
    await target.close()
  })

  test('where the other store cannot take it, nothing is removed', async (t) => {
    const parent = temporaryDirectory(t)
    const one = open<number>(join(parent, 'one'), options)
    const two = open<number>(join(parent, 'two'), options)
    one.put('a', 1)
    two.put('x', 1)
    const reader = open<number>(join(parent, 'two'), { readOnly: true })
    storeErrorOf(() => one.move('a', reader), 'STORE_READ_ONLY')
    storeErrorOf(() => reader.move('x', one), 'STORE_READ_ONLY')
    assert.equal(reader.copy('x', one), true)
    await two.close()
    storeErrorOf(() => one.move('a', two as Keyspace<number>), 'STORE_CLOSED')
    assert.deepEqual(one.range().toArray(), [
      ['a', 1],
      ['x', 1],
    ])
    await reader.close()
    await one.close()
  })
})
