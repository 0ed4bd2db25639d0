// One step of the measurement, in a process of its own. Answers its parent with messages.
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'
import { createRandom } from '../compare/prng.mjs'
import { createZipf } from '../compare/zipf.mjs'
import { engines } from './engines.mjs'

const { step, ...task } = JSON.parse(process.argv[2])
const { directory, engineName, recordCount, valueSizeBytes } = task
/** Prime to any number of records that is a multiple of thousand: they are loaded in the order of their keys, and what is read often lies anywhere. */
const stride = 1_299_709
const getsMax = 4_000_000
const keysPerTurn = 64

const keyOf = (record) => `user${String(record).padStart(12, '0')}`

await { load, read }[step]()
process.disconnect()

async function load() {
  const { budgetBytes } = task
  const engine = await engines[engineName](directory, budgetBytes)
  // Noise, which no engine can compress, and of each record's own.
  const random = createRandom(5)
  const noise = Buffer.from(Array.from({ length: 2 ** 20 }, () => random(256)))
  await engine.load(recordCount, (index) => {
    const start = random(noise.length - valueSizeBytes)
    const value = Buffer.from(noise.subarray(start, start + valueSizeBytes))
    value.writeUInt32LE(index)
    return [keyOf(index), value]
  })
  await engine.close()
  process.send('loaded')
}

async function read() {
  const { budgetBytes, joinPath, measuredMs, prefetches, seed, warmUpMs } = task
  if (joinPath !== undefined) writeFileSync(joinPath, String(process.pid))
  const random = createRandom(seed)
  const draw = createZipf(recordCount, () => random(2 ** 32) / 2 ** 32)
  const records = () => (draw() * stride) % recordCount
  const durations = new Float32Array(getsMax).fill(1)
  // As much garbage as there is going to be: the heap takes its size before the limit is set.
  for (let group = 0; group < 20_000; group++)
    Array.from({ length: keysPerTurn }, records).map(keyOf)
  const engine = await engines[engineName](directory, budgetBytes)
  let count = 0

  const getFor = async (ms) => {
    count = 0
    const endMs = performance.now() + ms
    while (performance.now() < endMs && count < getsMax) {
      const wanted = Array.from({ length: keysPerTurn }, records)
      const keys = wanted.map(keyOf)
      if (prefetches) await engine.prefetch(keys)
      for (let index = 0; index < keysPerTurn; index++) {
        const start = process.hrtime.bigint()
        const value = engine.get(keys[index])
        durations[count++] = Number(process.hrtime.bigint() - start)
        if (value.readUInt32LE() !== wanted[index]) throw new Error(`${keys[index]} is another`)
      }
      await turn()
    }
  }

  // What works beside it has begun by then.
  await sleep(1000)
  globalThis.gc()
  process.send('open')
  await once(process, 'message')
  await getFor(warmUpMs)
  const before = readCounters()
  const startMs = performance.now()
  await getFor(measuredMs)
  const tookMs = performance.now() - startMs
  const after = readCounters()
  const residentBytes = engine.residentBytes?.()
  const mappedBytes = engine.residentBytes === undefined ? undefined : mappedLogBytes()
  const sorted = durations.subarray(0, count).sort()
  const at = (part) => sorted[Math.floor((count - 1) * part)]
  await engine.close()
  process.send({
    getsPerSecond: (count / tookMs) * 1000,
    p50: at(0.5),
    p99: at(0.99),
    p999: at(0.999),
    faults: (after.faults - before.faults) / count,
    readBytes: (after.readBytes - before.readBytes) / count,
    residentBytes,
    mappedBytes,
  })
}

/** Of this process so far: faults that waited for the medium, and what was read from it. */
function readCounters() {
  try {
    const fields = readFileSync('/proc/self/stat', 'utf8').split(') ')[1].split(' ')
    const [, read] = readFileSync('/proc/self/io', 'utf8').match(/read_bytes: (\d+)/)
    return { faults: Number(fields[9]), readBytes: Number(read) }
  } catch {
    return { faults: Number.NaN, readBytes: Number.NaN }
  }
}

/** What this process has mapped and in memory of segments, as the system counts it. */
function mappedLogBytes() {
  let bytes = 0
  let isSegment = false
  for (const line of readFileSync('/proc/self/smaps', 'utf8').split('\n')) {
    if (/^[0-9a-f]+-[0-9a-f]+ /.test(line))
      isSegment = line.includes(directory) && line.includes('segment-')
    else if (isSegment && line.startsWith('Rss:')) bytes += Number(line.split(/\s+/)[1]) * 1024
  }
  return bytes
}
