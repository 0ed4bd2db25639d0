/** Updates a few keys in place, and deletes and inserts others, until it is told to end. */
import { workerData } from 'node:worker_threads'
import { open } from '../../src/store/index.js'
import { Random } from '../support/random.js'

const { path, end, seed } = workerData as { path: string; end: Int32Array; seed: number }
const store = open<Buffer>(path, { encoding: 'binary' })
const random = new Random(seed)
while (Atomics.load(end, 0) === 0) {
  for (let count = 0; count < 100; count++) {
    store.put(`hot ${random.below(10)}`, random.bytes(100 + random.below(20)))
  }
  Atomics.add(end, 1, 1)
  const key = `cold ${random.below(500)}`
  if (random.chance(0.4)) store.delete(key)
  else
    store.write([
      { type: 'put', key, value: random.bytes(random.below(100)) },
      { type: 'put', key: 'both', value: random.bytes(8) },
    ])
  if (random.chance(0.001)) store.put('large', random.bytes(2 ** 18 + 10))
}
await store.close()
