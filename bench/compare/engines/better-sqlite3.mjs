import { join } from 'node:path'
import { packageVersion } from '../package-version.mjs'

// better-sqlite3 13 calls Node-API functions that Node 20 does not have, and version 12 has to be
// compiled where its binary cannot be downloaded, so each Node gets the newest that suits it.
const nodeMajor = Number.parseInt(process.versions.node, 10)
const home = nodeMajor < 22 ? './node20/' : './'
const { Database } = await import(`.${home}better-sqlite3.mjs`)

// Every read allocates its result.
export const lacks = new Set(['getInto', 'getVerified'])

export const version = packageVersion(`${home}node_modules/better-sqlite3/package.json`)

// - WAL with `synchronous = OFF`: a commit writes to the log and does not flush, as Varve's writes;
// - an exclusive lock is taken once instead of by every statement;
// - the cache and the map take the whole table, so no page is read twice.
const pragmas = [
  'journal_mode = WAL',
  'synchronous = OFF',
  'locking_mode = EXCLUSIVE',
  'cache_size = -524288',
  'mmap_size = 1073741824',
]

// Without a rowid the records are in the tree of the key itself: one descent for each access.
const schema =
  'CREATE TABLE IF NOT EXISTS record (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID'

/** @param {string} directory */
export function open(directory) {
  const database = new Database(join(directory, 'records.sqlite'))
  for (const pragma of pragmas) database.pragma(pragma)
  database.exec(schema)
  return new SqliteEngine(database)
}

class SqliteEngine {
  #database
  #select
  #upsert
  #delete
  #range
  #keys

  constructor(database) {
    this.#database = database
    // `pluck` gives the column itself, without a row object around it.
    this.#select = database.prepare('SELECT value FROM record WHERE key = ?').pluck()
    this.#upsert = database.prepare(
      'INSERT INTO record VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value',
    )
    const inRange = 'FROM record WHERE key >= ? AND key < ? ORDER BY key LIMIT ?'
    // `raw` gives arrays, without names for what is in them.
    this.#range = database.prepare(`SELECT key, value ${inRange}`).raw()
    this.#keys = database.prepare(`SELECT key ${inRange}`).pluck()
    this.#delete = database.prepare('DELETE FROM record WHERE key = ?')
  }

  get(key) {
    return this.#select.get(key)
  }

  putAll(keys, values) {
    this.#database.transaction(() => this.putEach(keys, values))()
  }

  // Outside a transaction every statement commits by itself.
  putEach(keys, values) {
    for (let index = 0; index < keys.length; index++) this.#upsert.run(keys[index], values[index])
  }

  writeBatch(keys, values) {
    this.putAll(keys, values)
  }

  deleteAll(keys) {
    this.#database.transaction(() => {
      for (const key of keys) this.#delete.run(key)
    })()
  }

  countEntries(range) {
    let count = 0
    for (const [key, value] of this.#range.iterate(...boundsOf(range))) {
      if (key !== undefined && value !== undefined) count++
    }
    return count
  }

  countKeys(range) {
    let count = 0
    for (const key of this.#keys.iterate(...boundsOf(range))) if (key !== undefined) count++
    return count
  }

  rangeValues(range) {
    return this.#range.all(...boundsOf(range)).map(([, value]) => value)
  }

  close() {
    this.#database.close()
  }
}

// Behind all keys, and no limit.
function boundsOf({ gte = '', lt = '~', limit = -1 }) {
  return [gte, lt, limit]
}
