/**
 * Goal: docs/sharing.md says how many `Atomics` calls a read or a write makes.
 * Method: the functions of `Atomics` are replaced by ones that count, and each operation of the table
 *   is done once, after it was done before.
 * Properties checked: the counts are those of the column "x64", for every row that has one.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { bucketCountMin } from '../../src/format/bucket.js'
import { open, type Store } from '../../src/store/index.js'
import { temporaryDirectory } from '../support/directory.js'

type Counts = Partial<Record<string, number>>

const names = {
  load: 'load',
  store: 'store',
  add: 'add',
  compareExchange: 'compare-and-exchange',
  exchange: 'exchange',
  sub: 'sub',
  and: 'and',
  or: 'or',
  xor: 'xor',
  notify: 'notify',
  wait: 'wait',
} as const

/** The calls that `action` makes on this thread. */
async function counted(action: () => unknown): Promise<Counts> {
  const counts: Counts = {}
  const former: Record<string, unknown> = {}
  for (const [name, word] of Object.entries(names)) {
    const original = Atomics[name as keyof typeof names] as (...args: unknown[]) => unknown
    former[name] = original
    Object.assign(Atomics, {
      [name]: (...args: unknown[]) => {
        counts[word] = (counts[word] ?? 0) + 1
        return original.apply(Atomics, args)
      },
    })
  }
  try {
    await action()
  } finally {
    Object.assign(Atomics, former)
  }
  return counts
}

/** The rows of the table: the operation, and what stands in the column "x64". */
function tableRows(): (readonly [string, string])[] {
  const page = readFileSync(join(process.cwd(), 'docs', 'sharing.md'), 'utf8')
  const lines = page.slice(page.indexOf('## What it costs')).split('\n')
  const rows = lines.filter((line) => line.startsWith('|')).slice(2)
  return rows.map((line) => {
    const [, operation, onX64] = line.split('|').map((cell) => cell.trim())
    return [operation, onX64] as const
  })
}

function parseCell(cell: string): Counts {
  if (cell === 'none') return {}
  const parts = cell.replace(/^and /, '').split(', ')
  return Object.fromEntries(
    parts.map((part) => {
      const match = /^(\d+) ([a-z-]+?)s?$/.exec(part)
      assert.ok(match, `"${part}" names a number of calls`)
      return [match[2], Number(match[1])]
    }),
  )
}

/** What `more` has beyond `less`. */
function difference(more: Counts, less: Counts): Counts {
  const rest = Object.keys(more).map((name) => [name, (more[name] ?? 0) - (less[name] ?? 0)])
  return Object.fromEntries(rest.filter(([, count]) => count !== 0))
}

type Measure = (store: Store<Buffer>) => Promise<Counts>

const value = Buffer.alloc(100)
const putAlone: Counts = { 'compare-and-exchange': 1 }

const measures: Readonly<Record<string, Measure>> = {
  '`get`, `getInto`, `getEntry`, a hit': async (store) => {
    const counts = await counted(() => store.get('key'))
    assert.deepEqual(await counted(() => store.getInto('key', Buffer.alloc(100))), counts)
    assert.deepEqual(await counted(() => store.getEntry('key')), counts)
    return counts
  },
  'the same, a miss': async (store) => {
    const counts = await counted(() => store.get('none'))
    assert.deepEqual(await counted(() => store.getInto('none', Buffer.alloc(100))), counts)
    assert.deepEqual(await counted(() => store.getEntry('none')), counts)
    return counts
  },
  '`has`, a hit': (store) => counted(() => store.has('key')),
  '`has`, a miss': (store) => counted(() => store.has('none')),
  '`count`': (store) => counted(() => store.count()),
  '`put` in place': async (store) => {
    const { sequence } = store.stats()
    const { tail } = store.stats()
    const counts = await counted(() => store.put('key', value))
    assert.deepEqual([store.stats().tail, store.stats().sequence], [tail, sequence + 1])
    return counts
  },
  '`put`, a new record of the key': async (store) => {
    await store.sync()
    return await counted(() => store.put('key', value))
  },
  '`put` of a new key': (store) => counted(() => store.put('new', value)),
  '`delete`': (store) => counted(() => store.delete('key')),
  'a bucket split (every fifth new key)': async (store) => {
    const seen: Counts[] = []
    const empty = bucketCountMin * 5
    for (let number = 0; number < empty; number++) store.put(`former ${number}`, value)
    for (let number = 0; number < 200; number++) {
      const counts = await counted(() => store.put(`new ${number}`, value))
      const rest = difference(counts, putAlone)
      if (Object.keys(rest).length > 0) seen.push(rest)
    }
    assert.ok(Math.abs(seen.length - 200 / 5) <= 1, `${seen.length} splits for 200 keys`)
    for (const rest of seen) assert.deepEqual(rest, seen[0])
    return seen[0]
  },
  'a write after another’s': async (store) => {
    await using other = open<Buffer>(store.path, { encoding: 'binary' })
    other.put('key', value)
    return difference(await counted(() => store.put('key', value)), putAlone)
  },
  '`write` of n operations': (store) =>
    counted(() =>
      store.write([
        { type: 'put', key: 'key', value },
        { type: 'delete', key: 'other' },
      ]),
    ),
  '`sync`': async (store) => {
    store.put('key', value)
    return await counted(() => store.sync())
  },
}

describe('the table of Atomics calls in docs/sharing.md', {
  skip: process.arch === 'x64' ? false : 'its column "x64" holds on x64',
}, () => {
  const rows = tableRows()

  test('has the rows that are counted here', () => {
    assert.deepEqual(
      rows.map(([operation]) => operation),
      Object.keys(measures),
    )
  })

  for (const [operation, cell] of rows) {
    test(`${operation}: ${cell}`, async (t) => {
      await using store = open<Buffer>(temporaryDirectory(t), {
        encoding: 'binary',
        segmentSizeBytes: 2 ** 20,
        syncIntervalMs: 0,
      })
      for (const key of ['key', 'other']) store.put(key, value)
      assert.deepEqual(await measures[operation](store), parseCell(cell))
    })
  }
})
