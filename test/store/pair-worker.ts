/** Writes pairs of keys, each pair at once, until it is told to end: puts, updates and deletes. */
import { workerData } from 'node:worker_threads'
import { open } from '../../src/store/index.js'
import { Random } from '../support/random.js'

const { path, end, seed } = workerData as { path: string; end: Int32Array; seed: number }
const store = open<string>(path, { encoding: 'utf8', segmentSizeBytes: 2 ** 20 })
const random = new Random(seed)
for (let round = 0; Atomics.load(end, 0) === 0; round++) {
  for (let count = 0; count < 20; count++) {
    const name = `${random.below(400)}`
    const keys = [`left ${name}`, `right ${name}`]
    if (random.chance(0.3)) {
      store.write(keys.map((key) => ({ type: 'delete', key })))
    } else {
      store.write(keys.map((key) => ({ type: 'put', key, value: `${key} of ${seed}.${round}` })))
    }
  }
  Atomics.add(end, 1, 1)
}
await store.close()
