// Operations of the store beyond get and put: nanoseconds each. Beside them what lmdb does for the same,
// where it has it. Keys are taken at random from so many records; with the default they stay in the
// processor's cache.
//
// lmdb stands there twice. By its defaults, which keep a store whole after a loss of power as Varve's do,
// a transaction of its waits for the flush of the one before. With `noSync` it waits for nothing, and a
// loss of power can leave a file that is of no use: what it does without the device.
//
// Goal: what an operation costs by itself. A round runs each row for some milliseconds, in turn, so
// that what else the machine does meets all of them; the table has the best and the median round.
// Not a goal: several threads.
//
//   node bench/operations.mjs [--rounds 60] [--records 1000] [--rows update,increment] [--dist <directory>] [--json]
import { mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { install } from './install.mjs'

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '60' },
    records: { type: 'string', default: '1000' },
    rows: { type: 'string' },
    dist: { type: 'string', default: join(import.meta.dirname, '..', 'dist') },
    json: { type: 'boolean', default: false },
  },
})
const varve = await import(pathToFileURL(join(resolve(options.dist), 'store', 'index.js')).href)
const compare = join(import.meta.dirname, 'compare')
const lmdb = install(compare) ? createRequire(join(compare, 'package.json'))('lmdb') : undefined

const directory = mkdtempSync(join(tmpdir(), 'varve-operations-'))
const store = varve.open(join(directory, 'varve'))
const counters = store.keyspace('counters')
/** By the name of its column. */
const databases = lmdb
  ? {
      lmdb: lmdb.open({ path: join(directory, 'lmdb') }),
      'lmdb noSync': lmdb.open({ path: join(directory, 'lmdb-no-sync'), noSync: true }),
    }
  : {}
const recordCount = Number(options.records)
const keys = Array.from(
  { length: recordCount },
  (_, index) => `key ${String(index).padStart(12, '0')}`,
)
// Their order is that of nothing, and the same in every run.
for (let index = recordCount - 1; index > 0; index--) {
  const other = (Math.imul(index, 0x9e3779b1) >>> 0) % (index + 1)
  ;[keys[index], keys[other]] = [keys[other], keys[index]]
}
const value = { name: 'Ada', visits: 7, tags: ['a', 'b'], text: 'x'.repeat(50) }
let next = 0
const anyKey = () => {
  next = next + 1 === recordCount ? 0 : next + 1
  return keys[next]
}
const inTransaction = 10
const hourMs = 3_600_000

store.put('counter', 0)
counters.put('counter', 0)
for (const key of keys) store.put(key, value)
for (const database of Object.values(databases)) {
  database.transactionSync(() => {
    database.putSync('counter', 0)
    for (const key of keys) database.putSync(key, value)
  })
}

let version = 1
/**
 * A round of a row makes so many operations. What is given to lmdb's `transactionSync` returns nothing: for a
 * promise, such as `put` gives, it would stay open, and what follows be done within it and never committed.
 */
const rows = {
  'get a number': {
    count: 20_000,
    varve: () => store.get('counter'),
    lmdb: (database) => database.get('counter'),
  },
  'put a number': { count: 20_000, varve: (n) => store.put('counter', n) },
  update: {
    count: 20_000,
    varve: () => store.update('counter', (n) => n + 1),
    // Read and written with nobody's write in between.
    lmdb: (database) =>
      database.transactionSync(() => {
        database.put('counter', database.get('counter') + 1)
      }),
    lmdbCount: 100,
  },
  increment: { count: 20_000, varve: () => store.increment('counter') },
  'getOrInsert of one there': { count: 20_000, varve: () => store.getOrInsert('counter', 0) },
  'update an object': {
    count: 5000,
    varve: (_n) => store.update(anyKey(), (it) => ({ ...it, visits: it.visits + 1 })),
  },
  'a put of 10 in a transaction': {
    count: 2000,
    per: inTransaction,
    varve: (_n) =>
      store.transaction((tx) => {
        for (let index = 0; index < inTransaction; index++) tx.put(anyKey(), value)
      }),
    lmdb: (database) =>
      database.transactionSync(() => {
        for (let index = 0; index < inTransaction; index++) database.put(anyKey(), value)
      }),
    lmdbCount: 100,
  },
  'a read or put of 10 in a transaction': {
    count: 2000,
    per: inTransaction,
    varve: (_n) =>
      store.transaction((tx) => {
        for (let index = 0; index < 5; index++) {
          const key = anyKey()
          tx.get(key)
          tx.put(key, value)
        }
      }),
    lmdb: (database) =>
      database.transactionSync(() => {
        for (let index = 0; index < 5; index++) {
          const key = anyKey()
          database.get(key)
          database.put(key, value)
        }
      }),
    lmdbCount: 100,
  },
  'put with ttlMs': {
    count: 10_000,
    varve: (_n) => store.put(anyKey(), value, { ttlMs: hourMs }),
  },
  'get of one that expires': { count: 20_000, varve: (_n) => store.get(anyKey()) },
  count: { count: 20_000, varve: () => store.count() },
  rename: {
    count: 3000,
    varve: (n) =>
      n % 2 === 0 ? store.rename('counter', 'other') : store.rename('other', 'counter'),
  },
  // Last: deletes are remembered from here on.
  'apply a put': {
    count: 5000,
    varve: (n) => counters.apply({ type: 'put', key: 'counter', value: n, version: version++ }),
  },
}

/** Nanoseconds of one operation. */
function run(action, count, per) {
  const beganAt = process.hrtime.bigint()
  for (let n = 0; n < count; n++) action(n)
  return Number(process.hrtime.bigint() - beganAt) / count / per
}

const wanted = options.rows?.split(',') ?? Object.keys(rows)
const results = new Map(wanted.map((name) => [name, {}]))
const warmRounds = 10
for (let round = -warmRounds; round < Number(options.rounds); round++) {
  // Timers and promises of a round have their turn.
  await new Promise(setImmediate)
  for (const name of wanted) {
    const { count, lmdbCount = count, per = 1, varve: own, lmdb: other } = rows[name]
    const measured = { varve: run(own, count, per) }
    for (const [engine, database] of other ? Object.entries(databases) : []) {
      measured[engine] = run(() => other(database), lmdbCount, per)
    }
    if (round < 0) continue
    const times = results.get(name)
    for (const [engine, time] of Object.entries(measured)) {
      times[engine] ??= []
      times[engine].push(time)
    }
  }
}
await store.close()
for (const database of Object.values(databases)) await database.close()
rmSync(directory, { recursive: true })

const facts = (list) => {
  const sorted = list.toSorted((a, b) => a - b)
  return { best: Math.round(sorted[0]), median: Math.round(sorted[sorted.length >> 1]) }
}
const table = Object.fromEntries(
  [...results].map(([name, engines]) => [
    name,
    Object.fromEntries(Object.entries(engines).map(([engine, times]) => [engine, facts(times)])),
  ]),
)
if (options.json) {
  console.log(JSON.stringify({ node: process.version, rows: table }, null, 2))
} else {
  console.log(`nanoseconds an operation, best and median round, Node ${process.version}`)
  for (const [name, engines] of Object.entries(table)) {
    const cells = Object.entries(engines).map(([engine, { best, median }]) =>
      `${engine} ${best} ${median}`.padEnd(24),
    )
    console.log(`${name.padEnd(42)} ${cells.join(' ')}`)
  }
}
