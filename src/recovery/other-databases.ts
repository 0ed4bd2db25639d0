/**
 * Directories that belong to another database: whoever changed the library and not the path would find
 * an empty store among the old one's files, and both would write there. Any other file is nobody's concern:
 * a store may be made in a directory that is in use.
 */
import { join } from 'node:path'
import { wrongFormat } from '../base/errors.js'
import type { Platform } from '../platform/platform.js'
import { readWhole } from './store-files.js'

/** Before a store is made. Throws `STORE_FORMAT`. */
export function refuseOtherDatabase(platform: Platform, directory: string): void {
  if (!platform.exists(directory)) return
  const names = platform.list(directory)
  let other: string | undefined
  if (names.includes('CURRENT') && namesManifest(platform, join(directory, 'CURRENT'))) {
    other = 'a database of LevelDB or RocksDB'
  } else if (names.includes('data.mdb')) {
    other = 'an environment of LMDB'
  }
  if (other === undefined) return
  throw wrongFormat(directory, `it is ${other}; choose another one, and copy the entries`)
}

/** The file `CURRENT` of both has the name of another one. Others may have a file of that name. */
function namesManifest(platform: Platform, path: string): boolean {
  if (platform.isDirectory(path)) return false
  const start = Buffer.from(readWhole(platform, path)).toString('latin1', 0, 9)
  return start === 'MANIFEST-'
}
