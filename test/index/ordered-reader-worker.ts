/** Reads the ordered index while another thread changes it, and reports the first wrong answer. */
import { parentPort, workerData } from 'node:worker_threads'
import {
  contains,
  OrderedCursor,
  seek,
  seekBusy,
  seekEdge,
  seekFound,
  seekNext,
} from '../../src/index/ordered-cursor.js'
import { OrderedKey } from '../../src/index/ordered-key.js'
import { countRange } from '../../src/index/ordered-range.js'
import { keysIn, wordsOfBytes } from '../support/ordered-tree.js'
import { Random } from '../support/random.js'
import { isStable, keyCount, keyOf, openShared, type Shared } from './ordered-shared.js'

export interface Report {
  readonly failure: string | undefined
  readonly scans: number
  readonly lookups: number
  readonly busy: number
}

const { memory, state, seed } = workerData as Shared & { readonly seed: number }
const tree = openShared(memory, 'private')
const keys = Array.from({ length: keyCount }, (_, number) => keyOf(number))
const words = keys.map(wordsOfBytes)
const stableCount = keys.filter((_, number) => isStable(number)).length
const cursor = new OrderedCursor()
cursor.retriesMax = 200
const random = new Random(seed)
let busy = 0

function scanOnce(isReverse: boolean): string | undefined {
  let previous = isReverse ? keyCount : -1
  let stable = 0
  let found = seekEdge(tree, cursor, 9, isReverse)
  for (;;) {
    if (found === seekBusy) {
      busy++
      found = seekBehind(previous, isReverse)
      continue
    }
    if (found !== seekFound) break
    for (const key of keysIn(cursor)) {
      const number = key.length < 4 ? keyCount : key.readUInt32BE(0)
      if (number >= keyCount || !keys[number].equals(key))
        return `read a key that never was: ${key.toString('hex')}`
      if (isReverse ? number >= previous : number <= previous)
        return `key ${number} came after ${previous}`
      previous = number
      if (isStable(number)) stable++
    }
    found = seekNext(tree, cursor)
  }
  return stable === stableCount ? undefined : `${stable} of ${stableCount} keys that stay`
}

/** After a seek that was busy nothing is in the cursor: the scan goes on behind its last key. */
function seekBehind(number: number, isReverse: boolean): number {
  if (number < 0 || number >= keyCount) return seekEdge(tree, cursor, 9, isReverse)
  return seek(tree, cursor, 9, words[number], 0, keys[number].byteLength, false, isReverse)
}

function lookUp(): string | undefined {
  const number = random.below(keyCount)
  let found = seekBusy
  while (found === seekBusy) {
    found = contains(tree, cursor, 9, words[number], 0, keys[number].byteLength)
    if (found === seekBusy) busy++
  }
  return isStable(number) && found !== seekFound ? `key ${number} is missing` : undefined
}

function countAll(): string | undefined {
  const low = new OrderedKey()
  const high = new OrderedKey()
  low.set(9, words[0], 0, 0)
  high.set(10, words[0], 0, 0)
  const count = countRange(tree, cursor, low, high)
  if (count === seekBusy) busy++
  else if (count < stableCount || count > keyCount) return `counted ${count} keys`
  return undefined
}

let scans = 0
let lookups = 0
let failure: string | undefined
Atomics.add(state, 1, 1)
while (failure === undefined && Atomics.load(state, 0) === 1) {
  failure = scanOnce(random.chance(0.5)) ?? countAll()
  scans++
  for (let count = 0; count < 1000 && failure === undefined; count++) {
    failure = lookUp()
    lookups++
  }
}
const report: Report = { failure, scans, lookups, busy }
parentPort?.postMessage(report)
