// What `npm run bench` calls: builds Varve, installs the engines it is compared with, and runs the
// comparison, to which it passes its arguments on. Run it with another Node for figures on that
// Node, as in `npx node@24 bench/run.mjs`.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { install } from './install.mjs'

const compareDirectory = join(import.meta.dirname, 'compare')

runNode(join(import.meta.dirname, '..', 'scripts', 'setup.mjs'))
if (!install(compareDirectory)) process.exit(1)
// A peer that has to be compiled where no binary can be downloaded: without it the rest still runs.
if (Number.parseInt(process.versions.node, 10) < 22) install(join(compareDirectory, 'node20'))
runNode(join(compareDirectory, 'main.mjs'), process.argv.slice(2))

function runNode(script, args = []) {
  const { status, error } = spawnSync(process.execPath, [script, ...args], { stdio: 'inherit' })
  if (error) throw error
  if (status !== 0) process.exit(status ?? 1)
}
