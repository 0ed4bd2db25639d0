/**
 * Goal: the programs for those who come from another store run as they stand.
 * Method: each is run as a user does, with a directory for temporary files of its own; they check their own results.
 * Properties checked: exit code, what they print, that nothing is on stderr, and that nothing is left behind.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { temporaryDirectory } from '../support/directory.js'

const printed = {
  'state-store.mjs': /^reopened with 101 windows$/m,
  'data-store.mjs': /^reopened with after film welcome$/m,
  'command-store.mjs': /^5 changes replicated$/m,
  'hybrid-log.mjs': /^recovered 1000 counters: replay, checkpoint \d+$/m,
}

for (const [name, line] of Object.entries(printed)) {
  test(`${name} runs, finds what it expects, and leaves nothing behind`, async (t) => {
    const cwd = temporaryDirectory(t)
    const tmp = join(cwd, 'tmp')
    mkdirSync(tmp)
    const path = fileURLToPath(new URL(`../../../examples/${name}`, import.meta.url))
    const env = { ...process.env, TMPDIR: tmp, TEMP: tmp }
    // Any other exit code is an error of the call, which shows what the program had to say.
    const run = promisify(execFile)(process.execPath, [path], { cwd, env })
    const { stdout, stderr } = await run
    assert.equal(stderr, '')
    assert.match(stdout, line)
    assert.deepEqual([readdirSync(cwd), readdirSync(tmp)], [['tmp'], []])
  })
}
