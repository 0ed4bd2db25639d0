/** Threads that start a preparer and exit while it loads, one after the other: see preparer.test.ts. */
import { once } from 'node:events'
import { isMainThread, Worker, workerData } from 'node:worker_threads'
import { prepare } from '../../src/platform/preparer.js'

if (isMainThread) {
  for (let round = 0; round < 60; round++) {
    await once(new Worker(new URL(import.meta.url), { workerData: 20 + round }), 'exit')
  }
} else {
  prepare({ kind: 'reserve', path: 'of no file', sizeBytes: 4096 })
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, workerData as number)
  process.exit(0)
}
