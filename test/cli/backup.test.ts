/**
 * Goal: `varve backup`, `restore` and `repair` do what they say, and say what they did.
 * Method: a small store backed up twice, restored, damaged and repaired.
 * Properties checked: exit codes, contents, the JSON, the lines.
 */
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { overwrite, segmentNames, temporaryDirectory } from '../support/directory.js'
import { varve } from './command.js'

test('backup copies a store, restore brings it back', (t) => {
  const parent = temporaryDirectory(t)
  const [path, target, restored] = ['store', 'backup', 'restored'].map((name) => join(parent, name))
  assert.equal(varve(['put', path, 'key', 'one']).exitCode, 0)
  const { exitCode, stderr, stdout } = varve(['backup', path, target])
  assert.equal(exitCode, 0, stderr)
  assert.equal(stdout, '')
  assert.match(stderr, /copied, 1 of 1 file, verified/)
  assert.equal(varve(['put', path, 'key', 'two']).exitCode, 0)
  const again = JSON.parse(varve(['backup', path, target, '--json']).stdout)
  assert.ok(again.segments >= 1 && again.bytesCopied > 0)
  const restore = varve(['restore', target, restored])
  assert.equal(restore.exitCode, 0, restore.stderr)
  assert.equal(
    varve(['get', restored, 'key']).stdout.trim(),
    varve(['get', path, 'key']).stdout.trim(),
  )
  assert.match(varve(['get', restored, 'key']).stdout, /two/)
  assert.equal(varve(['verify', restored]).exitCode, 0)
  const occupied = varve(['restore', target, restored])
  assert.equal(occupied.exitCode, 1)
  assert.match(occupied.stderr, /is not empty/)
  writeFileSync(join(parent, 'backup', 'mine'), '')
  const refused = varve(['backup', path, target])
  assert.equal(refused.exitCode, 1)
  assert.match(refused.stderr, /^varve: STORE_EXISTS/)
})

test('repair saves what it can, lists what it cannot, and leaves the damaged store', (t) => {
  const parent = temporaryDirectory(t)
  const [path, target] = ['store', 'repaired'].map((name) => join(parent, name))
  for (const key of ['a', 'b', 'c']) varve(['put', path, key, `value of ${key}`])
  const [name] = segmentNames(path)
  const file = join(path, name)
  const at = readFileSync(file).indexOf('value of b')
  overwrite(file, at, Buffer.from('V'))
  assert.equal(varve(['get', path, 'b']).exitCode === 0 && varve(['verify', path]).exitCode, 1)
  const { exitCode, stderr, stdout } = varve(['repair', path, target])
  assert.equal(exitCode, 1)
  assert.match(stdout, new RegExp(`^${file}:\\d+: a record does not match its checksum.*\n$`))
  assert.match(stderr, /2 live records saved and verified/)
  assert.match(varve(['get', target, 'a']).stdout, /value of a/)
  assert.equal(varve(['get', target, 'b']).exitCode, 1)
  overwrite(file, at, Buffer.from('v'))
  const whole = varve(['repair', path, join(parent, 'whole'), '--json'])
  assert.equal(whole.exitCode, 0, whole.stderr)
  const { lost, noted, records } = JSON.parse(whole.stdout)
  assert.deepEqual({ lost, noted, records }, { lost: [], noted: [], records: 3 })
})
