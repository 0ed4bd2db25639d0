/**
 * Goal: a thread may exit at any time after its first write.
 * Method: threads exit 20 to 80 ms after they started their preparer, which loads meanwhile.
 * Properties checked: the process lives on (an addon whose thread is ended while it loads aborts it).
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

test('a thread that exits while its preparer loads leaves its process alive', () => {
  const script = fileURLToPath(new URL('./preparer-child.js', import.meta.url))
  const { status, signal, stderr } = spawnSync(process.execPath, [script], { encoding: 'utf8' })
  assert.deepEqual({ status, signal }, { status: 0, signal: null }, stderr)
})
