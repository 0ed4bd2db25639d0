/** varve repair: what can be saved of a damaged store, in a new one. */
import type { Command } from 'commander'
import type { Loss } from '../../repair/losses.js'
import { type SalvageReport, salvage } from '../../repair/salvage.js'
import { Failure } from '../failure.js'
import { jsonOption } from '../options.js'
import { printJson, printLines, say } from '../output.js'
import { Progress, updateOf } from '../progress.js'
import { counted, formatMs } from '../quantities.js'
import { openForReading, requireDirectoryPath } from '../store-access.js'
import { quoted } from '../text.js'
import { problemLine } from './verify.js'

export function addRepair(program: Command): void {
  program
    .command('repair')
    .description('save every record that verifies into a new store')
    .argument('<path>', 'directory of the damaged store, which is not changed')
    .argument('<target>', 'empty or new directory')
    .addOption(jsonOption('one object: records, recordsSaved, lostCount, lost, noted'))
    .addHelpText(
      'after',
      `
Prints a line for each thing that is lost: file, byte offset, what, and the key where it can be told.
Where the newest record of a key is lost, an older one may stand in its place; where a delete is lost,
the key is back. What is damaged and cost nothing is said on stderr. Exit code 1 where anything was
lost. TARGET is no store before all is saved: cut short, remove it and begin again.`,
    )
    .action(repairStore)
}

async function repairStore(
  path: string,
  target: string,
  options: { readonly json?: true },
): Promise<void> {
  requireDirectoryPath(path)
  requireDirectoryPath(target, 'TARGET')
  const startedAtMs = performance.now()
  const report = await salvageWithProgress(path, target)
  const records = await verifySaved(target)
  const { lost, lostCount, noted, recordsSaved } = report
  for (const problem of noted) say(`made up for: ${problemLine(problem)}`)
  if (options.json === true) await printJson({ records, recordsSaved, lostCount, lost, noted })
  else await printLines(lost.map(lossLine))
  const durationMs = performance.now() - startedAtMs
  say(`${counted(records, 'live record')} saved and verified, in ${formatMs(durationMs)}`)
  if (lostCount > 0) throw new Failure(`something is lost in ${counted(lostCount, 'place')}`)
}

function lossLine(loss: Loss): string {
  const { key, keyspace } = loss
  const ofKeyspace = keyspace === undefined ? '' : ` of keyspace ${quoted(keyspace)}`
  return problemLine(loss) + (key === undefined ? '' : `; key ${quoted(key)}${ofKeyspace}`)
}

async function salvageWithProgress(path: string, target: string): Promise<SalvageReport> {
  using progress = new Progress('repair', 100)
  return await salvage(path, target, { onProgress: updateOf(progress) })
}

/** Opening builds the index from what was saved. */
async function verifySaved(target: string): Promise<number> {
  await using store = openForReading(target)
  using progress = new Progress('verify', 100)
  const { ok, problems, records } = await store.verify({ onProgress: updateOf(progress) })
  if (!ok) throw new Failure(`what was saved does not verify: ${problemLine(problems[0])}`)
  return records
}
