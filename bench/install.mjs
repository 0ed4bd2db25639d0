import { spawnSync } from 'node:child_process'
import { existsSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'

/**
 * Installs a package's dependencies, unless they are there and not older than its lock file.
 *
 * @param {string} directory
 * @returns {boolean} whether they are there now
 */
export function install(directory) {
  // npm writes this file last, so an installation that was interrupted does not count.
  const installed = join(directory, 'node_modules', '.package-lock.json')
  if (isNewer(installed, join(directory, 'package-lock.json'))) return true
  console.error(`installing the packages of ${basename(directory)}`)
  const { status } = spawnSync('npm', ['ci'], {
    cwd: directory,
    stdio: ['ignore', 2, 2], // standard output is for the results
    shell: process.platform === 'win32',
  })
  return status === 0
}

function isNewer(file, reference) {
  return existsSync(file) && statSync(file).mtimeMs >= statSync(reference).mtimeMs
}
