/**
 * Goal: a program that keeps its data in simd-r-drive's DataStore finds every operation here, with the
 *   promises that its tests make, and without the faults that it has.
 * Method: each behaviour of its tests, and each of its faults, restated for Varve's public API and its
 *   command, on real directories, and on a simulated disk where a machine has to fail.
 * Properties checked: answers, and what is left after closing, kills, crashes and damage.
 *
 * What its compaction does wrong is in compaction.test.ts, for all four.
 *
 * What cannot be stated for Varve:
 * - reads and writes by the hash of a key, hash collisions that a caller is told of, and constants of the
 *   hash: keys are stored and compared whole, and the hash is nobody's but the index's; what collides is
 *   in test/invariants/i3-full-key;
 * - the twofold hashing of a key, a new mapping of the whole file for each write, copies through a
 *   temporary buffer: matters of speed, which the benchmarks are for;
 * - its server and its Python clients: there is none here to compare them with.
 */
import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { Readable } from 'node:stream'
import { describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { open, type Store } from '../../src/store/index.js'
import { openOn, SimulatedDisk } from '../../src/testing/index.js'
import { varve } from '../cli/command.js'
import { hostsFor } from '../sharing/hosts.js'
import { openElsewhere } from '../store/child.js'
import {
  contentsOf,
  copyStore,
  overwrite,
  segmentNames,
  temporaryDirectory,
} from '../support/directory.js'
import { atEnd } from '../support/ending.js'
import { Random } from '../support/random.js'
import {
  asStoreError,
  isDamageError,
  refused,
  storeErrorOf,
  thrownBy,
} from '../support/store-error.js'
import { entriesOf, numbered, onAnotherBoot, openAt, openFresh, small } from './stores.js'

const binary = { encoding: 'binary' } as const
const utf8 = { encoding: 'utf8' } as const

describe('the operations of a data store', () => {
  test('a new store is empty, one with an entry is not', (t) => {
    const store = openFresh<Buffer>(t, binary)
    assert.equal(store.count(), 0)
    store.put('a', Buffer.from('1'))
    assert.equal(store.count(), 1)
  })

  test('the entry written last is at hand, after each write', (t) => {
    const store = openFresh<Buffer>(t, binary)
    for (const [key, value] of [
      ['test_key', 'hello'],
      ['key2', 'second'],
      ['test_key', 'hello again'],
    ]) {
      store.put(key, Buffer.from(value))
      assert.equal(store.lastEntry()?.key, key)
      assert.deepEqual(store.lastEntry()?.value, Buffer.from(value))
    }
  })

  test('payloads of varying sizes come back under their keys, updated to other sizes, too', (t) => {
    const store = openFresh<Buffer>(t, binary)
    const random = new Random(5)
    const sizes = [1, 2, 63, 64, 65, 128, 511, 512, 513, 1024, 4096, 65_536, 100_000, 300_000]
    for (const round of [sizes, [...sizes].reverse()]) {
      const values = round.map((sizeBytes) => random.bytes(sizeBytes))
      for (const [index, value] of values.entries()) store.put(`key ${index}`, value)
      for (const [index, value] of values.entries())
        assert.deepEqual(store.get(`key ${index}`), value)
    }
    assert.equal(store.count(), sizes.length)
  })

  test('a store that is to exist is opened where it does, and refused where it does not', async (t) => {
    const store = openFresh<Buffer>(t, binary)
    store.put('a', Buffer.from('1'))
    await store.close()
    const again = openAt<Buffer>(t, store.path, { createIfMissing: false })
    assert.deepEqual(again.get('a'), Buffer.from('1'))
    const missing = join(temporaryDirectory(t), 'none')
    storeErrorOf(() => openAt(t, missing, { createIfMissing: false }), 'STORE_NOT_FOUND')
    assert.throws(() => statSync(missing), { code: 'ENOENT' })
  })

  test('everything that is known of an entry is told: its size, version, time and place in the order', (t) => {
    const store = openFresh<Buffer>(t, binary)
    store.put('a', Buffer.alloc(100))
    const entry = store.getEntry('a')
    assert.ok(entry !== undefined && entry.sizeBytes >= 148)
    assert.equal(entry.sequence, store.stats().sequence)
    assert.equal(entry.version, store.stats().version)
    assert.ok(Math.abs(entry.timestampMs - Date.now()) < 60_000)
    assert.equal(store.getEntry('b'), undefined)
  })

  test('update, then delete: the key is missing, and stays so in another boot', (t) => {
    const store = openFresh<Buffer>(t, binary)
    for (const value of ['one', 'two', 'three']) store.put('a', Buffer.from(value))
    store.put('b', Buffer.from('kept'))
    assert.deepEqual(store.get('a'), Buffer.from('three'))
    store.delete('a')
    for (const one of [store, onAnotherBoot(t, store)]) {
      assert.equal(one.get('a'), undefined)
      assert.equal(one.has('a'), false)
      assert.deepEqual(one.get('b'), Buffer.from('kept'))
    }
  })

  test('a namespace keeps its keys apart from all others, whatever the texts of either', (t) => {
    const store = openFresh<string>(t, utf8)
    const names = ['opt', 'op', 'to', 'opt:', '__proto__']
    for (const name of names) {
      const keyspace = store.keyspace<string>(name, utf8)
      for (const key of ['to', 't', '', 'opt', 'o']) keyspace.put(key, `${name}/${key}`)
    }
    store.put('opt', 'none')
    for (const name of names) {
      const keyspace = store.keyspace<string>(name, utf8)
      assert.equal(keyspace.count(), 5)
      for (const key of ['to', 't', '', 'opt', 'o'])
        assert.equal(keyspace.get(key), `${name}/${key}`)
    }
    assert.equal(store.count(), 1)
  })

  test('iterating gives the newest of each key, newest first, without what was deleted', (t) => {
    const store = openFresh<Buffer>(t, binary)
    assert.deepEqual(store.scan({ reverse: true }).toArray(), [])
    for (const key of ['a', 'b', 'c', 'd']) store.put(key, Buffer.from('old'))
    store.put('b', Buffer.from('a new and longer one'))
    store.put('d', Buffer.from('gone, though it was updated'))
    store.delete('d')
    const entries = store.scan({ reverse: true }).toArray()
    assert.deepEqual(
      entries.map(({ key, value }) => `${key}=${value}`),
      ['b=a new and longer one', 'c=old', 'a=old'],
    )
    assert.deepEqual(new Set(store.scan().map(({ key }) => key)), new Set(store.keys()))
  })
})

describe('batches', () => {
  const items = Array.from({ length: 100 }, (_, index) => ({
    ...{ type: 'put' as const, key: numbered('key', index) },
    value: Buffer.from(`value ${index}`),
  }))

  test('what a batch writes is read one by one and together, missing keys in their places', (t) => {
    const store = openFresh<Buffer>(t, binary)
    store.write(items)
    for (const { key, value } of items) assert.deepEqual(store.get(key), value)
    const keys = items.flatMap(({ key }) => [key, `not ${key}`])
    assert.deepEqual(
      store.getMany(keys),
      items.flatMap(({ value }) => [value, undefined]),
    )
  })

  test('one wrong item, alone or among many, first or last, and nothing of the batch is written', (t) => {
    const store = openFresh<Buffer>(t, binary)
    const wrong = [
      { type: 'put', key: 'x', value: undefined },
      { type: 'put', key: 'x', value: 'text' },
      { type: 'put', key: 7, value: Buffer.alloc(1) },
      { type: 'put', key: 'x'.repeat(70_000), value: Buffer.alloc(1) },
      { type: 'pot', key: 'x', value: Buffer.alloc(1) },
      undefined,
    ] as unknown as typeof items
    for (const item of wrong) {
      for (const batch of [[item], [item, ...items], [...items, item]]) {
        const error = thrownBy(() => store.write(batch))
        assert.ok(error instanceof TypeError || error instanceof RangeError, String(error))
        assert.equal(store.count(), 0)
        assert.equal(store.stats().sequence, 0)
      }
    }
  })

  test('a batch of deletes removes what is there, and takes missing keys as done', (t) => {
    const store = openFresh<Buffer>(t, binary)
    store.write(items)
    store.write(items.slice(0, 50).map(({ key }) => ({ type: 'delete', key })))
    store.write([
      { type: 'delete', key: 'never there' },
      { type: 'delete', key: items[50].key },
    ])
    assert.equal(store.count(), 49)
    assert.equal(store.has(items[50].key), false)
    assert.equal(store.has(items[51].key), true)
  })
})

describe('handles', () => {
  test('views stay what they were while the store grows, updates and deletes, and closes', async (t) => {
    const store = openFresh<Buffer>(t, binary)
    const random = new Random(6)
    const values = Array.from({ length: 20 }, () => random.bytes(2048))
    for (const [index, value] of values.entries()) store.put(`${index}`, value)
    const views = values.map((_, index) => store.view(`${index}`, Uint8Array))
    for (let index = 0; index < 4000; index++) store.put(`more ${index}`, random.bytes(1000))
    for (let index = 0; index < 20; index++) {
      if (index % 2 === 0) store.put(`${index}`, random.bytes(2048))
      else store.delete(`${index}`)
    }
    assert.ok(store.stats().segments > 4)
    await store.close()
    for (const [index, view] of views.entries())
      assert.deepEqual(Buffer.from(view ?? []), values[index])
  })

  test('views of every element type begin at multiples of 64 bytes, and refuse what does not fit', (t) => {
    const store = openFresh<Buffer>(t, binary)
    store.put('a', Buffer.alloc(1024, 1))
    store.put('odd', Buffer.alloc(1025, 1))
    for (const type of [Uint16Array, Float32Array, Float64Array, BigUint64Array, Int8Array]) {
      const view = store.view<InstanceType<typeof type>>('a', type as never)
      assert.equal((view?.byteOffset ?? 1) % 64, 0)
      assert.equal(view?.byteLength, 1024)
    }
    refused(() => store.view('odd', Float32Array), RangeError, '1025', '4')
  })
})

describe('persistence and integrity', () => {
  test('entries, their updates and new ones are there through many openings', async (t) => {
    const path = temporaryDirectory(t)
    const expected = new Map<string, Buffer>()
    for (let round = 0; round < 4; round++) {
      const store = openAt<Buffer>(t, path, binary)
      for (const [key, value] of expected) assert.deepEqual(store.get(key), value)
      assert.equal(store.count(), expected.size)
      for (const key of ['always', `of ${round}`]) {
        const value = Buffer.from(`${key} ${round} `.repeat(round + 1))
        store.put(key, value)
        expected.set(key, value)
      }
      await store.close()
    }
  })

  test('a flipped byte is found by verify, with its file and its place', async (t) => {
    const store = openFresh<Buffer>(t, binary)
    store.put('a', Buffer.from('Important data that must not be corrupted'))
    assert.equal((await store.verify()).ok, true)
    await store.close()
    const [name] = segmentNames(store.path)
    const position = readFileSync(join(store.path, name)).indexOf('must not')
    overwrite(join(store.path, name), position, Buffer.from([0xff]))
    const damaged = openAt<Buffer>(t, store.path, { readOnly: true })
    const { ok, problems } = await damaged.verify()
    assert.equal(ok, false)
    assert.ok(problems[0].file.endsWith(name))
    assert.ok(Math.abs(problems[0].address - position) < 200)
  })

  test('a value is the same bytes by whichever way it was written', async (t) => {
    const store = openFresh<Buffer>(t, binary)
    const value = new Random(7).bytes(70_001)
    store.put('put', value)
    store.write([{ type: 'put', key: 'write', value }])
    store.transaction((tx) => tx.put('transaction', value))
    await store.writeStream('stream', Readable.from([value.subarray(0, 7), value.subarray(7)]))
    store.update('update', () => value)
    store.copy('put', store, 'copy')
    for (const one of [store, onAnotherBoot(t, store)]) {
      assert.equal(one.count(), 6)
      for (const found of one.values()) assert.ok(found.equals(value))
    }
  })
})

describe('streams', () => {
  test('a megabyte streamed in and out is the same megabyte', async (t) => {
    const store = openFresh<Buffer>(t, binary)
    const value = new Random(8).bytes(2 ** 20)
    await store.writeStream('a', Readable.from(chunksOf(value, 4096)))
    assert.ok(store.get('a')?.equals(value))
    const chunks: Buffer[] = []
    for await (const chunk of store.readStream('a') ?? []) chunks.push(chunk as Buffer)
    assert.ok(Buffer.concat(chunks).equals(value))
  })

  test('a slow stream keeps nobody waiting', async (t) => {
    const store = openFresh<Buffer>(t, binary)
    let puts = 0
    const slow = async function* (): AsyncGenerator<Buffer> {
      for (let piece = 0; piece < 5; piece++) {
        yield Buffer.alloc(1000, piece)
        await delay(2)
        // Others write, and read, while this one is open.
        store.put(`beside ${piece}`, Buffer.alloc(10))
        puts += store.has(`beside ${piece}`) ? 1 : 0
        assert.equal(store.has('slow'), false)
      }
    }
    await store.writeStream('slow', slow())
    assert.equal(puts, 5)
    assert.equal(store.get('slow')?.length, 5000)
  })
})

describe('rename, copy, transfer', () => {
  test('copy gives another store the entry, and keeps it here', async (t) => {
    const store = openFresh<Buffer>(t, binary)
    const other = openFresh<Buffer>(t, binary)
    store.put('a', Buffer.from('1'))
    assert.equal(store.copy('a', other), true)
    assert.equal(store.copy('missing', other), false)
    assert.deepEqual(other.get('a'), Buffer.from('1'))
    assert.deepEqual(store.get('a'), Buffer.from('1'))
  })

  test('transfer (here: move) leaves the entry there and nothing here', (t) => {
    const store = openFresh<Buffer>(t, binary)
    const other = openFresh<Buffer>(t, binary)
    store.put('a', Buffer.from('1'))
    assert.equal(store.move('a', other), true)
    assert.deepEqual(other.get('a'), Buffer.from('1'))
    assert.equal(store.has('a'), false)
  })

  test('rename leaves the value under the new key only', (t) => {
    const store = openFresh<Buffer>(t, binary)
    store.put('old', Buffer.from('1'))
    assert.equal(store.rename('old', 'new'), true)
    assert.deepEqual(entriesOf(store), [['new', Buffer.from('1')]])
    assert.equal(store.rename('old', 'newer'), false)
  })

  test('a rename to itself, and a copy to itself, change nothing and lose nothing', (t) => {
    const store = openFresh<Buffer>(t, binary)
    store.put('a', Buffer.from('1'))
    store.rename('a', 'a')
    store.copy('a', store)
    store.move('a', store)
    assert.deepEqual(entriesOf(store), [['a', Buffer.from('1')]])
  })

  test('a store within a store comes out byte for byte, and opens', async (t) => {
    const inner = openFresh<string>(t, utf8)
    for (let index = 0; index < 100; index++) inner.put(`k${index}`, `v${index}`)
    await inner.close()
    const outer = join(temporaryDirectory(t), 'outer')
    assert.equal(varve(['import', outer, inner.path]).exitCode, 0)
    const extracted = join(temporaryDirectory(t), 'extracted')
    assert.equal(varve(['export', outer, extracted]).exitCode, 0)
    assert.deepEqual(contentsOf(extracted), contentsOf(inner.path))
    assert.equal(openAt<string>(t, extracted, utf8).get('k7'), 'v7')
  })
})

describe('options, expiry and files, as in its extensions', () => {
  test('null is a value like any other, and no key is another thing', (t) => {
    const store = openFresh<string | null>(t)
    store.put('none', null)
    store.put('some', 'text')
    store.put('marker', '\ufffe')
    assert.deepEqual(store.getMany(['none', 'some', 'marker', 'missing']), [
      null,
      'text',
      '\ufffe',
      undefined,
    ])
    assert.equal(store.has('none'), true)
    const bytes = openFresh<Buffer>(t, binary)
    bytes.put('a', Buffer.from([0xff, 0xfe]))
    assert.deepEqual(bytes.get('a'), Buffer.from([0xff, 0xfe]))
  })

  test('a key with a time to live is there before its moment and missing after, to the millisecond', async (t) => {
    const store = openFresh<string>(t, utf8)
    store.put('short', 'v', { ttlMs: 30 })
    store.put('long', 'v', { ttlMs: 60_000 })
    const expiresAtMs = store.getEntry('short')?.expiresAtMs ?? 0
    assert.ok(expiresAtMs > Date.now() - 1000 && expiresAtMs <= Date.now() + 31)
    while (Date.now() <= expiresAtMs) await delay(5)
    assert.equal(store.get('short'), undefined)
    assert.equal(store.get('long'), 'v')
    assert.equal(store.count(), 1)
    store.put('short', 'again')
    assert.equal(onAnotherBoot(t, store).get('short'), 'again')
  })

  test('a tree of files is imported under its relative paths, empty files, too, and exported again', (t) => {
    const tree = temporaryDirectory(t)
    mkdirSync(join(tree, 'sub', 'deeper'), { recursive: true })
    writeFileSync(join(tree, 'a.txt'), 'text')
    writeFileSync(join(tree, 'sub', 'empty'), '')
    writeFileSync(join(tree, 'sub', 'deeper', 'zeros'), Buffer.alloc(5000))
    const path = join(temporaryDirectory(t), 'store')
    assert.equal(varve(['import', path, tree, '--keyspace', 'files']).exitCode, 0)
    const files = openAt<unknown>(t, path, { segmentSizeBytes: 2 ** 26 }).keyspace<Buffer>('files')
    assert.deepEqual(files.keys().toArray(), ['a.txt', 'sub/deeper/zeros', 'sub/empty'])
    assert.deepEqual(files.get('sub/deeper/zeros'), Buffer.alloc(5000))
    assert.deepEqual(files.get('sub/empty'), Buffer.alloc(0))
    const out = join(temporaryDirectory(t), 'out')
    assert.equal(varve(['export', path, out, '--keyspace', 'files']).exitCode, 0)
    assert.deepEqual(readFileSync(join(out, 'sub', 'deeper', 'zeros')), Buffer.alloc(5000))
  })
})

describe('the command', () => {
  test('writes, reads, and tells of an entry; a missing key is exit code 1', (t) => {
    const path = join(temporaryDirectory(t), 'store')
    assert.equal(varve(['put', path, 'a', 'value', '--encoding', 'binary']).exitCode, 0)
    assert.equal(varve(['put', path, 'b'], { input: Buffer.from([0, 1, 0x7f]) }).exitCode, 0)
    assert.equal(varve(['get', path, 'b']).stdout, '\0\x01\x7f')
    const entry = JSON.parse(varve(['get', path, 'a', '--json']).stdout) as Record<string, unknown>
    assert.ok(typeof entry.version === 'number' && typeof entry.sizeBytes === 'number')
    assert.equal(entry.valueBase64, Buffer.from('value').toString('base64'))
    assert.equal(varve(['delete', path, 'a']).exitCode, 0)
    const { exitCode, stderr, stdout } = varve(['get', path, 'a'])
    assert.deepEqual([exitCode, stdout], [1, ''])
    assert.match(stderr, /"a"/)
  })
})

describe('several at once', () => {
  test('writers in threads and processes, of which none loses a write', async (t) => {
    const pool = hostsFor({ after: (action) => atEnd(t, action) })
    const directory = temporaryDirectory(t)
    const path = join(directory, 'store')
    await Promise.all(
      Array.from({ length: 4 }, (_, index) =>
        pool.take(index % 2 === 0 ? 'thread' : 'process').call('raiseCounter', {
          ...{ path, options: small, key: `counter ${index % 2}`, times: 250 },
          ...{ by: 'increment', file: join(directory, `count ${index}`) },
        }),
      ),
    )
    const store = openAt<number>(t, path, { encoding: 'json' })
    assert.deepEqual(entriesOf(store), [
      ['counter 0', 500],
      ['counter 1', 500],
    ])
  })

  test('a slow stream, a fast one and puts at once: each value is whole', async (t) => {
    const store = openFresh<Buffer>(t, binary)
    const source = async function* (byte: number, pauseMs: number): AsyncGenerator<Buffer> {
      for (let piece = 0; piece < 8; piece++) {
        await delay(pauseMs)
        yield Buffer.alloc(5000, byte)
      }
    }
    const streams = [3, 1, 0].map((pauseMs, index) =>
      store.writeStream(`stream ${index}`, source(index, pauseMs)),
    )
    for (let index = 0; index < 200; index++) {
      store.put(`put ${index}`, Buffer.alloc(500, index))
      if (index % 20 === 0) await delay(1)
    }
    await Promise.all(streams)
    for (let index = 0; index < 3; index++) {
      assert.deepEqual(store.get(`stream ${index}`), Buffer.alloc(40_000, index))
    }
    assert.equal(store.count(), 203)
  })
})

describe('what became of the faults of simd-r-drive', () => {
  /** A store with 1,000 synced keys, and one append of `sizeBytes` behind them. */
  const synced = async (
    mapping: 'mmap' | 'file',
  ): Promise<{ disk: SimulatedDisk; store: Store<Buffer> }> => {
    const disk = new SimulatedDisk({ mapping })
    const store = openOn<Buffer>(disk, { ...binary, segmentSizeBytes: 2 ** 18 })
    for (let index = 0; index < 1000; index++)
      store.put(numbered('k', index), Buffer.alloc(64, index))
    await store.sync()
    return { disk, store }
  }

  for (const mapping of ['mmap', 'file'] as const) {
    test(`a torn tail costs the interrupted append and nothing else, wherever it is torn (${mapping})`, async () => {
      const { disk, store } = await synced(mapping)
      // Over several sectors: each may have arrived or not.
      store.put('torn', Buffer.alloc(3000, 0xab))
      disk.observe()
      for (let arrived = 0; arrived < 64; arrived += 3) {
        const after = disk.crash(({ count, sector }) => (arrived >> (sector % 6)) & 1 && count - 1)
        const found = openOn<Buffer>(after, binary)
        const torn = found.get('torn')
        assert.ok(torn === undefined || torn.equals(Buffer.alloc(3000, 0xab)))
        assert.equal(found.count(), torn === undefined ? 1000 : 1001)
        assert.deepEqual(found.get(numbered('k', 999)), Buffer.alloc(64, 999))
        after.dispose()
      }
      disk.dispose()
    })
  }

  test('a tail of zeros, or of anything else, behind the last record is no part of the log', async (t) => {
    const store = openFresh<Buffer>(t, binary)
    for (let index = 0; index < 100; index++)
      store.put(numbered('k', index), Buffer.alloc(64, index))
    await store.sync()
    const position = (store.stats().tail * 8) % 2 ** 20
    const [name] = segmentNames(store.path)
    for (const [kind, garbage] of [
      ['zeros', Buffer.alloc(4096)],
      ['random', new Random(9).bytes(4096)],
      ['ones', Buffer.alloc(4096, 0xff)],
      // What an append begins with: a part of a record that is there already.
      ['record', readFileSync(join(store.path, name)).subarray(position - 100, position)],
    ] as const) {
      const copy = `${store.path}-${kind}`
      copyStore(store.path, copy)
      overwrite(join(copy, name), position, garbage)
      const found = openAt<Buffer>(t, copy, binary)
      assert.equal(found.count(), 100, kind)
      found.put('more', Buffer.from('1'))
      assert.equal(onAnotherBoot(t, found).count(), 101, kind)
    }
  })

  test('a foreign file, or a directory of them, is refused and left byte for byte as it was', (t) => {
    const parent = temporaryDirectory(t)
    const file = join(parent, 'notes.txt')
    writeFileSync(file, 'these are notes. '.repeat(90))
    const contents = contentsOf(parent)
    const error = thrownBy(() => open(file))
    assert.ok(error instanceof Error && error.message.includes(file), String(error))
    assert.deepEqual(contentsOf(parent), contents)
    const { exitCode, stderr } = varve(['get', file, 'a'])
    assert.equal(exitCode, 1)
    assert.ok(stderr.includes(file), stderr)
    assert.deepEqual(contentsOf(parent), contents)
    const directory = join(parent, 'other')
    mkdirSync(directory)
    writeFileSync(join(directory, 'superblock'), 'not a superblock')
    assert.ok(isDamageError(thrownBy(() => open(directory))))
    assert.deepEqual(readdirSync(directory).sort(), ['superblock'])
    assert.equal(readFileSync(join(directory, 'superblock'), 'utf8'), 'not a superblock')
  })

  test('a second process that opens, reads and leaves changes nothing under the one that writes', async (t) => {
    const store = openFresh<string>(t, utf8)
    for (let round = 0; round < 3; round++) {
      store.put('a', `${round}`)
      const answer = openElsewhere({ path: store.path, options: { ...small, ...utf8 }, get: 'a' })
      assert.deepEqual(answer.value, `${round}`)
      store.put(`after ${round}`, 'x')
    }
    assert.equal(store.count(), 4)
    assert.equal((await store.verify()).ok, true)
  })

  test('keys are compared whole: a thousand keys of the same length and ends are a thousand keys', (t) => {
    const store = openFresh<number, Buffer>(t, { encoding: 'json', keyEncoding: 'binary' })
    const key = (index: number): Buffer => {
      const made = Buffer.alloc(300, 0xaa)
      made.writeUInt32LE(Math.imul(index, 0x9e3779b1) >>> 0, 148)
      return made
    }
    for (let index = 0; index < 1000; index++) store.put(key(index), index)
    for (let index = 0; index < 1000; index++) assert.equal(store.get(key(index)), index)
    store.delete(key(5))
    assert.equal(store.get(key(5)), undefined)
    assert.equal(store.count(), 999)
    assert.deepEqual(store.keys({ limit: 1 }).toArray()[0].length, 300)
  })

  test('a stream that is refused, or fails, leaves the store as it was, and the next write is itself', async (t) => {
    for (const mapping of ['mmap', 'file'] as const) {
      const store = openFresh<Buffer>(t, { ...binary, mapping })
      store.put('before', Buffer.alloc(64, 1))
      const { sequence, tail } = store.stats()
      const failure = Object.assign(new Error('interrupted'), { code: 'EINTR' })
      const failing = async function* (): AsyncGenerator<Buffer> {
        yield Buffer.alloc(5000, 2)
        throw failure
      }
      await assert.rejects(store.writeStream('failed', failing()), (error) => error === failure)
      await assert.rejects(store.writeStream('failed', [7] as never), TypeError)
      assert.deepEqual([store.stats().sequence, store.stats().tail], [sequence, tail])
      assert.equal(store.has('failed'), false)
      store.put('hello', Buffer.from('hello'))
      await store.close()
      const again = openAt<Buffer>(t, store.path, { ...binary, mapping })
      assert.deepEqual(again.get('hello'), Buffer.from('hello'))
      assert.deepEqual(again.get('before'), Buffer.alloc(64, 1))
      assert.equal(again.count(), 2)
    }
  })

  test('empty values, a single zero byte, and zeros of any length are values, by put and by stream', async (t) => {
    const store = openFresh<Buffer>(t, binary)
    const other = openFresh<Buffer>(t, binary)
    const sizes = [0, 1, 8, 63, 64, 65, 4096, 300_000]
    for (const sizeBytes of sizes) {
      store.put(`put ${sizeBytes}`, Buffer.alloc(sizeBytes))
      await store.writeStream(`stream ${sizeBytes}`, Readable.from([Buffer.alloc(sizeBytes)]))
      assert.equal(store.rename(`put ${sizeBytes}`, `renamed ${sizeBytes}`), true)
      assert.equal(store.copy(`renamed ${sizeBytes}`, other), true)
      assert.equal(store.move(`stream ${sizeBytes}`, other), true)
    }
    const again = onAnotherBoot(t, other)
    for (const sizeBytes of sizes) {
      for (const name of ['renamed', 'stream']) {
        assert.deepEqual(again.get(`${name} ${sizeBytes}`), Buffer.alloc(sizeBytes))
      }
    }
    assert.equal(again.count(), 2 * sizes.length)
  })

  test('readers and writers in one another’s way end, all of them', async (t) => {
    const pool = hostsFor({ after: (action) => atEnd(t, action) })
    const directory = temporaryDirectory(t)
    const path = join(directory, 'store')
    const store = openAt<number>(t, path, { encoding: 'json' })
    const writers = ['process', 'thread'] as const
    const running = Promise.all(
      writers.map((kind, index) =>
        pool.take(kind).call('raiseCounter', {
          ...{ path, options: small, key: 'counter', times: 1000 },
          ...{ by: 'update', file: join(directory, `count ${index}`) },
        }),
      ),
    )
    // A key that is overwritten all the time is never missing from a read of many.
    store.put('counter', 0, { ifAbsent: true })
    let isOver = false
    void running.finally(() => {
      isOver = true
    })
    let reads = 0
    while (!isOver) {
      for (let turn = 0; turn < 200; turn++, reads++) {
        const [counter, missing] = store.getMany(['counter', 'missing'])
        assert.ok(counter !== undefined && missing === undefined)
      }
      await delay(0)
    }
    await running
    assert.ok(reads > 0)
    assert.equal(store.get('counter'), 2000)
  })

  test('nothing is durable before a sync, and everything after it: a flush is asked of the disk', async () => {
    const disk = new SimulatedDisk()
    const store = openOn<string>(disk, utf8)
    store.put('a', '1')
    await store.sync()
    const syncs = disk.faults.count('sync')
    assert.ok(syncs >= 1)
    store.put('b', '2')
    const after = openOn<string>(
      disk.crash(() => 0),
      utf8,
    )
    assert.deepEqual(entriesOf(after), [['a', '1']])
    await store.sync()
    assert.ok(disk.faults.count('sync') > syncs)
    const afterwards = openOn<string>(
      disk.crash(() => 0),
      utf8,
    )
    assert.deepEqual(entriesOf(afterwards), [
      ['a', '1'],
      ['b', '2'],
    ])
  })

  test('a batch is there as a whole after a crash, or not at all', async () => {
    const disk = new SimulatedDisk()
    const store = openOn<string>(disk, utf8)
    store.put('before', 'x')
    await store.sync()
    store.write(
      Array.from({ length: 12 }, (_, index) => ({
        ...{ type: 'put' as const, key: `k${index}`, value: `${index}`.repeat(150) },
      })),
    )
    disk.observe()
    const seen = new Set<number>()
    for (let arrived = 0; arrived < 256; arrived += 5) {
      const after = disk.crash(({ count, sector }) => (arrived >> (sector % 8)) & 1 && count - 1)
      const found = openOn<string>(after, utf8)
      assert.equal(found.get('before'), 'x')
      seen.add(found.count() - 1)
      after.dispose()
    }
    assert.deepEqual([...seen].sort(), [0, 12])
    disk.dispose()
  })

  test('a checksum that nobody looks at: with verifyReads every read does, key and metadata included', async (t) => {
    const store = openFresh<Buffer>(t, binary)
    store.put('the key', Buffer.alloc(100, 'v'))
    await store.close()
    const [name] = segmentNames(store.path)
    const key = readFileSync(join(store.path, name)).indexOf('the key')
    // The time of the write, the key, the value.
    for (const position of [key - 20, key + 110]) {
      const copy = `${store.path}-${position}`
      copyStore(store.path, copy)
      const [byte] = readFileSync(join(copy, name)).subarray(position)
      overwrite(join(copy, name), position, Buffer.from([byte ^ 4]))
      try {
        const found = openAt<Buffer>(t, copy, { ...binary, verifyReads: 'always' })
        const error = asStoreError(
          thrownBy(() => found.get('the key')),
          'STORE_CORRUPT',
        )
        assert.ok(error.details.file?.includes(name))
        await found.close()
      } catch (error) {
        asStoreError(error, 'STORE_CORRUPT')
      }
    }
  })

  test('the count is right after deletes and another opening, and a delete is not made twice', async (t) => {
    const store = openFresh<string>(t, utf8)
    store.put('a', '1')
    store.put('b', '2')
    store.delete('a')
    await store.close()
    const again = openAt<string>(t, store.path, utf8)
    assert.equal(again.count(), 1)
    const { tail } = again.stats()
    assert.equal(again.delete('a'), false)
    assert.equal(again.stats().tail, tail)
    assert.equal(onAnotherBoot(t, again).count(), 1)
  })

  test('an iteration over a history of 100,000 updates and deletes needs no deeper stack for them', (t) => {
    const store = openAt<number>(t, ':memory:', { encoding: 'json' })
    for (let index = 0; index < 100_000; index++) {
      store.put('one', index)
      if (index % 10 === 0) store.delete('one')
    }
    store.put('one', -1)
    assert.deepEqual(
      store
        .scan({ reverse: true })
        .map(({ value }) => value)
        .toArray(),
      [-1],
    )
  })

  test('small values cost no padding to 64 bytes', (t) => {
    const store = openFresh<Buffer>(t, binary)
    store.put('first', Buffer.alloc(8))
    const { liveBytes } = store.stats()
    for (let index = 0; index < 1000; index++) store.put(numbered('k', index), Buffer.alloc(8))
    assert.ok((store.stats().liveBytes - liveBytes) / 1000 <= 48 + 16 + 8)
  })

  test('a rename and a move leave the value in one place, or both, never in none: after a crash, too', async () => {
    const disk = new SimulatedDisk()
    const otherDisk = new SimulatedDisk()
    const store = openOn<string>(disk, utf8)
    const other = openOn<string>(otherDisk, utf8)
    store.put('old', 'value')
    store.put('moved', 'value')
    await store.sync()
    await other.sync()
    store.rename('old', 'new')
    store.move('moved', other)
    disk.observe()
    const arrived = openOn<string>(
      otherDisk.crash(() => 0),
      utf8,
    )
    assert.equal(arrived.get('moved'), 'value')
    for (let picks = 0; picks < 64; picks++) {
      const after = disk.crash(({ count, sector }) => (picks >> (sector % 6)) & 1 && count - 1)
      const found = openOn<string>(after, utf8)
      assert.equal(Number(found.has('old')) + Number(found.has('new')), 1)
      after.dispose()
    }
  })

  test('a target that is there is replaced by a rename only where that is wanted', (t) => {
    const store = openFresh<string>(t, utf8)
    store.put('a', '1')
    store.put('b', '2')
    assert.equal(store.rename('a', 'b', { ifAbsent: true }), false)
    assert.deepEqual(store.getMany(['a', 'b']), ['1', '2'])
    assert.equal(store.rename('a', 'b'), true)
    assert.deepEqual(store.getMany(['a', 'b']), [undefined, '1'])
  })

  test('a store under another name is the same store: a copy to it is a copy within it', async (t) => {
    const store = openFresh<string>(t, utf8)
    store.put('a', '1')
    const alias = `${store.path}-alias`
    symlinkSync(store.path, alias)
    const roundabout = `./${relative(process.cwd(), store.path)}`
    for (const [index, path] of [alias, roundabout].entries()) {
      const other = openAt<string>(t, path, utf8)
      assert.equal(store.copy('a', other, `copy ${index}`), true)
      assert.equal(store.move(`copy ${index}`, other, `moved ${index}`), true)
      assert.equal(store.move('a', other), true)
      assert.equal(store.get('a'), '1')
      await other.close()
    }
    assert.deepEqual(store.keys().toArray(), ['a', 'moved 0', 'moved 1'])
    assert.equal((await store.verify()).ok, true)
  })

  test('a delete and a put of one key in one batch end as the last of them, in memory and on another boot', (t) => {
    const store = openFresh<string>(t, utf8)
    store.put('a', '0')
    store.put('b', '0')
    store.write([
      { type: 'delete', key: 'a' },
      { type: 'put', key: 'a', value: '1' },
      { type: 'put', key: 'b', value: '1' },
      { type: 'delete', key: 'b' },
    ])
    for (const one of [store, onAnotherBoot(t, store)])
      assert.deepEqual(entriesOf(one), [['a', '1']])
  })

  test('what the format depends on is recorded in the store: another segment size is refused', async (t) => {
    const store = openFresh<string>(t, utf8)
    store.put('a', '1')
    await store.close()
    refused(() => open(store.path, { segmentSizeBytes: 2 ** 21 }), RangeError, 'segmentSizeBytes')
    assert.equal(openAt<string>(t, store.path, utf8).get('a'), '1')
  })

  test('an expired key that is put again is not taken out by who finds it expired', async (t) => {
    const store = openFresh<number>(t, { encoding: 'json' })
    for (let round = 0; round < 50; round++) {
      store.put('a', round, { expiresAtMs: 1 })
      assert.equal(store.get('a'), undefined)
      store.put('a', round)
      assert.equal(store.count(), 1)
      assert.equal(store.get('a'), round)
    }
  })

  test('a fully packed store has no garbage to speak of', async (t) => {
    const store = openFresh<Buffer>(t, binary)
    for (let index = 0; index < 1000; index++) store.put(numbered('k', index), Buffer.alloc(100))
    await store.sync()
    assert.ok(store.stats().garbageRatio < 0.02, String(store.stats().garbageRatio))
  })
})

function* chunksOf(bytes: Buffer, sizeBytes: number): Generator<Buffer> {
  for (let start = 0; start < bytes.length; start += sizeBytes) {
    yield bytes.subarray(start, start + sizeBytes)
  }
}
