/**
 * Goal: what a range reads many keys at a time is what reading them one by one gives, whatever the keys and
 *   values are and whoever writes meanwhile.
 * Method: keys and values of all the kinds that are treated apart; a writer in another thread that
 *   updates in place, deletes, inserts, and writes batches, while snapshots are read again and again.
 * Properties checked: entries against single reads; values belong to the caller, each on its own; a
 *   snapshot gives the same twice; no half of a batch; pins of ranges that were left are given back.
 */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { describe, test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { open, type Store } from '../../src/store/index.js'
import { collectUntil } from '../support/collect-garbage.js'
import { temporaryDirectory } from '../support/directory.js'
import { engineOf } from '../support/engine-of.js'
import { Random } from '../support/random.js'

const segmentSizeBytes = 2 ** 20

/** Of every size that is treated apart, and some more: one in 40 in a segment of its own. */
function sizedValue(index: number): Buffer {
  const sizes = [0, 1, 3, 4, 7, 8, 9, 100, 101, 255, 256, 1023, 1024, 1025, 3000, 8192, 9000]
  const sizeBytes = index % 40 === 39 ? 2 ** 18 + index : sizes[index % sizes.length]
  return Buffer.alloc(sizeBytes, index % 251)
}

/** What says whether two values are the same: a difference of two long ones takes minutes to print. */
function told(value: Buffer | undefined): string {
  assert.ok(value !== undefined && Object.getPrototypeOf(value) === Buffer.prototype)
  return `${value.length} bytes, ${createHash('sha1').update(value).digest('hex')}`
}

function toldEntries(entries: Iterable<[string, Buffer]>): string[] {
  return Array.from(entries, ([key, value]) => `${key}: ${told(value)}`)
}

function requireSame(store: Store<Buffer>, keys: readonly string[]): void {
  const sorted = [...keys].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
  const expected = sorted.map((key) => `${key}: ${told(store.get(key))}`)
  assert.deepStrictEqual(toldEntries(store.range()), expected)
  assert.deepStrictEqual(toldEntries(store.range({ reverse: true })), [...expected].reverse())
  assert.deepStrictEqual(store.keys().toArray(), sorted)
  for (const limit of [1, 7, 63, 64, 65, 150]) {
    assert.deepStrictEqual(toldEntries(store.range({ limit })), expected.slice(0, limit))
  }
}

describe('many keys read at a time', () => {
  test('have values of every size', async () => {
    await using store = open<Buffer>(':memory:', { encoding: 'binary', segmentSizeBytes })
    const keys = Array.from({ length: 200 }, (_, index) => `key ${index}`)
    for (const [index, key] of keys.entries()) store.put(key, sizedValue(index))
    requireSame(store, keys)
  })

  test('are text of every kind and size, side by side', async () => {
    await using store = open<Buffer>(':memory:', { encoding: 'binary', segmentSizeBytes })
    const random = new Random(7)
    const keys = new Set(['', 'ä', 'a', 'é'.repeat(300), 'long '.repeat(400)])
    for (let index = 0; index < 500; index++) {
      const letters = random.chance(0.1) ? 'aäé€😀' : 'abc'
      const characters = [...letters]
      const length = random.chance(0.05) ? random.below(900) : random.below(30)
      let key = ''
      for (let at = 0; at < length; at++) key += characters[random.below(characters.length)]
      keys.add(key)
    }
    for (const key of keys) store.put(key, Buffer.from(key))
    requireSame(store, [...keys])
  })

  test('are given without those that were deleted, and as they were before they were written again', async () => {
    await using store = open<Buffer>(':memory:', { encoding: 'binary', segmentSizeBytes })
    const keys = Array.from({ length: 300 }, (_, index) => `key ${1000 + 2 * index}`)
    for (const [index, key] of keys.entries()) store.put(key, sizedValue(index))
    const expected = store.range().toArray()
    using snapshot = store.snapshot()
    for (let index = 0; index < 300; index += 3) store.delete(keys[index])
    for (let index = 1; index < 300; index += 3) store.put(keys[index], Buffer.from('newer'))
    for (let index = 0; index < 300; index++) store.put(`key ${1001 + 2 * index}`, sizedValue(7))
    assert.deepStrictEqual(toldEntries(snapshot.range()), toldEntries(expected))
    assert.deepStrictEqual(
      snapshot.keys().toArray(),
      expected.map(([key]) => key),
    )
    const now = store.range().toArray()
    assert.equal(now.length, 500)
    for (const [key, value] of now) assert.equal(told(value), told(store.get(key)))
  })

  test('have values that the caller may change, one without the others', async () => {
    await using store = open<Buffer>(':memory:', { encoding: 'binary', segmentSizeBytes })
    for (let index = 0; index < 200; index++) store.put(`key ${index}`, Buffer.alloc(index, 1))
    const values = store.values().toArray()
    for (const [place, value] of values.entries()) {
      assert.ok(value.every((byte) => byte === 1))
      value.fill(place % 2 === 0 ? 2 : 1)
    }
    for (const [place, value] of values.entries()) {
      assert.ok(
        value.every((byte) => byte === (place % 2 === 0 ? 2 : 1)),
        `value ${place}`,
      )
    }
    for (const value of store.values()) assert.ok(value.every((byte) => byte === 1))
  })

  test('are one commit in a snapshot, beside threads that write them', async (t) => {
    const path = temporaryDirectory(t)
    const store = open<string>(path, { encoding: 'utf8', segmentSizeBytes })
    const end = new Int32Array(new SharedArrayBuffer(8))
    const workers = [1, 2].map(
      (seed) =>
        new Worker(new URL('./pair-worker.js', import.meta.url), {
          workerData: { path, end, seed },
        }),
    )
    const exits = workers.map((worker) => once(worker, 'exit'))
    try {
      let reads = 0
      while (Atomics.load(end, 1) < 150 || reads < 20) {
        using snapshot = store.snapshot()
        const first = snapshot.range().toArray()
        const halves = new Map<string, string[]>()
        for (const [key, value] of first) {
          const [side, name] = key.split(' ')
          const [owner, count] = value.split(' of ')
          assert.ok(side === 'left' || side === 'right')
          assert.equal(owner, key)
          halves.set(name, [...(halves.get(name) ?? []), count])
        }
        for (const counts of halves.values()) {
          assert.equal(counts.length, 2)
          assert.equal(counts[0], counts[1])
        }
        assert.deepStrictEqual(snapshot.range().toArray(), first)
        assert.deepStrictEqual(
          snapshot.keys().toArray(),
          first.map(([key]) => key),
        )
        reads++
        await new Promise(setImmediate)
      }
    } finally {
      // Also where an assertion fails: nobody else would end them.
      Atomics.store(end, 0, 1)
      for (const [exitCode] of await Promise.all(exits)) assert.equal(exitCode, 0)
      await store.close()
    }
  })

  test('hold nothing back when they are left, the first time and later', async () => {
    await using store = open<Buffer>(':memory:', { encoding: 'binary', segmentSizeBytes })
    for (let index = 0; index < 1000; index++) store.put(`key ${index}`, Buffer.alloc(8))
    const { pins } = engineOf(store)
    for (let time = 0; time < 3; time++) {
      assert.equal(store.range().toArray().length, 1000)
      ;(() => {
        // Two at once: only one of them has the memory of the range before.
        const steps = [store.range()[Symbol.iterator](), store.keys()[Symbol.iterator]()]
        for (const step of steps) for (let count = 0; count < 100; count++) step.next()
      })()
      assert.equal(pins.count, 2)
      await collectUntil(() => pins.count === 0)
      assert.equal(pins.count, 0)
    }
  })
})
