// Puts of 100 bytes that are on the medium when they are answered: what each engine takes for that with one
// task that waits for every put, and with 64 tasks that do so at the same time and can share a flush.
//
// The engines take turns, put by put where there is one task, so that what the device does meanwhile
// meets all of them; `file` is a write and an asynchronous fdatasync, which is what the device takes.
//
// With --device-us the syncs of `file` and `varve` wait so long in a thread, and no device is asked.
//
//   node bench/durable.mjs [--puts 1000] [--rounds 5] [--engines file,varve,lmdb] [--dir <directory>]
//     [--device-us <microseconds>] [--json]
import { mkdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { createScratchDirectory } from './compare/scratch.mjs'
import { median } from './compare/statistics.mjs'
import { standInForDevice } from './durable/device.mjs'
import { engines } from './durable/engines.mjs'
import { install } from './install.mjs'

const { values: options } = parseArgs({
  options: {
    puts: { type: 'string', default: '1000' },
    rounds: { type: 'string', default: '5' },
    engines: { type: 'string' },
    dir: { type: 'string', default: tmpdir() },
    'device-us': { type: 'string' },
    json: { type: 'boolean', default: false },
  },
})
const deviceUs = options['device-us']
if (deviceUs !== undefined) standInForDevice(Number(deviceUs))
/** The others' syncs are in compiled code. */
const engineNames = deviceUs === undefined ? Object.keys(engines) : ['file', 'varve']
const putCount = Number(options.puts)
const roundCount = Number(options.rounds)
const taskCount = 64
const compare = join(import.meta.dirname, 'compare')
const isNode20 = Number.parseInt(process.versions.node, 10) < 22
if (!install(compare) || (isNode20 && !install(join(compare, 'node20')))) process.exit(1)

const directory = createScratchDirectory(options.dir)
const opened = []
for (const name of options.engines?.split(',') ?? engineNames) {
  if (!(name in engines)) throw new RangeError(`--engines: '${name}' is none of the engines`)
  const home = join(directory, name)
  mkdirSync(home)
  opened.push({ name, engine: await engines[name](home), latenciesNs: [], putsPerSecond: [] })
}
const value = Buffer.alloc(100, 7)
let keyCount = 0
const nextKey = () => `key ${String(keyCount++ % 100_000).padStart(12, '0')}`

for (let round = -1; round < roundCount; round++) {
  // The first is not measured: each engine's first puts make files.
  const isMeasured = round >= 0
  for (let put = 0; put < (isMeasured ? putCount : 50); put++) {
    for (const { engine, latenciesNs } of opened) {
      const start = process.hrtime.bigint()
      await engine.put(nextKey(), value)
      if (isMeasured) latenciesNs.push(Number(process.hrtime.bigint() - start))
    }
  }
  for (const { engine, putsPerSecond } of opened) {
    const start = process.hrtime.bigint()
    let left = putCount * 20
    const total = left
    const task = async () => {
      while (left > 0) {
        left--
        await engine.put(nextKey(), value)
      }
    }
    await Promise.all(Array.from({ length: taskCount }, task))
    if (isMeasured) putsPerSecond.push((total * 1e9) / Number(process.hrtime.bigint() - start))
  }
}
for (const { engine } of opened) await engine.close()

const results = opened.map(({ latenciesNs, name, putsPerSecond }) => ({
  name,
  oneTaskUs: median(latenciesNs) / 1000,
  putsPerSecond: median(putsPerSecond),
}))
if (options.json) console.log(JSON.stringify({ node: process.version, results }, null, 2))
else {
  console.log(`Node ${process.version}; medians of ${roundCount} rounds of ${putCount} puts\n`)
  console.log(`| | one task, µs a put | ${taskCount} tasks, puts a second |`)
  console.log('| --- | ---: | ---: |')
  for (const { name, oneTaskUs, putsPerSecond } of results) {
    console.log(`| ${name} | ${oneTaskUs.toFixed(0)} | ${putsPerSecond.toFixed(0)} |`)
  }
}
