/**
 * Goal: each row of the table of openings, and of the others, is met by a store that is really so, and
 *   what it says is what happens. C4: the same boot is not the same page cache.
 * Method: the files of stores as a close, a kill, a copy, another mount, a failed flush or a lost cache
 *   leave them.
 * Properties checked: the rows that `lastRecovery` names, and the contents.
 */
import assert from 'node:assert/strict'
import { copyFileSync, readdirSync, readFileSync, renameSync, rmSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { abandon } from '../../src/engine/close.js'
import * as layout from '../../src/format/control-layout.js'
import { volatileFileNames } from '../../src/format/file-names.js'
import { open, type Store, type StoreOptions } from '../../src/store/index.js'
import { copyAsKilled, moveToOtherBoot } from '../kill/memory-image.js'
import { copyStore, overwrite, segmentNames, temporaryDirectory } from '../support/directory.js'
import { atEnd, type Ending } from '../support/ending.js'
import { engineOf } from '../support/engine-of.js'
import { storeErrorOf } from '../support/store-error.js'

const options = { segmentSizeBytes: 2 ** 20, encoding: 'utf8', syncIntervalMs: 0 } as const

interface Found {
  readonly rows: readonly string[]
  readonly a: string | undefined
  readonly b: string | undefined
}

/** What opening for writing finds; the store is left as a kill would leave it. */
function openAnd(directory: string, more: StoreOptions<string> = {}): Found {
  const store = open<string>(directory, { ...options, ...more })
  const { rows } = store.stats().lastRecovery
  const found = { rows, a: store.get('a'), b: store.get('b') }
  abandon(engineOf(store))
  return found
}

/** A live store with `a` synced and `b` not. */
async function live(cleanup: Ending): Promise<{ store: Store<string>; at: string; to: string }> {
  const parent = temporaryDirectory(cleanup)
  const at = join(parent, 'live')
  const store = open<string>(at, options)
  store.put('a', 'synced')
  await store.sync()
  store.put('b', 'written')
  atEnd(cleanup, () => abandon(engineOf(store)))
  return { store, at, to: join(parent, 'found') }
}

const both = { a: 'synced', b: 'written' }
const synced = { a: 'synced', b: undefined }

describe('memory is believed', () => {
  test('of a store that is open elsewhere', async (t) => {
    const { at } = await live(t)
    assert.deepEqual(openAnd(at), { rows: ['open-elsewhere'], ...both })
  })

  test('of one that was closed on this boot', async (t) => {
    const at = temporaryDirectory(t)
    const store = open<string>(at, options)
    assert.deepEqual(store.stats().lastRecovery.rows, ['new-store'])
    store.put('a', 'synced')
    await store.close()
    assert.deepEqual(openAnd(at), { rows: ['closed'], a: 'synced', b: undefined })
  })

  test('of one that was killed, and what it announced is made', async (t) => {
    const { store, at, to } = await live(t)
    copyAsKilled(at, to)
    assert.deepEqual(openAnd(to), { rows: ['killed-within-a-change'], ...both })
    // A boundary is moved: nothing else is announced.
    store.snapshot().close()
    copyAsKilled(at, `${to}-2`)
    assert.deepEqual(openAnd(`${to}-2`), { rows: ['killed'], ...both })
  })
})

describe('C4: memory is not believed', () => {
  test('in a copy of a live store, which has its control file and its boot', async (t) => {
    const { at, to } = await live(t)
    copyStore(at, to)
    assert.deepEqual(openAnd(to), {
      rows: ['other-boot', 'whole-log', 'old-control-file', 'copied-in-doubt'],
      ...both,
    })
  })

  test('on another boot, and on another mount of this one', async (t) => {
    const { at, to } = await live(t)
    copyAsKilled(at, to)
    moveToOtherBoot(to)
    assert.equal(openAnd(to).rows[0], 'other-boot')
    copyAsKilled(at, `${to}-2`)
    overwrite(join(`${to}-2`, 'control'), layout.mountIdOffset, Buffer.from('another\0'))
    assert.equal(openAnd(`${to}-2`).rows[0], 'other-boot')
  })

  test('where a cache was lost on this boot', async (t) => {
    const { store, at, to } = await live(t)
    const { tailOffset } = engineOf(store).log
    store.put('c', 'more')
    copyAsKilled(at, to)
    const [segment] = segmentNames(to)
    // The page of the record before never arrived.
    overwrite(join(to, segment), tailOffset * 8 - 64, Buffer.alloc(64))
    assert.deepEqual(openAnd(to), {
      rows: ['killed-and-torn', 'whole-log', 'last-marker', 'copied-in-doubt'],
      ...synced,
    })
  })

  test('after a flush that failed: what is kept is written to new files', async (t) => {
    const { store, at, to } = await live(t)
    engineOf(store).control.poison('EIO')
    copyAsKilled(at, to)
    assert.deepEqual(openAnd(to), {
      rows: ['poisoned', 'whole-log', 'old-control-file', 'copied'],
      ...both,
    })
  })

  test('where a segment is another file than the one that was signed, or shorter', async (t) => {
    const { at, to } = await live(t)
    copyAsKilled(at, to)
    const [segment] = segmentNames(to)
    copyFileSync(join(to, segment), join(to, 'copied'))
    renameSync(join(to, 'copied'), join(to, segment))
    assert.equal(openAnd(to).rows[0], 'segments-changed')
    copyAsKilled(at, `${to}-2`)
    truncateSync(join(`${to}-2`, segment), 2 ** 19)
    assert.deepEqual(openAnd(`${to}-2`), {
      rows: ['segments-changed', 'whole-log', 'old-control-file', 'copied-in-doubt'],
      ...both,
    })
  })

  test('without a control file, with half of one, and with one of an earlier epoch', async (t) => {
    const { at, to } = await live(t)
    copyStore(at, to)
    for (const name of volatileFileNames) rmSync(join(to, name))
    assert.deepEqual(openAnd(to), {
      rows: ['no-control-file', 'whole-log', 'cut-at-marker', 'copied-in-doubt'],
      ...synced,
    })
    copyStore(at, `${to}-2`)
    truncateSync(join(`${to}-2`, 'control'), 5000)
    assert.equal(openAnd(`${to}-2`).rows[0], 'no-control-file')
    copyStore(at, `${to}-3`)
    openAnd(`${to}-3`)
    // The one before the recovery that raised the epoch.
    copyFileSync(join(at, 'control'), join(`${to}-3`, 'control'))
    assert.deepEqual(openAnd(`${to}-3`), {
      rows: ['foreign-control-file', 'whole-log', 'last-marker', 'copied-in-doubt'],
      ...both,
    })
  })
})

describe('without a mapping', () => {
  test('the log is read again after a close, and refused after a kill', async (t) => {
    const { store, at, to } = await live(t)
    copyAsKilled(at, to)
    storeErrorOf(() => open(to, { ...options, mapping: 'file' }), 'STORE_IN_USE')
    await store.close()
    const found = openAnd(at, { mapping: 'file' })
    assert.deepEqual(found, {
      rows: ['unmapped-after-close', 'whole-log', 'last-marker', 'copied-in-doubt'],
      ...both,
    })
    storeErrorOf(() => {
      const holder = open(to, options)
      try {
        open(to, { ...options, mapping: 'file' })
      } finally {
        abandon(engineOf(holder))
      }
    }, 'STORE_LOCKED')
  })

  test('records that verify are believed where nothing is updated in place', async (t) => {
    const parent = temporaryDirectory(t)
    const at = join(parent, 'live')
    const store = open<string>(at, { ...options, mapping: 'file' })
    store.put('a', 'synced')
    await store.sync()
    store.put('b', 'written')
    const to = join(parent, 'found')
    copyStore(at, to)
    assert.deepEqual(openAnd(to, { mapping: 'file' }), {
      rows: ['no-control-file', 'whole-log', 'appended-only', 'copied-in-doubt'],
      ...both,
    })
    await store.close()
  })
})

describe('a store is refused', () => {
  test('without a manifest, with half of one, and with damage in what it names', async (t) => {
    const { at, to } = await live(t)
    copyStore(at, to)
    rmSync(join(to, 'manifest'))
    storeErrorOf(() => open(to, options), 'STORE_CORRUPT')
    copyStore(at, `${to}-2`)
    truncateSync(join(`${to}-2`, 'manifest'), 30)
    storeErrorOf(() => open(`${to}-2`, options), 'STORE_CORRUPT')
    copyStore(at, `${to}-3`)
    openAnd(`${to}-3`)
    const [segment] = readdirSync(`${to}-3`).filter((name) => name.startsWith('segment-'))
    const path = join(`${to}-3`, segment)
    overwrite(path, 150, Uint8Array.of(readFileSync(path)[150] ^ 1))
    rmSync(join(`${to}-3`, 'control'))
    storeErrorOf(() => open(`${to}-3`, options), 'STORE_CORRUPT')
  })
})

describe('an update in place that the log lacks', () => {
  test('is made before what is kept is synced, or copied', async (t) => {
    for (const isPoisoned of [false, true]) {
      const parent = temporaryDirectory(t)
      const at = join(parent, 'live')
      const store = open<string>(at, options)
      store.put('a', 'one')
      const [segment] = segmentNames(at)
      const old = readFileSync(join(at, segment))
      store.put('a', 'two')
      if (isPoisoned) engineOf(store).control.poison('EIO')
      const to = join(parent, 'found')
      copyStore(at, to)
      overwrite(join(to, segment), 0, old)
      const { rows, a } = openAnd(to)
      assert.equal(a, 'two')
      assert.equal(rows[3], isPoisoned ? 'updated-and-copied' : 'updated-and-copied-in-doubt')
      abandon(engineOf(store))
    }
  })
})
