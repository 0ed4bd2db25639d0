// One thread of the sharing benchmark: opens the store, waits for the signal, and does what its role
// says until its time is over. Its answer is operations a second.
import { parentPort, workerData } from 'node:worker_threads'
import { openEngine } from './engines.mjs'
import { keyOf, makeValue, uniform, zipf } from './records.mjs'

const { engineName, directory, role, recordCount, durationMs, signal, seed } = workerData
// More than fit a cache, and few enough that making them takes no minute.
const requestCount = 1 << 18
const operationsPerTurn = 1000

const engine = await openEngine(engineName, directory)
const numbers = (role === 'mixed' ? zipf : uniform)(recordCount, requestCount, seed)
const keys = Array.from(numbers, keyOf)
const value = Buffer.from(makeValue())
await runFor(300)
parentPort.postMessage('ready')
Atomics.wait(new Int32Array(signal), 0, 0)
parentPort.postMessage(await runFor(durationMs))

async function runFor(ms) {
  const startedAtMs = performance.now()
  let count = 0
  for (;;) {
    for (let index = 0; index < operationsPerTurn; index++, count++) {
      const key = keys[count & (requestCount - 1)]
      const isWrite = role === 'write' || (role === 'mixed' && (count & 1) === 1)
      if (isWrite) engine.put(key, value)
      else if (engine.get(key) === undefined) throw new Error(`${key} is not there`)
    }
    await engine.settle()
    const elapsedMs = performance.now() - startedAtMs
    if (elapsedMs >= ms) return (count / elapsedMs) * 1000
  }
}
