/** varve compact: gives back the space of overwritten and deleted records. */
import { type Command, InvalidArgumentError } from 'commander'
import { jsonOption, pathDescription } from '../options.js'
import { printJson, say } from '../output.js'
import { Progress } from '../progress.js'
import { counted, formatBytes, formatMs } from '../quantities.js'
import { openForWriting } from '../store-access.js'

interface CompactCommandOptions {
  readonly minGarbage?: number
  readonly json?: true
}

export function addCompact(program: Command): void {
  program
    .command('compact')
    .description('give back the space of overwritten and deleted records')
    .argument('<path>', pathDescription)
    .option(
      '--min-garbage <percent>',
      'compact segments of which so much can be given back (default: 50)',
      parsePercent,
    )
    .addOption(jsonOption('one object: bytesBefore, bytesAfter, segmentsDropped and more'))
    .addHelpText(
      'after',
      `
Others may go on reading and writing. Segments are compacted, too, as long as the files take more than
twice what is live; "varve stats PATH --segments" shows what there is of each. Exit code 1 where a damaged
record was met: its segment stays as it is, and "varve verify" tells more.`,
    )
    .action(compactStore)
}

async function compactStore(path: string, options: CompactCommandOptions): Promise<void> {
  await using store = openForWriting(path)
  store.compactionPaused = true
  const { bytesToMove } = store.compactionEstimate()
  using progress = new Progress('compact', 100)
  store.on('compaction', ({ bytesMoved }) => {
    progress.update(Math.min(100, Math.floor((bytesMoved / Math.max(1, bytesToMove)) * 100)))
  })
  const percent = options.minGarbage
  const report = await store.compact(
    percent === undefined ? {} : { minGarbageRatio: percent / 100 },
  )
  if (options.json === true) return await printJson(report)
  const { bytesAfter, bytesBefore, bytesMoved, durationMs, recordsMoved, segmentsDropped } = report
  say(
    `${formatBytes(bytesBefore)} before, ${formatBytes(bytesAfter)} now: ${counted(segmentsDropped, 'segment')} dropped, ${counted(recordsMoved, 'record')} (${formatBytes(bytesMoved)}) moved in ${formatMs(durationMs)}`,
  )
  if (report.isPostponed) say('somebody reads the whole log: try again when that is over')
}

function parsePercent(text: string): number {
  const percent = Number(text)
  if (/^\d+(\.\d+)?$/.test(text) && percent >= 1 && percent <= 100) return percent
  throw new InvalidArgumentError('It must be a number from 1 to 100.')
}
