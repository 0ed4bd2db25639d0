import { closeSync, fsyncSync, openSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

/**
 * Writes a store's files back to the device, whatever engine they belong to.
 *
 * @param {string} directory
 */
export function flushFiles(directory) {
  for (const entry of readdirSync(directory, { withFileTypes: true, recursive: true })) {
    if (entry.isFile()) flushFile(join(entry.parentPath, entry.name))
  }
}

function flushFile(file) {
  let descriptor
  try {
    descriptor = openSync(file, 'r')
  } catch (error) {
    // classic-level removes files while it compacts in the background.
    if (error.code === 'ENOENT') return
    throw error
  }
  fsyncSync(descriptor)
  closeSync(descriptor)
}
