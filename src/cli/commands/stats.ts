/** varve stats: the numbers of a store, once or again and again. */
import { type Command, InvalidArgumentError, Option } from 'commander'
import type { StoreStats } from '../../store/index.js'
import { UsageError } from '../failure.js'
import { untilInterrupted } from '../interruption.js'
import { jsonOption, parseCount, pathDescription } from '../options.js'
import { printJson, printLines } from '../output.js'
import { formatBytes, formatCount } from '../quantities.js'
import { Screen } from '../screen.js'
import { segmentPicture } from '../segment-picture.js'
import { openForReading } from '../store-access.js'
import { tickLines, watchStore } from '../store-watch.js'
import { tableLines } from '../table.js'

const intervalSecondsDefault = 1
const intervalSecondsMin = 0.01
const intervalSecondsMax = 86_400

interface StatsOptions {
  readonly json?: true
  readonly watch?: true
  readonly interval?: number
  readonly count?: number
  readonly segments?: true
}

export function addStats(program: Command): void {
  program
    .command('stats')
    .description('print the numbers of a store, under the names they have in store.stats()')
    .argument('<path>', pathDescription)
    .addOption(jsonOption('one object; with --watch, one a line'))
    .option('--segments', 'with a picture of the segments, as on a terminal')
    .option('--watch', 'show who has the store open, and how fast it changes, until interrupted')
    .addOption(
      new Option(
        '--interval <seconds>',
        `between two looks with --watch (default: ${intervalSecondsDefault})`,
      ).argParser(parseInterval),
    )
    .addOption(
      new Option('--count <number>', 'look so often with --watch, then end').argParser(parseCount),
    )
    .addHelpText(
      'after',
      `
With --watch the command is a reader of the store like any other and is among those that it shows.
Ctrl-C ends it; its exit code is then 0.`,
    )
    .action(runStats)
}

async function runStats(path: string, options: StatsOptions): Promise<void> {
  if (options.watch === true) return await watchStats(path, options)
  if (options.interval !== undefined)
    throw new UsageError('--interval has no meaning here: no --watch')
  if (options.count !== undefined) throw new UsageError('--count has no meaning here: no --watch')
  await using store = openForReading(path)
  const stats = store.stats()
  if (options.json === true) return await printJson(stats)
  await printLines(statsLines(stats))
  if (options.segments !== true && !process.stdout.isTTY) return
  await printLines(['', ...segmentPicture(store.compactionEstimate())])
}

async function watchStats(path: string, options: StatsOptions): Promise<void> {
  const { count = Number.POSITIVE_INFINITY, interval = intervalSecondsDefault, json } = options
  if (count === 0) throw new UsageError('--count must be 1 or more')
  await untilInterrupted(async (end) => {
    await using store = openForReading(path)
    const screen = new Screen()
    for await (const tick of watchStore(store, {
      intervalMs: interval * 1000,
      countMax: count,
      end,
    })) {
      await (json === true ? printJson(tick) : screen.show(tickLines(store, tick)))
    }
  })
}

function parseInterval(text: string): number {
  const seconds = Number(text)
  const isWithin = seconds >= intervalSecondsMin && seconds <= intervalSecondsMax
  if (/^\d+(\.\d+)?$/.test(text) && isWithin) return seconds
  throw new InvalidArgumentError(
    `It must be a number of seconds from ${intervalSecondsMin} to ${intervalSecondsMax}.`,
  )
}

function statsLines({ lastRecovery, ...numbers }: StoreStats): string[] {
  const recovery = Object.entries(lastRecovery).map(
    ([name, value]) => [`lastRecovery.${name}`, value] as const,
  )
  return tableLines(
    [...Object.entries(numbers), ...recovery].map(([name, value]) => statsRow(name, value)),
  )
}

function statsRow(name: string, value: number | boolean | string): string[] {
  if (typeof value !== 'number') return [name, String(value)]
  const number = Number.isInteger(value) ? formatCount(value) : value.toFixed(3)
  return name.endsWith('Bytes') && value >= 1024
    ? [name, number, formatBytes(value)]
    : [name, number]
}
