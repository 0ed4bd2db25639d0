/** Reading the files of a tree one after the other. */
import { readFileSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import type { TreeFile, TreeProblem } from './file-tree.js'
import { Progress } from './progress.js'

/** How long the work on the files may keep the store from syncing in the background. */
const turnMs = 100

export interface FileContent {
  readonly key: string
  readonly content: Buffer
}

/** Yields every file that can be read; the others become problems. */
export async function* readFiles(
  label: string,
  files: readonly TreeFile[],
  problems: TreeProblem[],
): AsyncGenerator<FileContent> {
  using progress = new Progress(label, files.length)
  let turnedAtMs = performance.now()
  for (const [index, { key, path }] of files.entries()) {
    const content = contentOf(path)
    if (content instanceof Error) problems.push({ key, what: content.message })
    else yield { key, content }
    progress.update(index + 1)
    if (performance.now() - turnedAtMs < turnMs) continue
    await setImmediate()
    turnedAtMs = performance.now()
  }
}

function contentOf(path: string): Buffer | Error {
  try {
    return readFileSync(path)
  } catch (error) {
    if (error instanceof Error) return error
    throw error
  }
}
