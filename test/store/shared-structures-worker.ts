/** Writes values of ten shapes of its own, of which others make theirs at the same time. */
import { workerData } from 'node:worker_threads'
import { open, type StoreHandle } from '../../src/store/index.js'

const { handle, thread, count } = workerData as {
  readonly handle: StoreHandle
  readonly thread: number
  readonly count: number
}
const store = open<object>(handle)
for (let index = 0; index < count; index++) {
  store.put(`${thread} ${index}`, { [`${thread} ${index % 10}`]: index })
}
await store.close()
