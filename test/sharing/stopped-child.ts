/** One thread holds the writer's word for a while, in steps of its own; another one waits for it: see stopped.test.ts. */
import { once } from 'node:events'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { pause } from '../../src/base/pause.js'
import { open } from '../../src/store/index.js'

const lockTimeoutMs = 2000
const stepMs = 10
const steps = 60

if (isMainThread) {
  const directory = process.argv[2]
  const store = open<number>(directory, { autoCompact: false })
  const worker = new Worker(new URL(import.meta.url), { workerData: directory })
  await once(worker, 'message')
  store.update('key', () => {
    worker.postMessage('wait')
    process.send?.('holds')
    for (let step = 0; step < steps; step++) pause(stepMs)
    return 1
  })
  const [outcome] = await once(worker, 'message')
  await store.close()
  process.send?.(outcome)
} else {
  const store = open<number>(workerData as string, { autoCompact: false, lockTimeoutMs })
  parentPort?.postMessage('open')
  parentPort?.once('message', async () => {
    let outcome = 'written'
    try {
      store.put('other', 2)
    } catch (error) {
      outcome = String(error)
    }
    await store.close()
    parentPort?.postMessage(outcome)
  })
}
