// How long a large store takes to open behind a restart of the machine, with a checkpoint and without
// one, and what making a checkpoint costs those who write meanwhile. Every opening has a process of its
// own. The page cache is warm: a cold one adds the time that the device takes to read the log that is
// replayed, and the file of the checkpoint.
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { receiveAnswer, runChild, startChild } from './compare/child.mjs'
import { readMultiple } from './compare/options.mjs'
import { createScratchDirectory } from './compare/scratch.mjs'
import { median } from './compare/statistics.mjs'
import { formatDuration } from './compare/table.mjs'

const stepModule = join(import.meta.dirname, 'recovery', 'step.mjs')

const { values: options } = parseArgs({
  options: {
    records: { type: 'string', default: '10000000' },
    'value-bytes': { type: 'string', default: '100' },
    rounds: { type: 'string', default: '3' },
    dir: { type: 'string', default: tmpdir() },
    json: { type: 'boolean', default: false },
  },
})
const recordCount = readMultiple('records', options.records, 10_000)
const valueSizeBytes = readMultiple('value-bytes', options['value-bytes'], 4)
const roundCount = readMultiple('rounds', options.rounds, 1)
const directory = join(createScratchDirectory(options.dir), 'store')
const task = { directory, recordCount, valueSizeBytes }

console.error(`loading ${recordCount} records`)
const { logBytes } = await runChild(stepModule, { step: 'load', ...task })
const whole = []
const fromCheckpoint = []
const alone = []
const beside = []
for (let round = 1; round <= roundCount; round++) {
  console.error(`round ${round} of ${roundCount}`)
  whole.push(await runChild(stepModule, { step: 'measureOpening', ...task, prunes: true }))
  alone.push(await runChild(stepModule, { step: 'checkpoint', ...task, isIdle: false }))
  fromCheckpoint.push(await runChild(stepModule, { step: 'measureOpening', ...task }))
  beside.push(await measureBeside())
}
const results = { node: process.version, logBytes, whole, fromCheckpoint, alone, beside }
console.log(options.json ? JSON.stringify(results) : formatReport())

/** One process writes while another makes a checkpoint. */
async function measureBeside() {
  const writer = startChild(stepModule, { step: 'append', ...task })
  await receiveAnswer(writer)
  const made = await runChild(stepModule, { step: 'checkpoint', ...task, isIdle: true })
  writer.send('stop')
  const [answer] = await once(writer, 'message')
  await once(writer, 'exit')
  return { ...answer, durationNs: made.durationNs }
}

function formatReport() {
  const wholeNs = median(whole.map(({ openDurationNs }) => openDurationNs))
  const [{ bytes }] = alone
  const lines = [
    ['log', formatMegabytes(logBytes)],
    [
      'open on another boot, whole log',
      `${formatDuration(wholeNs)}, ${Math.round(logBytes / 1e6 / (wholeNs / 1e9))} MB/s`,
    ],
    [
      'open on another boot, from a checkpoint',
      formatDuration(median(fromCheckpoint.map(({ openDurationNs }) => openDurationNs))),
    ],
    ['a checkpoint', `${formatMegabytes(bytes)}, ${formatMade(alone)}`],
    ['puts of the same thread meanwhile', formatPuts(alone, 'putNs')],
    ['… while it had a processor', formatPuts(alone, 'ownNs')],
    ['a checkpoint beside a busy writer', formatMade(beside)],
    ['puts of that writer meanwhile', formatPuts(beside, 'putNs')],
    ['… while it had a processor', formatPuts(beside, 'ownNs')],
  ]
  const width = Math.max(...lines.map(([label]) => label.length))
  return `
Node ${process.version}, ${recordCount} records with values of ${valueSizeBytes} bytes; medians of ${roundCount}

${lines.map(([label, text]) => `${label.padEnd(width)}  ${text}`).join('\n')}
`
}

function formatMade(rounds) {
  return formatDuration(median(rounds.map(({ durationNs }) => durationNs)))
}

function formatPuts(rounds, kind) {
  const at = (part) =>
    formatDuration(median(rounds.map(({ [kind]: ns }) => ns[Math.floor((ns.length - 1) * part)])))
  return `p50 ${at(0.5)}, p99 ${at(0.99)}, p99.9 ${at(0.999)}, most ${at(1)}`
}

function formatMegabytes(bytes) {
  return `${(bytes / 1e6).toFixed(1)} MB`
}
