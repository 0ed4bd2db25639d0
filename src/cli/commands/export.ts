/** varve export: every record into a file of a directory tree. */
import type { Command } from 'commander'
import { StoreError } from '../../base/errors.js'
import { keysInLog } from '../../store/scan.js'
import { Failure } from '../failure.js'
import { keyAsJson } from '../key.js'
import { jsonOption, keyspaceOption, pathDescription } from '../options.js'
import { printJson, say } from '../output.js'
import { Progress } from '../progress.js'
import { counted, formatBytes, formatMs } from '../quantities.js'
import { type AnyKeyspace, existingKeyspace, openForReading } from '../store-access.js'
import { Refusal, TargetTree } from '../target-tree.js'
import { quoted } from '../text.js'
import { valueAsContent } from '../value.js'

interface ExportOptions {
  readonly keyspace?: string
  readonly overwrite?: true
  readonly json?: true
}

export function addExport(program: Command): void {
  program
    .command('export')
    .description('write every record into a file whose path is its key')
    .argument('<path>', pathDescription)
    .argument('<dir>', 'directory to write to; made where there is none')
    .addOption(keyspaceOption())
    .option('--overwrite', 'replace files that are there already')
    .addOption(jsonOption('one object that says what was written'))
    .addHelpText(
      'after',
      `
A file gets what "varve get" prints, without a line break at its end. Nothing is ever written outside
DIR: keys that are empty, absolute, no text, or have a part ".." or a zero byte are refused and
listed, and so are paths through a symbolic link and files that are there already.
Exit code 1 where a record was refused.`,
    )
    .action(exportTree)
}

async function exportTree(path: string, directory: string, options: ExportOptions): Promise<void> {
  const startedAtMs = performance.now()
  await using store = openForReading(path)
  const keyspace = existingKeyspace(store, options.keyspace)
  const tree = new TargetTree(directory, path, { isOverwriting: options.overwrite === true })
  const { problems, records, valueBytes } = exportRecords(keyspace, tree)
  const durationMs = performance.now() - startedAtMs
  say(`${counted(records, 'file')} written, ${formatBytes(valueBytes)}, in ${formatMs(durationMs)}`)
  for (const { key, what } of problems) say(`not written: ${quoted(key)}: ${what}`)
  if (options.json === true) await printJson({ records, valueBytes, durationMs, problems })
  if (problems.length === 0) return
  throw new Failure(`${counted(problems.length, 'record')} could not be written`)
}

interface ExportProblem {
  readonly key: unknown
  readonly what: string
}

function exportRecords(keyspace: AnyKeyspace, tree: TargetTree) {
  using progress = new Progress('export', keyspace.count())
  const problems: ExportProblem[] = []
  let records = 0
  let valueBytes = 0
  for (const key of keysInLog(keyspace)) {
    try {
      const content = valueAsContent(keyspace.get(key))
      tree.write(key, content)
      records++
      valueBytes += Buffer.byteLength(content)
    } catch (error) {
      problems.push({ key: keyAsJson(key), what: refusal(error) })
    }
    progress.update(records + problems.length)
  }
  return { records, valueBytes, problems }
}

/** Why one record was not written. Throws what concerns all of them. */
function refusal(error: unknown): string {
  const isUndecodable = error instanceof StoreError && 'key' in error.details
  if (error instanceof Refusal || isUndecodable) return error.message
  throw error
}
