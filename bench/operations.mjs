// Operations of the store beyond get and put, on a few hot keys: nanoseconds each. Beside them what lmdb
// does for the same, where it has it.
//
// Goal: what an operation costs by itself. A round runs each row for some milliseconds, in turn, so
// that what else the machine does meets all of them; the table has the best and the median round.
// Not a goal: memory (a handful of keys stay in the processor's cache), devices, several threads.
//
//   node bench/operations.mjs [--rounds 60] [--rows update,increment] [--dist <directory>] [--json]
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
const database = lmdb?.open({ path: join(directory, 'lmdb') })
const keys = Array.from({ length: 1000 }, (_, index) => `key ${String(index).padStart(6, '0')}`)
const value = { name: 'Ada', visits: 7, tags: ['a', 'b'] }
const inTransaction = 10
const hourMs = 3_600_000

store.put('counter', 0)
counters.put('counter', 0)
database?.putSync('counter', 0)
for (const key of keys) store.put(key, value)

let version = 1
/** A round of a row makes so many operations. */
const rows = {
  'get a number': {
    count: 20_000,
    varve: () => store.get('counter'),
    lmdb: () => database.get('counter'),
  },
  'put a number': { count: 20_000, varve: (n) => store.put('counter', n) },
  update: {
    count: 20_000,
    varve: () => store.update('counter', (n) => n + 1),
    // Read and written with nobody's write in between.
    lmdb: () =>
      database.transactionSync(() => database.put('counter', database.get('counter') + 1)),
    lmdbCount: 500,
  },
  increment: { count: 20_000, varve: () => store.increment('counter') },
  'getOrInsert, there': { count: 20_000, varve: () => store.getOrInsert('counter', 0) },
  'update an object': {
    count: 5000,
    varve: (n) => store.update(keys[n % keys.length], (it) => ({ ...it, visits: it.visits + 1 })),
  },
  'transaction of 10 puts, each': {
    count: 2000,
    per: inTransaction,
    varve: (n) =>
      store.transaction((tx) => {
        for (let index = 0; index < inTransaction; index++) tx.put(keys[(n + index) % 1000], n)
      }),
    lmdb: (n) =>
      database.transactionSync(() => {
        for (let index = 0; index < inTransaction; index++)
          database.put(keys[(n + index) % 1000], n)
      }),
    lmdbCount: 300,
  },
  'transaction of 5 reads and 5 puts, each': {
    count: 2000,
    per: inTransaction,
    varve: (n) =>
      store.transaction((tx) => {
        for (let index = 0; index < 5; index++) {
          tx.get(keys[(n + index) % 1000])
          tx.put(keys[(n + index) % 1000], n)
        }
      }),
    lmdb: (n) =>
      database.transactionSync(() => {
        for (let index = 0; index < 5; index++) {
          database.get(keys[(n + index) % 1000])
          database.put(keys[(n + index) % 1000], n)
        }
      }),
    lmdbCount: 300,
  },
  'put with ttlMs': {
    count: 10_000,
    varve: (n) => store.put(keys[n % 1000], n, { ttlMs: hourMs }),
  },
  'get of one that expires': { count: 20_000, varve: (n) => store.get(keys[n % 1000]) },
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
const results = new Map(wanted.map((name) => [name, { varve: [], lmdb: [] }]))
const warmRounds = 10
for (let round = -warmRounds; round < Number(options.rounds); round++) {
  // Timers and promises of a round have their turn.
  await new Promise(setImmediate)
  for (const name of wanted) {
    const { count, lmdbCount = count, per = 1, ...engines } = rows[name]
    const measured = run(engines.varve, count, per)
    const others = database && engines.lmdb ? run(engines.lmdb, lmdbCount, per) : undefined
    if (round < 0) continue
    results.get(name).varve.push(measured)
    if (others !== undefined) results.get(name).lmdb.push(others)
  }
}
await store.close()
await database?.close()
rmSync(directory, { recursive: true })

const facts = (list) => {
  const sorted = list.toSorted((a, b) => a - b)
  return { best: Math.round(sorted[0]), median: Math.round(sorted[sorted.length >> 1]) }
}
const table = Object.fromEntries(
  [...results].map(([name, engines]) => [
    name,
    {
      varve: facts(engines.varve),
      ...(engines.lmdb.length > 0 ? { lmdb: facts(engines.lmdb) } : {}),
    },
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
