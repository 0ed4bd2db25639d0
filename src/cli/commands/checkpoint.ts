/** varve checkpoint: so that opening after a restart of the machine need not read the whole log. */
import type { Command } from 'commander'
import type { CheckpointInfo } from '../../store/index.js'
import { UsageError } from '../failure.js'
import { jsonOption, parseCount, pathDescription } from '../options.js'
import { printJson, printLines, say } from '../output.js'
import { counted, formatBytes, formatCount, formatMs } from '../quantities.js'
import { openForReading, openForWriting } from '../store-access.js'
import { tableLines } from '../table.js'

interface CheckpointCommandOptions {
  readonly keep?: number
  readonly list?: true
  readonly json?: true
}

export function addCheckpoint(program: Command): void {
  program
    .command('checkpoint')
    .description('write the index to a file, from which a recovery can begin')
    .argument('<path>', pathDescription)
    .option('--keep <n>', 'remove all but the newest n, this one included', parseCount)
    .option('--list', 'make none; print those there are, the oldest first')
    .addOption(jsonOption('one object, or with --list a list of them'))
    .addHelpText(
      'after',
      `
Others may go on writing. A store makes checkpoints by itself as its log grows; before a planned restart of
the machine one more leaves the next opening nothing to replay. --keep 0 makes none, and removes all.`,
    )
    .action(makeOrList)
}

async function makeOrList(path: string, options: CheckpointCommandOptions): Promise<void> {
  const { json, keep, list } = options
  if (list === true) {
    if (keep !== undefined) throw new UsageError('--list prints checkpoints, --keep removes some')
    return printList(path, json === true)
  }
  const startedAtMs = performance.now()
  await using store = openForWriting(path)
  const made = keep === 0 ? undefined : await store.checkpoint()
  const durationMs = performance.now() - startedAtMs
  const removed = keep === undefined ? [] : store.pruneCheckpoints(keep)
  if (made !== undefined) {
    const { bytes, id, records } = made
    say(
      `checkpoint ${id}: ${counted(records, 'record')}, ${formatBytes(bytes)}, in ${formatMs(durationMs)}`,
    )
  }
  if (keep !== undefined) say(`${counted(removed.length, 'older one')} removed`)
  if (json === true) await printJson({ made: made ?? null, removed, durationMs })
}

async function printList(path: string, asJson: boolean): Promise<void> {
  await using store = openForReading(path)
  const found = store.checkpoints()
  if (asJson) return printJson(found)
  if (found.length === 0) return say('there is none')
  const head = ['id', 'made', 'records', 'sequence', 'size']
  await printLines(tableLines([head, ...found.map(columnsOf)]))
}

function columnsOf({ bytes, createdAtMs, id, records, sequence }: CheckpointInfo): string[] {
  const made = new Date(createdAtMs).toISOString()
  return [String(id), made, formatCount(records), formatCount(sequence), formatBytes(bytes)]
}
