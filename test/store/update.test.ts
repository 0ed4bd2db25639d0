/**
 * Goal: update, getOrInsert and increment read and write with nothing in between, and change nothing
 *   where the caller's function fails.
 * Method: every encoding, mapped and not; functions that throw, that read, and that write.
 * Properties checked: what they return, what is found afterwards, and that a refused call leaves
 *   sequence, tail and the writer's word as they were.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Packr } from 'msgpackr'
import { type Keyspace, open, type Store, type ValueEncoding } from '../../src/store/index.js'
import { decodeNumber, encodeNumber } from '../../src/store/number-value.js'
import { temporaryDirectory } from '../support/directory.js'
import { fc } from '../support/properties.js'
import { asStoreError, refused, storeErrorOf, thrownBy } from '../support/store-error.js'

const small = { segmentSizeBytes: 2 ** 20, syncIntervalMs: 0 } as const

/** The action throws, and the store is as before and goes on. */
function refusedWhole(store: Store<unknown>, action: () => unknown): unknown {
  const before = store.stats()
  const error = thrownBy(action)
  const after = store.stats()
  assert.equal(after.sequence, before.sequence)
  assert.equal(after.tail, before.tail)
  assert.ok(store.put('goes on', store.stats().sequence))
  return error
}

describe('update', () => {
  for (const mapping of ['auto', 'file'] as const) {
    test(`puts what the function makes of the value, in place or not (${mapping})`, async (t) => {
      const store = open<number[]>(temporaryDirectory(t), { ...small, mapping })
      assert.deepEqual(
        store.update('a', (current) => [...(current ?? []), 1]),
        [1],
      )
      for (let round = 0; round < 300; round++) {
        const version = store.getEntry('a')?.version ?? 0
        const made = store.update('a', (current = []) => [...current.slice(-20), round])
        assert.deepEqual(store.get('a'), made)
        assert.ok((store.getEntry('a')?.version ?? 0) > version)
        if (round % 50 === 0) await store.sync()
      }
      assert.equal(store.count(), 1)
      await store.close()
    })
  }

  test('removes the key where the function returns undefined, and leaves a missing one', async () => {
    const store = open<number>(':memory:')
    store.put('a', 1)
    assert.equal(
      store.update('a', () => undefined),
      undefined,
    )
    assert.equal(store.has('a'), false)
    const { sequence } = store.stats()
    assert.equal(
      store.update('missing', (current) => current),
      undefined,
    )
    assert.equal(store.stats().sequence, sequence)
    assert.equal(store.count(), 0)
    await store.close()
  })

  const encodings: readonly [ValueEncoding<unknown>, unknown, unknown][] = [
    ['msgpack', { a: [1, null] }, 'text'],
    ['json', { a: [1, null] }, 'text'],
    ['utf8', 'ä', ''],
    ['binary', Buffer.from([0]), Buffer.alloc(0)],
    [{ encode: (value) => Buffer.from(String(value)), decode: String }, 'one', 'two'],
  ]
  for (const [encoding, one, two] of encodings) {
    const name = typeof encoding === 'string' ? encoding : 'custom'
    test(`gives the value as get does (${name})`, async () => {
      const store = open<unknown>(':memory:', { encoding })
      const seen: unknown[] = []
      for (const value of [one, two, one]) {
        store.update('key', (current) => {
          seen.push(current)
          return value
        })
        assert.deepEqual(store.get('key'), value)
      }
      assert.deepEqual(seen, [undefined, one, two])
      await store.close()
    })
  }

  test('of a value in a segment of its own', async (t) => {
    const store = open<Buffer>(temporaryDirectory(t), { ...small, encoding: 'binary' })
    const large = Buffer.alloc(2 ** 19, 7)
    store.update('a', () => large)
    store.update('a', (current) => {
      assert.ok(current?.equals(large))
      return Buffer.concat([current as Buffer, Buffer.from([1])])
    })
    assert.equal(store.get('a')?.length, large.length + 1)
    store.update('a', () => Buffer.alloc(3))
    assert.equal(store.get('a')?.length, 3)
    assert.equal((await store.verify()).ok, true)
    await store.close()
  })

  test('the function may read the store, and fail to write it, without disturbing the update', async () => {
    const store = open<unknown>(':memory:')
    const other = store.keyspace<unknown>('other')
    store.put('b', 2)
    other.put('a', 'of another keyspace')
    const made = store.update('a', (current) => {
      assert.equal(current, undefined)
      assert.equal(store.get('b'), 2)
      assert.equal(other.get('a'), 'of another keyspace')
      assert.equal(store.get('missing'), undefined)
      storeErrorOf(() => store.put('longer key', 1), 'STORE_IN_USE')
      refused(() => store.get('\ud800'), TypeError, 'lone surrogate')
      return 'made'
    })
    assert.equal(made, 'made')
    assert.equal(store.get('a'), 'made')
    assert.deepEqual([store.count(), other.count()], [2, 1])
    // A key that is put while the function only spoiled the key at hand.
    store.update('a', () => {
      refused(() => store.get('\ud800'), TypeError, 'lone surrogate')
      return 'again'
    })
    assert.equal(store.get('a'), 'again')
    assert.equal(store.count(), 2)
    await store.close()
  })

  test('a function that throws, or returns what cannot be stored, changes nothing', async () => {
    const store = open<unknown>(':memory:')
    store.put('a', 1)
    const own = new Error('own')
    const thrower = (): never => {
      throw own
    }
    assert.equal(
      refusedWhole(store, () => store.update('a', thrower)),
      own,
    )
    const promised = refusedWhole(store, () => store.update('a', async () => 2))
    assert.match(String(promised), /TypeError: .*promise/)
    refusedWhole(store, () => store.update('a', () => Symbol('none')))
    refusedWhole(store, () => store.update('a', 5 as unknown as () => 1))
    assert.equal(store.get('a'), 1)
    await store.close()
  })

  test('whatever would write within the function throws STORE_IN_USE at once', async (t) => {
    const store = open<unknown>(temporaryDirectory(t), { ...small, lockTimeoutMs: 60_000 })
    const twin = open<unknown>(store.path, small)
    const used = store.keyspace<unknown>('used')
    store.put('a', 1)
    const attempts: (() => unknown)[] = [
      () => store.put('b', 1),
      () => store.delete('a'),
      () => store.write([{ type: 'put', key: 'b', value: 1 }]),
      () => store.update('b', () => 1),
      () => store.increment('b'),
      () => store.getOrInsert('b', 1),
      () => used.put('b', 1),
      () => store.keyspace('new'),
      () => store.dropKeyspace('used'),
      () => store.range().toArray(),
      () => store.snapshot(),
      () => store.clear(),
      () => twin.put('b', 1),
      () => twin.snapshot(),
    ]
    const beganAtMs = performance.now()
    for (const attempt of attempts) {
      const error = refusedWhole(store, () => store.update('a', attempt))
      assert.match(asStoreError(error, 'STORE_IN_USE').message, /update\(\)/, String(attempt))
    }
    // Not after the time for which one that stands still is waited for.
    assert.ok(performance.now() - beganAtMs < 30_000)
    const failures: Promise<void>[] = []
    store.update('a', () => {
      failures.push(store.close(), store.sync())
      return 2
    })
    for (const { status } of await Promise.allSettled(failures)) assert.equal(status, 'rejected')
    assert.equal(store.get('a'), 2)
    assert.equal(store.has('b'), false)
    await twin.close()
    await store.close()
  })

  test('of one store within that of another is an update of each', async () => {
    const [one, two] = [open<number>(':memory:'), open<number>(':memory:')]
    one.update('a', () => {
      two.update('a', (current = 1) => {
        storeErrorOf(() => one.put('b', 1), 'STORE_IN_USE')
        return current + 1
      })
      two.put('b', 5)
      return 7
    })
    assert.deepEqual([one.get('a'), two.get('a'), two.get('b')], [7, 2, 5])
    await one.close()
    await two.close()
  })
})

describe('getOrInsert', () => {
  test('inserts once, the value or what the function makes', async () => {
    const store = open<unknown>(':memory:')
    assert.equal(store.getOrInsert('a', 1), 1)
    assert.equal(store.getOrInsert('a', 2), 1)
    let calls = 0
    const make = (): string => `made ${++calls}`
    assert.equal(store.getOrInsert('b', make), 'made 1')
    assert.equal(store.getOrInsert('b', make), 'made 1')
    assert.equal(calls, 1)
    store.put('null', null)
    assert.equal(store.getOrInsert('null', 5), null)
    await store.close()
  })

  test('a function that gives nothing to store changes nothing', async () => {
    const store = open<unknown>(':memory:')
    store.put('b', 1)
    for (const bad of [() => undefined, async () => 1, () => Symbol('none')]) {
      assert.ok(refusedWhole(store, () => store.getOrInsert('a', bad)) instanceof TypeError)
    }
    assert.equal(store.has('a'), false)
    await store.close()
  })

  test('what another one inserted while the function was on its way is given', async () => {
    const store = open<number>(':memory:')
    const keyspace: Keyspace<number> = store
    const get = keyspace.get.bind(keyspace)
    let isFirst = true
    // Between the look without the writer's word and the one with it.
    keyspace.get = (key) => {
      const value = get(key)
      if (isFirst) store.put('a', 1)
      isFirst = false
      return value
    }
    assert.equal(
      store.getOrInsert('a', () => assert.fail('called for a key that is there')),
      1,
    )
    await store.close()
  })
})

describe('increment', () => {
  for (const encoding of ['msgpack', 'json'] as const) {
    test(`counts from 0, up and down, whole and not (${encoding})`, async () => {
      const store = open<unknown>(':memory:', { encoding })
      assert.equal(store.increment('n'), 1)
      assert.equal(store.increment('n', 62), 63)
      for (const by of [1, 191, 1, 65_280, 2 ** 32, -(2 ** 33), 0.5, -0.5, -1e300, 1e300]) {
        const before = store.get('n') as number
        assert.equal(store.increment('n', by), before + by)
        assert.equal(store.get('n'), before + by)
      }
      await store.close()
    })
  }

  test('refuses what is no number, and sums that are not exact or not finite', async () => {
    const store = open<unknown>(':memory:')
    const limits: Record<string, unknown> = {
      text: '5',
      big: 5n,
      none: null,
      nan: Number.NaN,
      most: Number.MAX_SAFE_INTEGER,
      large: Number.MAX_VALUE,
    }
    for (const [key, value] of Object.entries(limits)) store.put(key, value)
    for (const key of ['text', 'big', 'none']) {
      refused(() => store.increment(key), TypeError, 'increment accepts a number')
    }
    refused(() => store.increment('nan'), RangeError, 'NaN')
    refused(() => store.increment('most'), RangeError, '2^53')
    refused(() => store.increment('large', Number.MAX_VALUE), RangeError, 'Infinity')
    for (const by of [Number.NaN, Number.POSITIVE_INFINITY, '1', 1n, null]) {
      refused(() => store.increment('n', by as number), TypeError, 'by is')
    }
    for (const [key, value] of Object.entries(limits)) assert.deepEqual(store.get(key), value)
    assert.equal(store.has('n'), false)
    const text = open<unknown>(':memory:', { encoding: 'utf8' })
    text.put('n', '1')
    refused(() => text.increment('n'), TypeError, 'increment accepts a number')
    await store.close()
    await text.close()
  })
})

test('numbers become the bytes that msgpackr makes of them, and are read back', () => {
  const packr = new Packr({ useRecords: true, moreTypes: true })
  const edges = [0, -0, 0x3f, 0x40, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x10000, 2 ** 31, 2 ** 32]
  const near = edges.flatMap((edge) => [edge - 1, edge, edge + 1, -edge - 1, -edge, -edge + 1])
  const special = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0.1, -1e-310]
  const requireSame = (value: number): void => {
    const bytes = Buffer.from(encodeNumber(value))
    assert.deepEqual(bytes, packr.pack(value), String(value))
    assert.equal(
      decodeNumber(Buffer.concat([Buffer.alloc(3), bytes]), 3, bytes.length),
      packr.unpack(bytes),
    )
  }
  for (const value of [...near, ...special]) requireSame(value)
  fc.assert(fc.property(fc.oneof(fc.double(), fc.integer(), fc.maxSafeInteger()), requireSame))
  // What looks like a number and is none is left to msgpackr.
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      if (typeof value === 'number') return
      const bytes = packr.pack(value)
      assert.equal(decodeNumber(bytes, 0, bytes.length), undefined)
    }),
  )
})
