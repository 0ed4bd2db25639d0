/** What the demo says at its end, and what can be done with the store that it leaves. */
import { basename, relative } from 'node:path'
import type { TreeFile } from './file-tree.js'
import { formatBytes, formatCount, formatMs, perSecond } from './quantities.js'
import { factLines } from './table.js'
import type { Transfer } from './transfer.js'

export interface DemoChanges {
  readonly kept: TreeFile[]
  readonly updated: TreeFile[]
  readonly deleted: TreeFile[]
}

export interface DemoResult {
  readonly path: string
  readonly written: Transfer
  readonly read: Transfer
  readonly reopenMs: number
  readonly changes: DemoChanges
  readonly fileBytes: number
}

export function summaryLines(result: DemoResult): string[] {
  const { changes, fileBytes, path, read, reopenMs, written } = result
  return [
    'Every file came back as it was, byte for byte.',
    '',
    ...factLines([
      ['  records', formatCount(written.records)],
      ['  bytes', formatBytes(written.valueBytes)],
      ['  write', rateInWords(written)],
      ['  read', rateInWords(read)],
      ['  reopen', formatMs(reopenMs)],
      ['  then updated', formatCount(changes.updated.length)],
      ['  and deleted', formatCount(changes.deleted.length)],
      ['  files', formatBytes(fileBytes)],
      ['  store', path],
    ]),
    '',
    'Look into it:',
    ...exampleArguments(path, changes).map((words) => `  ${commandLine(words)}`),
  ]
}

function exampleArguments(path: string, { kept }: DemoChanges): string[][] {
  const { key } = kept.find((file) => basename(file.key) === 'package.json') ?? kept[0]
  return [
    ['info', path],
    ['scan', path, '--limit', '5'],
    ['get', path, key],
    ['put', path, 'greeting', 'hello'],
  ]
}

/** As it can be typed into a shell, where this very program was started the same way. */
function commandLine(words: readonly string[]): string {
  const [, script] = process.argv
  const command = basename(script) === 'main.js' ? ['node', relative('', script)] : ['varve']
  return [...command, ...words].map(shellWord).join(' ')
}

function shellWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
}

function rateInWords({ records, storeMs, valueBytes }: Transfer): string {
  const rate = formatCount(perSecond(records, storeMs))
  return `${rate} records/s, ${formatBytes(perSecond(valueBytes, storeMs))}/s`
}
