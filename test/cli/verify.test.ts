/**
 * Goal: `varve verify` tells a whole store from a damaged one, to people and to programs.
 * Method: a small store, one byte of it damaged, one that cannot be opened.
 * Properties checked: exit codes, a line for each problem, the JSON.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { makeFixture } from '../damage/fixture.js'
import { overwrite, segmentNames, temporaryDirectory } from '../support/directory.js'
import { varve } from './command.js'

test('verify says that a store is whole, and changes nothing', async (t) => {
  const { directory } = await makeFixture(t, 'recovered')
  const { exitCode, stderr, stdout } = varve(['verify', directory])
  assert.equal(exitCode, 0, stderr)
  assert.equal(stdout, '')
  assert.match(stderr, /^whole: \d+ records, /)
  const json = JSON.parse(varve(['verify', directory, '--json']).stdout)
  assert.deepEqual(json, { ok: true, records: json.records, problems: [] })
  assert.ok(json.records > 5)
})

test('verify prints file and address of damage, whether or not the store can be opened', async (t) => {
  const { directory } = await makeFixture(t, 'recovered')
  const superblock = join(directory, 'superblock')
  overwrite(superblock, 4100, Uint8Array.of(1, 2, 3))
  const { exitCode, stderr, stdout } = varve(['verify', directory])
  assert.equal(exitCode, 1)
  assert.equal(stdout, `${superblock}:4096: a copy of the superblock does not verify\n`)
  assert.equal(stderr, 'varve: 1 problem found\n')
  const [name] = segmentNames(directory)
  const path = join(directory, name)
  const bytes = readFileSync(path)
  overwrite(path, 200, Uint8Array.of(bytes[200] ^ 1))
  const damaged = varve(['verify', directory, '--json'])
  assert.equal(damaged.exitCode, 1)
  const { ok, problems } = JSON.parse(damaged.stdout)
  assert.equal(ok, false)
  assert.deepEqual(
    problems.map(({ file }: { file: string }) => file),
    [path],
  )
  assert.ok(problems[0].address <= 200 && problems[0].what.length > 0)
})

test('verify of what is no store fails', (t) => {
  const { exitCode, stderr } = varve(['verify', temporaryDirectory(t)])
  assert.equal(exitCode, 1)
  assert.match(stderr, /^varve: STORE_NOT_FOUND/)
})
