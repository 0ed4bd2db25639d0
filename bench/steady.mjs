// Whether anything grows in a store that is used for long: an hour of a busy server's operations, without the
// pauses. After each tenth: files, JavaScript heap, memory, descriptors, mappings, threads. Exit code 1 where the
// last tenth is above the first by more than is said in `tolerances`.
//
//   node --expose-gc bench/steady.mjs [operations] [seed]     default 18,000,000 (5,000 a second for an hour)
//
// An operation is a get, put, update, delete, put with a time to live, or a transaction; beside them, every some
// groups, ranges, snapshots that are opened, read and closed, watchers that come and go, values as streams, values in
// segments of their own, checkpoints and syncs. Compaction and checkpoints run in the background as they do by default.
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'
import { open } from 'varve'
import { createRandom } from './compare/prng.mjs'
import { createScratchDirectory } from './compare/scratch.mjs'

const operations = Number(process.argv[2] ?? 18_000_000)
const random = createRandom(Number(process.argv[3] ?? 11))
const keyCount = 100_000
const archiveCount = 10_000
const sessionCount = 10_000
const groupSize = 200
const segmentSizeBytes = 2 ** 22
const settleMs = 3000
if (globalThis.gc === undefined) throw new Error('run it with node --expose-gc')

/** What the last tenth may be above the first: a part of it, and as much more. */
const tolerances = {
  fileBytes: [0.1, 2 * segmentSizeBytes],
  liveBytes: [0.05, 0],
  indexBytes: [0.05, 0],
  heapBytes: [0.05, 2 ** 20],
  // Mapped addresses, a gigabyte at a time.
  externalBytes: [0, 2 ** 30],
  bufferBytes: [0.1, 2 ** 20],
  residentBytes: [0.1, 16 * 2 ** 20],
  descriptors: [0, 4],
  mappings: [0.1, 16],
  threads: [0, 1],
}

const directory = createScratchDirectory(tmpdir())
const store = open(directory, { segmentSizeBytes })
let compactions = 0
store.on('compaction', ({ isDone }) => {
  if (isDone) compactions++
})
for (const event of ['error', 'warning']) {
  store.on(event, (problem) => {
    throw problem
  })
}
const archive = store.keyspace('archive')
const blobs = store.keyspace('blobs', { encoding: 'binary' })
const key = (index) => `key-${String(index).padStart(9, '0')}`
const note = 'n'.repeat(150)
const blob = Buffer.alloc(2 ** 21, 7)

function operate(index) {
  const which = random(100)
  const name = key(random(keyCount))
  if (which < 35) store.get(name)
  else if (which < 60) store.put(name, { index, note })
  else if (which < 70) store.update(name, (value) => ({ index, note: value?.note ?? note }))
  else if (which < 80) store.delete(name)
  else if (which < 90)
    store.put(`session-${random(sessionCount)}`, { index }, { ttlMs: 1 + random(1000) })
  else if (which < 95) archive.put(key(random(archiveCount)), index)
  else if (which < 98) store.increment(`counter-${random(100)}`)
  else {
    store.transaction((tx) => {
      tx.put(name, { index, note })
      tx.keyspace('archive').delete(key(random(archiveCount)))
    })
  }
}

let told = 0
let watching = Promise.resolve()

/** One that ends after a while; the next one comes behind it. */
async function watch() {
  const limit = told + 100_000
  for await (const _ of store.watch()) if (++told >= limit) break
}

/** What a server does less often than operations. */
async function operateAround(group) {
  if (group % 5 === 0) {
    for (const _ of store.range({ gte: key(random(keyCount)), limit: 50 })) told++
    store.keys({ gt: key(random(keyCount)), reverse: true, limit: 20 }).toArray()
  }
  if (group % 50 === 0) {
    const snapshot = store.snapshot()
    for (let count = 0; count < 100; count++) snapshot.get(key(random(keyCount)))
    snapshot.range({ gte: key(random(keyCount)), limit: 100 }).toArray()
    await turn()
    snapshot.close()
  }
  if (group % 500 === 0) {
    const name = `blob-${random(8)}`
    blobs.put(name, blob)
    for await (const _ of blobs.readStream(name)) told++
  }
  if (group % 1000 === 0) {
    await store.getAsync(key(random(keyCount)))
    await store.prefetch(Array.from({ length: 100 }, () => key(random(keyCount))))
    await store.sync()
  }
  if (group % 5000 === 0) await store.checkpoint()
  if (group % 7000 === 0) {
    await watching
    watching = watch()
  }
}

function measure() {
  globalThis.gc()
  const { fileBytes, indexBytes, liveBytes } = store.stats()
  const { arrayBuffers, external, heapUsed, rss } = process.memoryUsage()
  return {
    fileBytes,
    liveBytes,
    indexBytes,
    heapBytes: heapUsed,
    externalBytes: external - arrayBuffers,
    bufferBytes: arrayBuffers,
    residentBytes: rss,
    descriptors: readdirSync('/proc/self/fd').length,
    mappings: readFileSync('/proc/self/maps', 'utf8').trimEnd().split('\n').length,
    threads: readdirSync('/proc/self/task').length,
  }
}

function format([name, number]) {
  if (name.endsWith('Bytes')) return `${name.slice(0, -5)} ${(number / 2 ** 20).toFixed(1)} MiB`
  return `${name} ${number}`
}

for (let index = 0; index < keyCount; index++) {
  store.put(key(index), { index, note })
  if (index % groupSize === 0) await turn()
}
const startedAtMs = performance.now()
const tenths = []
for (let tenth = 1; tenth <= 10; tenth++) {
  const end = (operations / 10) * tenth
  for (let index = end - operations / 10; index < end; index += groupSize) {
    for (let count = 0; count < groupSize; count++) operate(index + count)
    await operateAround(index / groupSize)
    await turn()
  }
  // So that what was begun is over: expiry, compaction, dropped files.
  await sleep(settleMs)
  store.get(key(0))
  const measured = measure()
  tenths.push(measured)
  const seconds = ((performance.now() - startedAtMs) / 1000).toFixed(0)
  console.log(`${tenth}0 % ${seconds} s: ${Object.entries(measured).map(format).join(', ')}`)
}
const { checkpoints } = store.stats()
console.log(
  `${compactions} compactions, ${checkpoints} checkpoints, ${told} entries and changes told`,
)
for (const [name, [part, more]] of Object.entries(tolerances)) {
  const first = tenths[0][name]
  const last = tenths[9][name]
  if (last <= first * (1 + part) + more) continue
  console.error(
    `grown: ${format([name, first])} after the first tenth, ${format([name, last])} at the end`,
  )
  process.exitCode = 1
}
await store.close()
await watching
rmSync(directory, { recursive: true, force: true })
