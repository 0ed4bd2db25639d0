/**
 * Goal: `varve checkpoint` makes, lists and removes checkpoints, and `varve info` tells how one served.
 * Method: a small store, copied as another boot finds it.
 * Properties checked: what is printed for people and for programs; exit codes; the files.
 */
import assert from 'node:assert/strict'
import { readdirSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { checkpointFileName } from '../../src/format/file-names.js'
import { makeFixture } from '../damage/fixture.js'
import { copyStore, temporaryDirectory } from '../support/directory.js'
import { varve } from './command.js'

test('checkpoint makes one, lists them, keeps as many as asked, and info tells of it', async (t) => {
  const { directory } = await makeFixture(t, 'closed')
  const none = varve(['checkpoint', directory, '--list'])
  assert.deepEqual([none.exitCode, none.stdout, none.stderr], [0, '', 'there is none\n'])
  const made = varve(['checkpoint', directory, '--json'])
  assert.equal(made.exitCode, 0, made.stderr)
  assert.match(made.stderr, /^checkpoint \d+: \d+ records, [\d.]+ KiB, in [\d.]+ m?s\n$/)
  const first = JSON.parse(made.stdout)
  assert.deepEqual(first.removed, [])
  assert.ok(first.made.id > 0 && first.durationMs > 0)
  const second = JSON.parse(varve(['checkpoint', directory, '--keep', '1', '--json']).stdout)
  assert.deepEqual(second.removed, [first.made])
  assert.deepEqual(JSON.parse(varve(['checkpoint', directory, '--list', '--json']).stdout), [
    second.made,
  ])
  const { stdout } = varve(['checkpoint', directory, '--list'])
  assert.match(stdout, /^id +made +records +sequence +size\n\d+ +\d{4}-[\dT:.Z-]+ +\d+ +\d+ +/)

  const copy = join(temporaryDirectory(t), 'copy')
  copyStore(directory, copy)
  const { lastRecovery } = JSON.parse(varve(['info', copy, '--json']).stdout)
  assert.equal(lastRecovery.checkpoint, second.made.id)
  assert.equal(lastRecovery.rows[1], 'newest-checkpoint')
  const info = varve(['info', copy])
  assert.ok(info.stdout.includes(`from checkpoint ${second.made.id}, 0 records`))
  truncateSync(join(copy, checkpointFileName(second.made.id)), 300)
  const passed = varve(['info', copy])
  assert.equal(passed.exitCode, 0)
  assert.ok(passed.stdout.includes('1 checkpoint passed over'))
  assert.ok(passed.stderr.includes('was passed over'))

  const removed = JSON.parse(varve(['checkpoint', directory, '--keep', '0', '--json']).stdout)
  assert.deepEqual([removed.made, removed.removed], [null, [second.made]])
  assert.ok(!readdirSync(directory).some((name) => name.startsWith('checkpoint-')))
})

test('checkpoint fails where there is no store, and where it is misused', (t) => {
  const directory = temporaryDirectory(t)
  for (const more of [[], ['--list']]) {
    const { exitCode, stderr } = varve(['checkpoint', directory, ...more])
    assert.equal(exitCode, 1)
    assert.match(stderr, /^varve: STORE_NOT_FOUND/)
  }
  for (const more of [
    ['--keep', '-1'],
    ['--keep', 'x'],
    ['--list', '--keep', '1'],
    ['--nothing'],
  ]) {
    assert.equal(varve(['checkpoint', directory, ...more]).exitCode, 2, more.join(' '))
  }
})
