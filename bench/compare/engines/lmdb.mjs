import { open as openEnvironment } from 'lmdb'
import { forEachGroup } from '../group.mjs'
import { packageVersion } from '../package-version.mjs'

export const lacks = new Set(['getVerified'])

export const version = packageVersion('node_modules/lmdb/package.json')

// Its defaults, which keep a store whole after a loss of power, as Varve's do: a commit is visible
// when it returns, and its flush overlaps with what follows. Larger pages, a fixed map size and
// `noMemInit` made no difference. With `noSync` and `useWritemap`, which give that up, load and
// update take a fifth less time and a batch of 1,000 a fifth of it.
// String keys stay with the default key encoding, which writes them in JavaScript into a buffer
// shared with the addon; `keyEncoding: 'binary'` is slower by its own documentation.
const options = { encoding: 'binary' }

/** @param {string} directory */
export function open(directory) {
  return new LmdbEngine(openEnvironment({ path: directory, ...options }))
}

class LmdbEngine {
  #database

  constructor(database) {
    this.#database = database
  }

  get(key) {
    return this.#database.get(key)
  }

  getInto(key) {
    return this.#database.getBinaryFast(key)
  }

  // Inside a transaction a put goes straight to the tree.
  putAll(keys, values) {
    this.#database.transactionSync(() => {
      for (let index = 0; index < keys.length; index++) {
        this.#database.put(keys[index], values[index])
      }
    })
  }

  // As its documentation recommends: the puts of one turn of the event loop share a commit.
  // `putSync`, with a commit for each, is slower.
  putEach(keys, values) {
    return forEachGroup(keys.length, (start, end) => {
      let committed
      for (let index = start; index < end; index++) {
        committed = this.#database.put(keys[index], values[index])
      }
      return committed
    })
  }

  writeBatch(keys, values) {
    this.putAll(keys, values)
  }

  deleteAll(keys) {
    this.#database.transactionSync(() => {
      for (const key of keys) this.#database.remove(key)
    })
  }

  countEntries(range) {
    let count = 0
    for (const { key, value } of this.#database.getRange(asRange(range))) {
      if (key !== undefined && value !== undefined) count++
    }
    return count
  }

  countKeys(range) {
    let count = 0
    for (const key of this.#database.getKeys(asRange(range))) if (key !== undefined) count++
    return count
  }

  rangeValues(range) {
    return Array.from(this.#database.getRange(asRange(range)), ({ value }) => value)
  }

  close() {
    return this.#database.close()
  }
}

/** By its own names; one that is undefined is not the same as one that is missing. */
function asRange({ gte, lt, limit }) {
  return {
    ...(gte === undefined ? {} : { start: gte }),
    ...(lt === undefined ? {} : { end: lt }),
    ...(limit === undefined ? {} : { limit }),
  }
}
