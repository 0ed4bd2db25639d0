/**
 * Goal: a VarveLevel is what abstract-level says that a database is.
 * Method: abstract-level's own suite, whole, in a process of its own, on databases in directories;
 *   the suite runs on a sublevel, too.
 * Properties checked: no assertion fails, none is marked as skipped or still to be done, and as many
 *   were made as the manifest's answers should bring.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { temporaryDirectory } from '../support/directory.js'

const childPath = fileURLToPath(new URL('../../linked/test/level/suite-child.js', import.meta.url))
/** Version 3.1.1 makes 5168. Without explicit snapshots, or `getSync`, they would be fewer. */
const assertionsMin = 5000

interface Outcome {
  readonly code: number | string | null | undefined
  readonly stdout: string
  readonly stderr: string
}

function runSuite(directory: string): Promise<Outcome> {
  return new Promise((resolve) => {
    const options = { maxBuffer: 2 ** 26 }
    execFile(process.execPath, [childPath, directory], options, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : error.code, stdout, stderr })
    })
  })
}

/** The assertions that failed, each with what tape says of it and the name of its test. */
function failuresOf(tap: string): string[] {
  const failures: string[] = []
  let name = ''
  for (const part of tap.split(/^(?=# |ok |not ok )/m)) {
    if (part.startsWith('# ')) name = part.trim()
    else if (part.startsWith('not ok')) failures.push(`${name}\n${part.trim()}`)
  }
  return failures
}

function countOf(tap: string, what: string): number {
  return Number(new RegExp(`^# ${what} +(\\d+)$`, 'm').exec(tap)?.[1])
}

test("abstract-level's own suite passes, whole", async (t) => {
  const { code, stderr, stdout } = await runSuite(temporaryDirectory(t))
  assert.deepEqual(failuresOf(stdout), [])
  assert.doesNotMatch(stdout, /^(not )?ok .*# (SKIP|TODO)/im)
  assert.equal(stderr, '')
  assert.equal(code, 0)
  const count = countOf(stdout, 'tests')
  assert.equal(countOf(stdout, 'pass'), count)
  assert.ok(count >= assertionsMin, `${count} assertions`)
})
