/**
 * Goal: the example of embeddings runs, on a small scale, and finds the same by views as by copies.
 * Method: it is run as a user does, with few vectors; once with a directory that stays.
 * Properties checked: what it prints; that it takes its directory away where it was given none.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { temporaryDirectory } from '../support/directory.js'
import { varve } from './command.js'

const examplePath = fileURLToPath(new URL('../../../examples/vectors.mjs', import.meta.url))

function run(
  cwd: string,
  ...args: string[]
): { status: number | null; stderr: string; stdout: string } {
  return spawnSync(process.execPath, [examplePath, ...args], { cwd, encoding: 'utf8' })
}

const printed =
  /^(?:(?:first|second) search over (?:copies|views): \d+ ns a vector\n){4}same result: true\n$/

test('a search over views finds what one over copies finds, and leaves nothing behind', (t) => {
  const cwd = temporaryDirectory(t)
  const { status, stderr, stdout } = run(cwd, '200')
  assert.deepEqual([status, stderr], [0, ''])
  assert.match(stdout, printed)
  assert.deepEqual(readdirSync(cwd), [])
})

test('the vectors stay where a directory is given, and are searched again', (t) => {
  const cwd = temporaryDirectory(t)
  for (let round = 0; round < 2; round++) {
    const { status, stderr, stdout } = run(cwd, '150', 'vectors')
    assert.deepEqual([status, stderr], [0, ''])
    assert.match(stdout, printed)
  }
  assert.equal(varve(['count', join(cwd, 'vectors')]).stdout, '150\n')
})

test('a count that is none is refused with what is accepted', (t) => {
  const cwd = temporaryDirectory(t)
  for (const count of ['0', '-5', 'many', '1.5']) {
    const { status, stderr } = run(cwd, count)
    assert.equal(status, 1)
    assert.match(stderr, /count is .*; accepted: a whole number from 10/)
    assert.deepEqual(readdirSync(cwd), [])
  }
})
