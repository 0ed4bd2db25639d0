/**
 * Goal: a full disk is STORE_FULL and nothing worse.
 * Method: a store on a file system of a few mebibytes, in a mount namespace of its own, is filled.
 * Properties checked: STORE_FULL, not a signal; everything acknowledged is there, before and after
 *   opening again, on the same boot and another; deletes still work, compaction gives space back, and
 *   writing goes on in the same handle once there is space.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { temporaryDirectory } from '../support/directory.js'
import { noMountNamespaces } from './child.js'

const child = fileURLToPath(new URL('./full-disk-child.js', import.meta.url))

function fillAndReopen(
  path: string,
  ...setup: readonly ['mmap' | 'file', number, 'to-read' | 'to-write']
): void {
  const script = `mount -t tmpfs -o size=6m none ${path}; exec "$0" "$1" "$2" "$3" "$4" "$5"`
  const args = ['-m', 'sh', '-c', script, process.execPath, child, path, ...setup.map(String)]
  const run = spawnSync('unshare', args, { encoding: 'utf8' })
  assert.equal(run.signal, null)
  assert.equal(run.stderr, '')
  assert.match(run.stdout, /^kept [1-9]\d*\n$/)
}

describe('a store on a full file system', { skip: noMountNamespaces }, () => {
  for (const mapping of ['mmap', 'file'] as const) {
    for (const valueSizeBytes of [100, 30_000, 300_000]) {
      test(`says STORE_FULL and keeps everything: ${mapping}, values of ${valueSizeBytes}`, (t) =>
        fillAndReopen(temporaryDirectory(t), mapping, valueSizeBytes, 'to-read'))
    }
  }

  for (const [mapping, points] of [
    [
      'mmap',
      /^a segment, a checkpoint, growth of the index, a compaction, the manifest, the end\n$/,
    ],
    ['file', /^a segment, a checkpoint, a compaction, the manifest, the end\n$/],
  ] as const) {
    test(`goes on by itself once there is space, wherever it was full: ${mapping}`, (t) => {
      const path = temporaryDirectory(t)
      const script = `mount -t tmpfs -o size=12m none ${path}; exec "$0" "$1" "$2" "$3"`
      const spaceComes = fileURLToPath(new URL('./space-comes-child.js', import.meta.url))
      const args = ['-m', 'sh', '-c', script, process.execPath, spaceComes, path, mapping]
      const run = spawnSync('unshare', args, { encoding: 'utf8' })
      assert.equal(run.stderr, '')
      assert.match(run.stdout, points)
    })
  }

  // Without a mapping, opening for writing begins a segment, for which there is no space.
  test('can be opened again to delete from it (mmap)', (t) =>
    fillAndReopen(temporaryDirectory(t), 'mmap', 300_000, 'to-write'))
})
