/** varve demo: a tree of files through a store and back, each step checked. What `npm start` runs. */
import { existsSync, realpathSync } from 'node:fs'
import type { Command } from 'commander'
import { clearDemoStore } from '../demo-store.js'
import { type DemoChanges, summaryLines } from '../demo-summary.js'
import { Failure, UsageError } from '../failure.js'
import { listTree, requireDirectory, type TreeFile, type TreeProblem } from '../file-tree.js'
import { printLines, say } from '../output.js'
import { counted } from '../quantities.js'
import {
  type AnyStore,
  openForWriting,
  openOrCreate,
  requireDirectoryPath,
} from '../store-access.js'
import { quoted } from '../text.js'
import { compareFiles, fileEncodings, importFiles, type Transfer } from '../transfer.js'

/** One of so many files is updated, and another one deleted. */
const filesPerChange = 10

export function addDemo(program: Command): void {
  program
    .command('demo')
    .description('put a tree of files into a new store, and check that they come back')
    .argument('[dir]', 'top of the tree', 'node_modules')
    .option('--store <path>', 'where to make the store; replaces that of a demo', 'demo-store')
    .action(demo)
}

async function demo(directory: string, options: { readonly store: string }): Promise<void> {
  const { store: path } = options
  if (!existsSync(directory)) {
    throw new UsageError(`there is no ${directory} here; "varve demo DIR" takes another tree`)
  }
  requireDirectory(directory)
  requireDirectoryPath(path)
  await clearDemoStore(path)
  const tree = listTree(directory, realpathSync.native(path))
  say(`${counted(tree.files.length, 'file')} of ${directory} into ${path}, and back …`)
  const written = await writeStore(path, tree.files)
  const leftOut = [...tree.problems, ...written.problems]
  for (const { key, what } of leftOut) say(`left out: ${quoted(key)}: ${what}`)
  const unread = new Set(leftOut.map(({ key }) => key))
  const files = tree.files.filter(({ key }) => !unread.has(key))
  if (files.length === 0) throw new Failure(`there are no files to read in ${directory}`)

  const openedAtMs = performance.now()
  await using store = openForWriting(path)
  const reopenMs = performance.now() - openedAtMs
  const read = await compareFiles(store, files)
  requireSame(read.problems)
  const changes = changeSome(store, files)
  requireSame(changeProblems(store, changes))
  requireSame((await compareFiles(store, changes.kept)).problems)
  await store.sync()
  const { fileBytes } = store.stats()
  await printLines(summaryLines({ path, written, read, reopenMs, changes, fileBytes }))
}

async function writeStore(path: string, files: readonly TreeFile[]): Promise<Transfer> {
  await using store = openOrCreate(path, undefined, fileEncodings)
  return await importFiles(store, files)
}

function changeSome(store: AnyStore, files: readonly TreeFile[]): DemoChanges {
  const changes: DemoChanges = { kept: [], updated: [], deleted: [] }
  for (const [index, file] of files.entries()) {
    if (index % filesPerChange === 1) {
      store.put(file.key, newValue(file))
      changes.updated.push(file)
    } else if (index % filesPerChange === 2) {
      store.delete(file.key)
      changes.deleted.push(file)
    } else {
      changes.kept.push(file)
    }
  }
  return changes
}

function newValue({ key }: TreeFile): Buffer {
  return Buffer.from(`The demo put this in the place of ${key}.\n`)
}

function changeProblems(store: AnyStore, changes: DemoChanges): TreeProblem[] {
  const problems: TreeProblem[] = []
  for (const file of changes.updated) {
    const value = store.get(file.key)
    if (value instanceof Uint8Array && newValue(file).equals(value)) continue
    problems.push({ key: file.key, what: 'was updated, and has another value in the store' })
  }
  for (const { key } of changes.deleted) {
    if (store.has(key)) problems.push({ key, what: 'was deleted, and is in the store' })
  }
  const expected = changes.kept.length + changes.updated.length
  if (store.count() === expected) return problems
  return [...problems, { key: '', what: `the store counts ${store.count()}, not ${expected}` }]
}

function requireSame(problems: readonly TreeProblem[]): void {
  if (problems.length === 0) return
  for (const { key, what } of problems) say(`MISMATCH ${quoted(key)}: ${what}`)
  throw new Failure(`${counted(problems.length, 'record')} came back wrong`)
}
