import {
  missingKeys,
  presentKeys,
  randomRecords,
  randomValues,
  shuffledRecords,
} from './workloads.mjs'

const hotKeyCount = 1000
const batchSize = 1000

/**
 * One row of the table: what is asked of each engine, and how.
 *
 * @typedef {object} Row
 * @property {string} name
 * @property {string} note what exactly is on the clock, for the legend
 * @property {(recordCount: number) => object} prepare makes the requests, off the clock
 * @property {(engine: object, requests: object) => unknown} run sends them, on the clock
 * @property {(engine: object, key: string) => Uint8Array | undefined} [read] of rows that only read
 *   single records
 * @property {(engine: object, key: string) => Promise<Uint8Array[]> | Uint8Array[]} [readRange] of rows
 *   that read ranges: what the one that begins with the key has; `run` gives how many entries it met,
 *   and the time is that of one of them
 */

/** In the order in which they run: each finds the records as the rows before it left them. */
export const rows = [
  {
    name: 'load',
    note: 'new keys in shuffled order; lmdb, better-sqlite3: one transaction; classic-level: batches of 1,000',
    prepare: (recordCount) => ({
      keys: presentKeys(shuffledRecords(recordCount, 1)),
      values: randomValues(recordCount, 2),
    }),
    run: putAll,
  },
  {
    name: 'get',
    note: 'random; gives a copy that the caller owns (Map: the stored buffer itself)',
    prepare: (recordCount) => present(randomRecords(recordCount, recordCount / 4, 3)),
    read: get,
    run: countFoundByGet,
  },
  {
    name: 'getInto',
    note: 'random; into memory that every read reuses (lmdb: getBinaryFast; Map: the stored buffer itself)',
    prepare: (recordCount) => present(randomRecords(recordCount, recordCount / 4, 4)),
    read: (engine, key) => engine.getInto(key),
    run: countFoundByGetInto,
  },
  {
    name: 'getVerified',
    note: "as get, with verifyReads: 'always'; the checksum of every record that is read",
    prepare: (recordCount) => present(randomRecords(recordCount, recordCount / 4, 3)),
    read: (engine, key) => engine.getVerified(key),
    run: countFoundByGetVerified,
  },
  {
    name: 'getMissing',
    note: 'random keys between the present ones',
    prepare: (recordCount) => ({
      keys: missingKeys(randomRecords(recordCount, recordCount / 4, 5)),
      foundCount: 0,
    }),
    read: get,
    run: countFoundByGet,
  },
  {
    name: 'getHot',
    note: 'as get, among 1,000 keys',
    prepare(recordCount) {
      const hotRecords = randomRecords(recordCount, hotKeyCount, 6)
      const choices = randomRecords(hotKeyCount, recordCount / 4, 7)
      return present(choices.map((choice) => hotRecords[choice]))
    },
    read: get,
    run: countFoundByGet,
  },
  {
    name: 'update',
    note: 'random, a value of the same size; otherwise as load',
    prepare: (recordCount) => updates(recordCount, recordCount, 8),
    run: putAll,
  },
  {
    name: 'put',
    note: 'random updates, a call for each (lmdb, classic-level: put(), 1,000 in flight; better-sqlite3: a commit for each)',
    prepare: (recordCount) => updates(recordCount, recordCount / 10, 10),
    run: (engine, { keys, values }) => engine.putEach(keys, values),
  },
  {
    name: 'batch',
    note: 'random updates, 1,000 in each atomic batch or transaction; time for each record',
    prepare(recordCount) {
      const batchCount = Math.max(1, Math.floor(recordCount / 5 / batchSize))
      const batches = Array.from({ length: batchCount }, (_, index) =>
        updates(recordCount, batchSize, 100 + 2 * index),
      )
      return { batches, operationCount: batchCount * batchSize }
    },
    async run(engine, { batches }) {
      for (const { keys, values } of batches) await engine.writeBatch(keys, values)
    },
  },
  {
    name: 'delete',
    note: 'one record in five, in random order; otherwise as load',
    prepare: (recordCount) => ({
      keys: presentKeys(shuffledRecords(recordCount, 12).subarray(0, recordCount / 5)),
    }),
    run: (engine, { keys }) => engine.deleteAll(keys),
  },
  {
    name: 'insert',
    note: 'a tenth as many new keys, in random order, between the others; Varve has no ordered index yet',
    prepare: (recordCount) => inserts(recordCount, 0),
    run: putAll,
  },
  {
    name: 'scan',
    note: 'all records in key order, time for each; Varve: the second scan, the first one builds the index',
    prepare: () => ({ keys: [''] }),
    run: (engine) => engine.countEntries({}),
    readRange: (engine) => engine.rangeValues({ limit: 20_000 }),
  },
  {
    name: 'scanKeys',
    note: 'as scan, the keys alone',
    prepare: () => ({ keys: [''] }),
    run: (engine) => engine.countKeys({}),
    readRange: (engine) => engine.rangeValues({ limit: 1000 }),
  },
  {
    name: 'range100',
    note: '100 entries from random keys on, time for each entry',
    prepare: (recordCount) => ({
      keys: presentKeys(randomRecords(recordCount, Math.ceil(recordCount / 200), 15)),
    }),
    run: (engine, { keys }) => sumOf(keys, (gte) => engine.countEntries({ gte, limit: 100 })),
    readRange: (engine, gte) => engine.rangeValues({ gte, limit: 100 }),
  },
  {
    name: 'prefix1000',
    note: 'the first 1,000 entries of random prefixes of 12 characters, time for each entry',
    prepare: (recordCount) => ({
      keys: presentKeys(randomRecords(recordCount, Math.ceil(recordCount / 1000), 16)),
    }),
    run: (engine, { keys }) => sumOf(keys, (key) => engine.countEntries(prefixRange(key))),
    readRange: (engine, key) => engine.rangeValues(prefixRange(key)),
  },
  {
    name: 'insertOrdered',
    note: 'as insert, other keys; Varve keeps its ordered index now',
    prepare: (recordCount) => inserts(recordCount, 1),
    run: putAll,
  },
  {
    name: 'updateOrdered',
    note: 'as update, a fifth as many; Varve keeps its ordered index now',
    prepare: (recordCount) => updates(recordCount, recordCount / 5, 17),
    run: putAll,
  },
]

/** After all of `rows`, and apart from them because it needs the engine closed. */
export const reopenRow = {
  name: 'reopen',
  note: 'opening after a clean close in the same process, and the first get',
}

function present(records) {
  return { keys: presentKeys(records), foundCount: records.length }
}

/** One of the tenths of the keys that are missing until then. */
function inserts(recordCount, tenth) {
  const count = recordCount / 10
  const records = shuffledRecords(recordCount, 18).subarray(tenth * count, (tenth + 1) * count)
  return { keys: missingKeys(records), values: randomValues(count, 19 + tenth) }
}

const prefixLength = 12
// Behind all digits.
const digitsEnd = ':'

/** As bounds: not every engine has prefixes. */
function prefixRange(key) {
  const prefix = key.slice(0, prefixLength)
  return { gte: prefix, lt: prefix + digitsEnd, limit: 1000 }
}

/** Waits only for engines that make it wait. */
async function sumOf(keys, count) {
  let sum = 0
  for (const key of keys) {
    const counted = count(key)
    sum += typeof counted === 'number' ? counted : await counted
  }
  return sum
}

function updates(recordCount, count, seed) {
  return {
    keys: presentKeys(randomRecords(recordCount, count, seed)),
    values: randomValues(count, seed + 1),
  }
}

function putAll(engine, { keys, values }) {
  return engine.putAll(keys, values)
}

function get(engine, key) {
  return engine.get(key)
}

// Loops of their own rather than one with a function for its argument, so that the compiler sees one callee
// in each. They look at no byte of the value: a Map would have to fetch it, the others have it in
// the cache, and this way the comparison favours the Map.
function countFoundByGet(engine, { keys }) {
  let foundCount = 0
  for (const key of keys) if (engine.get(key) !== undefined) foundCount++
  return foundCount
}

function countFoundByGetInto(engine, { keys }) {
  let foundCount = 0
  for (const key of keys) if (engine.getInto(key) !== undefined) foundCount++
  return foundCount
}

function countFoundByGetVerified(engine, { keys }) {
  let foundCount = 0
  for (const key of keys) if (engine.getVerified(key) !== undefined) foundCount++
  return foundCount
}
