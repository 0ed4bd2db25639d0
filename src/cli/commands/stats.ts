/** varve stats: the numbers of a store. */
import type { Command } from 'commander'
import type { StoreStats } from '../../store/index.js'
import { jsonOption, pathDescription } from '../options.js'
import { printJson, printLines } from '../output.js'
import { formatBytes, formatCount } from '../quantities.js'
import { openForReading } from '../store-access.js'
import { tableLines } from '../table.js'

export function addStats(program: Command): void {
  program
    .command('stats')
    .description('print the numbers of a store, under the names they have in store.stats()')
    .argument('<path>', pathDescription)
    .addOption(jsonOption('one object'))
    .action(printStats)
}

async function printStats(path: string, options: { readonly json?: true }): Promise<void> {
  await using store = openForReading(path)
  const stats = store.stats()
  await (options.json === true ? printJson(stats) : printLines(statsLines(stats)))
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
