/** varve count: how many live records there are. */
import type { Command } from 'commander'
import { jsonOption, keyspaceOption, pathDescription } from '../options.js'
import { printJson, printLine } from '../output.js'
import { existingKeyspace, openForReading } from '../store-access.js'

interface CountOptions {
  readonly keyspace?: string
  readonly json?: true
}

export function addCount(program: Command): void {
  program
    .command('count')
    .description('print the number of records')
    .argument('<path>', pathDescription)
    .addOption(keyspaceOption())
    .addOption(jsonOption('an object with the member "count"'))
    .action(printCount)
}

async function printCount(path: string, options: CountOptions): Promise<void> {
  await using store = openForReading(path)
  const count = existingKeyspace(store, options.keyspace).count()
  await (options.json === true ? printJson({ count }) : printLine(String(count)))
}
