/**
 * Goal: a system call that does less than it was asked to is gone on with.
 * Method: reads and writes of files do a few bytes at a time; a store is written, closed and opened.
 * Properties checked: everything is there; nothing was left out.
 */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'
import { test } from 'node:test'
import { open } from '../../src/store/index.js'
import { copyStore, temporaryDirectory } from '../support/directory.js'
import { atEnd } from '../support/ending.js'

test('reads and writes that stop early are gone on with', async (t) => {
  const { readSync, writeSync } = fs
  let shortCalls = 0
  const shortened = (sizeBytes: number): number => {
    if (sizeBytes > 1) shortCalls++
    return Math.max(1, Math.floor(sizeBytes / 3))
  }
  atEnd(t, () => {
    Object.assign(fs, { readSync, writeSync })
    syncBuiltinESMExports()
  })
  type Call = (fd: number, bytes: Uint8Array, start: number, size: number, at: number) => number
  const shorten =
    (call: Call): Call =>
    (fd, bytes, start, size, at) =>
      call(fd, bytes, start, shortened(size), at)
  Object.assign(fs, { readSync: shorten(readSync as Call), writeSync: shorten(writeSync as Call) })
  syncBuiltinESMExports()

  const parent = temporaryDirectory(t)
  for (const mapping of ['mmap', 'file'] as const) {
    const directory = join(parent, mapping)
    const options = { mapping, segmentSizeBytes: 2 ** 20, encoding: 'utf8' } as const
    const store = open<string>(directory, options)
    for (let index = 0; index < 50; index++) store.put(`k${index}`, 'x'.repeat(50 * index))
    store.put('large', 'y'.repeat(300_000))
    await store.close()
    copyStore(directory, `${directory}-copied`)
    const again = open<string>(`${directory}-copied`, options)
    assert.equal(again.count(), 51)
    for (let index = 0; index < 50; index++)
      assert.equal(again.get(`k${index}`)?.length, 50 * index)
    assert.equal(again.get('large'), 'y'.repeat(300_000))
    await again.close()
  }
  assert.ok(shortCalls > 20)
})
