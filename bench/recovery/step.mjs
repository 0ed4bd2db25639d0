// One step of the measurement, in a process of its own. Answers its parent with one message.
import { closeSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { open } from '../../dist/store/index.js'
import { PutTimes } from './put-times.mjs'

/** What compaction costs those who write, bench/compaction.mjs tells. */
const storeOptions = { encoding: 'binary', autoCheckpoint: false, autoCompact: false }
const chunkSize = 10_000
/** Where the control file names the boot; see src/format/control-layout.ts. */
const bootIdOffset = 64

const steps = { load, checkpoint, append, measureOpening }
const { step, ...task } = JSON.parse(process.argv[2])
process.send(await steps[step](task))

function keyOf(record) {
  return `user${String(record).padStart(12, '0')}`
}

async function put(store, first, end, valueSizeBytes) {
  const value = Buffer.alloc(valueSizeBytes, 'v')
  for (let record = first; record < end; record++) {
    value.writeUInt32LE(record >>> 0, 0)
    store.put(keyOf(record), value)
    if (record % chunkSize === 0) await nextTurn()
  }
}

async function load({ directory, recordCount, valueSizeBytes }) {
  const store = open(directory, storeOptions)
  await put(store, 0, recordCount, valueSizeBytes)
  await store.sync()
  const { begin, tail, segmentSizeBytes } = store.stats()
  await store.close()
  return { logBytes: (tail - begin) * 8, segmentSizeBytes }
}

/**
 * Makes a checkpoint and puts records meanwhile, each between two turns of the event loop. The last of four is
 * measured: in the first ones V8's threads compile what runs, and take processors from the thread that puts.
 */
async function checkpoint({ directory, recordCount, valueSizeBytes, isIdle }) {
  const store = open(directory, storeOptions)
  const value = Buffer.alloc(valueSizeBytes, 'v')
  let made
  for (let round = 0; round < 4; round++) {
    await put(store, recordCount, recordCount + chunkSize, valueSizeBytes)
    store.pruneCheckpoints(0)
    made = await checkpointBesidePuts(store, value, { recordCount, isIdle })
  }
  await store.close()
  return made
}

async function checkpointBesidePuts(store, value, { recordCount, isIdle }) {
  let isDone = false
  const startNs = process.hrtime.bigint()
  const making = store.checkpoint().then((info) => {
    isDone = true
    return { ...info, durationNs: Number(process.hrtime.bigint() - startNs) }
  })
  const times = new PutTimes()
  for (let index = 0; !isDone; index++) {
    if (!isIdle) {
      times.beginTurn()
      for (let count = 0; count < 20; count++) {
        const key = keyOf((index * 7919 + count * 104_729) % recordCount)
        times.measure(() => store.put(key, value))
      }
    }
    await nextTurn()
  }
  return { ...(await making), ...times.spread() }
}

/** Puts beside another process that makes a checkpoint, until it is told to stop. */
async function append({ directory, recordCount, valueSizeBytes }) {
  const store = open(directory, storeOptions)
  const value = Buffer.alloc(valueSizeBytes, 'v')
  await put(store, 0, chunkSize, valueSizeBytes)
  let isDone = false
  process.once('message', () => {
    isDone = true
  })
  process.send({ isReady: true })
  const times = new PutTimes()
  for (let index = 0; !isDone; index++) {
    times.beginTurn()
    for (let count = 0; count < 100; count++) {
      const key = keyOf((index * 7919 + count * 104_729) % recordCount)
      times.measure(() => store.put(key, value))
    }
    await nextTurn()
  }
  await store.close()
  return times.spread()
}

/** As the first opening behind a restart of the machine, but for what the page cache still has. */
async function measureOpening({ directory, recordCount, prunes }) {
  if (prunes) {
    const store = open(directory, storeOptions)
    store.pruneCheckpoints(0)
    await store.close()
  }
  const fd = openSync(join(directory, 'control'), 'r+')
  writeSync(fd, Buffer.from('another boot\0'), 0, 13, bootIdOffset)
  closeSync(fd)
  const startNs = process.hrtime.bigint()
  const store = open(directory, storeOptions)
  const openDurationNs = Number(process.hrtime.bigint() - startNs)
  const { lastRecovery, records } = store.stats()
  if (records < recordCount) throw new Error(`${records} records instead of ${recordCount}`)
  for (let record = 0; record < recordCount; record += Math.ceil(recordCount / 1000)) {
    if (store.get(keyOf(record)) === undefined) throw new Error(`${keyOf(record)} is missing`)
  }
  await store.close()
  return { openDurationNs, lastRecovery }
}
