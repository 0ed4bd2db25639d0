/**
 * Goal: with `'msgpack-shared'` values are what they would be with `'msgpack'`, and smaller.
 * Method: objects of few shapes and of very many, by one handle, by handles and threads beside each other,
 *   within transactions and updates, through snapshots, exports, copies, crashes and repair.
 * Properties checked: every value is read back by everybody; a structure is in the log before the first
 *   value that refers to it; too many shapes, and names that cannot be kept, are no fault.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { open, type Store } from '../../src/store/index.js'
import { copyStore, temporaryDirectory } from '../support/directory.js'
import { atEnd, type Ending } from '../support/ending.js'

interface Reading {
  readonly sensor: string
  readonly temperatureCelsius: number
  readonly place: { readonly latitude: number; readonly longitude: number }
}

const shared = { encoding: 'msgpack-shared', segmentSizeBytes: 2 ** 20, syncIntervalMs: 0 } as const

function reading(index: number): Reading {
  const place = { latitude: index / 7, longitude: 1 - index }
  return { sensor: `sensor ${index}`, temperatureCelsius: index % 40, place }
}

function openShared<V = Reading>(t: Ending, path: string): Store<V> {
  const store = open<V>(path, shared)
  atEnd(t, () => store.close())
  return store
}

/** An object with a field of its own, and so with a structure of its own. */
const oddity = (index: number): Record<string, number> => ({ [`field ${index}`]: index })

async function exported(store: Store<Reading>): Promise<Buffer> {
  const chunks: Buffer[] = []
  const target = new Writable({
    write(chunk: Buffer, _encoding, done) {
      chunks.push(Buffer.from(chunk))
      done()
    },
  })
  await using snapshot = store.snapshot()
  await snapshot.export(target)
  return Buffer.concat(chunks)
}

for (const path of [':memory:', 'a directory']) {
  test(`values are read back, and take less room (${path})`, (t) => {
    const at = path === ':memory:' ? path : join(temporaryDirectory(t), 'store')
    const store = openShared(t, at)
    const whole = open<Reading>(':memory:')
    atEnd(t, () => whole.close())
    for (let index = 0; index < 100; index++) {
      store.put(`key ${index}`, reading(index))
      whole.put(`key ${index}`, reading(index))
    }
    for (let index = 0; index < 100; index++) {
      assert.deepEqual(store.get(`key ${index}`), reading(index))
    }
    const keys = ['key 1', 'none', 'key 50']
    assert.deepEqual(store.getMany(keys), [reading(1), undefined, reading(50)])
    const [first] = store.range({ gte: 'key 7', limit: 1 }).toArray()
    assert.deepEqual(first, ['key 7', reading(7)])
    const sizes = [store, whole].map((one) => one.view('key 42', Uint8Array)?.byteLength as number)
    assert.ok(sizes[0] < sizes[1] / 2, `${sizes[0]} of ${sizes[1]} bytes`)
  })
}

test('every kind of value that msgpack carries is carried', (t) => {
  const store = openShared<unknown>(t, ':memory:')
  const values = [
    0,
    63,
    64,
    127,
    128,
    -1,
    1.5,
    2 ** 40,
    'text',
    '',
    null,
    true,
    [1, [2]],
    { a: {} },
  ]
  const kinds = [new Map([['a', 1]]), new Set([1]), new Date(7), Buffer.from('bytes'), [{ b: 1 }]]
  for (const [index, value] of [...values, ...kinds].entries()) {
    store.put(`key ${index}`, value)
    assert.deepEqual(store.get(`key ${index}`), value)
  }
  store.put('counter', 41)
  assert.equal(store.increment('counter'), 42)
  assert.throws(() => store.put('refused', () => 1), TypeError)
  assert.throws(() => store.put('refused', { a: '\ud800' }), /surrogate/)
  assert.throws(() => store.put('refused', { '\ud800': 1 }), /surrogate/)
  assert.equal(store.has('refused'), false)
})

test('shapes beyond the number that is kept, and very long ones, are written whole', (t) => {
  const store = openShared<object>(t, join(temporaryDirectory(t), 'store'))
  const long = Object.fromEntries(Array.from({ length: 200 }, (_, n) => [`a long name ${n}`, n]))
  store.put('long', long)
  for (let index = 0; index < 500; index++) store.put(`key ${index}`, oddity(index))
  for (let index = 0; index < 500; index++) {
    assert.deepEqual(store.get(`key ${index}`), oddity(index))
  }
  assert.deepEqual(store.get('long'), long)
})

test('handles that add structures beside each other read what each of them wrote', (t) => {
  const path = join(temporaryDirectory(t), 'store')
  const one = openShared<object>(t, path)
  const other = openShared<object>(t, path)
  for (let index = 0; index < 60; index += 2) {
    one.put(`key ${index}`, oddity(index))
    other.put(`key ${index + 1}`, oddity(index + 1))
    // Without a read in between: it has to notice that its own structures are not all there are.
    one.put(`again ${index}`, oddity(index + 1000))
  }
  for (const store of [one, other]) {
    for (let index = 0; index < 60; index++) {
      assert.deepEqual(store.get(`key ${index}`), oddity(index))
      if (index % 2 === 0) assert.deepEqual(store.get(`again ${index}`), oddity(index + 1000))
    }
  }
})

test('threads that add structures at once read what each of them wrote', async (t) => {
  const path = join(temporaryDirectory(t), 'store')
  const store = openShared<object>(t, path)
  store.put('first', reading(0))
  const threads = [1, 2, 3].map((thread) => {
    const workerData = { handle: store.share(), thread, count: 40 }
    const file = fileURLToPath(new URL('./shared-structures-worker.js', import.meta.url))
    return once(new Worker(file, { workerData }), 'exit')
  })
  for (let index = 0; index < 40; index++) store.put(`0 ${index}`, { [`0 ${index % 10}`]: index })
  for (const [code] of await Promise.all(threads)) assert.equal(code, 0)
  for (let thread = 0; thread <= 3; thread++) {
    for (let index = 0; index < 40; index++) {
      const expected = { [`${thread} ${index % 10}`]: index }
      assert.deepEqual(store.get(`${thread} ${index}`), expected, `${thread} ${index}`)
    }
  }
})

test('a structure that is seen first within an update or a transaction is kept, also where that throws', (t) => {
  const path = join(temporaryDirectory(t), 'store')
  const store = openShared<object>(t, path)
  store.put('counted', { visits: 1 })
  store.update('counted', () => ({ visits: 2, last: 'now' }))
  assert.deepEqual(store.get('counted'), { visits: 2, last: 'now' })
  store.transaction((tx) => {
    tx.put('a', oddity(1))
    assert.deepEqual(tx.get('a'), oddity(1))
    tx.put('b', { more: oddity(2) })
  })
  const failing = (): void =>
    store.transaction((tx) => {
      tx.put('c', oddity(3))
      throw new Error('no')
    })
  assert.throws(failing, /no/)
  assert.equal(store.has('c'), false)
  store.put('d', oddity(3))
  const other = openShared<object>(t, path)
  assert.deepEqual(other.getMany(['a', 'b', 'c', 'd']), [
    oddity(1),
    { more: oddity(2) },
    undefined,
    oddity(3),
  ])
})

test('commands and batches of new shapes go to the keys that they name', (t) => {
  const store = openShared<object>(t, ':memory:')
  const commands = [1, 2, 3].map((version) => ({
    type: 'put' as const,
    key: `applied ${version}`,
    value: oddity(version),
    version,
  }))
  assert.deepEqual(store.apply(commands), ['applied', 'applied', 'applied'])
  store.write([4, 5].map((n) => ({ type: 'put', key: `written ${n}`, value: oddity(n) })))
  assert.deepEqual(store.range().toArray(), [
    ['applied 1', oddity(1)],
    ['applied 2', oddity(2)],
    ['applied 3', oddity(3)],
    ['written 4', oddity(4)],
    ['written 5', oddity(5)],
  ])
})

test('what a crash leaves has the structures of all its values', async (t) => {
  const parent = temporaryDirectory(t)
  const store = openShared<object>(t, join(parent, 'store'))
  for (let index = 0; index < 30; index++) {
    store.put(`key ${index}`, oddity(index))
    if (index % 3 !== 0) continue
    await store.sync()
    const copy = join(parent, `copy ${index}`)
    copyStore(store.path, copy)
    const found = openShared<object>(t, copy)
    assert.equal(found.stats().lastRecovery.kind, 'replay')
    assert.equal(found.count(), index + 1)
    for (let key = 0; key <= index; key++) assert.deepEqual(found.get(`key ${key}`), oddity(key))
    // It goes on with the structures that there are.
    found.put('more', oddity(100))
    assert.deepEqual(found.get(`key ${index}`), oddity(index))
  }
})

test('snapshots, exports and imports, copies, keyspaces', async (t) => {
  const store = openShared(t, join(temporaryDirectory(t), 'store'))
  store.put('a', reading(1))
  const snapshot = store.snapshot()
  store.put('a', { ...reading(2), more: 1 } as Reading)
  assert.deepEqual(snapshot.get('a'), reading(1))
  snapshot.close()

  const target = openShared<object>(t, join(temporaryDirectory(t), 'store'))
  // Its own structures have the numbers that those of the stream have there.
  for (let index = 0; index < 10; index++) target.put(`own ${index}`, oddity(index))
  await target.import(Readable.from([await exported(store)]))
  assert.deepEqual(target.get('a'), { ...reading(2), more: 1 })
  for (let index = 0; index < 10; index++) {
    assert.deepEqual(target.get(`own ${index}`), oddity(index))
  }

  const whole = open<Reading>(':memory:')
  atEnd(t, () => whole.close())
  assert.equal(store.copy('a', whole), true)
  assert.deepEqual(whole.get('a'), store.get('a'))
  assert.equal(store.copy('a', target as Store<unknown>, 'copied'), true)
  assert.deepEqual(target.get('copied'), store.get('a'))
  assert.equal(store.rename('a', 'b'), true)

  const users = store.keyspace<object>('users', { encoding: 'msgpack-shared' })
  users.put('u', oddity(5))
  store.dropKeyspace('users')
  const again = store.keyspace<object>('users', { encoding: 'msgpack-shared' })
  again.put('u', oddity(6))
  assert.deepEqual(again.get('u'), oddity(6))
  assert.deepEqual(store.get('b'), { ...reading(2), more: 1 })
  assert.throws(() => store.keyspace('users', { encoding: 'msgpack' }), TypeError)
})

test('the encoding is remembered; another one is refused', async (t) => {
  const path = join(temporaryDirectory(t), 'store')
  const first = open<Reading>(path, shared)
  first.put('a', reading(1))
  await first.close()
  await using store = open<Reading>(path)
  assert.equal(store.encodings.encoding, 'msgpack-shared')
  assert.deepEqual(store.get('a'), reading(1))
  assert.throws(() => open(path, { encoding: 'msgpack' }), /"msgpack-shared"/)
})
