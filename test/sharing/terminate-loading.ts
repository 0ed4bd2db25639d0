/** Terminates threads while they open their first store, for two seconds: see hazards.test.ts. */
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { open } from '../../src/store/index.js'
import { smallOptions } from './options.js'

async function terminateMany(path: string): Promise<void> {
  for (const endMs = Date.now() + 2000; Date.now() < endMs; ) {
    const worker = new Worker(new URL(import.meta.url), { workerData: path })
    await once(worker, 'message')
    await delay(Math.random() * 15)
    await worker.terminate()
  }
}

if (isMainThread) {
  await terminateMany(process.argv[2])
} else {
  parentPort?.postMessage('begun')
  open(workerData as string, smallOptions)
}
