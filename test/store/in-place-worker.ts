/** Updates 64 keys in place, over and over, until it is told to end. A value is its key's number, then one byte again and again. */
import { workerData } from 'node:worker_threads'
import { open } from '../../src/store/index.js'

const { path, end } = workerData as { path: string; end: Int32Array }
const store = open<Buffer>(path, {
  encoding: 'binary',
  segmentSizeBytes: 2 ** 20,
  syncIntervalMs: 0,
})
const value = Buffer.alloc(8000)
for (let round = 0; Atomics.load(end, 0) === 0; round++) {
  for (let key = 0; key < 64; key++) {
    value.fill((round + key) & 0xff)
    value[0] = key
    store.put(`key ${key}`, value)
  }
  Atomics.add(end, 1, 1)
}
await store.close()
