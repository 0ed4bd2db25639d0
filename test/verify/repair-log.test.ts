/**
 * Goal: repair tells what counts from what was never committed, what was cut and what is of a time gone
 *   by, also where the files that say so are damaged.
 * Method: logs that end in a batch; segments with a header of zeros; manifests that are older or gone;
 *   records of kinds to come; sectors that cannot be read.
 * Properties checked: of a batch all that counts or nothing; no value that a later one replaced; the
 *   losses with their keys.
 */
import assert from 'node:assert/strict'
import {
  copyFileSync,
  existsSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { abandon } from '../../src/engine/close.js'
import { checksumWord, flagMoved, kindWord } from '../../src/format/record.js'
import { checksumRecord, recordSeed } from '../../src/format/record-checksum.js'
import { segmentSeed } from '../../src/format/segment-header.js'
import { recordSpan } from '../../src/log/record-fields.js'
import type { ReadableFile } from '../../src/log/segment-reader.js'
import { PatientFile } from '../../src/repair/patient-file.js'
import { salvage } from '../../src/repair/salvage.js'
import { open, type Store } from '../../src/store/index.js'
import { Problems } from '../../src/verify/problems.js'
import { copyStore, overwrite, segmentNames, temporaryDirectory } from '../support/directory.js'
import type { Ending } from '../support/ending.js'
import { engineOf } from '../support/engine-of.js'
import { isThorough } from '../support/thorough.js'
import { filled, flip, openRepaired, options, placeOf } from './repaired.js'

const operation = (key: string) => ({ type: 'put', key, value: Buffer.alloc(40, key) }) as const
const keysOf = (store: Store<Buffer>): string[] => store.keys().toArray() as string[]

function openStore(t: Ending): Store<Buffer> {
  return open<Buffer>(join(temporaryDirectory(t), 'store'), options)
}

/** The store as a kill leaves it. */
function kill(t: Ending, store: Store<Buffer>): string {
  const copy = join(temporaryDirectory(t), 'killed')
  copyStore(store.path, copy)
  abandon(engineOf(store))
  return copy
}

describe('repair and batches', () => {
  test('of a batch that a kill left half written nothing is saved', async (t) => {
    const store = openStore(t)
    store.put('first', Buffer.from('0'))
    store.write([operation('a'), operation('b'), operation('c')])
    const { path, at } = placeOf(store, 'c')
    const killed = kill(t, store)
    overwrite(join(killed, path.slice(store.path.length)), at, Buffer.alloc(200))
    const { report, store: saved } = await openRepaired(t, killed)
    assert.deepEqual(keysOf(saved), ['first'])
    assert.deepEqual(
      report.lost.flatMap(({ key }) => key ?? []),
      ['a', 'b'],
    )
    await saved.close()
  })

  test('a batch at the end of the log is saved whole', async (t) => {
    const store = openStore(t)
    store.write([operation('a'), operation('b'), operation('c')])
    const { report, store: saved } = await openRepaired(t, kill(t, store))
    assert.deepEqual(keysOf(saved), ['a', 'b', 'c'])
    assert.deepEqual(report.lost, [])
    await saved.close()
  })

  test('a damaged batch counts where the log goes on in the next segment', async (t) => {
    const store = openStore(t)
    for (let index = 0; index < 4; index++) store.put(`fill ${index}`, Buffer.alloc(240_000))
    store.write([operation('a'), operation('b'), operation('c')])
    const { path, at } = placeOf(store, 'b')
    // The last of the segment: nothing but another segment follows.
    store.put('next', Buffer.alloc(250_000))
    assert.notEqual(placeOf(store, 'next').path, path)
    const killed = kill(t, store)
    flip(join(killed, path.slice(store.path.length)), at + 80)
    const { report, store: saved } = await openRepaired(t, killed)
    assert.ok(saved.has('a') && !saved.has('b') && saved.has('c'))
    assert.ok(report.lost.some(({ key }) => key === 'b'))
    await saved.close()
  })

  test('a damaged batch below what was synced counts, and one of an end that was cut does not', async (t) => {
    const store = openStore(t)
    store.write([operation('a'), operation('b'), operation('c')])
    const { path, at } = placeOf(store, 'a')
    const marker = placeOf(store, 'c').at + 48 + 8 + 40
    await store.close()
    // Nothing but the manifest and the control file tells that more was there.
    overwrite(path, marker, Buffer.alloc(1000))
    flip(path, at + 80)
    const synced = await openRepaired(t, store.path)
    assert.deepEqual(keysOf(synced.store), ['b', 'c'])
    await synced.store.close()
    for (const other of ['manifest', 'control']) rmSync(join(store.path, other))
    const unknown = await openRepaired(t, store.path)
    assert.deepEqual(keysOf(unknown.store), [])
    assert.deepEqual(unknown.report.lost.flatMap(({ key }) => key ?? []).sort(), ['a', 'b', 'c'])
    await unknown.store.close()
  })

  test('a batch of an oversized segment is saved whole', async (t) => {
    const store = openStore(t)
    const count = isThorough ? 150_000 : 20_000
    store.write(
      Array.from({ length: count }, (_, index) => ({
        type: 'put' as const,
        key: `key ${index}`,
        value: Buffer.alloc(8, index),
      })),
    )
    await store.close()
    const { report, store: saved } = await openRepaired(t, store.path)
    assert.deepEqual(report.lost, [])
    assert.equal(saved.count(), count)
    assert.deepEqual(saved.get(`key ${count - 1}`), Buffer.alloc(8, count - 1))
    await saved.close()
  })
})

describe('repair and deletes', () => {
  test('what was deleted or dropped stays so; where the delete is lost, the key is back', async (t) => {
    const store = openStore(t)
    for (const key of ['a', 'b']) store.put(key, Buffer.from('1'))
    store.keyspace<Buffer>('gone', { encoding: 'binary' }).put('key', Buffer.from('1'))
    store.dropKeyspace('gone')
    const from = engineOf(store).log.tailOffset * 8
    store.delete('a')
    store.put('c', Buffer.from('1'))
    store.delete('b')
    await store.close()
    const whole = await openRepaired(t, store.path)
    assert.deepEqual(keysOf(whole.store), ['c'])
    assert.deepEqual(whole.store.keyspaces(), [])
    await whole.store.close()
    const [name] = segmentNames(store.path)
    flip(join(store.path, name), from + 33)
    const { report, store: saved } = await openRepaired(t, store.path)
    assert.deepEqual(keysOf(saved), ['a', 'c'])
    assert.deepEqual(
      report.lost.map(({ address, key }) => [address, key]),
      [[from, 'a']],
    )
    await saved.close()
  })

  test('an older record stands in where the newest is lost', async (t) => {
    const store = openStore(t)
    store.put('key', Buffer.from('older'))
    await store.sync()
    store.put('key', Buffer.from('newer'))
    const { path, at } = placeOf(store, 'key')
    await store.close()
    flip(path, at + 56)
    const { report, store: saved } = await openRepaired(t, store.path)
    assert.equal(saved.get('key')?.toString(), 'older')
    assert.deepEqual(
      report.lost.map(({ key }) => key),
      ['key'],
    )
    await saved.close()
  })
})

describe('repair and values in segments of their own', () => {
  test('a value that fills its file to the last byte is saved', async (t) => {
    const store = openStore(t)
    const value = Buffer.alloc(2 ** 18 + 4096 - 128, 0xff)
    store.put('large', value)
    await store.close()
    const { report, store: saved } = await openRepaired(t, store.path)
    assert.deepEqual(report.lost, [])
    assert.deepEqual(saved.get('large'), value)
    await saved.close()
  })

  test('a loss has the key, and its keyspace', async (t) => {
    const store = openStore(t)
    const users = store.keyspace<Buffer>('users', { encoding: 'binary' })
    users.put('whole', Buffer.alloc(2 ** 18 + 1))
    users.put('large\n', Buffer.alloc(2 ** 18 + 2))
    await store.close()
    const [, missing] = segmentNames(store.path).filter((name) => name.startsWith('value-'))
    rmSync(join(store.path, missing))
    const { report, store: saved } = await openRepaired(t, store.path)
    assert.deepEqual(
      report.lost.map(({ key, keyspace }) => [key, keyspace]),
      [['0x6c617267650a', 'users']],
    )
    assert.deepEqual(saved.keyspace<Buffer>('users').keys().toArray(), ['whole'])
    await saved.close()
  })
})

describe('repair and what is not there any more', () => {
  for (const isClosed of [true, false]) {
    test(`the last segment is known to be missing: ${isClosed ? 'closed' : 'killed'}`, async (t) => {
      const store = openStore(t)
      for (const value of ['1', '2']) {
        store.put('key', Buffer.from(value))
        await store.sync()
      }
      if (isClosed) await store.close()
      const damaged = isClosed ? store.path : kill(t, store)
      const path = join(damaged, segmentNames(damaged)[0])
      const damages: readonly (readonly [string, () => void])[] = [
        ['zeros', () => overwrite(path, 128, Buffer.alloc(4096))],
        ['cut short', () => truncateSync(path, 128)],
        ['empty', () => truncateSync(path, 0)],
        ['gone', () => rmSync(path)],
      ]
      for (const [what, damage] of damages) {
        damage()
        const { report, store: saved } = await openRepaired(t, damaged)
        const files = new Set(report.lost.map(({ file }) => file))
        assert.deepEqual([...files], [path], what)
        assert.equal(saved.count(), 0)
        await saved.close()
      }
    })
  }

  test('without the registry the default keyspace is there, and counted', async (t) => {
    const store = openStore(t)
    store.put('key', Buffer.from('1'))
    const { at, path } = placeOf(store, 'key')
    await store.close()
    overwrite(path, 128, Buffer.alloc(at - 128))
    const { report, store: saved } = await openRepaired(t, store.path)
    assert.ok(report.lost.some(({ what }) => /encodings of the default/.test(what)))
    assert.equal(saved.get('key')?.toString(), '1')
    assert.equal((await saved.verify()).records, 1)
    await saved.close()
  })

  test('a copy of the superblock that is damaged is said', async (t) => {
    const store = openStore(t)
    await store.close()
    flip(join(store.path, 'superblock'), 4096 + 50)
    const { report, store: saved } = await openRepaired(t, store.path)
    assert.deepEqual(
      [...report.lost, ...report.noted].map(({ address }) => address),
      [4096],
    )
    await saved.close()
  })
})

describe('repair and files that no longer say what they are', () => {
  test('a page of zeros at the beginning of a segment costs what lay in it', async (t) => {
    const store = await filled(t)
    await store.close()
    for (const name of segmentNames(store.path)) {
      const directory = join(temporaryDirectory(t), 'damaged')
      copyStore(store.path, directory)
      overwrite(join(directory, name), 0, Buffer.alloc(4096))
      const { report, store: saved } = await openRepaired(t, directory)
      const files = report.lost.map(({ file }) => file)
      assert.ok(files.includes(join(directory, name)))
      // The registry lies in the first one.
      assert.ok(files.every((file) => file === join(directory, name) || file === directory))
      assert.ok(saved.count() >= 3001 - 4, `${name}: ${saved.count()} records`)
      await saved.close()
    }
  })

  test('a manifest of an earlier time does not hide what came after', async (t) => {
    const store = openStore(t)
    store.put('first', Buffer.from('1'))
    await store.close()
    const older = join(store.path, 'manifest')
    const copies = [1, 2].map((number) => `${store.path} of boot ${number}`)
    copyStore(store.path, copies[0])
    const second = open<Buffer>(copies[0], options)
    second.put('second', Buffer.from('2'))
    await second.close()
    copyFileSync(older, join(copies[0], 'manifest'))
    const { report, store: saved } = await openRepaired(t, copies[0])
    assert.deepEqual(keysOf(saved), ['first', 'second'])
    assert.deepEqual(report.lost, [])
    assert.ok(report.noted.some(({ what }) => /older than the segments/.test(what)))
    await saved.close()
  })

  test('without a manifest, an end that a recovery cut does not come back over later values', async (t) => {
    const store = openStore(t)
    store.put('key', Buffer.from('synced'))
    await store.sync()
    const { log } = engineOf(store)
    const from = log.tailOffset * 8
    for (let index = 0; index < 10; index++) store.put('key', Buffer.alloc(100 + index, 'cut'))
    store.put('cut', Buffer.from('cut'))
    const killed = kill(t, store)
    // As another boot finds it: what was not synced is there in part only.
    rmSync(join(killed, 'control'))
    overwrite(join(killed, segmentNames(killed)[0]), from + 24, Buffer.alloc(8, 1))
    const after = open<Buffer>(killed, options)
    assert.equal(after.get('key')?.toString(), 'synced')
    after.put('key', Buffer.from('later'))
    await after.close()
    const withManifest = await openRepaired(t, killed)
    assert.equal(withManifest.store.get('key')?.toString(), 'later')
    await withManifest.store.close()
    rmSync(join(killed, 'manifest'))
    const { store: saved } = await openRepaired(t, killed)
    assert.equal(saved.get('key')?.toString(), 'later')
    assert.deepEqual(keysOf(saved), ['key'])
    await saved.close()
  })

  test('control and slots that are cut short or garbage are done without', async (t) => {
    const store = openStore(t)
    store.put('key', Buffer.from('1'))
    const killed = kill(t, store)
    const damages: readonly (() => void)[] = [
      () => writeFileSync(join(killed, 'control'), Buffer.alloc(2 ** 17, 0x5a)),
      () => truncateSync(join(killed, 'control'), 100),
      () => truncateSync(join(killed, 'slots'), 0),
      () => rmSync(join(killed, 'slots')),
      () => rmSync(join(killed, 'lock')),
    ]
    for (const damage of damages) {
      damage()
      const { report, store: saved } = await openRepaired(t, killed)
      assert.deepEqual(keysOf(saved), ['key'])
      assert.deepEqual(report.lost, [])
      await saved.close()
    }
  })
})

describe('repair and what is to come', () => {
  test('a store of a later format is refused, and nothing made', async (t) => {
    const store = openStore(t)
    await store.close()
    const path = join(store.path, 'superblock')
    const bytes = readFileSync(path)
    const { checksumBytes } = await import('../../src/base/checksum.js')
    for (const copy of [0, 4096]) {
      bytes.writeUInt32LE(2, copy + 8)
      bytes.writeInt32LE(checksumBytes(bytes.subarray(copy, copy + 4092), 0), copy + 4092)
    }
    writeFileSync(path, bytes)
    const target = join(temporaryDirectory(t), 'target')
    await assert.rejects(salvage(store.path, target), { code: 'STORE_FORMAT' })
    assert.equal(existsSync(target), false)
  })

  test('a record of an unknown kind is named and left out', async (t) => {
    const store = openStore(t)
    store.put('before', Buffer.from('1'))
    store.put('of a kind to come', Buffer.from('1'))
    const { at, path } = placeOf(store, 'of a kind to come')
    store.put('behind', Buffer.from('1'))
    const { epoch, log } = engineOf(store)
    const segmentNumber = Number(path.slice(-16))
    const { storeId } = log
    await store.close()
    const bytes = Uint8Array.from(readFileSync(path))
    const words = new Int32Array(bytes.buffer)
    const start = at / 4
    words[start + kindWord] |= (flagMoved << 8) | 0x8000
    words[start + checksumWord] = 0
    const seed = recordSeed(segmentSeed(storeId, epoch, segmentNumber), at / 8, false)
    words[start + checksumWord] = checksumRecord(words, start, recordSpan(words, start) * 2, seed)
    writeFileSync(path, bytes)
    const { report, store: saved } = await openRepaired(t, store.path)
    assert.deepEqual(keysOf(saved), ['before', 'behind'])
    assert.deepEqual(
      report.lost.map(({ address, what }) => [address, /kind/.test(what)]),
      [[at, true]],
    )
    await saved.close()
  })
})

test('a large record that is damaged is lost with its key', async (t) => {
  const store = open<Buffer>(join(temporaryDirectory(t), 'store'), {
    ...options,
    segmentSizeBytes: 2 ** 22,
  })
  store.put('before', Buffer.from('1'))
  store.put('large', Buffer.alloc(600_000, 1))
  const { at, path } = placeOf(store, 'large')
  store.put('behind', Buffer.from('1'))
  await store.close()
  const whole = await openRepaired(t, store.path)
  assert.deepEqual(whole.store.get('large'), Buffer.alloc(600_000, 1))
  await whole.store.close()
  flip(path, at + 400_000)
  const { report, store: saved } = await openRepaired(t, store.path)
  assert.deepEqual(
    report.lost.map(({ address, key }) => [address, key]),
    [[at, 'large']],
  )
  assert.deepEqual(keysOf(saved), ['before', 'behind'])
  await saved.close()
})

test('sectors that cannot be read are zeros, said once, and cost nothing around them', () => {
  const bytes = Buffer.alloc(10_000, 7)
  const unreadable = [1024, 1536, 4096]
  const file: ReadableFile & { close(): void } = {
    path: 'file',
    sizeBytes: () => bytes.byteLength,
    close: () => undefined,
    read(target, position) {
      const end = position + target.byteLength
      if (unreadable.some((at) => at < end && position < at + 512)) {
        throw Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO' })
      }
      return bytes.copy(target, 0, position)
    },
  }
  const problems = new Problems()
  const patient = new PatientFile(file, problems)
  const target = Buffer.alloc(12_000, 1)
  for (let round = 0; round < 2; round++) {
    assert.equal(patient.read(target, 100), 9900)
    const expected = Buffer.from(bytes)
    for (const at of unreadable) expected.fill(0, at, at + 512)
    assert.deepEqual(target.subarray(0, 9900), expected.subarray(100))
  }
  assert.deepEqual(
    problems.list().map(({ address, what }) => [address, what]),
    [
      [1024, 'it cannot be read: EIO'],
      [4096, 'it cannot be read: EIO'],
    ],
  )
})
