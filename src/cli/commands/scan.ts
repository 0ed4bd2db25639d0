/** varve scan: the live records in the order of the log. */
import { type Command, Option } from 'commander'
import type { StoreKey } from '../../store/index.js'
import { keysInLog } from '../../store/scan.js'
import { keyAsJson, keyAsLine } from '../key.js'
import { jsonOption, keyspaceOption, parseCount, pathDescription } from '../options.js'
import { printLines } from '../output.js'
import { Progress } from '../progress.js'
import { type AnyKeyspace, existingKeyspace, openForReading } from '../store-access.js'
import { valueAsJson, valueAsLine } from '../value.js'

interface ScanOptions {
  readonly keyspace?: string
  readonly limit?: number
  readonly keys?: true
  readonly json?: true
}

export function addScan(program: Command): void {
  program
    .command('scan')
    .description('print the records of a store, oldest in the log first')
    .argument('<path>', pathDescription)
    .addOption(keyspaceOption())
    .addOption(new Option('--limit <number>', 'print so many at most').argParser(parseCount))
    .option('--keys', 'print keys only')
    .addOption(jsonOption('one object a line, with the members "key" and "value"'))
    .addHelpText(
      'after',
      `
A line is the key, a tab, and the value. Text with control characters stands in quotes, as in JSON;
values that are bytes are given by their number. With --json they are base64 and called
"valueBase64". Binary keys are hexadecimal digits, ordered keys JSON.`,
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
  const lineOf = chooseLine(keyspace, options)
  // A bar would stand between the lines of a terminal.
  using progress = new Progress('scan', limit, !process.stdout.isTTY)
  let count = 0
  for (const key of keysInLog(keyspace)) {
    if (count === limit) return
    yield lineOf(key)
    progress.update(++count)
  }
}

function chooseLine(keyspace: AnyKeyspace, { json, keys }: ScanOptions): (key: StoreKey) => string {
  const { keyEncoding } = keyspace.encodings
  if (json === true) {
    return keys === true
      ? (key) => JSON.stringify({ key: keyAsJson(key) })
      : (key) => JSON.stringify({ key: keyAsJson(key), ...valueAsJson(keyspace.get(key)) })
  }
  return keys === true
    ? (key) => keyAsLine(key, keyEncoding)
    : (key) => `${keyAsLine(key, keyEncoding)}\t${valueAsLine(keyspace.get(key))}`
}
