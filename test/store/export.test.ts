/**
 * Goal: what a snapshot exports, an import restores; a stream that is not exactly that is refused and
 *   changes nothing.
 * Method: stores with several keyspaces, encodings and sizes, through streams of all speeds and chunk
 *   sizes; every byte of a small stream damaged, every cut of it; writes during the export.
 */
import assert from 'node:assert/strict'
import { createReadStream, createWriteStream, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { PassThrough, Readable, Writable } from 'node:stream'
import { describe, test } from 'node:test'
import { type OrderedKey, open, type Store, type StoreOptions } from '../../src/store/index.js'
import { temporaryDirectory } from '../support/directory.js'
import { Random } from '../support/random.js'
import { seed } from '../support/seed.js'
import { asStoreError, isDamageError } from '../support/store-error.js'
import { isThorough } from '../support/thorough.js'

const options = { segmentSizeBytes: 2 ** 20, syncIntervalMs: 0 } as const

async function exported(store: Store<never>): Promise<Buffer> {
  using snapshot = store.snapshot()
  const chunks: Buffer[] = []
  const target = new Writable({
    write(chunk: Buffer, _encoding, done) {
      chunks.push(Buffer.from(chunk))
      done()
    },
  })
  await snapshot.export(target)
  assert.ok(target.writableFinished)
  return Buffer.concat(chunks)
}

function filled(path = ':memory:'): Store<unknown> {
  const store = open<unknown>(path, options)
  const random = new Random(1)
  for (let index = 0; index < 300; index++) store.put(`key ${index}`, { index })
  for (let index = 0; index < 300; index += 7) store.delete(`key ${index}`)
  const bytes = store.keyspace<Buffer, Buffer>('bytes', {
    encoding: 'binary',
    keyEncoding: 'binary',
  })
  bytes.put(Buffer.alloc(0), Buffer.alloc(0))
  bytes.put(Buffer.alloc(65_535, 0xff), random.bytes(3_000_001))
  bytes.put(Buffer.from([0]), random.bytes(262_144))
  const ordered = store.keyspace<string, OrderedKey>('ordered', {
    encoding: 'utf8',
    keyEncoding: 'ordered',
  })
  for (const key of [1, 'a', ['a', 1]] as OrderedKey[]) ordered.put(key, JSON.stringify(key))
  store.keyspace('empty', { encoding: 'json' })
  return store
}

function requireSame(a: Store<unknown>, b: Store<unknown>): void {
  assert.deepEqual(a.keyspaces(), b.keyspaces())
  assert.equal(a.stats().records, b.stats().records)
  for (const name of ['', ...a.keyspaces()]) {
    const [one, other] = [a, b].map((store) => (name === '' ? store : store.keyspace(name)))
    assert.deepEqual(one.encodings, other.encodings)
    assert.deepEqual(one.range().toArray(), other.range().toArray())
  }
}

describe('an exported snapshot', () => {
  test('is restored by an import: keyspaces, encodings, values of all sizes; versions are new', async () => {
    await using store = filled()
    const stream = await exported(store as Store<never>)
    await using copy = open<unknown>(':memory:', options)
    copy.put('key 1', 'is replaced')
    copy.put('key 7', 'stays')
    const { version } = copy.stats()
    await copy.import([stream])
    assert.equal(copy.get('key 7'), 'stays')
    copy.delete('key 7')
    requireSame(copy, store)
    for (const entry of copy.scan()) assert.ok(entry.version > version)
    assert.deepEqual(
      await exported(copy as Store<never>).then((again) => again.length),
      stream.length,
    )
  })

  test('goes through files, and leaves none behind', async (t) => {
    const directory = temporaryDirectory(t)
    await using store = filled(join(directory, 'a'))
    const file = join(directory, 'export')
    using snapshot = store.snapshot()
    await snapshot.export(createWriteStream(file))
    await using copy = open<unknown>(join(directory, 'b'), options)
    await copy.import(createReadStream(file, { highWaterMark: 1000 }))
    requireSame(copy, store)
    assert.deepEqual(
      readdirSync(join(directory, 'b')).filter((name) => name.startsWith('import')),
      [],
    )
  })

  test('shows one moment, whatever is written meanwhile, and waits for who is slow', async () => {
    await using store = filled()
    await using same = filled()
    let waiting = 0
    let most = 0
    const slow = new PassThrough({ highWaterMark: 1 })
    const snapshot = store.snapshot()
    const done = snapshot.export(slow)
    const chunks: Buffer[] = []
    for await (const chunk of slow as AsyncIterable<Buffer>) {
      chunks.push(chunk)
      most = Math.max(most, slow.readableLength + slow.writableLength)
      waiting++
      store.put(`key ${waiting}`, 'other')
      store.delete(`key ${waiting + 20}`)
      store.dropKeyspace('ordered')
      await new Promise(setImmediate)
    }
    await done
    snapshot.close()
    // A few chunks, and not the 3 MB of all.
    assert.ok(most < 1_000_000, `${most} bytes were waiting`)
    await using copy = open<unknown>(':memory:', options)
    await copy.import(chunks)
    requireSame(copy, same)
  })

  test('of an empty store is one, too', async () => {
    await using store = open<unknown>(':memory:', options)
    const stream = await exported(store as Store<never>)
    await using copy = open<unknown>(':memory:', options)
    await copy.import(Readable.from([stream]))
    assert.equal(copy.count(), 0)
    assert.deepEqual(copy.keyspaces(), [])
  })

  test('ends with what its target fails with, or with the snapshot', async () => {
    await using store = filled()
    const snapshot = store.snapshot()
    const failing = new Writable({ write: (_chunk, _encoding, done) => done(new Error('no room')) })
    await assert.rejects(snapshot.export(failing), /no room/)
    await assert.rejects(snapshot.export({} as Writable), TypeError)
    const stuck = new PassThrough({ highWaterMark: 1 })
    const done = snapshot.export(stuck)
    snapshot.close()
    stuck.resume()
    await assert.rejects(done, (error) => asStoreError(error, 'STORE_CLOSED') !== undefined)
    await assert.rejects(
      snapshot.export(new PassThrough()),
      (error) => asStoreError(error, 'STORE_CLOSED') !== undefined,
    )
    assert.equal(store.stats().snapshots, 0)
  })
})

describe('an import is refused whole', () => {
  const small = async (): Promise<Buffer> => {
    await using store = open<unknown>(':memory:', options)
    for (let index = 0; index < 20; index++) store.put(`key ${index}`, 'v'.repeat(index))
    store.keyspace('other', { encoding: 'json' }).put('a', { a: 1 })
    return await exported(store as Store<never>)
  }

  const requireRefused = async (stream: Buffer, what: string): Promise<void> => {
    await using store = open<unknown>(':memory:', options)
    store.put('before', 1)
    const { sequence } = store.stats()
    let error: unknown
    await store.import([stream]).catch((caught: unknown) => {
      error = caught
    })
    assert.ok(isDamageError(error), `${what}: ${String(error)}`)
    assert.equal(store.stats().sequence, sequence, what)
  }

  test('where any of its bytes is another one', async () => {
    const stream = await small()
    const random = new Random(seed)
    const stride = isThorough ? 1 : 5
    for (let at = seed % stride; at < stream.length; at += stride) {
      const damaged = Buffer.from(stream)
      damaged[at] ^= 1 << random.below(8)
      await requireRefused(damaged, `byte ${at}, VARVE_SEED=${seed}`)
    }
  })

  test('where it is cut anywhere, or goes on', async () => {
    const stream = await small()
    const stride = isThorough ? 1 : 7
    for (let size = seed % stride; size < stream.length; size += stride) {
      await requireRefused(stream.subarray(0, size), `cut at ${size}`)
    }
    await requireRefused(stream.subarray(0, stream.length - 1), 'without its last byte')
    await requireRefused(Buffer.concat([stream, Buffer.of(0)]), 'with one more byte')
    await requireRefused(Buffer.concat([stream, stream]), 'twice')
    await requireRefused(Buffer.alloc(1000), 'zeros')
  })

  test('where frames are exchanged, missing, or of another stream', async () => {
    await using store = open<Buffer>(':memory:', { ...options, encoding: 'binary' })
    const random = new Random(7)
    for (let index = 0; index < 10; index++) store.put(`key ${index}`, random.bytes(200_000))
    const stream = await exported(store as unknown as Store<never>)
    const size = 262_144 + 16
    const headerEnd = 16 + 16 + ((stream.readUInt32LE(20) + 3) & ~3)
    const frame = (index: number): Buffer =>
      stream.subarray(headerEnd + index * size, headerEnd + (index + 1) * size)
    const head = stream.subarray(0, headerEnd)
    const tail = stream.subarray(headerEnd + 3 * size)
    await using whole = open<Buffer>(':memory:', { ...options, encoding: 'binary' })
    await whole.import([head, frame(0), frame(1), frame(2), tail])
    assert.equal(whole.count(), 10)
    await requireRefused(Buffer.concat([head, frame(1), frame(0), frame(2), tail]), 'exchanged')
    await requireRefused(Buffer.concat([head, frame(0), frame(2), tail]), 'one missing')
    await requireRefused(
      Buffer.concat([head, frame(0), frame(0), frame(1), frame(2), tail]),
      'twice',
    )
  })

  test('where the source fails, gives no bytes, or is none', async () => {
    const stream = await small()
    await using store = open<unknown>(':memory:', options)
    async function* failing(): AsyncGenerator<Buffer> {
      yield stream.subarray(0, 100)
      throw new Error('the line broke')
    }
    await assert.rejects(store.import(failing()), /the line broke/)
    await assert.rejects(store.import(['text'] as never), TypeError)
    await assert.rejects(store.import(5 as never), TypeError)
    assert.equal(store.stats().sequence, 0)
  })

  test('where a keyspace has other encodings', async () => {
    const stream = await small()
    const cases: { open: StoreOptions; other?: object }[] = [
      { open: { encoding: 'json' } },
      { open: { keyEncoding: 'binary' } },
      { open: {}, other: { encoding: 'utf8' } },
      { open: {}, other: { encoding: 'json', keyEncoding: 'ordered' } },
    ]
    for (const { open: own, other } of cases) {
      await using store = open<unknown>(':memory:', { ...options, ...own } as StoreOptions<unknown>)
      if (other !== undefined) store.keyspace('other', other)
      const { sequence } = store.stats()
      await assert.rejects(store.import([stream]), TypeError)
      assert.equal(store.stats().sequence, sequence)
    }
  })

  test('where nothing may be written', async (t) => {
    const stream = await small()
    const path = temporaryDirectory(t)
    await open<unknown>(path, options).close()
    const reader = open<unknown>(path, { ...options, readOnly: true })
    await assert.rejects(reader.import([stream]), { code: 'STORE_READ_ONLY' })
    await reader.close()
    await assert.rejects(reader.import([stream]), { code: 'STORE_CLOSED' })
  })
})
