/**
 * Goal: I12, a damaged or foreign store is never modified by opening it.
 * Method: a store that only a full reading of its log shows to be damaged, with everything about that
 *   opening would tidy up: an old control file, a prepared segment, dead segments, leftovers.
 * Properties checked: it is refused, for reading and for writing, and every file is as it was.
 * Kept by: the first `readLog` in `recoverByReplay`, which comes before anything is written.
 * (test/damage does the same to every byte.)
 */
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { open } from '../../src/store/index.js'
import { contentsOf, copyStore, overwrite, temporaryDirectory } from '../support/directory.js'
import { storeErrorOf } from '../support/store-error.js'

// Nothing is to be given back: the damage is in what is garbage.
const options = { segmentSizeBytes: 2 ** 20, encoding: 'utf8', autoCompact: false } as const

describe('I12: a store that is refused', () => {
  for (const mapping of ['mmap', 'file'] as const) {
    test(`is left byte for byte as it was (${mapping})`, async (t) => {
      const parent = temporaryDirectory(t)
      const first = open<string>(join(parent, '1'), { ...options, mapping })
      for (let index = 0; index < 30; index++) first.put('abandoned', 'x'.repeat(100_000 + index))
      await first.sync()
      first.put('a', '1')
      await first.close()
      copyStore(join(parent, '1'), join(parent, '2'))
      // The manifest of the recovery names every segment; the last is of a new epoch.
      const second = open<string>(join(parent, '2'), { ...options, mapping })
      second.put('b', '2')
      await second.close()
      const directory = join(parent, '3')
      copyStore(join(parent, '2'), directory)
      writeFileSync(join(directory, 'prepared-0001'), Buffer.alloc(5000, 1))
      writeFileSync(join(directory, 'manifest.next'), Buffer.alloc(50, 1))
      const damaged = join(directory, 'segment-0000000000000001')
      overwrite(damaged, 700, Uint8Array.of(readFileSync(damaged)[700] ^ 4))
      const before = contentsOf(directory)
      for (const readOnly of [true, false]) {
        const error = storeErrorOf(() => open(directory, { readOnly, mapping }), 'STORE_CORRUPT')
        assert.equal(error.details.file, damaged)
        assert.ok(typeof error.details.address === 'number' && error.details.what !== undefined)
        const { lock: _now, ...now } = contentsOf(directory)
        const { lock: _then, ...then } = before
        assert.deepEqual(now, then)
      }
      // And it is whole again as soon as the damage is undone.
      overwrite(damaged, 700, Uint8Array.of(readFileSync(damaged)[700] ^ 4))
      const repaired = open<string>(directory, { ...options, mapping })
      assert.equal(repaired.get('a'), '1')
      assert.equal(repaired.get('b'), '2')
      await repaired.close()
    })
  }
})
