// The records that the engines hold and the requests that they are sent.
//
// Everything comes from fixed seeds and is in memory before a clock starts. The keys of a request
// list are flat strings made one after the other in request order, so that fetching the next key
// costs every engine a sequential read, and what is measured is the engine's own memory traffic.
import { createRandom } from './prng.mjs'

export const valueBytes = 100

const keyPrefix = 'user'
const keyBytes = 16
// Fewer values than records: they stay in the processor's cache, so a write is not charged for
// fetching its own argument. 1,024 are enough for a wrong value to show in a hash.
const distinctValueCount = 1024

const digitZero = '0'.charCodeAt(0)
const keyBuffer = Buffer.alloc(keyBytes, keyPrefix)

function createKey(number) {
  for (let position = keyBytes - 1, rest = number; position >= keyPrefix.length; position--) {
    keyBuffer[position] = digitZero + (rest % 10)
    rest = Math.floor(rest / 10)
  }
  return keyBuffer.toString('latin1')
}

function createKeys(numbers) {
  const keys = Array.from(numbers, createKey)
  // V8 computes a string's hash when it is first asked for and keeps it in the string. Asking for
  // all of them here spares the Map that work on the clock; no other engine uses these hashes.
  new Set(keys)
  return keys
}

// Present and missing keys alternate, so that a miss has to search where the records are.
/** @param {Uint32Array} records */
export const presentKeys = (records) => createKeys(records.map((record) => 2 * record))

/** @param {Uint32Array} records */
export const missingKeys = (records) => createKeys(records.map((record) => 2 * record + 1))

const values = createValues()

function createValues() {
  const random = createRandom(0)
  return Array.from({ length: distinctValueCount }, () =>
    Buffer.from(Array.from({ length: valueBytes }, () => random(256))),
  )
}

/**
 * @param {number} count
 * @param {number} seed
 */
export function randomValues(count, seed) {
  const random = createRandom(seed)
  return Array.from({ length: count }, () => values[random(distinctValueCount)])
}

/**
 * Every record once, in random order.
 *
 * @param {number} recordCount
 * @param {number} seed
 */
export function shuffledRecords(recordCount, seed) {
  const random = createRandom(seed)
  const records = Uint32Array.from({ length: recordCount }, (_, index) => index)
  for (let last = recordCount - 1; last > 0; last--) {
    const other = random(last + 1)
    const record = records[last]
    records[last] = records[other]
    records[other] = record
  }
  return records
}

/**
 * `count` records, each drawn from all, so that some come more than once.
 *
 * @param {number} recordCount
 * @param {number} count
 * @param {number} seed
 */
export function randomRecords(recordCount, count, seed) {
  const random = createRandom(seed)
  return Uint32Array.from({ length: count }, () => random(recordCount))
}
