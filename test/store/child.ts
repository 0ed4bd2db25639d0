/** Running `open-child` in the ways that tests need. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { ChildAnswer, ChildSetup } from './open-child.js'

const child = fileURLToPath(new URL('../../linked/test/store/open-child.js', import.meta.url))

/** Opens a store in another process, which ends before this returns. */
export function openElsewhere(
  setup: ChildSetup,
  identity: { readonly uid?: number; readonly gid?: number } = {},
): ChildAnswer {
  const run = spawnSync(process.execPath, [child, JSON.stringify(setup)], {
    encoding: 'utf8',
    ...identity,
  })
  assert.equal(run.error, undefined)
  assert.notEqual(run.stdout, '', `the process said nothing: ${run.signal} ${run.stderr}`)
  return JSON.parse(run.stdout) as ChildAnswer
}

/** Runs shell commands as root of a mount namespace of its own, and then opens a store there. */
export function openInMountNamespace(commands: string, setup: ChildSetup): ChildAnswer {
  const script = `set -e; ${commands}; exec "$0" "$1" "$2"`
  const args = ['-m', 'sh', '-c', script, process.execPath, child, JSON.stringify(setup)]
  const run = spawnSync('unshare', args, { encoding: 'utf8' })
  assert.equal(run.error, undefined)
  assert.notEqual(run.stdout, '', `the process said nothing: ${run.signal} ${run.stderr}`)
  return JSON.parse(run.stdout) as ChildAnswer
}

/** Why mount namespaces are not to be had here, or false. */
export const noMountNamespaces: string | false =
  spawnSync('unshare', ['-m', 'true']).status === 0
    ? false
    : 'mounting needs root and a kernel with mount namespaces'

/** A process that holds a store; resolves when it has it. */
export function holdElsewhere(
  setup: ChildSetup,
): Promise<{ readonly process: ChildProcess; readonly answer: ChildAnswer }> {
  return new Promise((resolve, reject) => {
    const args = [child, JSON.stringify({ ...setup, hold: true })]
    const running = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    running.once('error', reject)
    running.stdout.setEncoding('utf8').once('data', (line: string) => {
      resolve({ process: running, answer: JSON.parse(line) as ChildAnswer })
    })
  })
}

export function killAndWait(running: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    running.once('close', () => resolve())
    running.kill('SIGKILL')
  })
}
