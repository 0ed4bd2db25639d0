/** Files into a keyspace, and the comparison of the two. */
import { readFiles } from './file-contents.js'
import type { TreeFile, TreeProblem } from './file-tree.js'
import type { AnyKeyspace, Encodings } from './store-access.js'

/** Of a keyspace that holds files. */
export const fileEncodings: Encodings = { encoding: 'binary', keyEncoding: 'utf8' }

/** What went between files and store, and how long the store took for it. */
export interface Transfer {
  records: number
  valueBytes: number
  /** Without the time for reading files. */
  storeMs: number
  readonly problems: TreeProblem[]
}

/** Stores every file that can be read. Throws what the store throws. */
export async function importFiles(
  keyspace: AnyKeyspace,
  files: readonly TreeFile[],
): Promise<Transfer> {
  const transfer: Transfer = { records: 0, valueBytes: 0, storeMs: 0, problems: [] }
  for await (const { key, content } of readFiles('import', files, transfer.problems)) {
    const startedAtMs = performance.now()
    keyspace.put(key, content)
    transfer.storeMs += performance.now() - startedAtMs
    transfer.records++
    transfer.valueBytes += content.byteLength
  }
  return transfer
}

/** Holds every value against its file; each difference is a problem. */
export async function compareFiles(
  keyspace: AnyKeyspace,
  files: readonly TreeFile[],
): Promise<Transfer> {
  const transfer: Transfer = { records: 0, valueBytes: 0, storeMs: 0, problems: [] }
  for await (const { key, content } of readFiles('compare', files, transfer.problems)) {
    const startedAtMs = performance.now()
    const value = keyspace.get(key)
    transfer.storeMs += performance.now() - startedAtMs
    transfer.records++
    transfer.valueBytes += content.byteLength
    if (value instanceof Uint8Array && content.equals(value)) continue
    const what = value === undefined ? 'not in the store' : 'another value in the store'
    transfer.problems.push({ key, what })
  }
  return transfer
}
