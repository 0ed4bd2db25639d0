// Varve beside Map, lmdb, classic-level and better-sqlite3.
//
// Goal: what one operation costs a single thread on data that fits in memory, every engine set up
// as fast as its documentation allows at the same durability.
// Not a goal: the speed of the device, data larger than memory, several threads or processes.
import { cpus } from 'node:os'
import { findDisagreements, measureEngines } from './measure.mjs'
import { readOptions } from './options.mjs'
import { createScratchDirectory } from './scratch.mjs'
import { formatLegend, formatTable } from './table.mjs'

const { parentDirectory, isJson, ...plan } = readOptions()
const directory = createScratchDirectory(parentDirectory)

const results = await measureEngines({ ...plan, directory }, (progress) => console.error(progress))
const machine = { node: process.version, processor: cpus()[0].model, coreCount: cpus().length }
console.log(isJson ? JSON.stringify({ ...machine, ...plan, ...results }, null, 2) : formatReport())

const disagreements = findDisagreements(results.cells)
for (const disagreement of disagreements) console.error(disagreement)
// A peer may be missing on some machine; without the first engine there is no comparison.
const isBaselineMissing = plan.engineNames[0] in results.unavailable
if (disagreements.length > 0 || isBaselineMissing) process.exitCode = 1

function formatReport() {
  const leftOut = Object.entries(results.unavailable).map(([name, why]) => `${name}: ${why}`)
  return `
Node ${machine.node}, ${machine.processor}, ${machine.coreCount} cores; ${plan.recordCount} records, \
${plan.roundCount} rounds

${formatTable({ engineNames: Object.keys(results.versions), ...results })}

Medians for one operation; 2.00x is twice the time of the first column. Equal hashes: every engine
read the same values. Durability in every row that writes: what has returned outlives the process,
not yet a loss of power. Nothing waits for a device flush on the clock (lmdb and Varve flush behind
the caller); after the load all files are flushed off the clock. A Map keeps nothing.

${formatLegend(plan.rowNames)}
${leftOut.length === 0 ? '' : `\nLeft out:\n${leftOut.join('\n')}\n`}`
}
