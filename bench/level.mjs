// varve/level beside classic-level: the calls of abstract-level, which both of them are. Each database in
// a process of its own, in turn; medians of the rounds.
import { rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { runChild } from './compare/child.mjs'
import { createScratchDirectory } from './compare/scratch.mjs'
import { median } from './compare/statistics.mjs'
import { install } from './install.mjs'
import { rows, versionOf } from './level/rows.mjs'

const { values: options } = parseArgs({
  options: {
    records: { type: 'string', default: '1000000' },
    rounds: { type: 'string', default: '5' },
    dir: { type: 'string', default: tmpdir() },
    json: { type: 'boolean', default: false },
  },
})
const recordCount = Number(options.records)
const roundCount = Number(options.rounds)
if (!install(join(import.meta.dirname, 'compare'))) process.exit(1)

const engineNames = ['varve', 'classic-level']
const scratch = createScratchDirectory(options.dir)
const results = Object.fromEntries(engineNames.map((name) => [name, []]))
const hashes = new Set()
for (let round = 1; round <= roundCount; round++) {
  for (const engineName of engineNames) {
    console.error(`round ${round} of ${roundCount}: ${engineName}`)
    const directory = join(scratch, engineName)
    const module = join(import.meta.dirname, 'level', 'round.mjs')
    const { durationsNs, hash } = await runChild(module, { engineName, directory, recordCount })
    results[engineName].push(durationsNs)
    hashes.add(hash)
    for (const used of [directory, `${directory}-warm-up`]) rmSync(used, { recursive: true })
  }
}
if (options.json) console.log(JSON.stringify({ node: process.version, results }, null, 2))
else report()
if (hashes.size > 1) {
  console.error('the databases read different values')
  process.exitCode = 1
}

function report() {
  const [first, second] = engineNames
  console.log(
    `Node ${process.version}, ${recordCount} records, medians of ${roundCount}; ns an item\n`,
  )
  console.log(`| | varve ${versionOf(first)} | ${second} ${versionOf(second)} | |`)
  console.log('| --- | ---: | ---: | ---: |')
  for (const { name } of rows) {
    const own = median(results[first].map((durations) => durations[name]))
    const other = median(results[second].map((durations) => durations[name]))
    const times = (other / own).toFixed(2)
    console.log(`| ${name} | ${own.toFixed(0)} | ${other.toFixed(0)} | ${times}x |`)
  }
  console.log(`\n${rows.map(({ name, note }) => `${name}: ${note}`).join('\n')}`)
}
