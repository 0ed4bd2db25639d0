// One round of one engine, in a process of its own, so that no engine finds the heap, the compiled
// code or the open files of another. Answers its parent with one message and ends.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { flushFiles } from './flush.mjs'
import { hashReads } from './hash.mjs'
import { reopenRow, rows } from './rows.mjs'
import { presentKeys, randomRecords } from './workloads.mjs'

const warmUpRecordCount = 20_000
const sampledRecordCount = 100_000
/** Between two rows, for what an engine does in the background: a row is a second without a turn of the event loop. */
const idleMs = 1000

const { engineName, recordCount, rowNames, directory } = JSON.parse(process.argv[2])
process.send(await runRound())

async function runRound() {
  let engineModule
  try {
    engineModule = await import(`./engines/${engineName}.mjs`)
  } catch (error) {
    return { unavailable: error.message }
  }
  await runRows(engineModule, join(directory, 'warm-up'), warmUpRecordCount)
  const measurements = await runRows(engineModule, join(directory, 'measured'), recordCount)
  return { version: engineModule.version, measurements }
}

async function runRows(engineModule, storeDirectory, storeRecordCount) {
  mkdirSync(storeDirectory, { recursive: true })
  const sample = presentKeys(
    randomRecords(storeRecordCount, Math.min(sampledRecordCount, storeRecordCount), 14),
  )
  let engine = await engineModule.open(storeDirectory)
  const measurements = []

  for (const row of rows) {
    // Without records the other rows have nothing to work on.
    if (row.name !== 'load' && !isWanted(row, engineModule)) continue
    const requests = row.prepare(storeRecordCount)
    if (storeRecordCount === recordCount) await delay(idleMs)
    const result = await measure(row, engine, requests, sample)
    if (row.name === 'load') {
      // Off the clock, so that no engine writes its load back during the reads. The peers are set
      // up not to flush by themselves, hence their files.
      await engine.flush?.()
      flushFiles(storeDirectory)
    }
    const operationCount = requests.operationCount ?? requests.keys.length
    measurements.push({ rowName: row.name, operationCount, ...result })
  }

  if (isWanted(reopenRow, engineModule)) {
    await engine.close()
    const durationNs = await measureDurationNs(async () => {
      engine = await engineModule.open(storeDirectory)
      engine.get(sample[0])
    })
    const hash = hashReads(sample, (key) => engine.get(key))
    measurements.push({ rowName: reopenRow.name, operationCount: 1, durationNs, hash })
  }

  await engine.close()
  return measurements
}

function isWanted(row, engineModule) {
  return rowNames.includes(row.name) && !engineModule.lacks.has(row.name)
}

function measure(row, engine, requests, sample) {
  if (row.readRange) return measureRange(row, engine, requests)
  if (row.read) return measureRead(row, engine, requests, sample)
  return measureWrite(row, engine, requests, sample)
}

async function measureRange(row, engine, requests) {
  // The first one builds what an engine needs for it.
  await row.run(engine, { keys: requests.keys.slice(0, 100) })
  let operationCount = 0
  const durationNs = await measureDurationNs(async () => {
    operationCount = await row.run(engine, requests)
  })
  const ranges = await Promise.all(
    requests.keys.slice(0, 100).map((key) => row.readRange(engine, key)),
  )
  const values = ranges.flat()
  const hash = hashReads([...values.keys(), 'count'], (index) =>
    index === 'count' ? Buffer.from(String(operationCount)) : values[index],
  )
  return { durationNs, hash, operationCount }
}

async function measureRead(row, engine, requests, sample) {
  // Other keys than the requests, which are to find the processor's caches as random reads do.
  row.run(engine, { keys: sample })
  let foundCount
  const durationNs = await measureDurationNs(() => {
    foundCount = row.run(engine, requests)
  })
  if (foundCount !== requests.foundCount) {
    throw new Error(`${row.name}: found ${foundCount} records instead of ${requests.foundCount}`)
  }
  const hashedKeys = requests.keys.slice(0, sample.length)
  return { durationNs, hash: hashReads(hashedKeys, (key) => row.read(engine, key)) }
}

async function measureWrite(row, engine, requests, sample) {
  const durationNs = await measureDurationNs(() => row.run(engine, requests))
  return { durationNs, hash: hashReads(sample, (key) => engine.get(key)) }
}

async function measureDurationNs(run) {
  // The requests just made would otherwise be collected on the engine's time.
  globalThis.gc()
  const start = process.hrtime.bigint()
  await run()
  return Number(process.hrtime.bigint() - start)
}
