/** A thread that opens a store, writes a key, and holds it until it is terminated. */
import { parentPort, workerData } from 'node:worker_threads'
import { open, type StoreOptions } from '../../src/store/index.js'

const { path, options } = workerData as { path: string; options: StoreOptions }
const store = open(path, options)
store.put('a', 'from the worker')
parentPort?.postMessage('open')
parentPort?.on('message', () => undefined)
