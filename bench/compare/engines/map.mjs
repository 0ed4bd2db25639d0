import { version as nodeVersion } from 'node:process'

// A Map keeps nothing on a device, so there is nothing to open again, and it has no order.
export const lacks = new Set([
  'getVerified',
  'reopen',
  'scan',
  'scanKeys',
  'range100',
  'prefix1000',
])

export const version = nodeVersion

export function open() {
  return new MapEngine()
}

// A Map holds on to the caller's buffers and hands out the same ones: no copy on either side.
class MapEngine {
  #map = new Map()

  get(key) {
    return this.#map.get(key)
  }

  getInto(key) {
    return this.#map.get(key)
  }

  putAll(keys, values) {
    this.putEach(keys, values)
  }

  putEach(keys, values) {
    for (let index = 0; index < keys.length; index++) this.#map.set(keys[index], values[index])
  }

  writeBatch(keys, values) {
    this.putEach(keys, values)
  }

  deleteAll(keys) {
    for (const key of keys) this.#map.delete(key)
  }

  close() {
    this.#map.clear()
  }
}
