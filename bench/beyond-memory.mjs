// Reading from a store that is ten times as large as the memory there is for it, beside lmdb and classic-level: skewed
// gets (zipf 0.99) of one thread.
//
//   node bench/beyond-memory.mjs [--records N] [--value-bytes N] [--budget-bytes N] [--rounds N] [--stores PATH]
//
// Each engine has a process of its own, in a control group whose limit is what the process has for itself when the
// store has been open for a second, 16 MB for that to grow, and the budget: caches, indexes, and pages of files come out of it. Before it begins, the
// system is told to drop the pages of the store's files, which would else be counted to whoever brought them in. Where
// no such group can be made it says so; then only Varve keeps to the budget.
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { createMemoryGroup } from './beyond-memory/memory-group.mjs'
import { receiveAnswer, runChild, startChild } from './compare/child.mjs'
import { flushFiles } from './compare/flush.mjs'
import { readMultiple } from './compare/options.mjs'
import { createScratchDirectory } from './compare/scratch.mjs'
import { median } from './compare/statistics.mjs'
import { formatDuration } from './compare/table.mjs'

const stepModule = join(import.meta.dirname, 'beyond-memory', 'step.mjs')

const { values: options } = parseArgs({
  options: {
    records: { type: 'string', default: '2000000' },
    'value-bytes': { type: 'string', default: '1000' },
    'budget-bytes': { type: 'string', default: '200000000' },
    rounds: { type: 'string', default: '3' },
    'warm-up-ms': { type: 'string', default: '8000' },
    'measured-ms': { type: 'string', default: '6000' },
    rows: {
      type: 'string',
      default: 'varve,varve-without-budget,lmdb,classic-level,varve+prefetch,lmdb+prefetch',
    },
    // Kept, and used as they are where they are there: loading takes longer than reading.
    stores: { type: 'string' },
  },
})
const recordCount = readMultiple('records', options.records, 1000)
const valueSizeBytes = readMultiple('value-bytes', options['value-bytes'], 4)
const budgetBytes = readMultiple('budget-bytes', options['budget-bytes'], 1000)
const roundCount = readMultiple('rounds', options.rounds, 1)
const warmUpMs = readMultiple('warm-up-ms', options['warm-up-ms'], 1)
const measuredMs = readMultiple('measured-ms', options['measured-ms'], 1)
const stores = options.stores ?? createScratchDirectory(tmpdir())
const rows = options.rows.split(',').map((name) => {
  const [engineName, prefetch] = name.split('+')
  // Two ways to open one store.
  const directory = join(stores, engineName.startsWith('varve') ? 'varve' : engineName)
  return { name, engineName, directory, prefetches: prefetch !== undefined, rounds: [] }
})
const common = { recordCount, valueSizeBytes, budgetBytes }

for (const { engineName, directory } of rows) {
  if (existsSync(`${directory}.loaded`)) continue
  console.error(`loading ${engineName}`)
  mkdirSync(directory, { recursive: true })
  await runChild(stepModule, { step: 'load', engineName, directory, ...common })
  flushFiles(directory)
  writeFileSync(`${directory}.loaded`, '')
}

const growthBytes = 16e6
let isLimited = true
for (let round = 1; round <= roundCount; round++) {
  for (const row of rows) {
    console.error(`round ${round} of ${roundCount}: ${row.name}`)
    row.rounds.push(await read(row, round))
  }
}
console.log(formatReport())

async function read({ engineName, directory, prefetches }, seed) {
  dropPages(directory)
  const group = createMemoryGroup(`varve-bench-${process.pid}`)
  isLimited &&= group !== undefined
  const times = { warmUpMs, measuredMs, seed, prefetches, joinPath: group?.joinPath }
  const child = startChild(stepModule, { step: 'read', engineName, directory, ...common, ...times })
  const exited = once(child, 'exit')
  try {
    await receiveAnswer(child)
    group?.limit(group.ownBytes + growthBytes + budgetBytes)
    child.send('go')
    return await receiveAnswer(child)
  } finally {
    await exited
    group?.remove()
  }
}

/** Whoever reads them next brings them in. */
function dropPages(directory) {
  flushFiles(directory)
  for (const entry of readdirSync(directory, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile()) continue
    // With a count of nothing it advises only (posix_fadvise, GNU).
    execFileSync('dd', [`if=${join(entry.parentPath, entry.name)}`, 'iflag=nocache', 'count=0'], {
      stdio: 'ignore',
    })
  }
}

function formatReport() {
  const megabytes = (bytes) => (bytes === undefined ? '' : (bytes / 1e6).toFixed(0))
  const lines = rows.map(({ name, rounds }) => {
    const at = (field) => median(rounds.map((round) => round[field]))
    const { residentBytes, mappedBytes } = rounds.at(-1)
    return [
      name,
      Math.round(at('getsPerSecond')).toLocaleString('en'),
      ...['p50', 'p99', 'p999'].map((field) => formatDuration(at(field))),
      at('faults').toFixed(3),
      Math.round(at('readBytes')).toLocaleString('en'),
      megabytes(residentBytes),
      megabytes(mappedBytes),
    ]
  })
  const header = [
    '',
    'gets/s',
    'p50',
    'p99',
    'p99.9',
    'faults/get',
    'bytes read/get',
    'resident MB',
    'smaps MB',
  ]
  const widths = header.map((_, column) =>
    Math.max(...[header, ...lines].map((line) => line[column].length)),
  )
  const table = [header, ...lines]
    .map((line) => line.map((text, column) => text.padStart(widths[column])).join('  '))
    .join('\n')
  return `
Node ${process.version}, ${recordCount} records with values of ${valueSizeBytes} bytes, a budget of ${megabytes(budgetBytes)} MB; medians of ${roundCount}
${isLimited ? 'Each in a control group with that above what its process has for itself' : 'No control group could be made: no limit but that which Varve keeps by itself'}

${table}
`
}
