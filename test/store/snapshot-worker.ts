/** A thread that opens a store and a snapshot of it, and reads the snapshot when it is asked. */
import { parentPort, workerData } from 'node:worker_threads'
import { open, type StoreOptions } from '../../src/store/index.js'

const { path, options } = workerData as { path: string; options: StoreOptions }
const store = open(path, options)
const snapshot = store.snapshot()
parentPort?.postMessage('open')
parentPort?.on('message', (key: string) => {
  parentPort?.postMessage({ value: snapshot.get(key), count: snapshot.count() })
})
