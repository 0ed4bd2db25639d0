/**
 * Goal: a range gives exactly the entries between its bounds, in the order of key bytes, as the store
 *   was when the iteration began.
 * Method: chosen and random keys of every encoding in several keyspaces, random bounds, against a
 *   sorted list; iterations that are left, broken, or held across writes.
 * Properties checked: entries, keys, values and counts in both directions; what an iteration holds
 *   back is given back however it ends; refusals.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  type Keyspace,
  type OrderedKey,
  open,
  type RangeOptions,
  type Store,
  type StoreKey,
} from '../../src/store/index.js'
import { temporaryDirectory } from '../support/directory.js'
import { engineOf } from '../support/engine-of.js'
import { fc } from '../support/properties.js'
import { refused, storeErrorOf } from '../support/store-error.js'

const segmentSizeBytes = 2 ** 20

function pinsOf<V, K extends StoreKey>(store: Keyspace<V, K>): number {
  return engineOf(store).pins.count
}

/** What a range must give of binary keys. */
function expectedKeys(all: readonly Buffer[], range: RangeOptions<Uint8Array>): Buffer[] {
  const { gt, gte, lt, lte, prefix, reverse, limit } = range
  const kept = [...all].sort(Buffer.compare).filter((key) => {
    if (gt !== undefined && Buffer.compare(key, gt) <= 0) return false
    if (gte !== undefined && Buffer.compare(key, gte) < 0) return false
    if (lt !== undefined && Buffer.compare(key, lt) >= 0) return false
    if (lte !== undefined && Buffer.compare(key, lte) > 0) return false
    return prefix === undefined || key.subarray(0, prefix.length).equals(prefix)
  })
  if (reverse === true) kept.reverse()
  return kept.slice(0, limit ?? kept.length)
}

function hex(keys: Iterable<Uint8Array>): string[] {
  return Array.from(keys, (key) => Buffer.from(key).toString('hex'))
}

function binaryStore(): Store<string, Buffer> {
  return open<string, Buffer>(':memory:', { keyEncoding: 'binary', encoding: 'utf8' })
}

function compareRange(
  store: Store<string, Buffer>,
  all: readonly Buffer[],
  range: RangeOptions<Buffer>,
): void {
  const expected = hex(expectedKeys(all, range))
  assert.deepEqual(hex(store.keys(range)), expected, 'keys')
  assert.deepEqual(store.values(range).toArray(), expected, 'values')
  const entries = store.range(range).toArray()
  assert.deepEqual(
    entries.map(([key, value]) => [key.toString('hex'), value]),
    expected.map((key) => [key, key]),
    'entries',
  )
  assert.equal(store.count(range), expected.length, 'count')
}

const ff = (size: number): Buffer => Buffer.alloc(size, 0xff)

describe('a range gives the keys between its bounds', () => {
  const keys = [
    Buffer.alloc(0),
    ...[
      [0],
      [0, 0],
      [0, 1],
      [1],
      [1, 0],
      [1, 0xff],
      [1, 0xff, 0xff],
      [2],
      [0xfe, 0xff],
      [0xff],
    ].map((bytes) => Buffer.from(bytes)),
    ...[2, 3, 4, 5, 7, 8, 9].map(ff),
    Buffer.from('middle'),
    Buffer.alloc(400, 0x6d),
    Buffer.alloc(65_535, 0x6d),
    ff(65_535),
  ]

  const filled = (): Store<string, Buffer> => {
    const store = binaryStore()
    for (const key of [...keys].reverse()) store.put(key, key.toString('hex'))
    return store
  }

  test('each bound alone, at, between and beyond the keys, in both directions', async () => {
    await using store = filled()
    const bounds = [...keys, Buffer.from([1, 0x80]), Buffer.from('mid'), ff(6)]
    for (const bound of bounds) {
      for (const name of ['gt', 'gte', 'lt', 'lte', 'prefix'] as const) {
        for (const reverse of [false, true]) compareRange(store, keys, { [name]: bound, reverse })
      }
    }
  })

  test('every pair of a lower and an upper bound; where they cross there is nothing', async () => {
    await using store = filled()
    const bounds = keys.slice(0, 14)
    for (const low of bounds) {
      for (const high of bounds) {
        compareRange(store, keys, { gt: low, lte: high })
        compareRange(store, keys, { gte: low, lt: high, reverse: true })
      }
    }
    assert.deepEqual(store.range({ gt: keys[3], lt: keys[3] }).toArray(), [])
    assert.deepEqual(store.range({ gte: keys[3], lt: keys[3] }).toArray(), [])
    assert.equal(store.count({ gte: keys[3], lte: keys[3] }), 1)
    assert.equal(store.count({ gt: keys[5], lt: keys[4] }), 0)
  })

  test('the tighter one of two bounds on a side counts, and a prefix is one more', async () => {
    await using store = filled()
    compareRange(store, keys, { gt: keys[2], gte: keys[5], lt: ff(4), lte: ff(3) })
    compareRange(store, keys, { gt: keys[5], gte: keys[2], lt: ff(3), lte: ff(4) })
    compareRange(store, keys, { gt: keys[5], gte: keys[5], lt: ff(3), lte: ff(3) })
    compareRange(store, keys, { prefix: Buffer.from([1]), gt: Buffer.from([1, 0]) })
    compareRange(store, keys, { prefix: Buffer.from([1]), lt: Buffer.from([1, 0]) })
    compareRange(store, keys, { prefix: Buffer.from([1]), gte: Buffer.from([2]) })
  })

  test('an empty prefix is no bound, and prefixes of nothing but 0xff end with the keyspace', async () => {
    await using store = filled()
    // Behind the end of the keyspace there is another one.
    const next = store.keyspace<string, Buffer>('next', {
      keyEncoding: 'binary',
      encoding: 'utf8',
    })
    next.put(Buffer.alloc(0), 'no')
    next.put(ff(3), 'no')
    compareRange(store, keys, { prefix: Buffer.alloc(0) })
    for (const size of [1, 2, 3, 4, 8, 9, 65_535]) {
      compareRange(store, keys, { prefix: ff(size) })
      compareRange(store, keys, { prefix: ff(size), reverse: true })
    }
    assert.deepEqual(next.keys({ prefix: ff(1) }).toArray(), [ff(3)])
    assert.deepEqual(next.keys({ lt: ff(3) }).toArray(), [Buffer.alloc(0)])
  })

  test('limits: none, 0, fewer, exactly as many, more, and infinite', async () => {
    await using store = filled()
    const limits = [0, 1, 3, keys.length - 1, keys.length, keys.length + 1]
    for (const limit of [...limits, Number.POSITIVE_INFINITY]) {
      compareRange(store, keys, { limit })
      compareRange(store, keys, { limit, reverse: true })
      compareRange(store, keys, { limit, gt: keys[4], lte: ff(2) })
    }
  })

  test('random keys, close to each other, and random bounds', async () => {
    const key = fc
      .array(fc.constantFrom(0, 1, 0x61, 0x80, 0xfe, 0xff), { maxLength: 6 })
      .map((bytes) => Buffer.from(bytes))
    const range = fc.record(
      {
        gt: key,
        gte: key,
        lt: key,
        lte: key,
        prefix: key,
        reverse: fc.boolean(),
        limit: fc.nat(20),
      },
      { requiredKeys: [] },
    )
    const property = fc.asyncProperty(
      fc.array(key, { maxLength: 60 }),
      fc.array(range, { minLength: 1, maxLength: 20 }),
      async (some, ranges) => {
        await using store = binaryStore()
        for (const one of some) store.put(one, one.toString('hex'))
        const all = [...new Set(hex(some))].map((text) => Buffer.from(text, 'hex'))
        for (const one of ranges) compareRange(store, all, one)
        // The same of an index that followed, and was not built.
        for (const one of all.slice(0, 5)) store.delete(one)
        for (const one of ranges) compareRange(store, all.slice(5), one)
      },
    )
    await fc.assert(property, { numRuns: 60 })
  })

  test('of thousands of keys, over many pages, in both directions', async (t) => {
    const path = temporaryDirectory(t)
    await using store = open<number>(path, { encoding: 'json', segmentSizeBytes })
    const keys: string[] = []
    for (let index = 0; index < 5000; index++) {
      const key = `key ${String((index * 7919) % 5000).padStart(5, '0')}`
      store.put(key, index)
      keys.push(key)
    }
    keys.sort()
    assert.deepEqual(store.keys().toArray(), keys)
    assert.deepEqual(store.keys({ reverse: true }).toArray(), [...keys].reverse())
    const [from, to] = ['key 01234', 'key 03456']
    const between = keys.filter((key) => key >= from && key < to)
    assert.deepEqual(store.keys({ gte: from, lt: to }).toArray(), between)
    const last = keys.filter((key) => key <= to).slice(-100)
    assert.deepEqual(store.keys({ lte: to, reverse: true, limit: 100 }).toArray(), last.reverse())
    assert.equal(store.count({ prefix: 'key 01' }), 1000)
    for (const [key, value] of store.range({ prefix: 'key 0123' })) {
      assert.equal(value, store.get(key))
    }
  })
})

describe('keys sort', () => {
  test('as their UTF-8 bytes do, not as UTF-16 does', async () => {
    await using store = open<number>(':memory:')
    const keys = ['', '\0', 'Z', 'a', 'é', 'ﬀ', '\uffff', '😀', '\u{10ffff}']
    for (const key of [...keys].reverse()) store.put(key, 1)
    assert.deepEqual(store.keys().toArray(), keys)
    assert.deepEqual(store.keys({ gt: '\uffff' }).toArray(), ['😀', '\u{10ffff}'])
    assert.deepEqual(store.keys({ prefix: '' }).toArray(), keys)
  })

  test('with the encoding "ordered", as their values do', async () => {
    await using store = open<number, OrderedKey>(':memory:', { keyEncoding: 'ordered' })
    const numbers = [
      Number.NEGATIVE_INFINITY,
      -1e300,
      -2,
      -1.5,
      -1,
      0,
      5e-324,
      0.5,
      1,
      2,
      10,
      1e300,
    ]
    for (const key of [...numbers].reverse()) store.put(key, key)
    assert.deepEqual(store.keys().toArray(), numbers)
    assert.deepEqual(store.values({ gte: -1.5, lt: 1 }).toArray(), [-1.5, -1, 0, 5e-324, 0.5])
    assert.deepEqual(store.keys({ prefix: 10 }).toArray(), [10])
    const pairs: OrderedKey[] = [['a'], ['a', -1], ['a', 2], ['a', 10], ['a', 'x'], ['b'], ['b', 0]]
    for (const key of [...pairs].reverse()) store.put(key, 0)
    assert.deepEqual(store.keys({ gte: ['a'], lt: ['b'] }).toArray(), pairs.slice(0, 5))
    assert.deepEqual(store.keys({ gte: ['b'], reverse: true }).toArray(), [['b', 0], ['b']])
    store.put('a', 0)
    store.put(['aa', 1], 0)
    store.put(['a', 2, true], 0)
    const ofA = [...pairs.slice(0, 3), ['a', 2, true], ...pairs.slice(3, 5)]
    assert.deepEqual(store.keys({ prefix: ['a'] }).toArray(), ofA)
    assert.deepEqual(store.keys({ prefix: ['a', 2] }).toArray(), [
      ['a', 2],
      ['a', 2, true],
    ])
  })

  test('in keyspaces of their own: neighbours never meet', async () => {
    await using store = open<number>(':memory:')
    const spaces = ['one', 'two', 'three'].map((name) => store.keyspace<number>(name))
    const all = [store, ...spaces]
    all.forEach((space, index) => {
      for (const key of ['', 'a', 'b', '\u{10ffff}']) space.put(key, index)
    })
    for (const [index, space] of all.entries()) {
      for (const reverse of [false, true]) {
        assert.deepEqual(space.values({ reverse }).toArray(), [index, index, index, index])
        assert.equal(space.count({ gte: '', reverse }), 4)
        assert.equal(space.count({ lt: 'b', reverse }), 2)
      }
    }
    assert.deepEqual(store.keyspace('empty').keys().toArray(), [])
  })
})

describe('a lazy sequence', () => {
  const filled = (count = 1000): Store<number> => {
    const store = open<number>(':memory:', { encoding: 'json' })
    for (let index = 0; index < count; index++) store.put(String(index).padStart(5, '0'), index)
    return store
  }

  test('is changed, chosen from and cut without being read further than asked', async () => {
    await using store = filled()
    let calls = 0
    const sequence = store
      .values()
      .map((value) => {
        calls++
        return value * 2
      })
      .filter((value) => value % 3 === 0)
      .take(5)
    assert.equal(calls, 0)
    assert.deepEqual(sequence.toArray(), [0, 6, 12, 18, 24])
    assert.equal(calls, 13)
    assert.deepEqual([...sequence], [0, 6, 12, 18, 24], 'every iteration begins anew')
    assert.deepEqual(store.keys().take(0).toArray(), [])
    assert.equal(pinsOf(store), 0)
  })

  test('gives its snapshot back at its end, on break, return and throw', async () => {
    await using store = filled()
    // Behind the last batch there is nothing to hold back.
    for (const key of store.keys()) if (key < '00900') assert.equal(pinsOf(store), 1, key)
    for (const key of store.keys({ limit: 3 })) assert.equal(pinsOf(store), 0, key)
    assert.equal(pinsOf(store), 0)
    for (const _ of store.range()) break
    assert.equal(pinsOf(store), 0)
    const [first] = store.keys()
    assert.equal(first, '00000')
    assert.equal(pinsOf(store), 0)
    const leave = (): number => {
      for (const value of store.values()) if (value === 500) return value
      return -1
    }
    assert.equal(leave(), 500)
    assert.equal(pinsOf(store), 0)
    assert.throws(() => {
      for (const _ of store.range()) throw new Error('enough')
    }, /enough/)
    const failing = store.values().map((value) => {
      if (value === 200) throw new Error('no map')
      return value
    })
    assert.throws(() => failing.toArray(), /no map/)
    const refusing = store.values().filter(() => {
      throw new Error('no filter')
    })
    assert.throws(() => refusing.toArray(), /no filter/)
    store.keys().take(3).toArray()
    for (const _ of store
      .range()
      .map((entry) => entry)
      .filter(() => true))
      break
    assert.equal(pinsOf(store), 0)
    const never = store
      .range()
      .map((entry) => entry)
      [Symbol.iterator]()
    never.return?.()
    assert.equal(pinsOf(store), 0, 'left before its first step')
  })

  test('gives its snapshot back where a value cannot be decoded, and says which key it was', async () => {
    await using store = open<unknown>(':memory:', {
      encoding: {
        encode: (value) => value as Buffer,
        decode: (bytes) => {
          if (bytes[0] === 1) throw new Error('not mine')
          return bytes
        },
      },
    })
    for (let index = 0; index < 3; index++) store.put(`key ${index}`, Buffer.from([index]))
    const error = storeErrorOf(() => store.range().toArray(), 'STORE_CORRUPT')
    assert.equal(error.details.key, 'key 1')
    storeErrorOf(() => store.values().toArray(), 'STORE_CORRUPT')
    assert.deepEqual(store.keys().toArray(), ['key 0', 'key 1', 'key 2'])
    assert.equal(pinsOf(store), 0)
  })

  test('is read asynchronously, and gives its snapshot back on break', async () => {
    await using store = filled()
    const keys: string[] = []
    for await (const key of store.keys()) keys.push(key)
    assert.deepEqual(keys, store.keys().toArray())
    const values: number[] = []
    for await (const value of store
      .values({ reverse: true })
      .map((value) => value + 1)
      .take(3)) {
      values.push(value)
    }
    assert.deepEqual(values, [1000, 999, 998])
    for await (const _ of store.range()) {
      assert.equal(pinsOf(store), 1)
      break
    }
    assert.equal(pinsOf(store), 0)
  })

  test('lets the event loop turn while it is read asynchronously', async () => {
    await using store = filled(2000)
    let turns = 0
    let isOver = false
    const turn = (): void => {
      turns++
      if (!isOver) setImmediate(turn)
    }
    setImmediate(turn)
    for await (const _ of store.keys()) {
      // What is read does not matter.
    }
    isOver = true
    assert.ok(turns >= 4, `the event loop turned ${turns} times`)
  })

  test('shows the store as it was when the iteration began, also behind map, filter and take', async () => {
    await using store = filled(300)
    const iterators = [
      store.keys()[Symbol.iterator](),
      store
        .keys()
        .map((key) => key)
        [Symbol.iterator](),
      store
        .keys()
        .filter(() => true)
        [Symbol.iterator](),
      store.keys().take(300)[Symbol.iterator](),
    ]
    const asynchronous = store.keys()[Symbol.asyncIterator]()
    store.delete('00000')
    store.put('00000a', 1)
    store.put('99999', 1)
    for (const iterator of iterators) {
      assert.deepEqual(
        [...iterator],
        Array.from({ length: 300 }, (_, index) => String(index).padStart(5, '0')),
      )
    }
    let count = 0
    while ((await asynchronous.next()).done !== true) count++
    assert.equal(count, 300)
    assert.equal(store.count({}), 301)
    assert.equal(pinsOf(store), 0)
  })

  test('takes a whole number of items', async () => {
    await using store = filled(1)
    for (const count of [-1, 1.5, Number.NaN]) {
      refused(() => store.keys().take(count), RangeError, 'count', String(count))
    }
  })
})

describe('an iteration held across writes shows none of them', () => {
  type Change = (store: Store<string>, key: (index: number) => string) => void
  const changes: Record<string, Change> = {
    'updates in place': (store, key) => {
      for (let index = 0; index < 1000; index++) store.put(key(index), 'other 1')
    },
    'updates that are appended': (store, key) => {
      for (let index = 0; index < 1000; index++) store.put(key(index), 'x'.repeat(300 + index))
    },
    deletes: (store, key) => {
      for (let index = 0; index < 1000; index += 2) store.delete(key(index))
    },
    'deletes of everything, and the same keys again': (store, key) => {
      for (let index = 0; index < 1000; index++) store.delete(key(index))
      for (let index = 0; index < 1000; index++) store.put(key(index), 'again')
    },
    'new keys between the old ones': (store, key) => {
      for (let index = 0; index < 1000; index++) store.put(`${key(index)}+`, 'new')
    },
    batches: (store, key) => {
      for (let first = 0; first < 1000; first += 100) {
        store.write(
          Array.from({ length: 100 }, (_, index) =>
            index % 3 === 0
              ? { type: 'delete', key: key(first + index) }
              : {
                  type: 'put',
                  key: `${key(first + index)}${index % 2 === 0 ? '' : '-'}`,
                  value: '',
                },
          ),
        )
      }
    },
    'another keyspace, and its end': (store) => {
      const other = store.keyspace<string>('other')
      for (let index = 0; index < 1000; index++) other.put(`${index}`, '')
      store.dropKeyspace('other')
    },
    'values in segments of their own': (store, key) => {
      for (let index = 0; index < 4; index++) store.put(key(index * 250), 'l'.repeat(300_000))
    },
  }

  for (const [name, change] of Object.entries(changes)) {
    test(name, async (t) => {
      const path = temporaryDirectory(t)
      await using store = open<string>(path, { encoding: 'utf8', segmentSizeBytes })
      const key = (index: number): string => `key ${String(index).padStart(4, '0')}`
      for (let index = 0; index < 1000; index++) store.put(key(index), `value ${index}`)
      const expected = Array.from({ length: 1000 }, (_, index) => [key(index), `value ${index}`])
      const forward = store.range()[Symbol.iterator]()
      const backward = store.range({ reverse: true })[Symbol.iterator]()
      // One has read a batch, the other nothing.
      const begun = Array.from({ length: 10 }, () => forward.next().value as [string, string])
      change(store, key)
      assert.deepEqual([...begun, ...forward], expected)
      assert.deepEqual([...backward], expected.reverse())
      assert.equal(pinsOf(store), 0)
      const live = store.keys().toArray()
      assert.equal(live.length, store.count())
      for (const one of live) assert.ok(store.has(one), one)
    })
  }
})

test('the ordered index grows by whoever writes, and all that have the store open follow it', async (t) => {
  const path = temporaryDirectory(t)
  const shared = { encoding: 'utf8', segmentSizeBytes, syncIntervalMs: 0 } as const
  await using first = open<string>(path, shared)
  await using second = open<string>(path, shared)
  assert.equal(first.count({}), 0)
  // More than the first piece of the index, 1 MiB, has room for.
  const key = (index: number): string => `${(index * 7919) % 100_003} ${'k'.repeat(60)}`
  for (let index = 0; index < 20_000; index++) second.put(key(index), '')
  assert.ok(engineOf(second).order.sizeBytes > 2 ** 20)
  for (let index = 20_000; index < 21_000; index++) first.put(key(index), '')
  for (let index = 0; index < 20_000; index++) first.delete(key(index))
  for (let index = 0; index < 100; index++) second.put(key(index), '')
  for (const store of [first, second]) {
    assert.equal(store.count({}), 1100)
    assert.equal(store.count(), 1100)
  }
})

describe('a range is refused', () => {
  test('with options that are none', async () => {
    await using store = open(':memory:')
    const reads = [
      (range: RangeOptions<string>) => store.range(range).toArray(),
      (range: RangeOptions<string>) => store.keys(range).toArray(),
      (range: RangeOptions<string>) => store.values(range).toArray(),
      (range: RangeOptions<string>) => store.count(range),
    ]
    for (const read of reads) {
      const wrong =
        (range: object): (() => unknown) =>
        () =>
          read(range as RangeOptions<string>)
      refused(wrong({ start: 'a' }), TypeError, 'start', 'gte')
      refused(wrong({ reverse: 1 }), TypeError, 'reverse', '1')
      for (const limit of [-1, 0.5, Number.NaN, '3']) {
        refused(wrong({ limit }), RangeError, 'limit')
      }
      for (const bound of ['gt', 'gte', 'lt', 'lte', 'prefix']) {
        refused(wrong({ [bound]: 5 }), TypeError, 'key', '5')
        refused(wrong({ [bound]: 'x'.repeat(65_536) }), RangeError, '65,535')
      }
      refused(() => read(null as never), TypeError, 'range', 'null')
      refused(() => read('a' as never), TypeError, 'range')
    }
    assert.equal(pinsOf(store), 0)
  })

  test('where the store is closed, also in the middle', async () => {
    const store = open<number>(':memory:')
    for (let index = 0; index < 1000; index++) store.put(String(index), index)
    const sequence = store.range()
    const iterator = store.keys()[Symbol.iterator]()
    iterator.next()
    await store.close()
    storeErrorOf(() => store.range().toArray(), 'STORE_CLOSED')
    storeErrorOf(() => sequence.toArray(), 'STORE_CLOSED')
    storeErrorOf(() => store.count({}), 'STORE_CLOSED')
    storeErrorOf(() => [...iterator], 'STORE_CLOSED')
    iterator.return?.()
  })
})
