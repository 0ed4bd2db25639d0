/** varve scan: the live records, or those of a range, in the order of their keys. */
import { type Command, Option } from 'commander'
import type { RangeOptions, StoreKey } from '../../store/index.js'
import { keyAsJson, keyAsLine } from '../key.js'
import { jsonOption, keyspaceOption, parseCount, pathDescription } from '../options.js'
import { printLines } from '../output.js'
import { Progress } from '../progress.js'
import { addRangeOptions, type RangeArguments, rangeOf } from '../range-options.js'
import { type AnyKeyspace, existingKeyspace, openForReading } from '../store-access.js'
import { valueAsJson, valueAsLine } from '../value.js'

interface ScanOptions extends RangeArguments {
  readonly keyspace?: string
  readonly limit?: number
  readonly reverse?: true
  readonly keys?: true
  readonly json?: true
}

export function addScan(program: Command): void {
  const command = program
    .command('scan')
    .description('print the records of a store, in the order of their keys')
    .argument('<path>', pathDescription)
    .addOption(keyspaceOption())
  addRangeOptions(command)
    .option('--reverse', 'from the last key to the first')
    .addOption(new Option('--limit <number>', 'print so many at most').argParser(parseCount))
    .option('--keys', 'print keys only')
    .addOption(jsonOption('one object a line, with the members "key" and "value"'))
    .addHelpText(
      'after',
      `
A line is the key, a tab, and the value. Text with control characters stands in quotes, as in JSON;
values that are bytes are given by their number. With --json they are base64 and called
"valueBase64". Binary keys are hexadecimal digits, ordered keys JSON; bounds are written in the same way.
Keys are in the order of their bytes. The first scan of a store makes an index for it.`,
    )
    .action(printRecords)
}

async function printRecords(path: string, options: ScanOptions): Promise<void> {
  await using store = openForReading(path)
  const keyspace = existingKeyspace(store, options.keyspace)
  await printLines(recordLines(keyspace, options))
}

function* recordLines(keyspace: AnyKeyspace, options: ScanOptions): Generator<string> {
  const limit = Math.min(options.limit ?? Number.POSITIVE_INFINITY, keyspace.count())
  const range = { ...rangeOf(keyspace, options), reverse: options.reverse === true, limit }
  // A bar would stand between the lines of a terminal.
  using progress = new Progress('scan', limit, !process.stdout.isTTY)
  let count = 0
  for (const line of linesOf(keyspace, range, options)) {
    yield line
    progress.update(++count)
  }
}

function linesOf(
  keyspace: AnyKeyspace,
  range: RangeOptions<StoreKey>,
  { json, keys }: ScanOptions,
): Iterable<string> {
  const { keyEncoding } = keyspace.encodings
  if (keys === true) {
    return keyspace
      .keys(range)
      .map((key) =>
        json === true ? JSON.stringify({ key: keyAsJson(key) }) : keyAsLine(key, keyEncoding),
      )
  }
  return keyspace
    .range(range)
    .map(([key, value]) =>
      json === true
        ? JSON.stringify({ key: keyAsJson(key), ...valueAsJson(value) })
        : `${keyAsLine(key, keyEncoding)}\t${valueAsLine(value)}`,
    )
}
