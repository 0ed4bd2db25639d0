import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'

/**
 * A new directory that goes away with the process.
 *
 * @param {string} parent
 */
export function createScratchDirectory(parent) {
  mkdirSync(parent, { recursive: true })
  const directory = mkdtempSync(join(parent, 'varve-bench-'))
  process.once('exit', () => rmSync(directory, { recursive: true, force: true }))
  // An interrupt alone would end the process without that event.
  process.once('SIGINT', () => process.exit(130))
  return directory
}
