// Whether files stay within their bound, 2 x live + two segments, in a store of several gigabytes while
// compaction works in the background: with overwrites only, deletes only, expiry only, and a mix.
//
//   node bench/bounds.mjs [gigabytes] [kind…]      default 4, all kinds; needs a built package
//
// The writer is paced as a server is: a group of some hundred operations, then the event loop until the next one is
// due (`operationsPerSecond`); what it is late by up to a tenth of a second, it makes up for. The load is not paced: it
// takes turns and no pauses.
import { readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'
import { open } from 'varve'
import { createRandom } from './compare/prng.mjs'
import { createScratchDirectory } from './compare/scratch.mjs'

const [gigabytes = '4', ...wantedKinds] = process.argv.slice(2)
const valueSizeBytes = 1000
const operationsPerSecond = 30_000
const groupSize = 300
const groupMs = (groupSize / operationsPerSecond) * 1000
const lateMsMax = 100
const lookIntervalMs = 50
/** What a record takes beside its value: header, key, the rounding to 8 bytes. */
const overheadBytes = 48
const records = Math.round((Number(gigabytes) * 1e9) / (valueSizeBytes + overheadBytes))
/** In which time as many records expire as the store holds. */
const lifetimeMs = (records / operationsPerSecond) * 1000

const random = createRandom(7)
const value = Buffer.alloc(valueSizeBytes, 7)
const key = (index) => `key-${String(index).padStart(12, '0')}`
const segmentName = /^(segment|value|prepared)-/

/** Blocks of all segments, whoever of the threads has them. */
function bytesOnDisk(directory) {
  let bytes = 0
  for (const name of readdirSync(directory)) {
    if (!segmentName.test(name)) continue
    // Dropped, or renamed, since.
    bytes += (statSync(join(directory, name), { throwIfNoEntry: false })?.blocks ?? 0) * 512
  }
  return bytes
}

const formatGigabytes = (bytes) => `${(bytes / 1e9).toFixed(2)} GB`

/** Each gives the number of its operations, and makes the n-th of them. */
const kinds = {
  overwrites: {
    count: records * 1.5,
    operate: (store) => store.put(key(random(records)), value),
  },
  // Nine of ten are gone at the end, in an order that has nothing to do with that of the log.
  deletes: {
    count: records * 0.9,
    operate: (store, index) => store.delete(key((index * 7_368_787) % records)),
  },
  // As many are put as expire, and no two of a segment together.
  expiry: {
    count: records * 1.5,
    ttlMs: () => 1 + random(2 * lifetimeMs),
    operate: (store, index) =>
      store.put(key(records + index), value, { ttlMs: 1 + random(2 * lifetimeMs) }),
  },
  mix: {
    count: records * 1.5,
    operate: (store, index) => {
      const which = random(10)
      const name = key(random(records))
      if (which < 6) store.put(name, value)
      else if (which < 8) store.delete(name)
      else store.put(key(records + index), value, { ttlMs: 1 + random(lifetimeMs) })
    },
  },
}

async function run(kind) {
  const { count, operate, ttlMs } = kinds[kind]
  const directory = createScratchDirectory(tmpdir())
  const store = open(directory, { encoding: 'binary' })
  let moved = 0
  let movedByRun = 0
  store.on('compaction', ({ isDone, bytesMoved }) => {
    moved += bytesMoved - movedByRun
    movedByRun = isDone ? 0 : bytesMoved
  })
  store.on('error', (error) => {
    throw error
  })
  for (let index = 0; index < records; index++) {
    store.put(key(index), value, ttlMs === undefined ? {} : { ttlMs: ttlMs() })
    if (index % groupSize === 0) await turn()
  }
  await store.sync()

  const { segmentSizeBytes, tail, liveBytes: loadedBytes } = store.stats()
  const startedAtMs = performance.now()
  let dueAtMs = startedAtMs
  let lookedAtMs = startedAtMs
  let waitedMs = 0
  let aboveMs = 0
  const highest = { part: 0, fileBytes: 0, liveBytes: 0, atMs: 0 }
  const look = () => {
    const { liveBytes } = store.compactionEstimate()
    const fileBytes = bytesOnDisk(directory)
    const nowMs = performance.now()
    // The bound is promised from four segments of live data on.
    const isPromised = liveBytes >= 4 * segmentSizeBytes
    const part = isPromised ? fileBytes / (2 * liveBytes + 2 * segmentSizeBytes) : 0
    if (part > 1) aboveMs += nowMs - lookedAtMs
    if (part > highest.part) {
      Object.assign(highest, { part, fileBytes, liveBytes, atMs: nowMs - startedAtMs })
    }
    lookedAtMs = nowMs
  }
  for (let index = 0; index < count; index++) {
    operate(store, index)
    if (index % groupSize !== 0) continue
    dueAtMs = Math.max(dueAtMs + groupMs, performance.now() - lateMsMax)
    const aheadMs = dueAtMs - performance.now()
    if (aheadMs > 1) {
      waitedMs += aheadMs
      await sleep(aheadMs)
    } else await turn()
    if (performance.now() - lookedAtMs > lookIntervalMs) look()
  }
  const durationMs = performance.now() - startedAtMs
  look()

  // Markers and headers aside, the log grew by what was written and what was moved.
  const grown = (store.stats().tail - tail) * 8
  const { fileBytes, liveBytes } = store.stats()
  console.log(
    `${kind}: ${formatGigabytes(loadedBytes)} live at first, ${formatGigabytes(liveBytes)} at the end, in ${formatGigabytes(fileBytes)} of files;`,
    `files at most ${(highest.part * 100).toFixed(1)} % of the bound (${formatGigabytes(highest.fileBytes)} with ${formatGigabytes(highest.liveBytes)} live, ${(highest.atMs / 1000).toFixed(0)} s in), above it for ${(aboveMs / 1000).toFixed(1)} s;`,
    `${formatGigabytes(grown - moved)} written and ${formatGigabytes(moved)} moved, amplification ${(grown / (grown - moved)).toFixed(2)};`,
    `${(durationMs / 1000).toFixed(0)} s, of which the writer slept ${(waitedMs / 1000).toFixed(0)}`,
  )
  await store.close()
  rmSync(directory, { recursive: true, force: true })
  return highest.part <= 1
}

let isWithin = true
for (const kind of wantedKinds.length > 0 ? wantedKinds : Object.keys(kinds)) {
  isWithin = (await run(kind)) && isWithin
}
process.exitCode = isWithin ? 0 : 1
