/**
 * Goal: of a damaged store every record that verifies is saved into a new one, what is lost is named,
 *   and the damaged one stays as it was.
 * Method: stores with one thing wrong: records, headers, frames, values, small files; missing segments;
 *   a log that was torn; sampled bits of all files.
 * Properties checked: all that was not damaged is there, and nothing that was never written; the loss is
 *   named where there is one, and nothing where there is none.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { salvage } from '../../src/repair/salvage.js'
import { open, StoreError } from '../../src/store/index.js'
import { type Fixture, makeFixture } from '../damage/fixture.js'
import {
  contentsOf,
  copyStore,
  overwrite,
  segmentNames,
  temporaryDirectory,
} from '../support/directory.js'
import { Random } from '../support/random.js'
import { seed } from '../support/seed.js'
import { differenceOf } from '../support/state.js'
import { storeErrorOf } from '../support/store-error.js'
import { isThorough } from '../support/thorough.js'
import { filled, flip, openRepaired, options, placeOf, repair } from './repaired.js'

describe('repair of a whole store', () => {
  for (const kind of ['closed', 'recovered'] as const) {
    for (const mapping of ['mmap', 'file'] as const) {
      test(`saves everything and loses nothing: ${kind}, ${mapping}`, async (t) => {
        const fixture = await makeFixture(t, kind, mapping)
        const { report, store } = await openRepaired(t, fixture.directory)
        assert.deepEqual(report.lost, [])
        assert.deepEqual(report.noted, [])
        assert.equal(differenceOf(store, fixture.state), undefined)
        await store.close()
      })
    }
  }

  test('keeps versions, times and encodings, and goes on as a store', async (t) => {
    const path = join(temporaryDirectory(t), 'store')
    const store = open(path, { ...options, encoding: 'json', keyEncoding: 'ordered' } as never)
    store.put(['a', 1] as never, { value: 1 })
    const entry = store.getEntry(['a', 1] as never)
    await store.close()
    const { directory } = await repair(t, path)
    const again = open(directory, { encoding: 'json' })
    assert.deepEqual(again.getEntry(['a', 1] as never), entry)
    again.put(['a', 1] as never, 2)
    assert.equal(again.get(['a', 1] as never), 2)
    await again.close()
  })
})

describe('repair of a damaged store', () => {
  for (const [what, byte] of [
    ['value', 500],
    ['key', 50],
    ['value size', 41],
    ['type', 36],
    ['checksum', 33],
  ] as const) {
    test(`loses the one record whose ${what} is damaged`, async (t) => {
      const store = await filled(t)
      const { path, at } = placeOf(store, 'key 1500')
      await store.close()
      flip(path, at + byte)
      const { report, store: saved } = await openRepaired(t, store.path)
      assert.deepEqual(
        report.lost.map(({ file, address }) => [file, address]),
        [[path, at]],
      )
      assert.equal(saved.count(), 3000)
      assert.equal(saved.get('key 1500'), undefined)
      assert.deepEqual(saved.get('key 1499'), Buffer.alloc(1000, 1499))
      assert.deepEqual(saved.get('key 1501'), Buffer.alloc(1000, 1501))
      assert.equal(saved.keyspace('users').count(), 1)
      await saved.close()
    })
  }

  test('goes on behind a stretch of zeros', async (t) => {
    const store = await filled(t)
    const { path, at } = placeOf(store, 'key 1500')
    await store.close()
    overwrite(path, at + 8, Buffer.alloc(20_000))
    const { report, store: saved } = await openRepaired(t, store.path)
    assert.equal(report.lost.length, 1)
    assert.deepEqual([report.lost[0].file, report.lost[0].address], [path, at])
    assert.ok(saved.count() > 2970 && saved.count() < 2990, String(saved.count()))
    await saved.close()
  })

  test('saves what is left where segments are missing or cut', async (t) => {
    const store = await filled(t)
    const { path: missing } = placeOf(store, 'key 1200')
    const { path: cut, at } = placeOf(store, 'key 2500')
    await store.close()
    assert.notEqual(missing, cut)
    copyStore(store.path, `${store.path} of another boot`)
    // Named by a manifest, and not named.
    const other = open<Buffer>(`${store.path} of another boot`, options)
    other.put('of another boot', Buffer.from('1'))
    await other.close()
    for (const directory of [store.path, `${store.path} of another boot`]) {
      rmSync(missing.replace(store.path, directory))
      truncateSync(cut.replace(store.path, directory), at + 100)
      const { report, store: saved } = await openRepaired(t, directory)
      assert.ok(
        report.lost.some(
          ({ file, what }) => file.endsWith(missing.slice(-5)) && /missing/.test(what),
        ),
        JSON.stringify(report.lost),
      )
      assert.equal(saved.get('key 1200'), undefined)
      assert.equal(saved.get('key 2500'), undefined)
      assert.deepEqual(saved.get('key 2499'), Buffer.alloc(1000, 2499))
      assert.deepEqual(saved.get('key 10'), Buffer.alloc(1000, 10))
      await saved.close()
    }
  })

  test('loses a large value and nothing else', async (t) => {
    const store = await filled(t)
    await store.close()
    const name = segmentNames(store.path).find((file) => file.startsWith('value-')) ?? ''
    flip(join(store.path, name), 70_000)
    const { report, store: saved } = await openRepaired(t, store.path)
    assert.deepEqual(
      report.lost.map(({ file }) => file),
      [join(store.path, name)],
    )
    assert.equal(saved.get('large'), undefined)
    assert.equal(saved.count(), 3000)
    await saved.close()
  })

  test('does without superblock, manifest, segment headers and file names', async (t) => {
    const store = await filled(t)
    await store.close()
    const [first, second] = segmentNames(store.path)
    const damages: readonly ((directory: string) => void)[] = [
      (directory) => rmSync(join(directory, 'superblock')),
      (directory) => rmSync(join(directory, 'manifest')),
      (directory) => flip(join(directory, 'manifest'), 30),
      (directory) => flip(join(directory, first), 30),
      (directory) => {
        rmSync(join(directory, 'superblock'))
        rmSync(join(directory, 'manifest'))
      },
      (directory) => {
        renameSync(join(directory, first), join(directory, 'away'))
        renameSync(join(directory, second), join(directory, first))
        renameSync(join(directory, 'away'), join(directory, second))
      },
    ]
    for (const damage of damages) {
      const directory = join(temporaryDirectory(t), 'damaged')
      copyStore(store.path, directory)
      damage(directory)
      const { report, store: saved } = await openRepaired(t, directory)
      assert.deepEqual(report.lost, [])
      assert.ok(report.noted.length > 0)
      assert.equal(saved.count(), 3001)
      assert.deepEqual(saved.get('large'), Buffer.alloc(2 ** 18 + 1, 7))
      assert.equal(saved.keyspace<Buffer>('users').get('user')?.toString(), '1')
      await saved.close()
    }
  })

  test('gives names to keyspaces whose registry is lost', async (t) => {
    const store = open<Buffer>(join(temporaryDirectory(t), 'store'), options)
    store.put('key', Buffer.from('1'))
    store.keyspace<Buffer>('users', { encoding: 'binary' }).put('user', Buffer.from('2'))
    await store.close()
    const [name] = segmentNames(store.path)
    const path = join(store.path, name)
    const bytes = readFileSync(path)
    for (let at = bytes.indexOf('{"nextId"'); at >= 0; at = bytes.indexOf('{"nextId"', at + 1)) {
      flip(path, at + 3)
    }
    const { report, store: saved } = await openRepaired(t, store.path)
    assert.ok(report.lost.length >= 2, JSON.stringify(report.lost))
    assert.equal(saved.get('key')?.toString(), '1')
    const [lostName] = saved.keyspaces()
    assert.match(lostName, /^salvaged-\d+$/)
    assert.equal(saved.keyspace<Buffer>(lostName).count(), 1)
    await saved.close()
  })

  test('saves the rest of a batch', async (t) => {
    const store = open<Buffer>(join(temporaryDirectory(t), 'store'), options)
    store.put('first', Buffer.from('0'))
    const operation = (key: string) => ({ type: 'put', key, value: Buffer.alloc(40, key) }) as const
    store.write([operation('a'), operation('b'), operation('c')])
    const { path, at } = placeOf(store, 'b')
    const frame = placeOf(store, 'a').at - 64
    store.put('last', Buffer.from('1'))
    await store.close()
    for (const [damage, keys] of [
      [at + 80, ['a', 'c', 'first', 'last']],
      [frame + 60, ['a', 'b', 'c', 'first', 'last']],
    ] as const) {
      flip(path, damage)
      const { report, store: saved } = await openRepaired(t, store.path)
      flip(path, damage)
      assert.ok(report.lost.length > 0)
      assert.deepEqual(saved.keys().toArray(), keys)
      await saved.close()
    }
  })
})

test('of sampled bits, whatever is damaged, all else is saved', async (t) => {
  for (const kind of ['closed', 'recovered'] as const) {
    const fixture = await makeFixture(t, kind)
    const random = new Random(seed)
    const names = ['superblock', 'manifest', ...segmentNames(fixture.directory)]
    for (let count = 0; count < (isThorough ? 400 : 40); count++) {
      const path = join(fixture.directory, random.pick(names))
      const bytes = readFileSync(path)
      const at = random.below(bytes.findLastIndex((byte) => byte !== 0) + 1)
      overwrite(path, at, Uint8Array.of(bytes[at] ^ (1 << random.below(8))))
      const { report, store } = await openRepaired(t, fixture.directory)
      overwrite(path, at, Uint8Array.of(bytes[at]))
      const difference = differenceOf(store, fixture.state)
      const place = `${path} byte ${at}, VARVE_SEED=${seed}`
      // What is missing, or older than it was, is named.
      if (difference !== undefined) assert.ok(report.lost.length > 0, `${place}: ${difference}`)
      const expected = countOf(fixture)
      const saved =
        store.count() +
        store.keyspaces().reduce((sum, name) => sum + store.keyspace(name).count(), 0)
      assert.ok(Math.abs(saved - expected) <= 1, `${place}: ${saved} of ${expected} records`)
      await store.close()
    }
  }
})

function countOf({ state }: Fixture): number {
  return [...state.values()].reduce((sum, entries) => sum + entries.size, 0)
}

describe('a repair that cannot be', () => {
  test('is refused where there is nothing of a store, a target in use, or a store that is open', async (t) => {
    const parent = temporaryDirectory(t)
    const target = join(parent, 'target')
    await assert.rejects(salvage(join(parent, 'none'), target), { code: 'STORE_NOT_FOUND' })
    await assert.rejects(salvage(temporaryDirectory(t), target), { code: 'STORE_NOT_FOUND' })
    const store = open<Buffer>(join(parent, 'store'), options)
    store.put('key', Buffer.from('1'))
    await assert.rejects(salvage(store.path, store.path), { code: 'STORE_EXISTS' })
    await assert.rejects(salvage(store.path, join(store.path, 'inside')), RangeError)
    writeFileSync(join(parent, 'file'), '')
    await assert.rejects(salvage(store.path, join(parent, 'file')), { code: 'STORE_EXISTS' })
    await assert.rejects(salvage(store.path, target), { code: 'STORE_LOCKED' })
    await store.close()
    storeErrorOf(() => open(target, { createIfMissing: false }), 'STORE_NOT_FOUND')
    await salvage(store.path, target)
    await assert.rejects(salvage(store.path, target), { code: 'STORE_EXISTS' })
  })
})

test('a repair that is killed leaves no store, and the damaged one as it was', async (t) => {
  const store = open<Buffer>(join(temporaryDirectory(t), 'store'), options)
  for (const key of ['a', 'b', 'c']) store.put(key, Buffer.alloc(2 ** 18 + 1, key))
  const { path, at } = placeOf(store, 'b')
  await store.close()
  flip(path, at + 56)
  const before = contentsOf(store.path)
  const child = fileURLToPath(new URL('../../linked/test/verify/copy-child.js', import.meta.url))
  let emptyCount = 0
  let partCount = 0
  for (let steps = 1, isDone = false; !isDone; steps++) {
    const target = join(temporaryDirectory(t), 'target')
    const args = [child, 'repair', store.path, target, String(steps)]
    const { signal, status } = spawnSync(process.execPath, args, { stdio: 'inherit' })
    assert.deepEqual(contentsOf(store.path), before)
    isDone = status === 0
    if (isDone || existsSync(join(target, 'superblock'))) {
      const saved = open<Buffer>(target, { createIfMissing: false })
      assert.deepEqual(saved.keys().toArray(), ['a', 'c'])
      assert.deepEqual((await saved.verify()).problems, [])
      await saved.close()
    } else {
      assert.equal(signal, 'SIGKILL')
      const left = contentsOf(target)
      assert.throws(() => open(target, { createIfMissing: false }), StoreError)
      assert.deepEqual(contentsOf(target), left)
      if (Object.keys(left).length === 0) {
        // Its name is synced before anything is in it: no trace of a repair, and free for the next one.
        emptyCount++
        await salvage(store.path, target)
      } else {
        partCount++
        assert.throws(() => open(target, { createIfMissing: true }), StoreError)
        assert.deepEqual(contentsOf(target), left)
        await assert.rejects(salvage(store.path, target), { code: 'STORE_EXISTS' })
      }
    }
  }
  assert.equal(emptyCount, 1, 'the kill before the first file')
  assert.ok(partCount > 10, `${partCount} kills within it`)
})
