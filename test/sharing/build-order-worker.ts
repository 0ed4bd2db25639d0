/** Puts and deletes random keys until it is told to stop: see build-order.test.ts. */
import { parentPort, workerData } from 'node:worker_threads'
import { open } from '../../src/store/index.js'
import { Random } from '../support/random.js'

const { path, seed, stop } = workerData as {
  path: string
  seed: number
  stop: SharedArrayBuffer
}
const store = open<string>(path, { encoding: 'utf8' })
const random = new Random(seed)
const stopped = new Int32Array(stop)
let count = 0
parentPort?.postMessage('begun')
while (Atomics.load(stopped, 0) === 0) {
  const key = `key-${random.below(60_000)}`
  if (random.below(2) === 0) store.put(key, `value ${count}`)
  else store.delete(key)
  count++
}
await store.close()
parentPort?.postMessage(count)
