/**
 * Goal: time in which a process as a whole stands still (SIGSTOP, a container or machine that is paused) is not
 *   taken for time in which one of its threads keeps another one waiting.
 * Method: a process in which one thread waits for another one that writes is stopped for longer than a write waits.
 * Properties checked: the one that waited writes.
 */
import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { temporaryDirectory } from '../support/directory.js'

const stoppedMs = 3000
const beforeStopMs = 200

test('a wait is not over because the process was stopped meanwhile', async (t) => {
  if (process.platform === 'win32') return t.skip('no signals')
  const child = fork(fileURLToPath(new URL('./stopped-child.js', import.meta.url)), [
    temporaryDirectory(t),
  ])
  await once(child, 'message')
  // By now the other thread waits.
  await setTimeout(beforeStopMs)
  child.kill('SIGSTOP')
  await setTimeout(stoppedMs)
  const answered = once(child, 'message')
  child.kill('SIGCONT')
  const [outcome] = await answered
  assert.equal(outcome, 'written')
})
