/**
 * Goal: a later version answers for the stores of an earlier one as that did, the damaged ones included.
 * Method: stores that were written once, and kept, are opened as of another boot: to read, to write,
 *   and again behind that; with a mapping and without.
 * Properties checked: contents with versions and times of expiry, verify(), checkpoints passed over; or
 *   the refusal with its file, and then no file is changed.
 */
import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { formatVersion } from '../../src/format/version.js'
import { contentsOf, temporaryDirectory } from '../support/directory.js'
import { foundIn, goldenDirectory, readGolden, unpack, wantedOf } from './golden-stores.js'

const versions = readdirSync(goldenDirectory).sort()

test('stores of this version of the format are kept', () => {
  assert.ok(versions.includes(`version-${formatVersion}`))
})

for (const version of versions) {
  const golden = readGolden(version)
  describe(`a kept store of ${version}`, () => {
    for (const store of golden.stores) {
      test(`${store.name}: ${store.what}`, async (t) => {
        const wanted = wantedOf(golden, store)
        for (const mapping of ['mmap', 'file'] as const) {
          const directory = join(temporaryDirectory(t), 'store')
          unpack(version, golden, store, directory)
          const before = contentsOf(directory)
          assert.deepEqual(await foundIn(directory, { mapping, readOnly: true }), wanted)
          assert.deepEqual(await foundIn(directory, { mapping }), wanted)
          if ('code' in store.expected) {
            // Files that are there to be locked.
            const { lock, lifecycle, ...now } = contentsOf(directory)
            assert.deepEqual(now, before)
          } else {
            const { contents } = (await foundIn(directory, { mapping })) as { contents: unknown }
            assert.deepEqual(contents, golden.contents[store.expected.contents])
          }
        }
      })
    }
  })
}
