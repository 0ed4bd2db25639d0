/**
 * Goal: a value can be written and read as a stream, whatever its size, and a stream that fails leaves
 *   nothing.
 * Method: values around every size at which they are kept in another way, in every encoding and mapping;
 *   sources of every kind, that fail, stall and are aborted; changes of the key while it is read.
 * Properties checked: bytes, by get and by stream; that the store is as before after a failure, and its
 *   directory too; back-pressure; that a stream gives the old value to its end.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import {
  createReadStream,
  createWriteStream,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { describe, test } from 'node:test'
import { open, type Store } from '../../src/store/index.js'
import { copyStore, temporaryDirectory } from '../support/directory.js'
import { Random } from '../support/random.js'
import { seed } from '../support/seed.js'
import { asStoreError, type ErrorClass, refused } from '../support/store-error.js'

const segmentSizeBytes = 2 ** 20
/** Values above have a segment of their own. */
const inlineMax = segmentSizeBytes / 4
const options = { encoding: 'binary', segmentSizeBytes, syncIntervalMs: 0 } as const

type Bytes = Store<Uint8Array>

const random = new Random(seed)

/** In pieces of random sizes, some of them empty. */
async function* piecesOf(bytes: Uint8Array, most = 100_000): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; ) {
    const size = random.below(most)
    // Memory that is used again for the next piece.
    const piece = Buffer.from(bytes.subarray(at, at + size))
    yield piece
    piece.fill(0)
    at += size
  }
}

async function streamed(stream: Readable | undefined): Promise<Buffer> {
  assert.ok(stream !== undefined)
  return Buffer.concat(await stream.toArray())
}

async function failureOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => assert.fail('nothing was thrown'),
    (error: unknown) => error,
  )
}

async function rejected(promise: Promise<unknown>, type: ErrorClass, ...words: string[]) {
  const error = await failureOf(promise)
  refused(
    () => {
      throw error
    },
    type,
    ...words,
  )
}

/** What must be the same before and after. */
function traces(store: Bytes, directory: string): unknown {
  const { records, tail, sequence, fileBytes } = store.stats()
  return { records, tail, sequence, fileBytes, names: readdirSync(directory) }
}

describe(`streams (seed ${seed})`, () => {
  test('values of any size are stored and read, wherever they are kept', async (t) => {
    const sizes = [0, 1, 2000, 70_000, inlineMax - 1, inlineMax, inlineMax + 1, 600_000, 3_000_001]
    for (const mapping of ['auto', 'file', 'memory'] as const) {
      const directory = temporaryDirectory(t)
      const path = mapping === 'memory' ? ':memory:' : directory
      const opened = mapping === 'memory' ? options : { ...options, mapping }
      let store: Bytes = open(path, opened)
      const values = new Map<string, Buffer>()
      for (const size of sizes) {
        const value = random.bytes(size)
        assert.equal(await store.writeStream(`${size}`, piecesOf(value)), true)
        values.set(`${size}`, value)
      }
      const check = async (): Promise<void> => {
        for (const [key, value] of values) {
          assert.ok(value.equals(store.get(key) as Buffer), key)
          assert.ok(value.equals(await streamed(store.readStream(key))), key)
          assert.ok(value.equals(store.view(key, Uint8Array) as Uint8Array), key)
        }
        assert.equal(store.readStream('missing'), undefined)
        assert.deepEqual((await store.verify()).problems, [])
      }
      await check()
      if (mapping === 'memory') {
        await store.close()
        continue
      }
      await store.close()
      store = open(path, opened)
      await check()
      await store.close()
      const copy = temporaryDirectory(t)
      copyStore(directory, copy)
      store = open(copy, opened)
      await check()
      await store.close()
    }
  })

  test('every encoding that can carry bytes gives them back as its values', async (t) => {
    const bytes = random.bytes(700_000)
    const packed: Store<unknown> = open(temporaryDirectory(t), { segmentSizeBytes })
    for (const value of [bytes, bytes.subarray(0, 10), bytes.subarray(0, 0)]) {
      await packed.writeStream('a', piecesOf(value))
      assert.ok(value.equals(packed.get('a') as Buffer))
      assert.ok(value.equals(await streamed(packed.readStream('a'))))
    }
    for (const text of ['', 'short', 'x'.repeat(100), 'y'.repeat(70_000)]) {
      packed.put('text', text)
      assert.equal((await streamed(packed.readStream('text'))).toString(), text)
    }
    packed.put('object', { a: 1 })
    await rejected(streamed(packed.readStream('object')), TypeError, 'bytes', 'text')
    await packed.close()

    const text: Store<string> = open(temporaryDirectory(t), { segmentSizeBytes, encoding: 'utf8' })
    const value = 'aä€🎈'.repeat(60_000)
    // Cut anywhere, also between the two halves of a character.
    await text.writeStream('a', value.match(/[\s\S]{1,7001}/g) ?? [])
    assert.equal(text.get('a'), value)
    await text.writeStream('b', piecesOf(Buffer.from(value)))
    assert.equal(text.get('b'), value)
    assert.equal((await streamed(text.readStream('a'))).toString(), value)
    await rejected(text.writeStream('a', ['x', '\ud800']), TypeError, 'surrogate')
    await rejected(text.writeStream('a', ['\ud800', 'x']), TypeError, 'surrogate')
    assert.equal(text.get('a'), value)
    await text.close()

    const own = open<Buffer>(temporaryDirectory(t), {
      segmentSizeBytes,
      encoding: { encode: (value: Buffer) => value, decode: (bytes) => bytes.reverse() },
    })
    await own.writeStream('a', piecesOf(bytes))
    assert.ok(
      Buffer.from(bytes)
        .reverse()
        .equals(own.get('a') as Buffer),
    )
    await own.close()

    const json: Store<unknown> = open(temporaryDirectory(t), { segmentSizeBytes, encoding: 'json' })
    await rejected(json.writeStream('a', [bytes]), TypeError, 'json', 'binary')
    json.put('a', { b: [1, 2] })
    assert.equal((await streamed(json.readStream('a'))).toString(), '{"b":[1,2]}')
    await json.close()
  })

  test('sources of every kind are read to their end, and files go in and out', async (t) => {
    const directory = temporaryDirectory(t)
    const store: Bytes = open(join(directory, 'store'), options)
    const bytes = random.bytes(900_000)
    const file = join(directory, 'in')
    writeFileSync(file, bytes)
    const sources = [
      createReadStream(file),
      Readable.from([bytes.subarray(0, 400_000), bytes.subarray(400_000)]),
      Readable.toWeb(createReadStream(file)) as unknown as AsyncIterable<Uint8Array>,
      new Blob([bytes]).stream() as unknown as AsyncIterable<Uint8Array>,
      [bytes.subarray(0, 500), bytes.subarray(500)],
    ]
    for (const [index, source] of sources.entries()) {
      await store.writeStream(`${index}`, source)
      assert.ok(bytes.equals(store.get(`${index}`) as Buffer), `source ${index}`)
    }
    await pipeline(store.readStream('0') as Readable, createWriteStream(join(directory, 'out')))
    assert.ok(bytes.equals(readFileSync(join(directory, 'out'))))
    await store.close()
  })

  test('a part is what fs.createReadStream gives of a file', async (t) => {
    const store: Bytes = open(temporaryDirectory(t), options)
    for (const size of [0, 10, 100_000, 700_000]) {
      const value = random.bytes(size)
      store.put('a', value)
      for (const [start, end] of [
        [0, 0],
        [3, 5],
        [9, 9],
        [9, 700_000],
        [size, size + 5],
        [size + 7, 2 * size + 9],
      ]) {
        const part = await streamed(store.readStream('a', { start, end }))
        assert.ok(value.subarray(start, end + 1).equals(part), `${size}: ${start} to ${end}`)
      }
      assert.ok(value.subarray(4).equals(await streamed(store.readStream('a', { start: 4 }))))
    }
    refused(() => store.readStream('a', { start: -1 }), RangeError, 'start', '-1')
    refused(() => store.readStream('a', { end: 0.5 }), RangeError, 'end', '0.5')
    refused(() => store.readStream('a', { start: 5, end: 4 }), RangeError, 'end', '4', '5')
    refused(() => store.readStream('a', { stop: 4 } as never), TypeError, 'stop', 'start')
    refused(() => store.readStream('a', { signal: 1 } as never), TypeError, 'signal')
    refused(() => store.readStream(5 as never), TypeError, 'key')
    await store.close()
  })

  test('a source that fails leaves the store and its directory as they were, and its error is thrown', async (t) => {
    const directory = temporaryDirectory(t)
    const store: Bytes = open(directory, options)
    store.put('a', Buffer.from('old'))
    const before = traces(store, directory)
    const failure = new Error('the source failed')
    for (const size of [0, 1000, 300_000, 2_000_000]) {
      const source = async function* (): AsyncGenerator<Buffer> {
        yield* piecesOf(Buffer.alloc(size))
        throw failure
      }
      assert.equal(await failureOf(store.writeStream('a', source())), failure)
      assert.equal(await failureOf(store.writeStream('a', Readable.from(source()))), failure)
    }
    const missing = createReadStream(join(directory, 'none'))
    assert.equal(
      ((await failureOf(store.writeStream('a', missing))) as { code: string }).code,
      'ENOENT',
    )
    for (const chunk of [5, 'text', null, [1], new ArrayBuffer(1)]) {
      await rejected(
        store.writeStream('a', [Buffer.alloc(1), chunk as never]),
        TypeError,
        'Buffers',
      )
    }
    for (const source of [undefined, null, 5, 'text', Buffer.alloc(3), {}]) {
      await rejected(store.writeStream('a', source as never), TypeError, 'source')
    }
    await rejected(store.writeStream(5 as never, []), TypeError, 'key')
    await rejected(store.writeStream('a', [], null as never), TypeError, 'options')
    await rejected(store.writeStream('a', [], { signal: 5 } as never), TypeError, 'signal')
    await rejected(
      store.writeStream('a', [], { ifAbsent: true, ifVersion: 1 }),
      TypeError,
      'ifAbsent',
    )
    assert.deepEqual(traces(store, directory), before)
    assert.deepEqual(store.get('a'), Buffer.from('old'))
    await store.close()
  })

  test('an aborted stream ends its source at once, and leaves nothing', async (t) => {
    const directory = temporaryDirectory(t)
    const store: Bytes = open(directory, options)
    const before = traces(store, directory)
    for (const size of [0, 1_000_000]) {
      const abort = new AbortController()
      // It gives what it has, and then waits for ever.
      const source = new Readable({ read: () => undefined })
      if (size > 0) source.push(Buffer.alloc(size))
      const written = failureOf(store.writeStream('a', source, { signal: abort.signal }))
      await new Promise((resolve) => setTimeout(resolve, 30))
      abort.abort(new Error('enough'))
      assert.equal((await written) as Error, abort.signal.reason)
      assert.ok(source.destroyed)
    }
    const ended: string[] = []
    const endless = async function* (): AsyncGenerator<Buffer> {
      try {
        for (;;) {
          yield Buffer.alloc(10_000)
          await new Promise(setImmediate)
        }
      } finally {
        ended.push('endless')
      }
    }
    const signal = AbortSignal.timeout(40)
    assert.equal(await failureOf(store.writeStream('a', endless(), { signal })), signal.reason)
    await new Promise((resolve) => setTimeout(resolve, 20))
    assert.deepEqual(ended, ['endless'])
    assert.equal(await failureOf(store.writeStream('a', endless(), { signal })), signal.reason)
    assert.deepEqual(traces(store, directory), before)

    store.put('a', Buffer.alloc(1_000_000))
    const abort = new AbortController()
    const stream = store.readStream('a', { signal: abort.signal }) as Readable
    await once(stream, 'readable')
    abort.abort()
    assert.equal(((await once(stream, 'error')) as Error[])[0].name, 'AbortError')
    await store.close()
  })

  test('a stream gives the old value to its end', async (t) => {
    for (const mapping of ['auto', 'file', 'memory'] as const) {
      const directory = temporaryDirectory(t)
      const store: Bytes =
        mapping === 'memory' ? open(':memory:', options) : open(directory, { ...options, mapping })
      for (const size of [100, 16_000, 70_000, 200_000, 2_000_000]) {
        const value = random.bytes(size)
        for (const change of ['put', 'delete', 'clear'] as const) {
          store.put('a', value)
          const stream = store.readStream('a') as Readable
          const begun = store.readStream('a') as Readable
          await once(begun, 'readable')
          if (change === 'put')
            for (let fill = 0; fill < 3; fill++) store.put('a', Buffer.alloc(size, fill))
          else if (change === 'delete') store.delete('a')
          else store.clear()
          assert.ok(value.equals(await streamed(stream)))
          assert.ok(value.equals(await streamed(begun)))
        }
      }
      const last = random.bytes(2_000_000)
      store.put('a', last)
      const stream = store.readStream('a')
      await store.close()
      assert.ok(last.equals(await streamed(stream)), 'through a close')
    }
  })

  test('neither side runs ahead of the other', async (t) => {
    const store: Bytes = open(temporaryDirectory(t), options)
    store.put('a', Buffer.alloc(8_000_000))
    const stream = store.readStream('a') as Readable
    await once(stream, 'readable')
    await new Promise((resolve) => setTimeout(resolve, 50))
    assert.ok(stream.readableLength <= 600_000, `${stream.readableLength} bytes are read ahead`)
    stream.destroy()

    let asked = 0
    let release: () => void = () => undefined
    const source = {
      [Symbol.asyncIterator]: () => ({
        next(): Promise<IteratorResult<Buffer>> {
          asked++
          return new Promise((resolve) => {
            release = () => resolve({ done: false, value: Buffer.alloc(10) })
          })
        },
        return: async (): Promise<IteratorResult<Buffer>> => ({ done: true, value: undefined }),
      }),
    }
    const abort = new AbortController()
    const written = failureOf(store.writeStream('b', source, { signal: abort.signal }))
    for (let round = 1; round < 5; round++) {
      await new Promise((resolve) => setTimeout(resolve, 5))
      assert.equal(asked, round)
      release()
    }
    abort.abort()
    await written
    await store.close()
  })

  test('conditions hold or not when the value is complete', async (t) => {
    const store: Bytes = open(temporaryDirectory(t), options)
    for (const size of [10, 1_000_000]) {
      store.delete('a')
      assert.equal(await store.writeStream('a', [Buffer.alloc(size, 1)], { ifAbsent: true }), true)
      const late = async function* (): AsyncGenerator<Buffer> {
        yield Buffer.alloc(size, 2)
        store.put('a', Buffer.from('meanwhile'))
      }
      const { version } = store.getEntry('a') as { version: number }
      assert.equal(await store.writeStream('a', late(), { ifVersion: version }), false)
      assert.deepEqual(store.get('a'), Buffer.from('meanwhile'))
      assert.equal(await store.writeStream('a', [Buffer.alloc(size)], { ifAbsent: true }), false)
    }
    await store.close()
  })

  test('a keyspace that is dropped, or a store that is closed, while a value comes ends it', async (t) => {
    const directory = temporaryDirectory(t)
    const store: Bytes = open(directory, options)
    const keyspace = store.keyspace<Uint8Array>('k', { encoding: 'binary' })
    const dropping = async function* (): AsyncGenerator<Buffer> {
      yield Buffer.alloc(1_000_000)
      store.dropKeyspace('k')
    }
    asStoreError(await failureOf(keyspace.writeStream('a', dropping())), 'STORE_NOT_FOUND')
    const closing = async function* (): AsyncGenerator<Buffer> {
      yield Buffer.alloc(1_000_000)
      await store.close()
      yield Buffer.alloc(1)
    }
    asStoreError(await failureOf(store.writeStream('a', closing())), 'STORE_CLOSED')
    assert.deepEqual(
      readdirSync(directory).filter((name) => name.startsWith('import')),
      [],
    )
    const again: Bytes = open(directory, { ...options, readOnly: true })
    assert.equal(again.get('a'), undefined)
    asStoreError(await failureOf(again.writeStream('a', [])), 'STORE_READ_ONLY')
    await again.close()
  })
})
