/**
 * Goal: what compaction drops is needed by nobody (I8), not before it is replaced on the medium (I9), and
 *   never taken for damage, nor damage for it.
 * Method: stores that are compacted in one place only, their directories copied at the steps that matter,
 *   files removed, put back and damaged.
 * Properties checked: each test's own.
 * Kept by: `keepsTombstones` in survey.ts, drop-segments.ts and copy-records.ts; `sync` and
 *   `nameWhatIsLeft` in drop-segments.ts; `segmentKindDropped`, and `#follows` in log-reader.ts.
 */
import assert from 'node:assert/strict'
import { copyFileSync, existsSync, readFileSync, rmSync } from 'node:fs'
import { basename, join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import * as layout from '../../src/format/control-layout.js'
import type { Platform } from '../../src/platform/platform.js'
import { readManifest } from '../../src/recovery/store-files.js'
import { open, type Store } from '../../src/store/index.js'
import { copyAsKilled } from '../kill/memory-image.js'
import { copyStore, overwrite, segmentNames, temporaryDirectory } from '../support/directory.js'
import { atEnd } from '../support/ending.js'
import { engineOf } from '../support/engine-of.js'
import { options } from './support.js'

const all = { minGarbageRatio: 0.01 }
const filler = (size: number, fill: number): Buffer => Buffer.alloc(size, fill)

/** Puts under one key until the log is in another segment. */
function fillSegment(store: Store<Buffer>, key = 'filler'): void {
  const { control } = engineOf(store)
  const before = control.get(layout.tailSlot)
  for (let index = 0; control.get(layout.tailSlot) === before; index++) {
    store.put(key, filler(90_000, index))
  }
}

/** The timers of the background keep no process alive. */
function keepAlive(t: TestContext): void {
  const timer = setInterval(() => undefined, 1000)
  atEnd(t, () => clearInterval(timer))
}

/** What the log alone tells. */
async function replayed<T>(
  directory: string,
  parent: string,
  look: (store: Store<Buffer>) => T,
): Promise<T> {
  const copy = join(parent, `copy-${Math.random()}`)
  copyStore(directory, copy)
  const store = open<Buffer>(copy, options)
  try {
    assert.equal(store.stats().lastRecovery.kind, 'replay')
    assert.deepEqual((await store.verify()).problems, [])
    return look(store)
  } finally {
    await store.close()
  }
}

describe('a tombstone', () => {
  test('stays as long as an older segment has what it deleted, and goes behind it (I8)', async (t) => {
    const parent = temporaryDirectory(t)
    const directory = join(parent, 'store')
    const store = open<Buffer>(directory, options)
    store.put('deleted', filler(10, 1))
    // Lives, so that its segment is not worth a compaction.
    for (let index = 0; index < 49; index++) store.put(`lives ${index}`, filler(100_000, index))
    fillSegment(store)
    store.delete('deleted')
    fillSegment(store)
    fillSegment(store)
    const [first] = segmentNames(directory)
    const { recordsMoved } = await store.compact({ minGarbageRatio: 0.5 })
    assert.equal(segmentNames(directory)[0], first)
    assert.ok(recordsMoved > 0)
    const get = (copy: Store<Buffer>): unknown => copy.get('deleted')
    assert.equal(await replayed(directory, parent, get), undefined)
    // Once more, now that the tombstone is a copy itself.
    fillSegment(store)
    fillSegment(store)
    await store.compact({ minGarbageRatio: 0.5 })
    assert.equal(segmentNames(directory)[0], first)
    assert.equal(await replayed(directory, parent, get), undefined)
    await store.compact(all)
    assert.notEqual(segmentNames(directory)[0], first)
    assert.equal(await replayed(directory, parent, get), undefined)
    fillSegment(store)
    await store.compact(all)
    const tombstoneBytes = store.compactionEstimate().segments.map((s) => s.tombstoneBytes)
    assert.deepEqual(new Set(tombstoneBytes), new Set([0]))
    await store.close()
  })

  test('of a key that was put again does not hide it', async (t) => {
    const parent = temporaryDirectory(t)
    const directory = join(parent, 'store')
    const store = open<Buffer>(directory, options)
    for (let index = 0; index < 9; index++) store.put(`lives ${index}`, filler(100_000, index))
    for (let round = 0; round < 4; round++) {
      store.put('key', filler(10, round))
      fillSegment(store)
      store.delete('key')
      fillSegment(store)
      store.put('key', filler(11, round))
      await store.compact({ minGarbageRatio: 0.5 })
      const found = await replayed(directory, parent, (copy) => copy.get('key'))
      assert.ok(found?.equals(filler(11, round)))
    }
    await store.close()
  })
})

describe('a segment', () => {
  test('goes when its copies are synced and the manifest names it no more (I9)', async (t) => {
    const parent = temporaryDirectory(t)
    const directory = join(parent, 'store')
    const store = open<Buffer>(directory, options)
    const { control, log } = engineOf(store)
    for (let round = 0; round < 4; round++) {
      store.put(`lives ${round}`, filler(100, round))
      fillSegment(store)
    }
    const platform = log.platform as { -readonly [K in keyof Platform]: Platform[K] }
    const { removeAsync } = platform
    let removed = 0
    platform.removeAsync = async (path) => {
      const number = Number(basename(path).split('-')[1])
      assert.ok(control.read(layout.durable) >= control.read(layout.tail))
      const manifest = readManifest(log.platform, directory, log.storeId)
      assert.ok(manifest !== undefined && number < manifest.nextSegmentNumber)
      assert.ok(!manifest.segments.some(({ segmentNumber }) => segmentNumber === number))
      assert.equal(log.slotOf(number), -1)
      removed++
      await removeAsync(path)
    }
    await store.compact(all)
    assert.ok(removed >= 3)
    platform.removeAsync = removeAsync
    await store.close()
  })

  test('that comes back after a crash is removed, and none of it counts', async (t) => {
    const parent = temporaryDirectory(t)
    const directory = join(parent, 'store')
    const store = open<Buffer>(directory, options)
    store.put('deleted', filler(10, 1))
    fillSegment(store)
    store.delete('deleted')
    await store.sync()
    const [first] = segmentNames(directory)
    copyFileSync(join(directory, first), join(parent, first))
    fillSegment(store)
    fillSegment(store)
    await store.compact(all)
    assert.ok(!existsSync(join(directory, first)))
    await store.sync()
    copyStore(directory, join(parent, 'copy'))
    copyFileSync(join(parent, first), join(parent, 'copy', first))
    const copy = open<Buffer>(join(parent, 'copy'), options)
    assert.equal(copy.get('deleted'), undefined)
    assert.ok(!existsSync(join(parent, 'copy', first)))
    await copy.close()
    // The same on this boot, where a compactor was killed before it removed the file.
    copyFileSync(join(parent, first), join(directory, first))
    await store.compact(all)
    assert.ok(!existsSync(join(directory, first)))
    await store.close()
  })

  test('that the manifest names and that is missing is damage', async (t) => {
    const parent = temporaryDirectory(t)
    const directory = join(parent, 'store')
    const store = open<Buffer>(directory, options)
    for (let round = 0; round < 4; round++) {
      for (let index = 0; index < 6; index++) store.put(`${round} ${index}`, filler(100_000, index))
      fillSegment(store)
    }
    await store.compact({ minGarbageRatio: 0.6 })
    await store.compact(all)
    fillSegment(store)
    await store.close()
    const names = segmentNames(directory)
    assert.ok(names.length >= 3)
    for (const name of names.slice(0, -2)) {
      const copy = join(parent, name)
      copyStore(directory, copy)
      rmSync(join(copy, name))
      assert.throws(() => open<Buffer>(copy, options), { code: 'STORE_CORRUPT' })
    }
  })

  test('of a value is dropped without the log that refers to it', async (t) => {
    const parent = temporaryDirectory(t)
    const directory = join(parent, 'store')
    const store = open<Buffer>(directory, options)
    for (let index = 0; index < 12; index++) {
      store.put('large', filler(400_000, index))
      store.put(`large ${index % 2}`, filler(500_000, index))
    }
    const report = await store.compact()
    assert.ok(report.segmentsDropped >= 20, `${report.segmentsDropped}`)
    assert.equal(segmentNames(directory).length, 4)
    const check = (copy: Store<Buffer>): void => {
      assert.ok(copy.get('large')?.equals(filler(400_000, 11)))
      assert.ok(copy.get('large 0')?.equals(filler(500_000, 10)))
      copy.put('large', filler(400_000, 99))
      copy.delete('large 0')
    }
    await replayed(directory, parent, check)
    // In a backup there is no more than in the store, and it is opened like one.
    await store.backup(join(parent, 'backup'))
    const backup = open<Buffer>(join(parent, 'backup'), options)
    check(backup)
    await backup.compact()
    await backup.close()
    await store.close()
  })

  test('of a value that is being dropped when all are killed is no reason to doubt memory', async (t) => {
    const parent = temporaryDirectory(t)
    const directory = join(parent, 'store')
    const killed = join(parent, 'killed')
    const store = open<Buffer>(directory, options)
    for (let index = 0; index < 3; index++) store.put('large', filler(400_000, index))
    const platform = engineOf(store).log.platform as {
      -readonly [K in keyof Platform]: Platform[K]
    }
    const { rename } = platform
    // The manifest that does not name it any more is about to be there.
    platform.rename = (from, to) => {
      platform.rename = rename
      store.put('not synced', filler(10, 7))
      copyAsKilled(directory, killed)
      rename(from, to)
    }
    assert.equal((await store.compact(all)).segmentsDropped, 2)
    await store.close()
    const again = open<Buffer>(killed, options)
    assert.equal(again.stats().lastRecovery.kind, 'same-boot')
    assert.ok(again.get('not synced')?.equals(filler(10, 7)))
    assert.ok(again.get('large')?.equals(filler(400_000, 2)))
    await again.compact(all)
    assert.equal(segmentNames(killed).filter((name) => name.startsWith('value')).length, 1)
    assert.deepEqual((await again.verify()).problems, [])
    await again.close()
  })

  test('in which a record is damaged stays, is told of, and takes nothing with it', async (t) => {
    keepAlive(t)
    const parent = temporaryDirectory(t)
    const directory = join(parent, 'store')
    const store = open<Buffer>(directory, { ...options, autoCompact: true })
    store.compactionPaused = true
    for (let round = 0; round < 5; round++) {
      for (let index = 0; index < 3; index++) {
        store.put(`lives ${round} ${index}`, filler(10_000, index))
      }
      fillSegment(store)
    }
    await store.sync()
    const [, second] = segmentNames(directory)
    const path = join(directory, second)
    // Past its first live record.
    const at = readFileSync(path).indexOf('lives 1 1') + 30
    overwrite(path, at, Uint8Array.of(77))
    const errors: unknown[] = []
    const told = new Promise((resolve) => {
      store.on('error', (error) => {
        errors.push(error)
        resolve(error)
      })
    })
    store.compactionPaused = false
    await told
    assert.equal((errors[0] as { code: string }).code, 'STORE_CORRUPT')
    assert.equal((errors[0] as { details: { file: string } }).details.file, path)
    assert.equal(store.stats().compactionFailure, errors[0])
    assert.ok(existsSync(path))
    store.compactionPaused = true
    // What the background met, and then what it meets itself.
    await assert.rejects(store.compact(all), { code: 'STORE_CORRUPT' })
    assert.equal(store.stats().compactionFailure, undefined)
    await assert.rejects(store.compact(all), { code: 'STORE_CORRUPT' })
    assert.ok(existsSync(path))
    assert.ok(segmentNames(directory).length <= 3)
    for (let round = 0; round < 5; round++) {
      assert.ok(store.get(`lives ${round} 2`)?.equals(filler(10_000, 2)))
    }
    await store.close()
  })
})

describe('in the background', () => {
  test('a store is compacted by itself, unless it is paused', async (t) => {
    keepAlive(t)
    const directory = temporaryDirectory(t)
    const store = open<Buffer>(directory, { ...options, autoCompact: true })
    store.compactionPaused = true
    for (let round = 0; round < 6; round++) fillSegment(store)
    await new Promise((resolve) => setTimeout(resolve, 900))
    assert.equal(segmentNames(directory).length, 7)
    const done = new Promise((resolve) => {
      store.on('compaction', (event) => {
        if (event.isDone) resolve(event)
      })
    })
    store.compactionPaused = false
    await done
    assert.ok(store.stats().compactions >= 1)
    assert.ok(store.stats().fileBytes <= 2 * store.stats().liveBytes + 2 ** 21)
    await store.close()
  })

  test('what cannot be an option, or a pause, is refused', async () => {
    assert.throws(() => open(':memory:', { autoCompact: 1 as never }), TypeError)
    const store = open(':memory:')
    await assert.rejects(store.compact({ minGarbageRatio: 2 }), RangeError)
    await assert.rejects(store.compact({ minGarbageRatio: 'half' as never }), TypeError)
    await assert.rejects(store.compact({ ratio: 1 } as never), /accepted/)
    assert.throws(() => {
      store.compactionPaused = 1 as never
    }, TypeError)
    await store.close()
    await assert.rejects(store.compact(), { code: 'STORE_CLOSED' })
  })
})
