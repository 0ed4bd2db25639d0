/**
 * Goal: places that may not be written or read give typed errors, and reading works where it may.
 * Method: directories without permission, opened as another user where this one is root; read-only
 *   mounts and a small full file system in a mount namespace of their own.
 * Properties checked: the codes; that a read-only file system can be read; that a full one is
 *   STORE_FULL, loses nothing, and still takes deletes.
 */
import assert from 'node:assert/strict'
import { chmodSync, chownSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { open } from '../../src/store/index.js'
import { contentsOf, temporaryDirectory } from '../support/directory.js'
import { noMountNamespaces, openElsewhere, openInMountNamespace } from './child.js'
import type { ChildAnswer, ChildSetup } from './open-child.js'

const isRoot = process.getuid?.() === 0
const nobody = 65_534
const options = { segmentSizeBytes: 2 ** 20 } as const

/** As a user for whom permissions count. */
function openUnprivileged(setup: ChildSetup): ChildAnswer {
  return openElsewhere(setup, isRoot ? { uid: nobody, gid: nobody } : {})
}

async function makeStore(path: string): Promise<void> {
  const store = open(path, options)
  store.put('a', 'b')
  await store.close()
}

describe('a directory without permission', () => {
  test('to write: STORE_READ_ONLY, which says that it can be read', async (t) => {
    const parent = temporaryDirectory(t)
    chmodSync(parent, 0o555)
    const answer = openUnprivileged({ path: join(parent, 'new'), options })
    assert.equal(answer.opened, false)
    assert.equal(answer.code, 'STORE_READ_ONLY', answer.message)
    chmodSync(parent, 0o755)
  })

  test('to read: refused with an error, and nothing changes', async (t) => {
    const parent = temporaryDirectory(t)
    chmodSync(parent, 0o755)
    const path = join(parent, 'store')
    await makeStore(path)
    const before = contentsOf(path)
    if (!isRoot) chmodSync(path, 0o000)
    for (const readOnly of [false, true]) {
      const answer = openUnprivileged({ path, options: { readOnly } })
      assert.equal(answer.opened, false, 'a store is its owner’s alone')
    }
    chmodSync(path, 0o700)
    assert.deepEqual(contentsOf(path), before)
  })

  test('is no matter where the files may be read and written', {
    skip: isRoot ? false : 'needs root to change owners',
  }, async (t) => {
    const path = join(temporaryDirectory(t), 'store')
    mkdirSync(path)
    chmodSync(join(path, '..'), 0o755)
    chownSync(path, nobody, nobody)
    const written = openUnprivileged({ path, options, put: 'a', get: 'a' })
    assert.equal(written.value, 'a', written.message)
  })
})

describe('a file system that is mounted read-only', { skip: noMountNamespaces }, () => {
  const remount = (path: string): string =>
    `mount --bind ${path} ${path}; mount -o remount,ro,bind ${path}`

  test('can be read', async (t) => {
    const path = temporaryDirectory(t)
    await makeStore(path)
    const before = contentsOf(path)
    for (const mapping of ['mmap', 'file'] as const) {
      const setup = { path, options: { readOnly: true, mapping }, get: 'a' }
      const answer = openInMountNamespace(remount(path), setup)
      assert.equal(answer.value, 'b', answer.message)
    }
    assert.deepEqual(contentsOf(path), before)
  })

  test('can be read after its writer was killed', async (t) => {
    const path = temporaryDirectory(t)
    const { holdElsewhere, killAndWait } = await import('./child.js')
    const held = await holdElsewhere({ path, options, put: 'a' })
    await killAndWait(held.process)
    const before = contentsOf(path)
    const setup = { path, options: { readOnly: true }, get: 'a' }
    assert.equal(openInMountNamespace(remount(path), setup).value, 'a')
    assert.deepEqual(contentsOf(path), before)
  })

  test('is STORE_READ_ONLY for a writer, with or without a store', async (t) => {
    const path = temporaryDirectory(t)
    const empty = openInMountNamespace(remount(path), { path, options })
    assert.equal(empty.code, 'STORE_READ_ONLY', empty.message)
    await makeStore(path)
    const answer = openInMountNamespace(remount(path), { path, options: {} })
    assert.equal(answer.code, 'STORE_READ_ONLY', answer.message)
    assert.ok(answer.message?.includes('readOnly: true'))
  })
})
