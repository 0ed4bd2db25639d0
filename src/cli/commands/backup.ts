/** varve backup, and varve restore: a copy of a store, made while others write, and back. */
import { readdirSync } from 'node:fs'
import type { Command } from 'commander'
import { systemErrorCode } from '../../base/errors.js'
import { Failure } from '../failure.js'
import { jsonOption, pathDescription } from '../options.js'
import { printJson, say } from '../output.js'
import { Progress, updateOf } from '../progress.js'
import { counted, formatBytes, formatMs } from '../quantities.js'
import { openForReading, requireDirectoryPath } from '../store-access.js'

interface BackupCommandOptions {
  readonly json?: true
}

export function addBackup(program: Command): void {
  program
    .command('backup')
    .description('copy a store into a directory, while others write')
    .argument('<path>', pathDescription)
    .argument('<target>', 'empty or new directory, or one with an older backup of the store')
    .addOption(jsonOption('one object that says what was copied'))
    .addHelpText(
      'after',
      `
The copy is verified, and is a store that can be opened. Of an older backup in TARGET only what is
missing is copied. A backup that is cut short leaves the older one as it was.`,
    )
    .action((path: string, target: string, options: BackupCommandOptions) =>
      copyStore('backup', path, target, options),
    )
}

export function addRestore(program: Command): void {
  program
    .command('restore')
    .description('copy a backup into a new directory, to be used as a store')
    .argument('<backup>', 'directory of the backup')
    .argument('<target>', 'empty or new directory')
    .addOption(jsonOption('one object that says what was copied'))
    .addHelpText(
      'after',
      `
The copy is verified, and a store of its own from then on: the backup stays as it is. TARGET is no store
before all is copied: cut short, remove it and begin again.`,
    )
    .action((path: string, target: string, options: BackupCommandOptions) => {
      requireEmpty(target)
      return copyStore('restore', path, target, options)
    })
}

async function copyStore(
  label: string,
  path: string,
  target: string,
  options: BackupCommandOptions,
): Promise<void> {
  requireDirectoryPath(target, 'TARGET')
  const startedAtMs = performance.now()
  await using store = openForReading(path)
  using progress = new Progress(label, 100)
  const report = await store.backup(target, { onProgress: updateOf(progress) })
  const durationMs = performance.now() - startedAtMs
  const { bytesCopied, segments, segmentsCopied } = report
  const copied = `${formatBytes(bytesCopied)} copied, ${segmentsCopied} of ${counted(segments, 'file')}`
  say(`${copied}, verified, in ${formatMs(durationMs)}`)
  if (options.json === true) await printJson({ ...report, durationMs })
}

/** Unlike a backup, a restored store is not to be brought up to date over what it has. */
function requireEmpty(directory: string): void {
  requireDirectoryPath(directory, 'TARGET')
  let names: string[]
  try {
    names = readdirSync(directory)
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return
    throw error
  }
  if (names.length > 0) throw new Failure(`${directory} is not empty; it has ${names[0]}`)
}
