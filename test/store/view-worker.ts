/** A thread that opens a store and puts what it is told. */
import { parentPort, workerData } from 'node:worker_threads'
import { open, type StoreHandle } from '../../src/store/index.js'

const store = open<Uint8Array>(workerData as StoreHandle)
parentPort?.postMessage('open')
parentPort?.on('message', async (order: { key: string; value: Uint8Array } | 'close') => {
  if (order === 'close') {
    await store.close()
    parentPort?.close()
    return
  }
  store.put(order.key, order.value)
  parentPort?.postMessage('put')
})
