/** varve import: the files of a directory tree, each under its relative path. */
import { existsSync, realpathSync } from 'node:fs'
import type { Command } from 'commander'
import { Failure, UsageError } from '../failure.js'
import { type FileTree, listTree, requireDirectory } from '../file-tree.js'
import { jsonOption, keyspaceOption, pathDescription } from '../options.js'
import { printJson, say } from '../output.js'
import { counted, formatBytes, formatMs } from '../quantities.js'
import { keyspaceOrNew, openOrCreate } from '../store-access.js'
import { quoted } from '../text.js'
import { fileEncodings, importFiles } from '../transfer.js'

interface ImportOptions {
  readonly keyspace?: string
  readonly json?: true
}

export function addImport(program: Command): void {
  program
    .command('import')
    .description('store each file of a directory tree under its relative path')
    .argument('<path>', `${pathDescription}; made where there is none`)
    .argument('<dir>', 'top of the tree')
    .addOption(keyspaceOption())
    .addOption(jsonOption('one object that says what was stored'))
    .addHelpText(
      'after',
      `
Keys are paths with forward slashes, values are bytes; a key that is there already gets the new
value. Symbolic links and special files are counted and left out, and so is the store itself where
it lies in the tree. A file that cannot be read does not stop the others.
Exit code 1 where a file could not be read.`,
    )
    .action(importTree)
}

async function importTree(path: string, directory: string, options: ImportOptions): Promise<void> {
  requireDirectory(directory)
  if (existsSync(path) && realpathSync.native(path) === realpathSync.native(directory)) {
    throw new UsageError('PATH and DIR are the same directory')
  }
  const startedAtMs = performance.now()
  await using store = openOrCreate(path, options.keyspace, fileEncodings)
  const keyspace = keyspaceOrNew(store, options.keyspace, fileEncodings)
  const tree = listTree(directory, realpathSync.native(path))
  const { records, valueBytes, problems: unreadable } = await importFiles(keyspace, tree.files)
  await store.sync()
  const problems = [...tree.problems, ...unreadable]
  const durationMs = performance.now() - startedAtMs
  const { specialFiles, symbolicLinks } = tree
  say(
    `${counted(records, 'file')} stored, ${formatBytes(valueBytes)}, in ${formatMs(durationMs)}${leftOut(tree)}`,
  )
  for (const { key, what } of problems) say(`not stored: ${quoted(key)}: ${what}`)
  if (options.json === true) {
    await printJson({ records, valueBytes, durationMs, symbolicLinks, specialFiles, problems })
  }
  if (problems.length === 0) return
  throw new Failure(`${counted(problems.length, 'file')} could not be read`)
}

function leftOut({ specialFiles, symbolicLinks }: FileTree): string {
  const links = symbolicLinks === 0 ? '' : `; left out ${counted(symbolicLinks, 'symbolic link')}`
  return specialFiles === 0 ? links : `${links}; left out ${counted(specialFiles, 'special file')}`
}
