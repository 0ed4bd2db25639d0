/**
 * Goal: with `verifyReads: 'always'` no damaged byte of a record leads to a wrong answer, and no
 *   change by others is taken for damage.
 * Method: every bit of small records is flipped in memory, and every kind of read made; and reads beside
 *   threads that update in place.
 * Properties checked: the right answer (of bits that mean nothing to a read) or STORE_CORRUPT with file,
 *   address, key and what; without the option, the same flips do give wrong answers.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { recordSpan } from '../../src/log/record-fields.js'
import { type Keyspace, open, StoreError } from '../../src/store/index.js'
import { temporaryDirectory } from '../support/directory.js'
import { engineOf } from '../support/engine-of.js'
import { Random } from '../support/random.js'
import { seed } from '../support/seed.js'
import { storeErrorOf } from '../support/store-error.js'

const options = { segmentSizeBytes: 2 ** 20, syncIntervalMs: 0, autoCompact: false } as const
const target = Buffer.alloc(1000)

/** Every way to read a key, as text. */
const reads: Readonly<Record<string, (space: Keyspace<Buffer>, key: string) => unknown>> = {
  get: (space, key) => space.get(key)?.toString('hex'),
  getMany: (space, key) => space.getMany([key]).map((value) => value?.toString('hex')),
  has: (space, key) => space.has(key),
  getEntry: (space, key) => space.getEntry(key)?.value.toString('hex'),
  getInto: (space, key) => {
    const size = space.getInto(key, target)
    return size < 0 ? size : target.toString('hex', 0, size)
  },
  range: (space, key) =>
    space
      .range({ gte: key, lte: key })
      .toArray()
      .map(([found, value]) => `${found} ${value.toString('hex')}`),
}

describe('verifyReads', () => {
  for (const verifyReads of ['always', 'off'] as const) {
    test(`"${verifyReads}": a flipped bit gives ${verifyReads === 'always' ? 'no' : 'a'} wrong answer`, async (t) => {
      const store = open<Buffer>(temporaryDirectory(t), {
        ...options,
        encoding: 'binary',
        verifyReads,
      })
      const users = store.keyspace<Buffer>('users', { encoding: 'binary' })
      for (const space of [store, users]) {
        for (let index = 0; index < 20; index++) space.put(`key ${index}`, Buffer.alloc(30, index))
        space.count({ gte: 'a' })
      }
      const wrong: string[] = []
      let refused = 0
      for (const space of [store, users]) {
        const key = 'key 7'
        const expected = Object.entries(reads).map(([name, read]) => [
          name,
          String(read(space, key)),
        ])
        space.has(key)
        const { lookup, log } = engineOf(store)
        const { offset, slot } = lookup
        const bytes = log.bytes[slot]
        const span = recordSpan(log.words[slot], offset * 2)
        // Without the option only of the value: a wrong size may lead out of memory.
        const first = offset * 8 + (verifyReads === 'always' ? 0 : 56)
        for (let at = first; at < (offset + span) * 8; at++) {
          const bit = 1 << ((at + seed) % 8)
          bytes[at] ^= bit
          for (const [name, answer] of expected) {
            try {
              const actual = String(reads[name](space, key))
              if (actual !== answer) wrong.push(`${name} byte ${at - offset * 8}: ${actual}`)
            } catch (error) {
              const isRefusal = error instanceof StoreError && error.code === 'STORE_CORRUPT'
              if (!isRefusal) wrong.push(`${name} byte ${at - offset * 8}: ${String(error)}`)
              else refused++
              if (verifyReads === 'off' || !isRefusal) continue
              assert.equal(error.details.address, offset * 8)
              assert.equal(error.details.file, join(store.path, 'segment-0000000000000001'))
              assert.equal(error.details.key, key)
              assert.match(error.details.what ?? '', /checksum/)
            }
          }
          bytes[at] ^= bit
        }
      }
      if (verifyReads === 'always') assert.deepEqual(wrong, [], `VARVE_SEED=${seed}`)
      else assert.ok(wrong.length > 0)
      assert.equal(refused > 0, verifyReads === 'always')
      await store.close()
    })
  }

  test('the value in a segment of its own is verified, and text and custom values', async (t) => {
    const store = open<string>(temporaryDirectory(t), {
      ...options,
      encoding: 'utf8',
      verifyReads: 'always',
    })
    const text = 'x'.repeat(2 ** 19)
    store.put('large', text)
    assert.equal(store.get('large'), text)
    const { log, lookup } = engineOf(store)
    const bytes = log.bytes[lookup.valueSlot]
    bytes[5000] ^= 4
    const { details } = storeErrorOf(() => store.get('large'), 'STORE_CORRUPT')
    assert.equal(details.file, join(store.path, 'value-0000000000000002'))
    assert.equal(details.key, 'large')
    bytes[5000] ^= 4
    assert.equal(store.get('large'), text)
    await store.close()
  })

  test('a snapshot verifies the older record that it shows', async (t) => {
    const store = open<Buffer>(temporaryDirectory(t), {
      ...options,
      encoding: 'binary',
      verifyReads: 'always',
    })
    store.put('key', Buffer.from('first'))
    store.has('key')
    const { log, lookup } = engineOf(store)
    const { offset, slot } = lookup
    const snapshot = store.snapshot()
    store.put('key', Buffer.from('second'))
    log.bytes[slot][offset * 8 + 60] ^= 1
    storeErrorOf(() => snapshot.get('key'), 'STORE_CORRUPT')
    assert.equal(store.get('key')?.toString(), 'second')
    log.bytes[slot][offset * 8 + 60] ^= 1
    assert.equal(snapshot.get('key')?.toString(), 'first')
    snapshot.close()
    await store.close()
  })

  test('what threads update in place meanwhile is read again, and is not damage', async (t) => {
    const path = temporaryDirectory(t)
    const store = open<Buffer>(path, { ...options, encoding: 'binary', verifyReads: 'always' })
    const end = new Int32Array(new SharedArrayBuffer(8))
    const workers = [1, 2].map(
      (number) =>
        new Worker(new URL('./update-worker.js', import.meta.url), {
          workerData: { path, end, seed: seed + number },
        }),
    )
    const exits = workers.map((worker) => once(worker, 'exit'))
    const random = new Random(seed)
    while (Atomics.load(end, 1) < 300) {
      for (let count = 0; count < 5000; count++) {
        store.get(`hot ${random.below(10)}`)
        store.getEntry(`cold ${random.below(500)}`)
      }
      await new Promise(setImmediate)
    }
    Atomics.store(end, 0, 1)
    for (const [exitCode] of await Promise.all(exits)) assert.equal(exitCode, 0)
    assert.equal(store.get('hot 1')?.length ? 'read' : 'missing', 'read')
    await store.close()
  })

  test('another value of the option is refused', () => {
    assert.throws(() => open(':memory:', { verifyReads: true as never }), /"off", "always"/)
  })
})
