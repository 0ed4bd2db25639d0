// Brings a fresh clone to the point where it can run: installs the dependencies when they are
// missing or older than the lock file, and compiles. Both steps cost nothing when up to date.
import { spawnSync } from 'node:child_process'
import { existsSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')

function run(command, args) {
  const { status, error } = spawnSync(command, args, {
    cwd: root,
    stdio: ['ignore', 2, 2],
    shell: process.platform === 'win32',
  })
  if (error) throw error
  if (status !== 0) process.exit(status ?? 1)
}

function isNewer(file, reference) {
  return existsSync(file) && statSync(file).mtimeMs >= statSync(reference).mtimeMs
}

// npm writes this file last, so an installation that was interrupted does not count.
const installed = join(root, 'node_modules', '.package-lock.json')
if (!isNewer(installed, join(root, 'package-lock.json'))) run('npm', ['ci'])
run(process.execPath, [join(root, 'scripts', 'compile.mjs'), process.argv[2] ?? 'tsconfig.json'])
