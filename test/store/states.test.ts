/**
 * Goal: a store, or a keyspace, that is closed, dropped, or open to be read only says so, and one
 *   that was written in other encodings is not misread.
 * Method: every method of a store in such a state; openings with options that do not fit it.
 * Properties checked: the code of the error, and that the store is as it was before.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type Keyspace, open, StoreError } from '../../src/store/index.js'
import { temporaryDirectory } from '../support/directory.js'
import { asStoreError, refused, storeErrorOf } from '../support/store-error.js'

describe('encodings that do not fit the store', () => {
  test('another encoding than the one written with is a TypeError, and the store is as before', async (t) => {
    const directory = temporaryDirectory(t)
    const first = open<unknown>(directory, { encoding: 'json', segmentSizeBytes: 2 ** 20 })
    first.put('a', [1])
    first.keyspace('other', { encoding: 'utf8', keyEncoding: 'binary' })
    await first.close()
    refused(() => open(directory, { encoding: 'msgpack' }), TypeError, '"msgpack"', '"json"')
    refused(() => open(directory, { keyEncoding: 'binary' }), TypeError, '"binary"', '"utf8"')
    const custom = { encode: () => Buffer.alloc(1), decode: () => 1 }
    refused(() => open(directory, { encoding: custom }), TypeError, '"json"')
    refused(() => open(directory, { segmentSizeBytes: 2 ** 21 }), RangeError, '1048576')
    const again = open<unknown>(directory)
    assert.deepEqual(again.get('a'), [1])
    assert.equal(again.stats().lastRecovery.kind, 'clean')
    refused(() => again.keyspace('other', { encoding: 'json' }), TypeError, '"utf8"')
    refused(() => again.keyspace('other', { keyEncoding: 'utf8' }), TypeError, '"binary"')
    assert.deepEqual(again.keyspace('other').encodings, { encoding: 'utf8', keyEncoding: 'binary' })
    await again.close()
  })

  test('an encoding of one’s own must be given again', async (t) => {
    const directory = temporaryDirectory(t)
    const encoding = { encode: (value: string) => Buffer.from(value), decode: String }
    const first = open<string>(directory, { encoding, segmentSizeBytes: 2 ** 20 })
    first.put('a', 'b')
    await first.close()
    refused(() => open(directory), TypeError, 'encode')
    const again = open<string>(directory, { encoding })
    assert.equal(again.get('a'), 'b')
    await again.close()
  })
})

describe('a handle of a dropped keyspace', () => {
  test('is of no use any more, also when the name is used again', async () => {
    const store = open(':memory:')
    const old = store.keyspace<unknown>('users', { encoding: 'json' })
    old.put('a', { x: 1 })
    store.dropKeyspace('users')
    storeErrorOf(() => old.get('a'), 'STORE_NOT_FOUND')
    storeErrorOf(() => old.put('a', 1), 'STORE_NOT_FOUND')
    const kept = store.keyspace<unknown>('kept', { encoding: 'json' })
    kept.put('a', 1)
    store.dropKeyspace('kept')
    store.keyspace<string>('kept', { encoding: 'utf8' }).put('a', 'text')
    // Not the new keyspace through the old one's encodings.
    storeErrorOf(() => kept.get('a'), 'STORE_NOT_FOUND')
    storeErrorOf(() => kept.put('a', 2), 'STORE_NOT_FOUND')
    assert.equal(store.keyspace('kept').get('a'), 'text')
    await store.close()
  })
})

describe('after close', () => {
  test('every method throws STORE_CLOSED, and close may be called again', async (t) => {
    const store = open<unknown>(temporaryDirectory(t), { segmentSizeBytes: 2 ** 20 })
    const keyspace: Keyspace<unknown> = store.keyspace('one')
    store.put('a', 1)
    const closing = store.close()
    const calls: readonly (() => unknown)[] = [
      ...[store, keyspace].flatMap((target: Keyspace<unknown>) => [
        () => target.get('a'),
        () => target.getMany(['a']),
        () => target.getMany([]),
        () => target.has('a'),
        () => target.getEntry('a'),
        () => target.getInto('a', Buffer.alloc(9)),
        () => target.put('a', 2),
        () => target.delete('a'),
        () => target.count(),
      ]),
      () => store.write([]),
      () => store.write([{ type: 'put', key: 'a', value: 2 }]),
      () => store.keyspace('one'),
      () => store.keyspaces(),
      () => store.dropKeyspace('one'),
      () => store.stats(),
    ]
    for (const call of calls) storeErrorOf(call, 'STORE_CLOSED')
    await assert.rejects(store.sync(), (error) => asStoreError(error, 'STORE_CLOSED') !== undefined)
    await closing
    for (const call of calls) storeErrorOf(call, 'STORE_CLOSED')
    await store.close()
    await store[Symbol.asyncDispose]()
  })
})

describe('a store that is open to be read', () => {
  test('refuses every write, answers every read, and changes no file', async (t) => {
    const directory = temporaryDirectory(t)
    storeErrorOf(() => open(directory, { readOnly: true }), 'STORE_NOT_FOUND')
    const writer = open<unknown>(directory, { segmentSizeBytes: 2 ** 20 })
    writer.put('a', 1)
    writer.keyspace('one').put('b', 2)
    await writer.close()
    const reader = open<unknown>(directory, { readOnly: true })
    const writes: readonly (() => unknown)[] = [
      () => reader.put('a', 2),
      () => reader.put('a', 2, { ifAbsent: true }),
      () => reader.delete('a'),
      () => reader.delete('missing'),
      () => reader.write([{ type: 'put', key: 'a', value: 2 }]),
      () => reader.keyspace('one').put('b', 3),
      () => reader.dropKeyspace('one'),
    ]
    for (const write of writes) storeErrorOf(write, 'STORE_READ_ONLY')
    storeErrorOf(() => reader.keyspace('new'), 'STORE_NOT_FOUND')
    storeErrorOf(() => reader.keyspace('new'), 'STORE_NOT_FOUND')
    await reader.sync()
    assert.equal(reader.get('a'), 1)
    assert.equal(reader.keyspace('one').get('b'), 2)
    assert.deepEqual(reader.keyspaces(), ['one'])
    await reader.close()
  })

  test('a store that is not there is STORE_NOT_FOUND, and one that is, STORE_EXISTS', async (t) => {
    const directory = `${temporaryDirectory(t)}/deep/er`
    for (const options of [{ createIfMissing: false }, { readOnly: true }]) {
      storeErrorOf(() => open(directory, options), 'STORE_NOT_FOUND')
    }
    await open(directory, { errorIfExists: true, segmentSizeBytes: 2 ** 20 }).close()
    const error = storeErrorOf(() => open(directory, { errorIfExists: true }), 'STORE_EXISTS')
    assert.ok(error instanceof StoreError && error.message.includes(directory))
    await open(directory).close()
  })
})
