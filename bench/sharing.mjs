// What sharing costs and gives: threads that read and write one store at once, Varve beside lmdb, and
// what the `Atomics` calls of the hot paths cost on this machine. Every thread asks for random keys
// of the same 1,000,000 records; the figure is operations a second of all threads together.
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Worker } from 'node:worker_threads'
import { createScratchDirectory } from './compare/scratch.mjs'
import { median } from './compare/statistics.mjs'
import { install } from './install.mjs'
import { measureAtomics } from './sharing/atomics.mjs'
import { openEngine } from './sharing/engines.mjs'
import { createKeys, makeValue } from './sharing/records.mjs'

const { values: options } = parseArgs({
  options: {
    records: { type: 'string', default: '1000000' },
    rounds: { type: 'string', default: '5' },
    duration: { type: 'string', default: '2000' },
    dir: { type: 'string', default: tmpdir() },
    json: { type: 'boolean', default: false },
  },
})
const recordCount = Number(options.records)
const roundCount = Number(options.rounds)
const durationMs = Number(options.duration)
if (!install(join(import.meta.dirname, 'compare'))) process.exit(1)

/** Each scenario: the role of every thread. Zipf 0.99 where half of the operations write. */
const scenarios = {
  'one reader': ['read'],
  'two readers': ['read', 'read'],
  'a reader beside a writer': ['read', 'write'],
  'one thread, half updates, zipf': ['mixed'],
  'two threads, half updates, zipf': ['mixed', 'mixed'],
}

const scratch = createScratchDirectory(options.dir)
const rates = {}
for (const engineName of ['varve', 'lmdb']) {
  const directory = join(scratch, engineName)
  console.error(`loading ${recordCount} records into ${engineName}`)
  await load(engineName, directory)
  for (let round = 1; round <= roundCount; round++) {
    console.error(`${engineName}, round ${round} of ${roundCount}`)
    for (const [name, roles] of Object.entries(scenarios)) {
      const threads = await run(engineName, directory, roles)
      rates[name] ??= {}
      rates[name][engineName] ??= []
      rates[name][engineName].push(threads)
    }
  }
}
const atomics = measureAtomics()
if (options.json) console.log(JSON.stringify({ node: process.version, rates, atomics }, null, 2))
else report()

async function load(engineName, directory) {
  const engine = await openEngine(engineName, directory)
  await engine.load(createKeys(recordCount), makeValue)
  await engine.close()
}

/** Operations a second of each thread. */
async function run(engineName, directory, roles) {
  const signal = new SharedArrayBuffer(4)
  const workers = roles.map(
    (role, index) =>
      new Worker(new URL('./sharing/thread.mjs', import.meta.url), {
        workerData: {
          engineName,
          directory,
          role,
          recordCount,
          durationMs,
          signal,
          seed: index + 1,
        },
      }),
  )
  await Promise.all(workers.map((worker) => once(worker, 'message')))
  const answers = workers.map((worker) => once(worker, 'message'))
  Atomics.store(new Int32Array(signal), 0, 1)
  Atomics.notify(new Int32Array(signal), 0)
  const rates = (await Promise.all(answers)).map(([rate]) => rate)
  await Promise.all(workers.map((worker) => worker.terminate()))
  return rates
}

function report() {
  const total = (threads) => threads.reduce((sum, rate) => sum + rate, 0)
  const totalOf = (name, engineName) => median(rates[name][engineName].map(total))
  const firstOf = (name, engineName) => median(rates[name][engineName].map(([rate]) => rate))
  const million = (rate) => `${(rate / 1e6).toFixed(2).padStart(6)} M/s`
  console.log(`\nNode ${process.version}, ${recordCount} records, medians of ${roundCount} rounds`)
  for (const name of Object.keys(scenarios)) {
    const [varve, lmdb] = [totalOf(name, 'varve'), totalOf(name, 'lmdb')]
    const ratio = (varve / lmdb).toFixed(2)
    console.log(`${name.padEnd(34)} varve ${million(varve)}   lmdb ${million(lmdb)}   ${ratio}x`)
  }
  const scaling = totalOf('two readers', 'varve') / totalOf('one reader', 'varve')
  const beside = firstOf('a reader beside a writer', 'varve') / totalOf('one reader', 'varve')
  console.log(`two readers are ${scaling.toFixed(2)} times one`)
  console.log(`beside a busy writer a reader keeps ${(beside * 100).toFixed(0)} % of its speed`)
  for (const [name, ns] of Object.entries(atomics)) {
    console.log(`${name.padEnd(34)} ${ns.toFixed(1).padStart(6)} ns`)
  }
}
