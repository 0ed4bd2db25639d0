/** The files of a directory tree. */
import { type Dirent, readdirSync, realpathSync, statSync } from 'node:fs'
import { join, sep } from 'node:path'
import { Failure } from './failure.js'

export interface TreeFile {
  readonly path: string
  /** The path from the top of the tree, with forward slashes. */
  readonly key: string
}

/** A file or directory that could not be taken along, and why. */
export interface TreeProblem {
  readonly key: string
  readonly what: string
}

export interface FileTree {
  /** In the order of their names, directory by directory. */
  readonly files: readonly TreeFile[]
  /** Directories that could not be read. */
  readonly problems: readonly TreeProblem[]
  readonly symbolicLinks: number
  /** Sockets, pipes, devices. */
  readonly specialFiles: number
}

/**
 * Lists a tree. Symbolic links are counted and not followed: what they point to is in the tree
 * anyway, or does not belong to it. The directory `excluded` is left out.
 */
export function listTree(directory: string, excluded: string): FileTree {
  const files: TreeFile[] = []
  const problems: TreeProblem[] = []
  let symbolicLinks = 0
  let specialFiles = 0
  const left = [{ path: realpathSync.native(directory), key: '' }]
  for (let next = left.pop(); next !== undefined; next = left.pop()) {
    const { path, key } = next
    for (const entry of entriesOf(path, key, problems)) {
      const found = { path: join(path, entry.name), key: `${key}${entry.name}` }
      if (entry.isSymbolicLink()) symbolicLinks++
      else if (entry.isFile()) files.push(found)
      else if (!entry.isDirectory()) specialFiles++
      else if (found.path !== excluded) left.push({ path: found.path, key: `${found.key}/` })
    }
  }
  return { files, problems, symbolicLinks, specialFiles }
}

function entriesOf(path: string, key: string, problems: TreeProblem[]): Dirent[] {
  try {
    const entries = readdirSync(path, { withFileTypes: true })
    return entries.sort((a, b) => (a.name < b.name ? -1 : 1))
  } catch (error) {
    problems.push({ key, what: error instanceof Error ? error.message : String(error) })
    return []
  }
}

export function requireDirectory(path: string): void {
  if (!statSync(path).isDirectory()) throw new Failure(`${path} is not a directory`)
}

/** True for `directory` itself, too. Both are real paths, as `realpath` gives them. */
export function isWithin(path: string, directory: string): boolean {
  return (
    path === directory ||
    path.startsWith(directory.endsWith(sep) ? directory : `${directory}${sep}`)
  )
}
