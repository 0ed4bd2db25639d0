/**
 * The directory of the demo's store, which the next demo makes anew. A file beside those of the
 * store says that it is a demo's; where it is missing, or anything else is there, nothing is
 * removed.
 */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { StoreError } from '../base/errors.js'
import {
  backgroundFileName,
  buildFileName,
  checkpointLockFileName,
  checkpointNextFileName,
  compactFileName,
  isAttachmentFileName,
  lifecycleFileName,
  lockFileName,
  manifestFileName,
  manifestNextFileName,
  parseCheckpointFileName,
  parseSegmentFileName,
  superblockFileName,
  superblockNextFileName,
  volatileFileNames,
} from '../format/file-names.js'
import { Failure } from './failure.js'
import { openForWriting } from './store-access.js'

const markFileName = 'made-by-varve-demo'

const ownFileNames: readonly string[] = [
  markFileName,
  ...volatileFileNames,
  backgroundFileName,
  buildFileName,
  checkpointLockFileName,
  checkpointNextFileName,
  compactFileName,
  lifecycleFileName,
  lockFileName,
  manifestFileName,
  manifestNextFileName,
  superblockFileName,
  superblockNextFileName,
]

/** Makes an empty directory for the demo's store, from nothing or from an earlier demo's. */
export async function clearDemoStore(path: string): Promise<void> {
  mkdirSync(path, { recursive: true })
  if (readdirSync(path).length > 0) {
    requireDemoStore(path)
    await requireUnused(path)
    for (const name of readdirSync(path)) rmSync(join(path, name))
  }
  writeFileSync(join(path, markFileName), 'The next "varve demo" replaces this store.\n')
}

function requireDemoStore(path: string): void {
  const names = readdirSync(path)
  const foreign = names.find((name) => !isOwnFileName(name))
  if (names.includes(markFileName) && foreign === undefined) return
  const what = foreign === undefined ? 'was not made by a demo' : `has a file ${foreign} in it`
  throw new Failure(`${path} ${what}, so it is left as it is; --store names another directory`)
}

function isOwnFileName(name: string): boolean {
  const isNumbered =
    parseSegmentFileName(name) !== undefined || parseCheckpointFileName(name) !== undefined
  return ownFileNames.includes(name) || isNumbered || isAttachmentFileName(name)
}

/** Whatever is wrong with the old store does not matter, unless somebody has it open. */
async function requireUnused(path: string): Promise<void> {
  let others = 0
  try {
    const store = openForWriting(path)
    others = store.stats().attachments - 1
    await store.close()
  } catch (error) {
    if (error instanceof StoreError && error.code === 'STORE_LOCKED') throw error
  }
  if (others > 0) throw new Failure(`${path} is open elsewhere, so it is left as it is`)
}
