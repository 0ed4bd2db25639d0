// Compiles source and tests into build/ and runs them: `npm test`. With --soak, the long ones
// (test/soak/**) instead. Further arguments are files or flags for Node's test runner. VARVE_SEED in
// the environment gives the random choices of an earlier run.
import { spawnSync } from 'node:child_process'
import { readdirSync, rmSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const args = process.argv.slice(2).filter((arg) => arg !== '--soak')
const isSoak = process.argv.includes('--soak')

function run(...command) {
  const { status, error } = spawnSync(process.execPath, command, { cwd: root, stdio: 'inherit' })
  if (error) throw error
  if (status !== 0) process.exit(status ?? 1)
}

function testFiles(directory) {
  return readdirSync(join(root, directory), { recursive: true })
    .filter((name) => name.endsWith('.test.js'))
    .map((name) => join(directory, name))
    .filter((name) => name.includes(join('test', 'soak')) === isSoak)
    .sort()
}

// A test file that was removed from the sources must not live on in the build.
rmSync(join(root, 'build'), { recursive: true, force: true })
run(join('node_modules', 'typescript', 'bin', 'tsc'), '--project', 'tsconfig.test.json')
run(join('node_modules', 'rolldown', 'bin', 'cli.mjs'), '--config', 'rolldown.test.config.mjs')
const named = args.filter((arg) => !arg.startsWith('--'))
const flags = args.filter((arg) => arg.startsWith('--'))
const files = named.length > 0 ? named : testFiles('build')
// Node leaves one processor unused; most of these tests wait for devices and other processes.
const concurrency = `--test-concurrency=${Math.min(8, availableParallelism())}`
// A file that hangs fails, and the others still say how they are. The slowest takes two minutes.
const timeout = isSoak ? [] : ['--test-timeout=1200000']
run(
  '--test',
  '--test-reporter=spec',
  '--enable-source-maps',
  concurrency,
  ...timeout,
  ...flags,
  ...files,
)
