/**
 * Goal: iterators give what their range had when they were made, in order, by whatever calls.
 * Method: a database of random keys beside a sorted list of the same; iterators of random ranges,
 *   each driven by random calls to next, nextv, all and seek while keys are written and deleted.
 *   Streams and sublevels of sublevels over the same.
 * Properties checked: every answer is the list's; the event loop gets turns; a signal ends a long read.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { EntryStream, KeyStream, ValueStream } from 'level-read-stream'
import type { VarveLevel } from '../../src/level/index.js'
import { temporaryDirectory } from '../support/directory.js'
import { Random } from '../support/random.js'
import { seed } from '../support/seed.js'
import { fill, numbered, openLevel, rejectionOf } from './database.js'

type Bytes = VarveLevel<Buffer, Buffer>
type Entry = [Buffer, Buffer]

interface Range {
  gt?: Buffer
  gte?: Buffer
  lt?: Buffer
  lte?: Buffer
  reverse?: boolean
  limit?: number
}

/** Short, of few values, so that ranges meet keys and each other's prefixes. */
function randomKey(random: Random): Buffer {
  const key = random.bytes(1 + random.below(random.chance(0.05) ? 500 : 3))
  return key.map((byte) => [0, 1, 0x7f, 0x80, 0xff][byte % 5]) as Buffer
}

function randomRange(random: Random): Range {
  const range: Range = {}
  for (const bound of ['gt', 'gte', 'lt', 'lte'] as const) {
    if (random.chance(0.3)) range[bound] = randomKey(random)
  }
  if (random.chance(0.5)) range.reverse = true
  if (random.chance(0.3)) range.limit = random.below(40)
  return range
}

function isWithin(key: Buffer, { gt, gte, lt, lte }: Range): boolean {
  if (gte !== undefined ? key.compare(gte) < 0 : gt !== undefined && key.compare(gt) <= 0) {
    return false
  }
  return !(lte !== undefined ? key.compare(lte) > 0 : lt !== undefined && key.compare(lt) >= 0)
}

/** The entries of a range, in its direction. */
function entriesOf(state: ReadonlyMap<string, Buffer>, range: Range): Entry[] {
  const entries = Array.from(state, ([hex, value]): Entry => [Buffer.from(hex, 'hex'), value])
    .filter(([key]) => isWithin(key, range))
    .sort(([a], [b]) => a.compare(b))
  return range.reverse === true ? entries.reverse() : entries
}

async function change(
  db: Bytes,
  state: Map<string, Buffer>,
  random: Random,
  count: number,
): Promise<void> {
  for (let step = 0; step < count; step++) {
    const key = randomKey(random)
    if (random.chance(0.3)) {
      await db.del(key)
      state.delete(key.toString('hex'))
    } else {
      const value = random.bytes(random.below(30))
      await db.put(key, value)
      state.set(key.toString('hex'), value)
    }
  }
}

/** Drives one iterator to an end; `whileReading` writes between the calls. */
async function drive(
  db: Bytes,
  entries: readonly Entry[],
  range: Range,
  random: Random,
  whileReading: () => Promise<void>,
): Promise<void> {
  const iterator = db.iterator(range)
  const limit = range.limit ?? Number.POSITIVE_INFINITY
  let given = 0
  let position = 0
  const take = (count: number): Entry[] => {
    const taken = entries.slice(position, position + Math.min(count, limit - given))
    position += taken.length
    given += taken.length
    return taken
  }
  for (let call = random.below(6); call > 0; call--) {
    await whileReading()
    const choice = random.below(3)
    if (choice === 0) {
      assert.deepEqual(await iterator.next(), take(1)[0])
    } else if (choice === 1) {
      const size = 1 + random.below(random.chance(0.3) ? 300 : 10)
      assert.deepEqual(await iterator.nextv(size), take(size))
    } else {
      const target = randomKey(random)
      iterator.seek(target)
      const isBehind = ([key]: Entry): boolean =>
        range.reverse === true ? key.compare(target) <= 0 : key.compare(target) >= 0
      const found = isWithin(target, range) ? entries.findIndex(isBehind) : -1
      position = found === -1 ? entries.length : found
    }
  }
  assert.deepEqual(await iterator.all(), take(entries.length))
}

test('iterators of random ranges give what the database had when they were made', async (t) => {
  t.diagnostic(`VARVE_SEED=${seed}`)
  const random = new Random(seed)
  const db = await openLevel<Buffer, Buffer>(temporaryDirectory(t), {
    keyEncoding: 'buffer',
    valueEncoding: 'buffer',
  })
  const state = new Map<string, Buffer>()
  await change(db, state, random, 1500)
  for (let round = 0; round < 150; round++) {
    const range = randomRange(random)
    const entries = entriesOf(state, range)
    await drive(db, entries, range, random, () => change(db, state, random, random.below(5)))
    if (round % 10 !== 0) continue
    // The same set of keys goes by clear.
    const cleared = { ...randomRange(random), limit: 1 + random.below(20) }
    for (const [key] of entriesOf(state, cleared).slice(0, cleared.limit)) {
      state.delete(key.toString('hex'))
    }
    await db.clear(cleared)
    assert.deepEqual(
      await db.keys().all(),
      entriesOf(state, {}).map(([key]) => key),
    )
  }
  await db.close()
})

describe('a long read', () => {
  test('lets the event loop have turns', async (t) => {
    const db = await openLevel(temporaryDirectory(t))
    await fill(db, numbered(10_000))
    const reads: Record<string, () => Promise<number>> = {
      async next() {
        let count = 0
        for await (const _ of db.iterator()) count++
        return count
      },
      async nextv() {
        const iterator = db.keys()
        let count = 0
        for (let keys = await iterator.nextv(500); keys.length > 0; ) {
          count += keys.length
          keys = await iterator.nextv(500)
        }
        await iterator.close()
        return count
      },
      all: async () => (await db.values().all()).length,
    }
    for (const [name, read] of Object.entries(reads)) {
      let turns = 0
      const timer = setInterval(() => turns++, 0)
      const immediate = (): void => {
        turns++
        next = setImmediate(immediate)
      }
      let next = setImmediate(immediate)
      assert.equal(await read(), 10_000)
      clearInterval(timer)
      clearImmediate(next)
      assert.ok(turns >= 5, `${name}: ${turns} turns`)
    }
    await db.close()
  })

  test('ends when its signal says so', async (t) => {
    const db = await openLevel(temporaryDirectory(t))
    await fill(db, numbered(5000))
    const controller = new AbortController()
    const iterator = db.iterator({ signal: controller.signal })
    assert.deepEqual(await iterator.next(), numbered(1)[0])
    setImmediate(() => controller.abort())
    const error = await rejectionOf(iterator.all(), 'LEVEL_ABORTED')
    assert.equal(error.name, 'AbortError')
    assert.ok(iterator.count < 5000)
    await db.close()
  })
})

async function readWhole<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = []
  for await (const item of stream) items.push(item)
  return items
}

test('read streams give entries, keys and values in order', async (t) => {
  const db = await openLevel(temporaryDirectory(t))
  const entries = numbered(2500)
  await fill(db, entries)
  assert.deepEqual(
    await readWhole(new EntryStream<string, string, typeof db>(db)),
    entries.map(([key, value]) => ({ key, value })),
  )
  assert.deepEqual(
    await readWhole(new KeyStream<string, typeof db>(db, { reverse: true })),
    entries.map(([key]) => key).reverse(),
  )
  assert.deepEqual(
    await readWhole(new ValueStream<string, string, typeof db>(db, { gt: '000009', limit: 3 })),
    entries.slice(10, 13).map(([, value]) => value),
  )
  await db.close()
})

describe('sublevels of sublevels', () => {
  test('keep their keys apart, and share batches and snapshots', async (t) => {
    const path = temporaryDirectory(t)
    const db = await openLevel(path)
    const outer = db.sublevel('outer')
    const inner = outer.sublevel<string, { n: number }>('inner', { valueEncoding: 'json' })
    const beside = db.sublevel(['outer', 'other'])
    await inner.open()
    await outer
      .batch()
      .put('a', 'outer')
      .put<string, { n: number }>('a', { n: 1 }, { sublevel: inner, valueEncoding: 'json' })
      .write()
    await db.batch([
      { type: 'put', key: 'a', value: 'root' },
      { type: 'put', key: 'a', value: 'beside', sublevel: beside },
    ])
    const snapshot = db.snapshot()
    await inner.put('b', { n: 2 })
    await outer.clear({ lt: 'b', gte: 'a' })
    assert.deepEqual(await inner.iterator().all(), [
      ['a', { n: 1 }],
      ['b', { n: 2 }],
    ])
    assert.deepEqual(await inner.keys({ snapshot }).all(), ['a'])
    assert.equal(await outer.get('a'), undefined)
    assert.equal(await outer.get('a', { snapshot }), 'outer')
    assert.equal(inner.getSync('b', { snapshot }), undefined)
    assert.deepEqual(await db.keys().all(), [
      '!outer!!inner!a',
      '!outer!!inner!b',
      '!outer!!other!a',
      'a',
    ])
    await snapshot.close()
    await inner.clear()
    assert.deepEqual(await outer.keys().all(), ['!other!a'])
    assert.equal(await beside.get('a'), 'beside')
    assert.equal(await db.get('a'), 'root')
    await db.close()
  })
})
