import { ClassicLevel } from 'classic-level'
import { forEachGroup } from '../group.mjs'
import { packageVersion } from '../package-version.mjs'

// Every read allocates its result.
export const lacks = new Set(['getInto', 'getVerified'])

export const version = packageVersion('node_modules/classic-level/package.json')

// Buffers are the addon's own format, so no value is converted. The cache takes all the records;
// its default of 8 MiB would decompress a block for nearly every read. A larger write buffer slows
// the writes to shuffled keys and makes reopening replay more, so the default stays.
const options = { valueEncoding: 'buffer', cacheSize: 256 * 1024 * 1024 }

/** @param {string} directory */
export async function open(directory) {
  const database = new ClassicLevel(directory, options)
  await database.open()
  return new LevelEngine(database)
}

class LevelEngine {
  #database

  constructor(database) {
    this.#database = database
  }

  // Several times as fast as `await get()`, which crosses to a thread of the pool and back.
  get(key) {
    return this.#database.getSync(key)
  }

  putAll(keys, values) {
    return forEachGroup(keys.length, (start, end) => this.#putRange(keys, values, start, end))
  }

  putEach(keys, values) {
    return forEachGroup(keys.length, (start, end) => {
      const puts = []
      for (let index = start; index < end; index++) {
        puts.push(this.#database.put(keys[index], values[index]))
      }
      return Promise.all(puts)
    })
  }

  writeBatch(keys, values) {
    return this.#putRange(keys, values, 0, keys.length)
  }

  deleteAll(keys) {
    return forEachGroup(keys.length, (start, end) => {
      const batch = this.#database.batch()
      for (let index = start; index < end; index++) batch.del(keys[index])
      return batch.write()
    })
  }

  countEntries(range) {
    return countItems(this.#database.iterator(range))
  }

  countKeys(range) {
    return countItems(this.#database.keys(range))
  }

  rangeValues(range) {
    return this.#database.values(range).all()
  }

  close() {
    return this.#database.close()
  }

  // A chained batch takes the puts one by one, which is faster than an array of operations.
  #putRange(keys, values, start, end) {
    const batch = this.#database.batch()
    for (let index = start; index < end; index++) batch.put(keys[index], values[index])
    return batch.write()
  }
}

// A thousand at a time: `for await` would wait for every single one. There is no synchronous way.
async function countItems(iterator) {
  let count = 0
  for (;;) {
    const items = await iterator.nextv(1000)
    if (items.length === 0) break
    for (const item of items) if (item !== undefined) count++
  }
  await iterator.close()
  return count
}
