/**
 * Goal: `varve compact` gives space back and says what it did; `varve stats --segments` shows it.
 * Method: a store with garbage, compacted by the command, as text and with --json.
 * Properties checked: the files shrink, what lives stays; the picture before and after; exit codes.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { open } from '../../src/store/index.js'
import { segmentNames, temporaryDirectory } from '../support/directory.js'
import { varve } from './command.js'

test('compact gives back what is dead, and stats draws it', async (t) => {
  const directory = temporaryDirectory(t)
  const options = { encoding: 'binary', segmentSizeBytes: 2 ** 20, autoCompact: false } as const
  const store = open<Buffer>(directory, options)
  store.put('lives', Buffer.alloc(1000, 7))
  for (let index = 0; index < 50; index++) store.put('dies', Buffer.alloc(100_000, index))
  await store.close()
  const before = segmentNames(directory).length
  const picture = varve(['stats', directory, '--segments']).stdout
  assert.match(picture, /█ live {2}░ not; a compaction would give back \d+\.\d MiB/)
  assert.match(picture, /^log 1 +1\.0 MiB +░{32} +0%$/m)
  assert.match(picture, /written to$/m)
  const { exitCode, stderr, stdout } = varve(['compact', directory])
  assert.equal(exitCode, 0, stderr)
  assert.equal(stdout, '')
  assert.match(stderr, /^\d\.\d MiB before, \d\.\d MiB now: \d segments dropped, 2 records/)
  assert.ok(segmentNames(directory).length < before)
  const report = JSON.parse(varve(['compact', directory, '--json', '--min-garbage', '1']).stdout)
  assert.equal(report.segmentsDropped, 0)
  const again = open<Buffer>(directory, options)
  assert.equal(again.get('lives')?.byteLength, 1000)
  assert.equal(again.get('dies')?.[0], 49)
  await again.close()
})

test('compact refuses what it cannot use', (t) => {
  const directory = temporaryDirectory(t)
  assert.equal(varve(['compact', directory]).exitCode, 1)
  assert.equal(varve(['compact', directory, '--min-garbage', '0']).exitCode, 2)
  assert.equal(varve(['compact']).exitCode, 2)
})
