import { readFileSync } from 'node:fs'
import { hashReads } from '../compare/hash.mjs'
import { presentKeys, randomRecords, randomValues, shuffledRecords } from '../compare/workloads.mjs'

const batchSize = 1000
const openers = {
  async varve(location) {
    const { VarveLevel } = await import('../../dist/level/index.js')
    return new VarveLevel(location, { valueEncoding: 'buffer' })
  },
  async 'classic-level'(location) {
    // Its cache takes all records, as in the comparison.
    const { ClassicLevel } = await import('../compare/node_modules/classic-level/index.js')
    return new ClassicLevel(location, { valueEncoding: 'buffer', cacheSize: 256 * 1024 * 1024 })
  },
}

/** @param {string} engineName */
export function versionOf(engineName) {
  const manifest =
    engineName === 'varve'
      ? '../../package.json'
      : `../compare/node_modules/${engineName}/package.json`
  return JSON.parse(readFileSync(new URL(manifest, import.meta.url), 'utf8')).version
}

/**
 * What is asked of each database, in this order. Nothing but what abstract-level has, so both take the
 * same calls. `run` gives how many items it met, and the time is that of one of them.
 *
 * @typedef {object} Row
 * @property {string} name
 * @property {string} note
 * @property {(recordCount: number) => object} prepare makes the requests, off the clock
 * @property {(db: object, requests: object) => Promise<number>} run
 */

/** @type {Row[]} */
export const rows = [
  {
    name: 'batch, new keys',
    note: 'batch(array) of 1,000 puts in shuffled order, all records',
    prepare: (recordCount) => batches(presentKeys(shuffledRecords(recordCount, 1)), 2),
    run: writeBatches,
  },
  {
    name: 'batch, updates',
    note: 'the same of random records, a fifth as many',
    prepare: (recordCount) =>
      batches(presentKeys(randomRecords(recordCount, recordCount / 5, 3)), 4),
    run: writeBatches,
  },
  {
    name: 'get',
    note: 'await get(key) of random records, one after the other',
    prepare: (recordCount) => ({
      keys: presentKeys(randomRecords(recordCount, recordCount / 10, 5)),
    }),
    async run(db, { keys }) {
      let count = 0
      for (const key of keys) if ((await db.get(key)) !== undefined) count++
      return count
    },
  },
  {
    name: 'get, 100 in flight',
    note: 'the same, Promise.all of 100',
    prepare: (recordCount) => ({
      keys: presentKeys(randomRecords(recordCount, recordCount / 10, 6)),
    }),
    async run(db, { keys }) {
      let count = 0
      for (let start = 0; start < keys.length; start += 100) {
        const values = await Promise.all(keys.slice(start, start + 100).map((key) => db.get(key)))
        for (const value of values) if (value !== undefined) count++
      }
      return count
    },
  },
  {
    name: 'getSync',
    note: 'of random records',
    prepare: (recordCount) => ({
      keys: presentKeys(randomRecords(recordCount, recordCount / 5, 7)),
    }),
    async run(db, { keys }) {
      let count = 0
      for (const key of keys) if (db.getSync(key) !== undefined) count++
      return count
    },
  },
  {
    name: 'iterator',
    note: 'for await over all entries; the second, as the first one builds the ordered index',
    prepare: () => ({}),
    async run(db) {
      let count = 0
      for await (const [key, value] of db.iterator()) {
        if (key !== undefined && value !== undefined) count++
      }
      return count
    },
  },
  {
    name: 'nextv',
    note: 'all entries, nextv(1000)',
    prepare: () => ({}),
    async run(db) {
      const iterator = db.iterator()
      let count = 0
      for (;;) {
        const entries = await iterator.nextv(1000)
        if (entries.length === 0) break
        count += entries.length
      }
      await iterator.close()
      return count
    },
  },
]

const warmUpRecordCount = 20_000

/**
 * One round of one database: all rows, first on a small store.
 *
 * @param {string} engineName
 * @param {string} directory
 * @param {number} recordCount
 */
export async function runRound(engineName, directory, recordCount) {
  await runRows(engineName, `${directory}-warm-up`, warmUpRecordCount)
  return runRows(engineName, directory, recordCount)
}

async function runRows(engineName, location, recordCount) {
  const db = await openers[engineName](location)
  await db.open()
  const durationsNs = {}
  for (const { name, prepare, run } of rows) {
    if (name === 'iterator') await run(db, {})
    const requests = prepare(recordCount)
    globalThis.gc()
    const start = process.hrtime.bigint()
    const count = await run(db, requests)
    durationsNs[name] = Number(process.hrtime.bigint() - start) / count
  }
  const sample = presentKeys(randomRecords(recordCount, 20_000, 8))
  const hash = hashReads(sample, (key) => db.getSync(key))
  await db.close()
  return { durationsNs, hash }
}

function batches(keys, seed) {
  const values = randomValues(keys.length, seed)
  const operations = keys.map((key, index) => ({ type: 'put', key, value: values[index] }))
  const groups = []
  for (let start = 0; start < keys.length; start += batchSize) {
    groups.push(operations.slice(start, start + batchSize))
  }
  return { groups }
}

async function writeBatches(db, { groups }) {
  let count = 0
  for (const group of groups) {
    await db.batch(group)
    count += group.length
  }
  return count
}
