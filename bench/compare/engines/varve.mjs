import { open as openStore } from '../../../dist/store/index.js'
import { packageVersion } from '../package-version.mjs'
import { valueBytes } from '../workloads.mjs'

export const lacks = new Set()

export const version = packageVersion('../../package.json')

/** @param {string} directory */
export function open(directory) {
  return new VarveEngine(openStore(directory, { encoding: 'binary' }), directory)
}

class VarveEngine {
  #store
  #directory
  #target = Buffer.alloc(valueBytes)
  /** The same store once more, opened by the first that asks. */
  #verifying

  constructor(store, directory) {
    this.#store = store
    this.#directory = directory
  }

  get(key) {
    return this.#store.get(key)
  }

  getVerified(key) {
    this.#verifying ??= openStore(this.#directory, { encoding: 'binary', verifyReads: 'always' })
    return this.#verifying.get(key)
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

  async close() {
    await this.#verifying?.close()
    await this.#store.close()
  }
}
