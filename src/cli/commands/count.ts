/** varve count: how many live records there are, or are in a range. */
import type { Command } from 'commander'
import { jsonOption, keyspaceOption, pathDescription } from '../options.js'
import { printJson, printLine } from '../output.js'
import { addRangeOptions, hasBounds, type RangeArguments, rangeOf } from '../range-options.js'
import { existingKeyspace, openForReading } from '../store-access.js'

interface CountOptions extends RangeArguments {
  readonly keyspace?: string
  readonly json?: true
}

export function addCount(program: Command): void {
  const command = program
    .command('count')
    .description('print the number of records, or of those of a range')
    .argument('<path>', pathDescription)
    .addOption(keyspaceOption())
  addRangeOptions(command)
    .addOption(jsonOption('an object with the member "count"'))
    .action(printCount)
}

async function printCount(path: string, options: CountOptions): Promise<void> {
  await using store = openForReading(path)
  const keyspace = existingKeyspace(store, options.keyspace)
  const count = hasBounds(options) ? keyspace.count(rangeOf(keyspace, options)) : keyspace.count()
  await (options.json === true ? printJson({ count }) : printLine(String(count)))
}
