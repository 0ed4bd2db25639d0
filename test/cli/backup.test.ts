/**
 * Goal: `varve backup`, `restore` and `repair` do what they say, and say what they did.
 * Method: a small store backed up twice, restored, damaged and repaired.
 * Properties checked: exit codes, contents, the JSON, the lines.
 */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { decodeSuperblock } from '../../src/format/superblock.js'
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
  const identities = [path, target, restored].map((directory) => {
    const file = join(directory, 'superblock')
    return decodeSuperblock(readFileSync(file), file, true)
  })
  for (const { storeId } of identities) assert.deepEqual(storeId, identities[0].storeId)
  const lineages = identities.map(({ lineageId }) => Buffer.from(lineageId).toString('hex'))
  assert.equal(new Set(lineages).size, 3, 'each copy has a lineage of its own')
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
  assert.match(
    stdout,
    new RegExp(`^${file}:\\d+: a record does not match its checksum \\(up to \\d+\\); key "b"\n$`),
  )
  assert.match(stderr, /2 live records saved and verified/)
  assert.match(varve(['get', target, 'a']).stdout, /value of a/)
  assert.equal(varve(['get', target, 'b']).exitCode, 1)
  overwrite(file, at, Buffer.from('v'))
  const whole = varve(['repair', path, join(parent, 'whole'), '--json'])
  assert.equal(whole.exitCode, 0, whole.stderr)
  const { lost, lostCount, noted, records } = JSON.parse(whole.stdout)
  assert.deepEqual({ lost, noted, records }, { lost: [], noted: [], records: 3 })
  assert.equal(lostCount, 0)
})

test('a restore of a damaged backup fails, and leaves no store', (t) => {
  const parent = temporaryDirectory(t)
  const [path, target, restored] = ['store', 'backup', 'restored'].map((name) => join(parent, name))
  varve(['put', path, 'key', 'a value'])
  varve(['backup', path, target])
  const file = join(target, segmentNames(target)[0])
  overwrite(file, readFileSync(file).indexOf('a value'), Buffer.from('A'))
  const { exitCode, stderr, stdout } = varve(['restore', target, restored, '--json'])
  assert.equal(exitCode, 1)
  assert.match(stderr, /^varve: STORE_CORRUPT/)
  assert.equal(stdout, '')
  assert.equal(varve(['get', restored, 'key']).exitCode, 1)
})

test('what is misused, or is not there, makes nothing', (t) => {
  const parent = temporaryDirectory(t)
  const path = join(parent, 'store')
  varve(['put', path, 'key', 'value'])
  for (const name of ['backup', 'restore', 'repair']) {
    for (const target of ['', ':memory:', join(path, 'inside')]) {
      const { exitCode, stderr, stdout } = varve([name, path, target])
      assert.deepEqual([name, target, exitCode, stdout], [name, target, 2, ''], stderr)
    }
    const missing = varve([name, join(parent, 'none'), join(parent, 'target')])
    assert.equal(missing.exitCode, 1)
    assert.match(missing.stderr, /^varve: STORE_NOT_FOUND/)
  }
  assert.equal(varve(['verify', path, '--max-megabytes', '0']).exitCode, 2)
  assert.deepEqual(readdirSync(parent), ['store'])
  assert.equal(varve(['verify', path]).exitCode, 0)
})
