// What compaction costs and gives: write amplification under steady updates in the background, how fast a
// run reads the log, how long single calls take beside one, and how far a writer that never pauses gets ahead of it.
//
//   node bench/compaction.mjs [records] [part ...]      default 300,000 and all parts; needs a built package
//
// Parts: speed, without-pause, uniform, zipf.
import { rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { open } from 'varve'
import { createScratchDirectory } from './compare/scratch.mjs'
import { createZipf } from './compare/zipf.mjs'

const records = Number(process.argv[2] ?? 300_000)
const value = Buffer.alloc(100, 7)
/** The first of a process compiles the code that the others find compiled. */
const speedRuns = 5
const ascending = (a, b) => a - b
const options = { encoding: 'binary', segmentSizeBytes: 2 ** 22, syncIntervalMs: 0 }
const mebibytes = (bytes) => `${(bytes / 2 ** 20).toFixed(0)} MiB`
const key = (index) => `key-${String(index).padStart(12, '0')}`

function quantile(sorted, q) {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))]
}

async function amplification(name, next) {
  const directory = createScratchDirectory(tmpdir())
  const store = open(directory, options)
  let moved = 0
  store.on('compaction', ({ isDone, bytesMoved }) => {
    if (isDone) moved += bytesMoved
  })
  store.on('error', (error) => {
    throw error
  })
  for (let index = 0; index < records; index++) store.put(key(index), value)
  await store.sync()
  const updates = records * 6
  let from = 0
  let written = 0
  let highest = 0
  const gets = []
  const puts = []
  for (let index = 0; index < updates; index++) {
    // The first sixth fills the store with garbage and does not count.
    if (index === updates / 6) {
      from = moved
      written = store.stats().tail
    }
    const name = key(next())
    const start = process.hrtime.bigint()
    store.put(name, value)
    const middle = process.hrtime.bigint()
    store.get(name)
    const end = process.hrtime.bigint()
    if (index % 8 === 0) {
      puts.push(Number(middle - start))
      gets.push(Number(end - middle))
    }
    if (index % 500 === 0) {
      // Some milliseconds of other work, as a server has: what is left is compaction's.
      await turn()
      if (index % 20_000 === 0) await store.sync()
      const { fileBytes, liveBytes } = store.stats()
      highest = Math.max(highest, fileBytes / liveBytes)
    }
  }
  // Markers and headers aside, the log grew by what was written and what was moved.
  const grown = (store.stats().tail - written) * 8
  const copied = moved - from
  gets.sort((a, b) => a - b)
  puts.sort((a, b) => a - b)
  const { fileBytes, garbageRatio, liveBytes } = store.stats()
  console.log(
    `${name}: write amplification ${(grown / (grown - copied)).toFixed(2)}, garbage ${(garbageRatio * 100).toFixed(0)} %, files ${(fileBytes / liveBytes).toFixed(2)} x live at the end, ${highest.toFixed(2)} at most; p99.9 of get ${(quantile(gets, 0.999) / 1000).toFixed(0)} µs, of put ${(quantile(puts, 0.999) / 1000).toFixed(0)} µs`,
  )
  await store.close()
  rmSync(directory, { recursive: true, force: true })
}

/** What is read is what is dropped: all that lives in a segment was copied out of it. */
async function speed(segmentSizeBytes) {
  const runs = []
  const scratch = createScratchDirectory(tmpdir())
  for (let run = 0; run < speedRuns; run++) {
    const directory = join(scratch, String(run))
    const store = open(directory, { ...options, segmentSizeBytes, autoCompact: false })
    for (let index = 0; index < records; index++) store.put(key(index), value)
    await store.sync()
    for (let index = 0; index < records; index += 2) store.put(key(index), value)
    await store.sync()
    const report = await store.compact({ minGarbageRatio: 0.3 })
    const read = report.segmentsDropped * segmentSizeBytes
    runs.push({ ...report, read, speed: (read / report.durationMs / 2 ** 20) * 1000 })
    await store.close()
  }
  rmSync(scratch, { recursive: true, force: true })
  const speeds = runs.map((run) => run.speed)
  const { bytesAfter, bytesBefore, bytesMoved, read } = runs[0]
  console.log(
    `compact(), segments of ${mebibytes(segmentSizeBytes)}: ${mebibytes(bytesBefore)} to ${mebibytes(bytesAfter)}, ${mebibytes(read)} read, ${mebibytes(bytesMoved)} moved; ${quantile(speeds.toSorted(ascending), 0.5).toFixed(0)} MiB/s of log read (${speeds.map((speed) => speed.toFixed(0)).join(', ')})`,
  )
}

async function withoutPause(segmentSizeBytes) {
  const directory = createScratchDirectory(tmpdir())
  const store = open(directory, { ...options, segmentSizeBytes })
  for (let index = 0; index < records; index++) store.put(key(index), value)
  await store.sync()
  let highest = 0
  let slowestMs = 0
  const startedAtMs = performance.now()
  for (let index = 0; index < records * 8; index++) {
    const putAtMs = performance.now()
    store.put(key(Math.floor(Math.random() * records)), value)
    slowestMs = Math.max(slowestMs, performance.now() - putAtMs)
    if (index % 2000 !== 0) continue
    const { fileBytes, liveBytes } = store.stats()
    highest = Math.max(highest, fileBytes / liveBytes)
  }
  const putsPerMs = (records * 8) / (performance.now() - startedAtMs)
  console.log(
    `without a pause, segments of ${mebibytes(segmentSizeBytes)}: ${putsPerMs.toFixed(0)} puts/ms, the slowest ${slowestMs.toFixed(0)} ms; files ${highest.toFixed(2)} x live at most`,
  )
  await store.close()
  rmSync(directory, { recursive: true, force: true })
}

const parts = process.argv.slice(3)
const isWanted = (part) => parts.length === 0 || parts.includes(part)
for (const segmentSizeBytes of [2 ** 22, 2 ** 26]) {
  if (isWanted('speed')) await speed(segmentSizeBytes)
}
for (const segmentSizeBytes of [2 ** 22, 2 ** 26]) {
  if (isWanted('without-pause')) await withoutPause(segmentSizeBytes)
}
if (isWanted('uniform')) await amplification('uniform', () => Math.floor(Math.random() * records))
if (isWanted('zipf')) await amplification('zipf 0.99', createZipf(records))
