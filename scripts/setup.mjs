// Brings a fresh clone to the point where it can run: installs the dependencies when they are
// missing or older than the lock file, and builds dist/. Both steps cost nothing when up to date.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, statSync } from 'node:fs'
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

const modifiedMs = (path) => statSync(join(root, path)).mtimeMs

function isNewer(file, references) {
  if (!existsSync(join(root, file))) return false
  return references.every((reference) => modifiedMs(file) >= modifiedMs(reference))
}

// npm writes this file last, so an installation that was interrupted does not count.
const installed = join('node_modules', '.package-lock.json')
if (!isNewer(installed, ['package-lock.json'])) run('npm', ['ci'])
// The folders too: a file that is gone changed its folder.
const sources = [
  'src',
  ...readdirSync(join(root, 'src'), { recursive: true }).map((name) => join('src', name)),
]
const settings = ['package.json', 'rolldown.config.mjs', 'tsconfig.json', installed]
// Bundled last, when the types are right.
if (!isNewer(join('dist', 'store.js'), [...sources, ...settings]))
  run('npm', ['run', '--silent', 'build'])
