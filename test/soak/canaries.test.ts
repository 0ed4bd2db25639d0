/**
 * Goal: a harness that cannot fail is noticed.
 * Method: each invariant is broken in turn, in a process that loads a changed source; the harness runs
 *   there on a small plan, and once on the same plan with nothing changed.
 * Properties checked: the harness notices; without the change it notices nothing.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { type Canary, canaries, type Plan } from '../crash/canaries.js'

const child = fileURLToPath(new URL('../crash/canary-child.js', import.meta.url))

async function failuresOf(edits: Canary['edits'], plan: Plan): Promise<string[]> {
  const run = promisify(execFile)
  const { stdout } = await run(process.execPath, [child, JSON.stringify({ edits, plan })])
  return JSON.parse(stdout) as string[]
}

describe('a harness notices', { concurrency: 2 }, () => {
  for (const { edits, invariant, plan, what } of canaries) {
    test(`${invariant}: ${what}`, async (t) => {
      const [failure] = await failuresOf(edits, plan)
      t.diagnostic(String(failure).slice(0, 300))
      assert.ok(failure !== undefined)
      assert.deepEqual(await failuresOf([], plan), [])
    })
  }
})
