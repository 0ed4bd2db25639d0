// How fast a large store opens, and what an open one costs in memory: after a clean close, and
// after its process was killed. Every opening has a process of its own, checks that the records
// are there, and starts with code that was never run.
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { receiveAnswer, runChild, startChild } from './compare/child.mjs'
import { readMultiple } from './compare/options.mjs'
import { createScratchDirectory } from './compare/scratch.mjs'
import { median } from './compare/statistics.mjs'
import { formatDuration } from './compare/table.mjs'

const stepModule = join(import.meta.dirname, 'reopen', 'step.mjs')

const { values: options } = parseArgs({
  options: {
    records: { type: 'string', default: '10000000' },
    rounds: { type: 'string', default: '5' },
    dir: { type: 'string', default: tmpdir() },
    json: { type: 'boolean', default: false },
  },
})
const recordCount = readMultiple('records', options.records, 100_000)
const roundCount = readMultiple('rounds', options.rounds, 1)
const directory = join(createScratchDirectory(options.dir), 'store')

console.error(`loading ${recordCount} records`)
const loaded = await runChild(stepModule, { step: 'load', directory, recordCount })
const openings = { closed: [], shared: [], killed: [] }
for (let round = 1; round <= roundCount; round++) {
  console.error(`round ${round} of ${roundCount}`)
  openings.closed.push(await measureOpening(round - 1))
  const holder = startChild(stepModule, { step: 'hold', directory, generation: round })
  await receiveAnswer(holder)
  openings.shared.push(await measureOpening(round))
  holder.kill('SIGKILL')
  await once(holder, 'exit')
  openings.killed.push(await measureOpening(round))
}
const results = { node: process.version, ...loaded, openings }
console.log(options.json ? JSON.stringify(results, null, 2) : formatReport(results))

/** @param {number} generation of the records that were updated last */
function measureOpening(generation) {
  return runChild(stepModule, { step: 'measureOpening', directory, recordCount, generation })
}

function formatReport({ node, fileBytes, indexBytes }) {
  const { closed, shared, killed } = openings
  const heapBytes = Math.max(...[...closed, ...killed].map((opening) => opening.heapBytes))
  const lines = [
    ['open after a clean close', formatOpenings(closed)],
    ['open after kill -9', formatOpenings(killed)],
    ['open beside another process', formatOpenings(shared)],
    ['JavaScript heap with the store open', formatMegabytes(heapBytes)],
    ['array buffers', formatMegabytes(closed[0].arrayBuffersBytes)],
    ['external memory, mapped files included', formatMegabytes(closed[0].externalBytes)],
    ['index', `${(indexBytes / recordCount).toFixed(1)} bytes a record`],
    ['files', formatMegabytes(fileBytes)],
  ]
  const width = Math.max(...lines.map(([label]) => label.length))
  return `
Node ${node}, ${recordCount} records; medians of ${roundCount}, memory above an empty process

${lines.map(([label, text]) => `${label.padEnd(width)}  ${text}`).join('\n')}
`
}

function formatOpenings(measured) {
  const { refusal, recoveryKind } = measured[0]
  if (refusal !== undefined) return `refused with ${refusal}`
  const openNs = median(measured.map(({ openDurationNs }) => openDurationNs))
  const firstGetNs = median(measured.map(({ firstGetDurationNs }) => firstGetDurationNs))
  return `${formatDuration(openNs)}, first get ${formatDuration(firstGetNs)} (${recoveryKind})`
}

function formatMegabytes(bytes) {
  return `${(bytes / 1e6).toFixed(1)} MB`
}
