// One step of the measurement, in a process of its own. Answers its parent with one message.
import { setTimeout as sleep } from 'node:timers/promises'
import { chunkSize, createChunk } from './records.mjs'

const backgroundSyncLimitMs = 60_000
const storeOptions = { encoding: 'binary' }

// Before anything of Varve is in memory: what the process with an open store is compared with.
const emptyMemory = measureMemory()
const { open } = await import('../../dist/store/index.js')

const steps = { load, hold, measureOpening }
const { step, ...task } = JSON.parse(process.argv[2])
process.send(await steps[step](task))

async function load({ directory, recordCount }) {
  const store = open(directory, storeOptions)
  for (let chunk = 0; chunk < recordCount / chunkSize; chunk++) {
    putChunk(store, chunk, 0)
    // Gives the store's background work its turn, as a program would.
    await sleep(0)
  }
  const { records, fileBytes, indexBytes } = store.stats()
  await store.close()
  return { recordCount: records, fileBytes, indexBytes }
}

/** Updates two chunks, one before and one after the store's own sync, and waits to be killed. */
async function hold({ directory, generation }) {
  const store = open(directory, storeOptions)
  putChunk(store, 0, generation)
  const { syncs } = store.stats()
  for (let waitedMs = 0; store.stats().syncs === syncs; waitedMs += 50) {
    if (waitedMs > backgroundSyncLimitMs) throw new Error('the store did not sync by itself')
    await sleep(50)
  }
  putChunk(store, 1, generation)
  // Keeps the process, and with it the store, open.
  process.channel.ref()
  return { generation }
}

async function measureOpening({ directory, recordCount, generation }) {
  const { keys } = createChunk(0, generation)
  globalThis.gc()
  const startNs = process.hrtime.bigint()
  let store
  try {
    store = open(directory, storeOptions)
  } catch (error) {
    if (error.code !== 'STORE_LOCKED') throw error
    return { refusal: error.code }
  }
  const openedNs = process.hrtime.bigint()
  store.get(keys[0])
  const readNs = process.hrtime.bigint()

  checkChunk(store, 0, generation)
  checkChunk(store, 1, generation)
  checkChunk(store, recordCount / chunkSize - 1, 0)
  const { records, lastRecovery } = store.stats()
  if (records !== recordCount) throw new Error(`${records} records instead of ${recordCount}`)
  const memory = measureMemory()
  await store.close()
  return {
    openDurationNs: Number(openedNs - startNs),
    firstGetDurationNs: Number(readNs - openedNs),
    recoveryKind: lastRecovery.kind,
    heapBytes: memory.heapUsed - emptyMemory.heapUsed,
    arrayBuffersBytes: memory.arrayBuffers - emptyMemory.arrayBuffers,
    externalBytes: memory.external - emptyMemory.external,
  }
}

function putChunk(store, chunk, generation) {
  const { keys, values } = createChunk(chunk, generation)
  for (let index = 0; index < keys.length; index++) store.put(keys[index], values[index])
}

function checkChunk(store, chunk, generation) {
  const { keys, values } = createChunk(chunk, generation)
  const wrong = keys.find((key, index) => !store.get(key)?.equals(values[index]))
  if (wrong !== undefined) throw new Error(`${wrong} has another value than was written last`)
}

function measureMemory() {
  globalThis.gc()
  return process.memoryUsage()
}
