/** varve bench: a short benchmark of this machine, on a store of its own that is removed after. */
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { type Command, Option } from 'commander'
import { open } from '../../store/index.js'
import { UsageError } from '../failure.js'
import { requireDirectory } from '../file-tree.js'
import { jsonOption, parseCount } from '../options.js'
import { printJson, printLines } from '../output.js'
import { Progress } from '../progress.js'
import { formatCount, perSecond } from '../quantities.js'
import { shuffled } from '../shuffle.js'
import { tableLines } from '../table.js'
import { withTemporaryDirectory } from '../temporary-directory.js'

const recordsDefault = 500_000
/** Before the measurement, so that it is not one of the compiler. */
const warmUpRecords = 20_000
const valueSizeBytes = 100
/** Between slices the clock stands still, while the bar is drawn and signals are heard. */
const sliceLength = 10_000

interface BenchOptions {
  readonly records: number
  readonly json?: true
}

interface Row {
  readonly operation: string
  readonly perSecond: number
  readonly nanosecondsEach: number
}

export function addBench(program: Command): void {
  program
    .command('bench')
    .description('measure load, random get and update on a temporary store')
    .argument('[path]', 'directory to make the store in', tmpdir())
    .addOption(
      new Option('--records <number>', 'how many').argParser(parseCount).default(recordsDefault),
    )
    .addOption(jsonOption('one object'))
    .addHelpText(
      'after',
      `
One run with keys of 16 bytes and values of ${valueSizeBytes}, in one process: it is indicative, no more.`,
    )
    .action(bench)
}

async function bench(path: string, options: BenchOptions): Promise<void> {
  const { records } = options
  if (records === 0) throw new UsageError('--records must be 1 or more')
  requireDirectory(path)
  const rows = await withTemporaryDirectory(path, async (directory) => {
    await measureStore(join(directory, 'warm-up'), warmUpRecords)
    return await measureStore(join(directory, 'store'), records)
  })
  await (options.json === true
    ? printJson({ records, valueSizeBytes, node: process.version, rows })
    : printLines(benchLines(records, rows)))
}

async function measureStore(directory: string, records: number): Promise<Row[]> {
  const keys = Array.from({ length: records }, (_, index) => String(index).padStart(16, '0'))
  const order = shuffled(keys)
  const value = Buffer.alloc(valueSizeBytes, 'v')
  await using store = open<Buffer>(directory, { encoding: 'binary', syncIntervalMs: 0 })
  return [
    await measure('load', keys, (key) => store.put(key, value)),
    await measure('random get', order, (key) => store.get(key)),
    await measure('random update', order, (key) => store.put(key, value)),
  ]
}

async function measure(
  operation: string,
  keys: readonly string[],
  step: (key: string) => unknown,
): Promise<Row> {
  using progress = new Progress(operation, keys.length)
  let durationMs = 0
  for (let start = 0; start < keys.length; start += sliceLength) {
    const slice = keys.slice(start, start + sliceLength)
    const startedAtMs = performance.now()
    for (const key of slice) step(key)
    durationMs += performance.now() - startedAtMs
    progress.update(start + slice.length)
    await setImmediate()
  }
  return {
    operation,
    perSecond: perSecond(keys.length, durationMs),
    nanosecondsEach: Math.round((durationMs * 1e6) / keys.length),
  }
}

function benchLines(records: number, rows: readonly Row[]): string[] {
  return [
    `${formatCount(records)} records, keys of 16 bytes, values of ${valueSizeBytes}, Node ${process.version}`,
    '',
    ...tableLines([
      ['operation', 'a second', 'ns each'],
      ...rows.map(({ nanosecondsEach, operation, perSecond: rate }) => [
        operation,
        formatCount(rate),
        formatCount(nanosecondsEach),
      ]),
    ]),
    '',
    'Indicative only: one run, on this machine as busy as it was. Writes were not synced.',
  ]
}
