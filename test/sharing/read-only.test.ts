/**
 * Goal: who may not write a store's directory follows those who write there.
 * Method: a reader in a mount namespace of its own, where the directory is a read-only bind mount,
 *   beside writers in this process and in others that are killed, also in the middle of a write.
 * Properties checked: every write that returned is seen by the next read, whoever came first, also
 *   when files were replaced; a write that nobody finished is not waited for longer than
 *   lockTimeoutMs; the reader leaves no trace and holds nobody up.
 */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { open } from '../../src/store/index.js'
import { noMountNamespaces } from '../store/child.js'
import { contentsOf, copyStore, temporaryDirectory } from '../support/directory.js'
import { openOnReadOnlyMount, openSession } from './session.js'

const options = { segmentSizeBytes: 2 ** 20 } as const

describe('a reader on a read-only mount', { skip: noMountNamespaces }, () => {
  test('sees every write of a live writer, of each kind', async (t) => {
    const path = temporaryDirectory(t)
    await using store = open<unknown>(path, options)
    const reader = await openOnReadOnlyMount(t, path)
    for (let round = 0; round < 100; round++) {
      store.put('in place', round)
      assert.equal(await reader.get('in place'), round)
      await store.sync()
      store.put('in place', -1 - round)
      assert.equal(await reader.get('in place'), -1 - round, 'a new record behind the marker')
    }
    store.delete('in place')
    assert.equal(await reader.get('in place'), undefined)
    store.write([
      { type: 'put', key: 'a', value: 1 },
      { type: 'put', key: 'b', value: 2, keyspace: 'made later' },
    ])
    assert.deepEqual([await reader.get('a'), await reader.get('b', 'made later')], [1, 2])
    const large = 'x'.repeat(2 ** 19)
    store.put('in a segment of its own', large)
    assert.equal(await reader.get('in a segment of its own'), large)
  })

  test('follows the log into new segments, and the index as it grows', async (t) => {
    const path = temporaryDirectory(t)
    await using store = open<string>(path, options)
    const reader = await openOnReadOnlyMount(t, path)
    const bytes = 'v'.repeat(100)
    const keys: string[] = []
    for (let round = 0; round < 40; round++) {
      const added = Array.from({ length: 1000 }, (_, index) => `key ${round} ${index}`)
      for (const key of added) store.put(key, `${bytes} of ${key}`)
      keys.push(...added)
      const { value } = await reader.do({ do: 'getMany', keys: added })
      assert.deepEqual(
        value,
        added.map((key) => `${bytes} of ${key}`),
      )
    }
    assert.ok(store.stats().segments > 5, 'the log has gone on into new segments')
    assert.equal((await reader.do({ do: 'count' })).value, keys.length)
    const { value } = await reader.do({ do: 'getMany', keys })
    assert.deepEqual(
      value,
      keys.map((key) => `${bytes} of ${key}`),
    )
  })

  test('goes on when the writer was killed and another one opened the store', async (t) => {
    const path = temporaryDirectory(t)
    const first = await openSession(t, path, options)
    await first.do({ do: 'put', key: 'a', value: 1 })
    const reader = await openOnReadOnlyMount(t, path)
    assert.equal(await reader.get('a'), 1)
    await first.do({ do: 'put', key: 'a', value: 2 })
    await first.kill()
    assert.equal(await reader.get('a'), 2, 'what a write returned from outlives its writer')
    const second = await openSession(t, path, options)
    assert.equal(await reader.get('a'), 2)
    await second.do({ do: 'put', key: 'a', value: 3 })
    assert.equal(await reader.get('a'), 3)
    await second.do({ do: 'close' })
    assert.equal(await reader.get('a'), 3)
    await using third = open<number>(path)
    third.put('a', 4)
    assert.equal(await reader.get('a'), 4)
  })

  test('that came before any writer follows the one that comes', async (t) => {
    const path = temporaryDirectory(t)
    const former = open<number>(path, options)
    former.put('a', 1)
    await former.close()
    const before = contentsOf(path)
    const reader = await openOnReadOnlyMount(t, path)
    assert.equal(await reader.get('a'), 1)
    assert.deepEqual(contentsOf(path), before, 'a reader leaves the files as they are')
    await using writer = open<number>(path)
    writer.put('a', 2)
    assert.equal(await reader.get('a'), 2)
    writer.put('b', 3)
    assert.equal(await reader.get('b'), 3)
  })

  test('that came after a killed writer follows the next one', async (t) => {
    const path = temporaryDirectory(t)
    const killed = await openSession(t, path, options)
    await killed.do({ do: 'put', key: 'a', value: 1 })
    await killed.kill()
    const reader = await openOnReadOnlyMount(t, path)
    assert.equal(await reader.get('a'), 1)
    await using writer = open<number>(path)
    writer.put('a', 2)
    assert.equal(await reader.get('a'), 2)
  })

  test('is renewed when the files that it has mapped are replaced', async (t) => {
    const parent = temporaryDirectory(t)
    const path = join(parent, 'copy')
    const original = open<number>(join(parent, 'original'), options)
    original.put('a', 1)
    await original.close()
    // A copy has to be recovered by reading its log: all volatile files are made anew.
    copyStore(join(parent, 'original'), path)
    const reader = await openOnReadOnlyMount(t, path)
    assert.equal((await reader.do({ do: 'recovery' })).value, 'replay')
    await using writer = open<number>(path)
    assert.equal(writer.stats().lastRecovery.kind, 'replay')
    writer.put('a', 2)
    assert.equal(await reader.get('a'), 2)
    assert.equal((await reader.do({ do: 'recovery' })).value, 'attached')
  })

  test('is in nobody’s list, sees that of the others, and holds nobody up', async (t) => {
    const path = temporaryDirectory(t)
    const store = open<number>(path, options)
    const reader = await openOnReadOnlyMount(t, path)
    assert.equal(store.attachments().length, 1)
    assert.deepEqual((await reader.do({ do: 'attachments' })).attachments, store.attachments())
    store.put('a', 1)
    await store.close()
    await using again = open<number>(path)
    assert.equal(again.get('a'), 1)
    assert.equal(await reader.get('a'), 1)
  })

  for (const [when, isWaiting] of [
    ['before it opened the store', false],
    ['while it had the store open', true],
  ] as const) {
    test(`cannot finish a write whose writer died ${when}, and others can`, async (t) => {
      const path = temporaryDirectory(t)
      // It must not come to write by itself, in the background: that would finish it.
      const survivor = await openSession(t, path, { ...options, syncIntervalMs: 0 })
      const writer = await openSession(t, path, options)
      await writer.do({ do: 'put', key: 'a', value: 1 })
      const lockTimeoutMs = 100
      const early = isWaiting ? await openOnReadOnlyMount(t, path, { lockTimeoutMs }) : undefined
      await writer.dieIn({ do: 'dieInPut', key: 'a', value: 2 })
      const reader = early ?? (await openOnReadOnlyMount(t, path, { lockTimeoutMs }))
      const answer = await reader.try({ do: 'get', key: 'a' })
      assert.equal(answer.code, 'STORE_LOCKED', JSON.stringify(answer))
      assert.match(answer.message ?? '', /cannot finish what it began/)
      assert.equal(await survivor.get('a'), 2, 'whoever may write finishes it')
      assert.equal(await reader.get('a'), 2)
    })
  }

  for (const [what, key] of [
    ['a new record', 'b'],
    ['an update in place', 'a'],
  ] as const) {
    test(`finishes in its own memory ${what} that a writer left and nobody outlived`, async (t) => {
      const path = temporaryDirectory(t)
      const writer = await openSession(t, path, options)
      await writer.do({ do: 'put', key: 'a', value: 1 })
      await writer.dieIn({ do: 'dieInPut', key, value: 2 })
      const before = contentsOf(path)
      const reader = await openOnReadOnlyMount(t, path)
      assert.equal(await reader.get(key), 2)
      assert.deepEqual(contentsOf(path), before)
      await using next = open<number>(path)
      assert.equal(next.get(key), 2)
      next.put(key, 3)
      assert.equal(await reader.get(key), 3)
    })
  }
})
