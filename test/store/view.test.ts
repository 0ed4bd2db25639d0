/**
 * Goal: a view is the value, aligned and not copied, and stays what it was for as long as it is held (I11).
 * Method: values of all sizes by puts and batches, beside each other, looked at as views; then everything
 *   that changes or closes a store while views are held; the process's map of memory.
 * Properties checked: alignment; bytes; that what is viewed is not updated in place by anybody; that memory
 *   is given back when, and only when, nobody can reach a view; the errors.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { alignedValueSizeBytesMin } from '../../src/log/alignment.js'
import { open, type Store } from '../../src/store/index.js'
import { collectUntil } from '../support/collect-garbage.js'
import { copyStore, temporaryDirectory } from '../support/directory.js'
import { engineOf } from '../support/engine-of.js'
import { Random } from '../support/random.js'
import { seed } from '../support/seed.js'
import { refused, storeErrorOf } from '../support/store-error.js'

const segmentSizeBytes = 2 ** 20
const options = { encoding: 'binary', segmentSizeBytes, syncIntervalMs: 0 } as const

type Bytes = Store<Uint8Array>

/** True where a view is over the segment's memory, and not over a copy of the value alone. */
function isInPlace(view: ArrayBufferView): boolean {
  return view.buffer.byteLength > view.byteLength
}

function assertView(view: Uint8Array | undefined, value: Uint8Array): void {
  assert.ok(view !== undefined)
  assert.ok(Buffer.from(value).equals(view), 'the view has the bytes of the value')
  assert.equal(view.byteOffset % 64, 0)
}

/** Not in the test itself: what it once had in a variable counts as reachable. */
function viewsOf(store: Bytes): (Uint8Array | undefined)[] {
  return Array.from({ length: 400 }, (_, index) => store.view(`${index}`, Uint8Array))
}

function takeFirst(views: (Uint8Array | undefined)[]): Uint8Array | undefined {
  for (const [index, view] of views.entries()) assertView(view, Buffer.alloc(9000, index))
  const [first] = views
  views.length = 0
  return first
}

/** What can be collected is, and its callbacks have run. */
async function collect(): Promise<void> {
  let turns = 0
  await collectUntil(() => turns++ === 3)
}

describe(`views (seed ${seed})`, () => {
  test('of any size and beside any others they are the value, and aligned', async (t) => {
    const directory = temporaryDirectory(t)
    const random = new Random(seed)
    const store: Bytes = open(directory, options)
    const values = new Map<string, Buffer>()
    const key = (): string => 'k'.repeat(random.below(40)) + random.below(300)
    const value = (): Buffer => random.bytes(random.below(random.chance(0.1) ? 400_000 : 2500))
    for (let round = 0; round < 250; round++) {
      if (random.chance(0.3)) {
        const operations = Array.from({ length: 1 + random.below(12) }, () => {
          const operation = { type: 'put' as const, key: key(), value: value() }
          values.set(operation.key, operation.value)
          return operation
        })
        store.write(operations)
      } else {
        const name = key()
        values.set(name, value())
        store.put(name, values.get(name) as Buffer)
      }
    }
    const check = (store: Bytes): void => {
      for (const [name, bytes] of values) {
        const view = store.view(name, Uint8Array)
        assertView(view, bytes)
        if (bytes.length >= alignedValueSizeBytesMin) assert.ok(isInPlace(view as Uint8Array))
      }
    }
    check(store)
    assert.deepEqual((await store.verify()).problems, [])
    const { garbageBytes, liveBytes } = store.stats()
    await store.close()
    const again: Bytes = open(directory, options)
    check(again)
    assert.deepEqual((await again.verify()).problems, [])
    await again.close()
    // On another boot everything is read again from the log.
    copyStore(directory, `${directory}-copy`)
    const replayed: Bytes = open(`${directory}-copy`, options)
    assert.equal(replayed.stats().lastRecovery.kind, 'replay')
    check(replayed)
    assert.equal(replayed.stats().liveBytes, liveBytes)
    assert.ok(Math.abs(replayed.stats().garbageBytes - garbageBytes) < 1000)
    await replayed.close()
  })

  test('all types are given, and a size that does not fit is refused', async (t) => {
    const store: Store<ArrayBufferView> = open(temporaryDirectory(t), options)
    const floats = Float32Array.from({ length: 384 }, (_, index) => index / 7)
    store.put('vector', floats)
    assert.deepEqual(store.view('vector', Float32Array), floats)
    const bytes = Buffer.from(floats.buffer)
    const types = [
      Int8Array,
      Uint8Array,
      Uint8ClampedArray,
      Int16Array,
      Uint16Array,
      Int32Array,
      Uint32Array,
      Float32Array,
      Float64Array,
      BigInt64Array,
      BigUint64Array,
    ]
    for (const type of types) {
      const view = store.view<ArrayBufferView>('vector', type)
      assert.ok(view instanceof type)
      assert.equal(view.byteLength, bytes.length)
      assert.ok(bytes.equals(new Uint8Array(view.buffer, view.byteOffset, view.byteLength)))
    }
    assert.ok(Buffer.isBuffer(store.view('vector', Buffer)))
    assert.deepEqual(store.view('vector', Buffer), bytes)
    assert.equal(store.view('vector', DataView)?.getFloat32(4, true), floats[1])
    class Vector extends Float32Array {}
    assert.ok(store.view('vector', Vector) instanceof Vector)

    assert.equal(store.view('missing', Float32Array), undefined)
    store.put('odd', bytes.subarray(0, 1001))
    refused(() => store.view('odd', Float32Array), RangeError, '1001', '4', 'Float32Array', 'odd')
    refused(() => store.view('odd', BigInt64Array), RangeError, '1001', '8', 'BigInt64Array')
    assert.equal(store.view('odd', Uint8Array)?.length, 1001)
    store.put('small', bytes.subarray(0, 6))
    refused(() => store.view('small', Float64Array), RangeError, '6', '8')
    assert.deepEqual(store.view('small', Uint16Array), new Uint16Array(floats.buffer, 0, 3))
    store.put('empty', bytes.subarray(0, 0))
    assert.equal(store.view('empty', Float64Array)?.length, 0)
    for (const wrong of [undefined, null, 'Float32Array', Array, ArrayBuffer, new Uint8Array(1)]) {
      refused(() => store.view('vector', wrong as never), TypeError, 'Float32Array')
    }
    await store.close()
    storeErrorOf(() => store.view('vector', Uint8Array), 'STORE_CLOSED')
  })

  test('a view stays as it is through updates, deletes, a close, and the end of the directory', async (t) => {
    const directory = temporaryDirectory(t)
    const store: Bytes = open(directory, options)
    const views: [Uint8Array | undefined, Buffer][] = []
    const value = (fill: number): Buffer => Buffer.alloc(2000, fill)
    for (let round = 1; round < 200; round++) {
      store.put('key', value(round))
      views.push([store.view('key', Uint8Array), value(round)])
      if (round % 7 === 0) store.delete('key')
      // Without a view in between it is updated in place.
      store.put('key', value(round + 1))
      store.put('key', value(round))
    }
    store.put('large', Buffer.alloc(600_000, 7))
    views.push([store.view('large', Uint8Array), Buffer.alloc(600_000, 7)])
    store.put('large', Buffer.alloc(600_000, 8))
    await store.sync()
    for (const [view, bytes] of views) assertView(view, bytes)
    await store.close()
    for (const [view, bytes] of views) assertView(view, bytes)
    const again: Bytes = open(directory, options)
    again.put('key', value(77))
    await collect()
    for (const [view, bytes] of views) assertView(view, bytes)
    await again.close()
  })

  test('what is viewed by one is not updated in place by another', async (t) => {
    for (const path of [temporaryDirectory(t), ':memory:']) {
      const store: Bytes = open(path, options)
      store.put('key', Buffer.alloc(1000, 1))
      const worker = new Worker(fileURLToPath(new URL('./view-worker.js', import.meta.url)), {
        workerData: store.share(),
      })
      await once(worker, 'message')
      const put = async (fill: number): Promise<void> => {
        worker.postMessage({ key: 'key', value: Buffer.alloc(1000, fill) })
        await once(worker, 'message')
      }
      const address = (): number => store.stats().tail
      await put(2)
      const before = address()
      await put(3)
      assert.equal(address(), before, 'without a view it is updated in place')
      const view = store.view('key', Uint8Array)
      await put(4)
      assert.notEqual(address(), before)
      assertView(view, Buffer.alloc(1000, 3))
      assertView(store.view('key', Uint8Array), Buffer.alloc(1000, 4))
      worker.postMessage('close')
      await once(worker, 'exit')
      await store.close()
    }
  })

  test('a view that is cloned, transferred or written to harms nothing but itself', async (t) => {
    const directory = temporaryDirectory(t)
    const store: Bytes = open(directory, options)
    const value = Buffer.alloc(1536, 5)
    store.put('a', value)
    store.put('b', value)
    const held = store.view('b', Uint8Array)
    const view = store.view('a', Uint8Array) as Uint8Array
    assert.deepEqual(structuredClone(view), view)
    const { transfer } = view.buffer as { transfer?: () => ArrayBuffer }
    if (transfer !== undefined) {
      const moved = transfer.call(view.buffer)
      assert.equal(moved.byteLength, view.buffer.byteLength)
      assertView(view, value)
      // Around what stands in its place: the buffer is gone, and the store is not.
      const { prototype } = ArrayBuffer as unknown as { prototype: { transfer: () => ArrayBuffer } }
      const gone = prototype.transfer.call(view.buffer)
      assert.equal(view.length, 0)
      assertView(store.view('a', Uint8Array), value)
      assert.ok(value.equals(new Uint8Array(gone, store.view('b', Uint8Array)?.byteOffset, 1536)))
    }
    assert.deepEqual(store.get('a'), value)
    const last = store.view('a', Uint8Array) as Uint8Array
    last.fill(9)
    assert.deepEqual(store.get('a'), value)
    assert.deepEqual((await store.verify()).problems, [])
    assert.ok(held !== undefined)
    await store.close()
  })

  test('memory is given back when nobody can reach a view any more, and not before', {
    skip: !existsSync('/proc/self/maps'),
  }, async (t) => {
    const directory = temporaryDirectory(t)
    // Those of the store itself are shared.
    const mapped = (): number =>
      readFileSync('/proc/self/maps', 'utf8')
        .split('\n')
        .filter((line) => line.includes('rw-p') && line.includes(join(directory, 'segment-')))
        .length
    const store: Bytes = open(directory, options)
    for (let index = 0; index < 400; index++) store.put(`${index}`, Buffer.alloc(9000, index))
    const views = viewsOf(store)
    await store.close()
    const held = mapped()
    assert.ok(held >= 4, `${held} segments are mapped`)
    await collect()
    assert.equal(mapped(), held)
    const last = takeFirst(views)
    await collectUntil(() => mapped() === 1)
    assert.equal(mapped(), 1)
    assertView(last, Buffer.alloc(9000, 0))
  })

  test('where nothing can be given away a view is a copy', async (t) => {
    const value = Buffer.alloc(1536, 3)
    const directory = temporaryDirectory(t)
    const filed: Bytes = open(directory, { ...options, mapping: 'file' })
    filed.put('a', value)
    assertView(filed.view('a', Uint8Array), value)
    assert.equal(isInPlace(filed.view('a', Uint8Array) as Uint8Array), false)
    await filed.close()
    const reader: Bytes = open(directory, { ...options, readOnly: true })
    assertView(reader.view('a', Uint8Array), value)
    await reader.close()
    const own: Bytes = open(':memory:', { ...options, mapping: 'file' })
    own.put('a', value)
    const view = own.view('a', Uint8Array)
    own.put('a', Buffer.alloc(1536, 4))
    assertView(view, value)
    await own.close()
  })

  test('values of every encoding can be viewed, as their bytes', async (t) => {
    const text: Store<string> = open(temporaryDirectory(t), { ...options, encoding: 'utf8' })
    text.put('a', 'ä'.repeat(600))
    assertView(text.view('a', Uint8Array), Buffer.from('ä'.repeat(600)))
    await text.close()
    const vectors = open<Float32Array>(temporaryDirectory(t), {
      ...options,
      encoding: {
        encode: (vector: Float32Array) => vector,
        decode: (bytes) => new Float32Array(Uint8Array.from(bytes).buffer),
      },
    })
    const vector = Float32Array.of(1, 2, 3)
    vectors.put('a', vector)
    assert.deepEqual(vectors.get('a'), vector)
    assert.deepEqual(vectors.view('a', Float32Array), vector)
    await vectors.close()
  })

  test('a view moves the boundary once, and not again where it is behind it', async (t) => {
    const store: Bytes = open(temporaryDirectory(t), options)
    for (let index = 0; index < 20; index++) store.put(`${index}`, Buffer.alloc(600, index))
    const { control } = engineOf(store)
    const commits = (): number => control.words[3]
    store.view('3', Uint8Array)
    const before = commits()
    for (let index = 0; index < 20; index++) store.view(`${index}`, Uint8Array)
    assert.equal(commits(), before)
    await store.close()
  })
})
