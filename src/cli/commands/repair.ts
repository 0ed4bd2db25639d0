/** varve repair: what can be saved of a damaged store, in a new one. */
import type { Command } from 'commander'
import { type SalvageReport, salvage } from '../../repair/salvage.js'
import { Failure } from '../failure.js'
import { jsonOption } from '../options.js'
import { printJson, printLines, say } from '../output.js'
import { Progress } from '../progress.js'
import { counted, formatMs } from '../quantities.js'
import { openForReading, requireDirectoryPath } from '../store-access.js'
import { requireEmpty } from './backup.js'
import { problemLine } from './verify.js'

export function addRepair(program: Command): void {
  program
    .command('repair')
    .description('save every record that verifies into a new store')
    .argument('<path>', 'directory of the damaged store, which is not changed')
    .argument('<target>', 'empty or new directory')
    .addOption(jsonOption('one object: records, recordsSaved, lost, noted'))
    .addHelpText(
      'after',
      `
Prints a line for each thing that is lost: file, byte offset, and what. Where the newest record of a
key is lost, an older one may stand in its place; where a delete is lost, the key is back. What is
damaged and cost nothing is said on stderr. Exit code 1 where anything was lost.`,
    )
    .action(repairStore)
}

async function repairStore(
  path: string,
  target: string,
  options: { readonly json?: true },
): Promise<void> {
  requireDirectoryPath(path)
  requireEmpty(target)
  const startedAtMs = performance.now()
  const report = await salvageWithProgress(path, target)
  const records = await verifySaved(target)
  const { lost, noted, recordsSaved } = report
  for (const problem of noted) say(`made up for: ${problemLine(problem)}`)
  if (options.json === true) await printJson({ records, recordsSaved, lost, noted })
  else await printLines(lost.map(problemLine))
  const durationMs = performance.now() - startedAtMs
  say(`${counted(records, 'live record')} saved and verified, in ${formatMs(durationMs)}`)
  if (lost.length > 0) throw new Failure(`${counted(lost.length, 'thing')} lost`)
}

async function salvageWithProgress(path: string, target: string): Promise<SalvageReport> {
  using progress = new Progress('repair', 100)
  return await salvage(path, target, {
    onProgress: ({ bytes, totalBytes }) =>
      progress.update(Math.floor((bytes / Math.max(1, totalBytes)) * 100)),
  })
}

/** Opening builds the index from what was saved. */
async function verifySaved(target: string): Promise<number> {
  await using store = openForReading(target)
  const { ok, problems, records } = await store.verify()
  if (!ok) throw new Failure(`what was saved does not verify: ${problemLine(problems[0])}`)
  return records
}
