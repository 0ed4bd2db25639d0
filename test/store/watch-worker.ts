/** A thread that opens a store and writes what it is told, or watches, until it is told to end. */
import { parentPort, workerData } from 'node:worker_threads'
import { open, type StoreHandle } from '../../src/store/index.js'

export type Order =
  | { readonly do: 'put'; readonly prefix: string; readonly count: number }
  | { readonly do: 'watch' | 'die' | 'close' }

const store = open<number>(workerData as StoreHandle)
parentPort?.postMessage('open')
parentPort?.on('message', async (order: Order) => {
  if (order.do === 'put') {
    for (let index = 0; index < order.count; index++)
      store.put(`${order.prefix}${index % 7}`, index)
  } else if (order.do === 'watch') {
    store.watch()
  } else if (order.do === 'die') {
    process.exit()
  } else {
    await store.close()
    parentPort?.close()
  }
  parentPort?.postMessage('done')
})
