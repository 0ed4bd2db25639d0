import { open as openStore } from '../../../dist/store/index.js'
import { packageVersion } from '../package-version.mjs'
import { valueBytes } from '../workloads.mjs'

export const lacks = new Set()

export const version = packageVersion('../../package.json')

/** @param {string} directory */
export function open(directory) {
  return new VarveEngine(openStore(directory, { encoding: 'binary' }))
}

class VarveEngine {
  #store
  #target = Buffer.alloc(valueBytes)

  constructor(store) {
    this.#store = store
  }

  get(key) {
    return this.#store.get(key)
  }

  getInto(key) {
    return this.#store.getInto(key, this.#target) < 0 ? undefined : this.#target
  }

  putAll(keys, values) {
    this.putEach(keys, values)
  }

  putEach(keys, values) {
    for (let index = 0; index < keys.length; index++) this.#store.put(keys[index], values[index])
  }

  writeBatch(keys, values) {
    this.#store.write(keys.map((key, index) => ({ type: 'put', key, value: values[index] })))
  }

  deleteAll(keys) {
    for (const key of keys) this.#store.delete(key)
  }

  countEntries(range) {
    let count = 0
    for (const [key, value] of this.#store.range(range)) {
      if (key !== undefined && value !== undefined) count++
    }
    return count
  }

  countKeys(range) {
    let count = 0
    for (const key of this.#store.keys(range)) if (key !== undefined) count++
    return count
  }

  rangeValues(range) {
    return this.#store.values(range).toArray()
  }

  flush() {
    return this.#store.sync()
  }

  close() {
    return this.#store.close()
  }
}
