/**
 * The documented behaviour of a key-value store, as tests that anybody can run: against a store, against
 * something in front of one, or in the place of one.
 */
import assert from 'node:assert/strict'
import { StoreError } from '../base/errors.js'
import type { StoreKey } from '../store/encoding.js'
import type { KeyspaceOptions } from '../store/options.js'
import { requireFunction } from '../store/read-modify-write.js'
import type { KeyValueStore } from './key-value-store.js'

/** What can be left out of the suite, for something that has less than a store. */
export const conformanceGroups = [
  'points',
  'conditions',
  'updates',
  'batches',
  'transactions',
  'ranges',
  'counts',
  'snapshots',
  'expiry',
  'keyspaces',
  'encodings',
  'errors',
] as const

export type ConformanceGroup = (typeof conformanceGroups)[number]

export interface ConformanceOptions {
  /** Registers a test, or runs it: `test` of `node:test`, `it` of another runner. */
  readonly test: (name: string, action: () => Promise<void>) => unknown
  /** A new, empty store for each test, which closes it. */
  readonly open: <V, K extends StoreKey>(
    options: KeyspaceOptions<V>,
  ) => KeyValueStore<V, K> | Promise<KeyValueStore<V, K>>
  /** Groups that do not hold there. Default: none. */
  readonly without?: readonly ConformanceGroup[]
}

type Json = KeyValueStore<unknown, string>
type Binary = KeyValueStore<Uint8Array, Uint8Array>

interface Check {
  readonly group: ConformanceGroup
  readonly name: string
  readonly run: (options: ConformanceOptions) => Promise<void>
}

const checks: Check[] = []

/** A check on a store of JSON values and text keys. */
function check(group: ConformanceGroup, name: string, action: (store: Json) => void): void {
  checks.push({
    ...{ group, name },
    run: async ({ open }) => {
      const store = await open<unknown, string>({ encoding: 'json', keyEncoding: 'utf8' })
      try {
        action(store)
      } finally {
        await store.close()
      }
    },
  })
}

function checkBinary(group: ConformanceGroup, name: string, action: (store: Binary) => void): void {
  checks.push({
    ...{ group, name },
    run: async ({ open }) => {
      const store = await open<Uint8Array, Uint8Array>({
        encoding: 'binary',
        keyEncoding: 'binary',
      })
      try {
        action(store)
      } finally {
        await store.close()
      }
    },
  })
}

/**
 * Registers, or runs, the tests of the documented behaviour.
 *
 * ```ts
 * import { test } from 'node:test'
 * conformanceSuite({ test, open: (options) => open(':memory:', options) })
 * ```
 */
export function conformanceSuite(options: ConformanceOptions): void {
  const { open, test, without = [] } = options
  requireFunction('test', test)
  requireFunction('open', open)
  for (const group of without) {
    if (conformanceGroups.includes(group)) continue
    throw new TypeError(
      `unknown group "${String(group)}"; accepted: ${conformanceGroups.join(', ')}`,
    )
  }
  for (const { group, name, run } of checks) {
    if (!without.includes(group)) test(`${group}: ${name}`, () => run(options))
  }
}

function isStoreError(code: string): (error: unknown) => boolean {
  return (error) => error instanceof StoreError && error.code === code
}

check('points', 'a missing key is undefined, never an error', (store) => {
  assert.equal(store.get('a'), undefined)
  assert.equal(store.getEntry('a'), undefined)
  assert.equal(store.has('a'), false)
  assert.equal(store.delete('a'), false)
  assert.deepEqual(store.getMany(['a', 'b']), [undefined, undefined])
  assert.equal(store.lastEntry(), undefined)
})

check('points', 'what was put is read, until it is put again or deleted', (store) => {
  assert.equal(store.put('a', 1), true)
  assert.equal(store.get('a'), 1)
  assert.equal(store.put('a', { deep: [1, 'two', null] }), true)
  assert.deepEqual(store.get('a'), { deep: [1, 'two', null] })
  assert.equal(store.delete('a'), true)
  assert.equal(store.get('a'), undefined)
  assert.equal(store.delete('a'), false)
  store.put('a', 2)
  assert.equal(store.get('a'), 2)
})

check(
  'points',
  'getMany keeps the order of its keys, repeats and missing ones included',
  (store) => {
    for (let index = 0; index < 200; index++) store.put(`k${index}`, index)
    const keys = ['k7', 'none', 'k199', 'k7', '', 'k0']
    assert.deepEqual(store.getMany(keys), [7, undefined, 199, 7, undefined, 0])
    assert.deepEqual(store.getMany(new Set(['k1', 'k2'])), [1, 2])
    assert.deepEqual(store.getMany([]), [])
  },
)

check('points', 'versions and sequences rise with every write; an entry has them', (store) => {
  store.put('a', 1)
  const first = store.getEntry('a')
  store.put('b', 1)
  store.put('a', 2)
  const second = store.getEntry('a')
  assert.ok(first !== undefined && second !== undefined)
  assert.ok(second.version > first.version && second.sequence > first.sequence)
  assert.deepEqual([second.key, second.value], ['a', 2])
  assert.ok(second.timestampMs >= first.timestampMs)
  store.delete('a')
  store.put('a', 3)
  assert.ok((store.getEntry('a')?.version ?? 0) > second.version)
})

check('points', 'the entry written last is the one of the highest sequence', (store) => {
  for (const key of ['a', 'b', 'c']) store.put(key, key)
  store.put('a', 'again')
  assert.deepEqual([store.lastEntry()?.key, store.lastEntry()?.value], ['a', 'again'])
  store.delete('a')
  assert.equal(store.lastEntry()?.key, 'c')
})

check(
  'points',
  'a rename leaves the value under one key; with ifAbsent it replaces nothing',
  (store) => {
    store.put('a', 1)
    store.put('b', 2)
    assert.equal(store.rename('a', 'b', { ifAbsent: true }), false)
    assert.equal(store.rename('none', 'c'), false)
    assert.deepEqual(store.getMany(['a', 'b', 'c']), [1, 2, undefined])
    assert.equal(store.rename('a', 'b'), true)
    assert.deepEqual(store.range().toArray(), [['b', 1]])
    assert.equal(store.rename('b', 'b'), true)
    assert.deepEqual(store.range().toArray(), [['b', 1]])
  },
)

check('conditions', 'ifAbsent writes where the key is missing, and says so', (store) => {
  assert.equal(store.put('a', 1, { ifAbsent: true }), true)
  assert.equal(store.put('a', 2, { ifAbsent: true }), false)
  assert.equal(store.get('a'), 1)
  store.delete('a')
  assert.equal(store.put('a', 3, { ifAbsent: true }), true)
})

check('conditions', 'ifVersion writes and deletes only that version', (store) => {
  assert.equal(store.put('a', 1, { ifVersion: 1 }), false)
  assert.equal(store.has('a'), false)
  store.put('a', 1)
  const version = store.getEntry('a')?.version ?? 0
  assert.equal(store.put('a', 2, { ifVersion: version }), true)
  assert.equal(store.put('a', 3, { ifVersion: version }), false)
  assert.equal(store.delete('a', { ifVersion: version }), false)
  assert.equal(store.get('a'), 2)
  assert.equal(store.delete('a', { ifVersion: store.getEntry('a')?.version ?? 0 }), true)
})

check('updates', 'update puts what its function makes; undefined deletes', (store) => {
  const add = (value: unknown): number => ((value as number | undefined) ?? 0) + 1
  assert.equal(store.update('a', add), 1)
  assert.equal(store.update('a', add), 2)
  assert.equal(store.get('a'), 2)
  assert.equal(
    store.update('a', () => undefined),
    undefined,
  )
  assert.equal(store.has('a'), false)
})

check('updates', 'a function that throws, or returns a promise, changes nothing', (store) => {
  store.put('a', 1)
  const failure = new Error('no')
  const fail = (): never => {
    throw failure
  }
  assert.throws(
    () => store.update('a', fail),
    (error) => error === failure,
  )
  assert.throws(() => store.update('a', () => Promise.resolve(1)), TypeError)
  assert.throws(
    () => store.getOrInsert('b', fail),
    (error) => error === failure,
  )
  assert.deepEqual(store.range().toArray(), [['a', 1]])
})

check(
  'updates',
  'getOrInsert gives what is there, and calls its function only where nothing is',
  (store) => {
    let calls = 0
    const make = (): number => ++calls
    assert.deepEqual([store.getOrInsert('a', make), store.getOrInsert('a', make)], [1, 1])
    assert.equal(store.getOrInsert('b', 'a value'), 'a value')
    assert.equal(calls, 1)
  },
)

check('updates', 'increment counts from 0, exactly or not at all', (store) => {
  assert.deepEqual(
    [store.increment('a'), store.increment('a', 10), store.increment('a', -1)],
    [1, 11, 10],
  )
  store.put('text', '5')
  assert.throws(() => store.increment('text'), TypeError)
  assert.equal(store.get('text'), '5')
  store.put('most', Number.MAX_SAFE_INTEGER)
  assert.throws(() => store.increment('most'), RangeError)
  assert.equal(store.get('most'), Number.MAX_SAFE_INTEGER)
})

check('batches', 'all operations of a batch are done, the last one of a key counts', (store) => {
  store.put('gone', 0)
  store.write([
    { type: 'put', key: 'a', value: 1 },
    { type: 'delete', key: 'gone' },
    { type: 'put', key: 'a', value: 2 },
    { type: 'put', key: 'b', value: 3 },
    { type: 'delete', key: 'b' },
    { type: 'delete', key: 'never there' },
  ])
  assert.deepEqual(store.range().toArray(), [['a', 2]])
  store.write([])
  assert.equal(store.count(), 1)
})

check('batches', 'where one operation is wrong nothing of the batch is written', (store) => {
  const good = { type: 'put' as const, key: 'a', value: 1 }
  const wrong = [
    { ...good, value: undefined },
    { ...good, key: 7 },
    { ...good, type: 'set' as 'put' },
    { ...good, ttlMs: -1 },
    { ...good, key: 'x'.repeat(65_536) },
  ]
  for (const operation of wrong) {
    assert.throws(
      () => store.write([good, operation]),
      (error) => error instanceof TypeError || error instanceof RangeError,
    )
    assert.equal(store.has('a'), false)
  }
})

check(
  'transactions',
  'a transaction reads its own writes, and is there when it returns',
  (store) => {
    store.put('a', 1)
    store.put('b', 2)
    const result = store.transaction((tx) => {
      tx.put('a', 10)
      tx.delete('b')
      tx.increment('c', 5)
      assert.deepEqual([tx.get('a'), tx.has('b'), tx.get('c')], [10, false, 5])
      assert.equal(
        tx.update('a', (value) => (value as number) + 1),
        11,
      )
      assert.equal(
        tx.getOrInsert('d', () => 'new'),
        'new',
      )
      return 'result'
    })
    assert.equal(result, 'result')
    assert.deepEqual(store.range().toArray(), [
      ['a', 11],
      ['c', 5],
      ['d', 'new'],
    ])
  },
)

check('transactions', 'a transaction that throws, or returns a promise, wrote nothing', (store) => {
  store.put('a', 1)
  const failure = new Error('no')
  assert.throws(
    () =>
      store.transaction((tx) => {
        tx.put('a', 2)
        tx.put('b', 2)
        throw failure
      }),
    (error) => error === failure,
  )
  const late = (): unknown => store.transaction((tx) => Promise.resolve(tx.put('b', 2)))
  assert.throws(late, TypeError)
  assert.deepEqual(store.range().toArray(), [['a', 1]])
})

check(
  'ranges',
  'entries are in the order of their keys, within any bounds, in both directions',
  (store) => {
    const keys = ['a', 'ab', 'b', 'ba', 'c', 'é', '日']
    for (const key of [...keys].reverse()) store.put(key, key)
    const found = (options: Parameters<Json['keys']>[0]): string[] => store.keys(options).toArray()
    assert.deepEqual(found({}), keys)
    assert.deepEqual(found({ reverse: true }), [...keys].reverse())
    assert.deepEqual(found({ gt: 'a', lt: 'c' }), ['ab', 'b', 'ba'])
    assert.deepEqual(found({ gte: 'a', lte: 'c' }), ['a', 'ab', 'b', 'ba', 'c'])
    assert.deepEqual(found({ gte: 'aa', lt: 'bb', reverse: true }), ['ba', 'b', 'ab'])
    assert.deepEqual(found({ prefix: 'a' }), ['a', 'ab'])
    assert.deepEqual(found({ prefix: 'b', gt: 'b' }), ['ba'])
    assert.deepEqual(found({ limit: 2 }), ['a', 'ab'])
    assert.deepEqual(found({ limit: 2, reverse: true }), ['日', 'é'])
    assert.deepEqual(found({ limit: 0 }), [])
    assert.deepEqual(store.values({ prefix: 'b' }).toArray(), ['b', 'ba'])
    assert.deepEqual(store.range({ gt: 'c', limit: 1 }).toArray(), [['é', 'é']])
  },
)

check('ranges', 'a range whose start is at or behind its end is empty', (store) => {
  for (const key of ['a', 'b', 'c']) store.put(key, key)
  for (const options of [
    { gte: 'c', lt: 'a' },
    { gt: 'b', lt: 'b' },
    { gte: 'b', lt: 'b' },
    { prefix: 'a', gt: 'b' },
    { prefix: 'x' },
  ]) {
    assert.deepEqual(store.range(options).toArray(), [])
    assert.equal(store.count(options), 0)
  }
})

check(
  'ranges',
  'an iteration shows what was there when it began, whatever is written meanwhile',
  (store) => {
    for (let index = 0; index < 50; index++) store.put(`k${String(index).padStart(2, '0')}`, index)
    const seen: unknown[] = []
    for (const [key, value] of store.range()) {
      seen.push(value)
      store.put(key, -1)
      store.put(`${key}+`, -1)
      store.delete('k49')
    }
    assert.deepEqual(
      seen,
      Array.from({ length: 50 }, (_, index) => index),
    )
    assert.equal(store.count(), 99)
  },
)

check('ranges', 'clear removes a range, or all', (store) => {
  for (const key of ['a', 'b:1', 'b:2', 'c']) store.put(key, key)
  store.clear({ prefix: 'b:' })
  assert.deepEqual(store.keys().toArray(), ['a', 'c'])
  store.clear()
  assert.equal(store.count(), 0)
})

check('counts', 'counts of all, and of ranges, follow every change', (store) => {
  assert.equal(store.count(), 0)
  for (let index = 0; index < 100; index++) store.put(`k${index % 40}`, index)
  assert.equal(store.count(), 40)
  assert.equal(store.count({ prefix: 'k1' }), 11)
  for (let index = 0; index < 10; index++) store.delete(`k${index}`)
  store.delete('k0')
  assert.equal(store.count(), 30)
  assert.equal(store.count({ gte: 'k2', lt: 'k3' }), 10)
})

check('snapshots', 'a snapshot shows its moment, until it is closed', (store) => {
  store.put('a', 1)
  store.put('b', 2)
  const snapshot = store.snapshot()
  store.put('a', 10)
  store.delete('b')
  store.put('c', 3)
  const before = [
    ['a', 1],
    ['b', 2],
  ]
  assert.deepEqual(snapshot.range().toArray(), before)
  assert.deepEqual(snapshot.getMany(['a', 'b', 'c']), [1, 2, undefined])
  assert.equal(snapshot.count(), 2)
  assert.equal(snapshot.has('c'), false)
  assert.equal(snapshot.getEntry('b')?.value, 2)
  const later = store.snapshot()
  assert.equal(later.get('a'), 10)
  assert.deepEqual(snapshot.keys({ reverse: true }).toArray(), ['b', 'a'])
  snapshot.close()
  snapshot.close()
  assert.throws(() => snapshot.get('a'), isStoreError('STORE_CLOSED'))
  assert.equal(later.count(), 2)
  later.close()
})

check('expiry', 'what has expired is missing for everything', (store) => {
  store.put('past', 1, { expiresAtMs: 1 })
  store.put('later', 2, { ttlMs: 3_600_000 })
  assert.deepEqual(store.getMany(['past', 'later']), [undefined, 2])
  assert.equal(store.has('past'), false)
  assert.equal(store.getEntry('past'), undefined)
  assert.deepEqual(store.keys().toArray(), ['later'])
  assert.equal(store.count(), 1)
  assert.equal(store.delete('past'), false)
  assert.equal(store.put('past', 3, { ifAbsent: true }), true)
  assert.equal(store.get('past'), 3)
})

check(
  'expiry',
  'a put sets the time anew or ends it; update, increment and rename keep it',
  (store) => {
    // Also by the clock of a simulated machine.
    const expiresAtMs = Date.UTC(2090, 0, 1)
    store.put('a', 1, { expiresAtMs })
    assert.equal(store.getEntry('a')?.expiresAtMs, expiresAtMs)
    store.increment('a')
    store.update('a', (value) => (value as number) + 1)
    store.rename('a', 'b')
    assert.equal(store.getEntry('b')?.expiresAtMs, expiresAtMs)
    store.put('b', 1)
    assert.equal(store.getEntry('b')?.expiresAtMs, undefined)
    store.write([{ type: 'put', key: 'c', value: 1, expiresAtMs }])
    assert.equal(store.getEntry('c')?.expiresAtMs, expiresAtMs)
    store.getOrInsert('d', 1, { expiresAtMs: 1 })
    assert.equal(store.has('d'), false)
  },
)

check('keyspaces', 'keys of different keyspaces never meet', (store) => {
  const [one, two] = ['one', 'two'].map((name) =>
    store.keyspace<string>(name, { encoding: 'utf8' }),
  )
  store.put('a', 0)
  one.put('a', '1')
  two.put('a', '2')
  two.put('b', '2')
  assert.deepEqual([store.get('a'), one.get('a'), two.get('a')], [0, '1', '2'])
  assert.deepEqual([store.count(), one.count(), two.count()], [1, 1, 2])
  assert.deepEqual(store.keyspaces(), ['one', 'two'])
  two.clear()
  assert.deepEqual([store.count(), one.count(), two.count()], [1, 1, 0])
  assert.equal(store.dropKeyspace('two'), true)
  assert.equal(store.dropKeyspace('two'), false)
  assert.deepEqual(store.keyspaces(), ['one'])
  assert.equal(store.keyspace('two').count(), 0)
})

check('keyspaces', 'batches, transactions and snapshots are of all of them', (store) => {
  const one = store.keyspace<number>('one', { encoding: 'json' })
  store.write([
    { type: 'put', key: 'a', value: 1 },
    { type: 'put', keyspace: 'one', key: 'a', value: 2 },
  ])
  const snapshot = store.snapshot()
  store.transaction((tx) => {
    tx.put('a', 3)
    tx.keyspace<number>('one').put('a', 4)
  })
  assert.deepEqual([store.get('a'), one.get('a')], [3, 4])
  assert.deepEqual([snapshot.get('a'), snapshot.keyspace('one').get('a')], [1, 2])
  snapshot.close()
  assert.throws(() =>
    store.transaction((tx) => {
      tx.keyspace<number>('one').put('a', 5)
      throw new Error('no')
    }),
  )
  assert.equal(one.get('a'), 4)
})

checkBinary(
  'encodings',
  'any bytes are keys and values, empty ones, too, in the order of their bytes',
  (store) => {
    const keys = [[], [0], [0, 0], [0, 255], [1], [255], [255, 0], [255, 255]]
    for (const key of [...keys].reverse()) store.put(Buffer.from(key), Buffer.from([...key, 0]))
    store.put(Buffer.from([1]), Buffer.alloc(0))
    assert.deepEqual(
      store
        .keys()
        .toArray()
        .map((key) => [...key]),
      keys,
    )
    assert.deepEqual([...(store.get(Buffer.from([1])) ?? [9])], [])
    const prefixed = store.keys({ prefix: Buffer.from([255]) }).toArray()
    assert.deepEqual(
      prefixed.map((key) => [...key]),
      [[255], [255, 0], [255, 255]],
    )
  },
)

checkBinary(
  'encodings',
  'what a read gives is the caller’s: changing it, or what was put, changes no store',
  (store) => {
    const [key, value] = [Buffer.from('key'), Buffer.alloc(100, 1)]
    store.put(key, value)
    key.fill(0)
    value.fill(2)
    store.get(Buffer.from('key'))?.fill(3)
    assert.deepEqual(
      [...(store.get(Buffer.from('key')) ?? [])],
      Array.from({ length: 100 }, () => 1),
    )
  },
)

check(
  'errors',
  'a key or a value that cannot be stored is refused before anything is changed',
  (store) => {
    for (const key of [
      undefined,
      null,
      7,
      {},
      Buffer.from('a'),
      'a\ud800',
    ] as unknown as string[]) {
      assert.throws(() => store.put(key, 1), TypeError)
      assert.throws(() => store.get(key), TypeError)
    }
    assert.throws(() => store.put('x'.repeat(65_536), 1), RangeError)
    store.put('x'.repeat(65_535), 1)
    for (const value of [undefined, () => 1, 1n])
      assert.throws(() => store.put('a', value), TypeError)
    assert.throws(() => store.put('a', 1, { ttlms: 1 } as never), TypeError)
    assert.throws(() => store.put('a', 1, { ttlMs: 0 }), RangeError)
    assert.throws(() => store.put('a', 1, { ttlMs: 5, expiresAtMs: 5 }), TypeError)
    assert.throws(() => store.put('a', 1, { ifAbsent: true, ifVersion: 1 }), TypeError)
    assert.equal(store.count(), 1)
  },
)

check('errors', 'a store that is closed says so, to every call', (store) => {
  store.put('a', 1)
  const snapshot = store.snapshot()
  void store.close()
  const calls = [
    () => store.get('a'),
    () => store.put('a', 1),
    () => store.count(),
    () => store.range().toArray(),
    () => store.keyspace('one'),
    () => snapshot.get('a'),
  ]
  for (const call of calls) assert.throws(call, isStoreError('STORE_CLOSED'))
})
