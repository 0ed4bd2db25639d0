/**
 * Goal: nobody is led out of a store's directory, and only its owner can read it.
 * Method: each file of a store is moved elsewhere and a link put in its place; the rights of all files.
 * Properties checked: opening is refused with ELOOP or finds everything, and what the link leads to is
 *   left byte for byte as it was; files are their owner's alone.
 */
import assert from 'node:assert/strict'
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { open } from '../../src/store/index.js'
import { copyStore, temporaryDirectory } from '../support/directory.js'

const options = { segmentSizeBytes: 2 ** 20, syncIntervalMs: 0 } as const

async function makeStore(path: string): Promise<void> {
  const store = open(path, options)
  store.put('a', 'b')
  store.put('large', 'x'.repeat(300_000))
  await store.checkpoint()
  await store.close()
}

describe('in the directory of a store', {
  skip: process.platform === 'win32' && 'no links',
}, () => {
  test('a link in the place of a file that is believed is not followed', async (t) => {
    const parent = temporaryDirectory(t)
    await makeStore(join(parent, 'store'))
    const names = readdirSync(join(parent, 'store')).filter((name) =>
      /^(superblock|manifest|segment-|value-)/.test(name),
    )
    assert.ok(names.length >= 4, `${names}`)
    for (const name of names) {
      for (const mapping of ['mmap', 'file'] as const) {
        const path = join(parent, `${name}-${mapping}`)
        copyStore(join(parent, 'store'), path)
        mkdirSync(`${path}-elsewhere`)
        const elsewhere = join(`${path}-elsewhere`, 'file')
        renameSync(join(path, name), elsewhere)
        symlinkSync(elsewhere, join(path, name))
        const before = readFileSync(elsewhere)
        for (const readOnly of [true, false]) {
          assert.throws(() => open(path, { ...options, mapping, readOnly }), { code: 'ELOOP' })
        }
        assert.ok(readFileSync(elsewhere).equals(before))
        assert.ok(lstatSync(join(path, name)).isSymbolicLink())
      }
    }
  })

  test('every file is its owner’s alone', async (t) => {
    const path = join(temporaryDirectory(t), 'store')
    await makeStore(path)
    assert.equal(statSync(path).mode & 0o777, 0o700)
    for (const name of readdirSync(path)) {
      assert.equal(statSync(join(path, name)).mode & 0o777, 0o600, name)
    }
  })
})
