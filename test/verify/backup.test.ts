/**
 * Goal: a backup is the store as it was at one moment, whatever goes on meanwhile, and a directory
 *   never has less than the last one that was completed.
 * Method: backups of stores of every kind, of one that threads write to, into fresh directories and
 *   on top of older ones, killed in the middle, with damage in the store or in the older backup.
 * Properties checked: opened, it holds what the store held, or a prefix of what was written; it is
 *   whole to `verify`; what was in the directory before is left where it is refused.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { abandon } from '../../src/engine/close.js'
import { decodeSuperblock } from '../../src/format/superblock.js'
import { open, type Store } from '../../src/store/index.js'
import { makeFixture } from '../damage/fixture.js'
import {
  contentsOf,
  copyStore,
  overwrite,
  removeDirectory,
  segmentNames,
  temporaryDirectory,
} from '../support/directory.js'
import { engineOf } from '../support/engine-of.js'
import { Random } from '../support/random.js'
import { seed } from '../support/seed.js'
import { differenceOf } from '../support/state.js'

const segmentSizeBytes = 2 ** 20
const options = {
  encoding: 'binary',
  segmentSizeBytes,
  syncIntervalMs: 0,
  autoCompact: false,
} as const

function fill(store: Store<Buffer>, round: number, count = 1500): void {
  const random = new Random(round)
  for (let index = 0; index < count; index++) {
    store.put(`key ${random.below(1000)}`, random.bytes(random.below(2000)))
    if (random.chance(0.05)) store.delete(`key ${random.below(1000)}`)
  }
  store.keyspace<Buffer>('users', { encoding: 'binary' }).put(`user ${round}`, random.bytes(20))
  store.put(`large ${round}`, random.bytes(2 ** 18 + round))
}

/** Everything in a store, to be compared. */
function contentOf(store: Store<Buffer>): Map<string, string> {
  const content = new Map<string, string>()
  for (const name of [undefined, ...store.keyspaces()]) {
    const space = name === undefined ? store : store.keyspace<Buffer>(name)
    for (const [key, value] of space.range()) {
      content.set(`${name ?? ''}/${key}`, value.toString('base64'))
    }
  }
  return content
}

/** Opens a copy of a backup, which stays as it is, and reads everything. */
async function contentOfBackup(
  t: Parameters<typeof temporaryDirectory>[0],
  directory: string,
): Promise<Map<string, string>> {
  const copy = join(temporaryDirectory(t), 'copy')
  copyStore(directory, copy)
  const store = open<Buffer>(copy, { createIfMissing: false })
  assert.deepEqual((await store.verify()).problems, [])
  const content = contentOf(store)
  await store.close()
  return content
}

describe('a backup', () => {
  for (const mapping of ['mmap', 'file'] as const) {
    test(`holds what the store held (${mapping}), and is a store of its own`, async (t) => {
      const parent = temporaryDirectory(t)
      const [path, target] = [join(parent, 'store'), join(parent, 'backup')]
      const store = open<Buffer>(path, { ...options, mapping })
      fill(store, 1)
      const report = await store.backup(target)
      const content = contentOf(store)
      assert.equal(report.segments, segmentNames(target).length)
      assert.equal(report.segmentsCopied, report.segments)
      assert.ok(!existsSync(join(target, 'control')))
      store.put('later', Buffer.from('not in it'))
      assert.deepEqual(await contentOfBackup(t, target), content)
      const ids = [path, target].map((directory) => {
        const file = join(directory, 'superblock')
        return decodeSuperblock(readFileSync(file), file, true)
      })
      assert.deepEqual(ids[0].storeId, ids[1].storeId)
      assert.notDeepEqual(ids[0].lineageId, ids[1].lineageId)
      // Both go on, each for itself.
      const other = open<Buffer>(target)
      other.put('later', Buffer.from('in the other'))
      assert.equal(store.get('later')?.toString(), 'not in it')
      await other.close()
      await store.close()
      const again = open<Buffer>(target)
      assert.equal(again.get('later')?.toString(), 'in the other')
      assert.deepEqual((await again.verify()).problems, [])
      await again.close()
    })
  }

  test('of a store in memory brings it to a disk', async (t) => {
    const store = open<Buffer>(':memory:', options)
    fill(store, 1)
    const target = join(temporaryDirectory(t), 'backup')
    await store.backup(target)
    assert.deepEqual(await contentOfBackup(t, target), contentOf(store))
    await store.close()
  })

  test('of an empty store is an empty store', async (t) => {
    const parent = temporaryDirectory(t)
    await using store = open<Buffer>(join(parent, 'store'), options)
    await store.backup(join(parent, 'backup'))
    assert.equal((await contentOfBackup(t, join(parent, 'backup'))).size, 0)
  })

  for (const kind of ['closed', 'recovered'] as const) {
    for (const mapping of ['mmap', 'file'] as const) {
      test(`is made of a store of another boot, by a reader too: ${kind}, ${mapping}`, async (t) => {
        const { directory, state } = await makeFixture(t, kind, mapping)
        for (const readOnly of [true, false]) {
          const target = join(temporaryDirectory(t), 'backup')
          const store = open<Buffer>(directory, { mapping, readOnly, syncIntervalMs: 0 })
          await store.backup(target)
          abandon(engineOf(store))
          const opened = open<Buffer>(target, { mapping })
          assert.equal(differenceOf(opened, state), undefined)
          await opened.close()
        }
      })
    }
  }

  test('on top of an older one copies what is new, and gives what a fresh one gives', async (t) => {
    const parent = temporaryDirectory(t)
    const target = join(parent, 'backup')
    let store = open<Buffer>(join(parent, 'store'), options)
    let copiedBefore = 0
    for (let round = 1; round <= 4; round++) {
      fill(store, round)
      const { bytesCopied, segments, segmentsCopied } = await store.backup(target)
      if (round > 1) assert.ok(segmentsCopied < segments, `${segmentsCopied} of ${segments}`)
      if (round === 3) assert.ok(bytesCopied < 2 * copiedBefore)
      copiedBefore = bytesCopied
      assert.deepEqual(await contentOfBackup(t, target), contentOf(store))
      // Nothing new: nothing is copied.
      const again = await store.backup(target)
      assert.equal(again.bytesCopied, 0)
      if (round === 2) {
        // Goes on in another epoch.
        await store.close()
        copyStore(join(parent, 'store'), join(parent, 'moved'))
        store = open<Buffer>(join(parent, 'moved'), options)
      }
    }
    await store.close()
  })

  test('mends what is damaged or missing in the older one', async (t) => {
    const parent = temporaryDirectory(t)
    const target = join(parent, 'backup')
    const store = open<Buffer>(join(parent, 'store'), options)
    fill(store, 1)
    await store.backup(target)
    for (const name of segmentNames(target)) {
      for (const at of [100, 300, 5000]) {
        const path = join(target, name)
        overwrite(path, at, Uint8Array.of(readFileSync(path)[at] ^ 8))
        await store.backup(target)
        assert.deepEqual(await contentOfBackup(t, target), contentOf(store), `${name} byte ${at}`)
      }
    }
    await store.close()
  })

  test('of a damaged store is refused, and the older one stays', async (t) => {
    const parent = temporaryDirectory(t)
    const target = join(parent, 'backup')
    const store = open<Buffer>(join(parent, 'store'), options)
    fill(store, 1)
    await store.backup(target)
    const content = contentOf(store)
    fill(store, 2)
    await store.sync()
    store.put('damaged', Buffer.alloc(100, 1))
    store.has('damaged')
    const { log, lookup } = engineOf(store)
    const bytes = log.bytes[lookup.slot]
    const at = lookup.offset * 8 + 80
    bytes[at] ^= 8
    await assert.rejects(store.backup(target), { code: 'STORE_CORRUPT' })
    await assert.rejects(store.backup(join(parent, 'fresh')), { code: 'STORE_CORRUPT' })
    assert.deepEqual(await contentOfBackup(t, target), content)
    assert.ok(!existsSync(join(parent, 'fresh', 'superblock')))
    bytes[at] ^= 8
    await store.backup(target)
    await store.backup(join(parent, 'fresh'))
    assert.deepEqual(await contentOfBackup(t, join(parent, 'fresh')), contentOf(store))
    await store.close()
  })

  test('is refused where something else is, and changes nothing there', async (t) => {
    const parent = temporaryDirectory(t)
    const store = open<Buffer>(join(parent, 'store'), options)
    fill(store, 1, 100)
    const other = open<Buffer>(join(parent, 'other'), options)
    await other.backup(join(parent, 'of another'))
    await other.close()
    mkdirSync(join(parent, 'foreign'))
    writeFileSync(join(parent, 'foreign', 'readme'), 'mine')
    mkdirSync(join(parent, 'headless'))
    const [segment] = segmentNames(join(parent, 'other'))
    copyFileSync(join(parent, 'other', segment), join(parent, 'headless', segment))
    writeFileSync(join(parent, 'file'), 'mine')
    await store.backup(join(parent, 'used'))
    const used = open<Buffer>(join(parent, 'used'), { mapping: 'file' })
    used.put('key', Buffer.from('value'))
    await used.close()
    for (const name of ['store', 'other', 'of another', 'foreign', 'headless', 'used']) {
      const before = contentsOf(join(parent, name))
      await assert.rejects(store.backup(join(parent, name)), { code: 'STORE_EXISTS' }, name)
      if (name !== 'store') assert.deepEqual(contentsOf(join(parent, name)), before)
    }
    await assert.rejects(store.backup(join(parent, 'file')), { code: 'STORE_EXISTS' })
    symlinkSync(store.path, join(parent, 'link'))
    for (const inside of ['backup', 'a/b', '../link/backup']) {
      const before = readdirSync(store.path)
      await assert.rejects(store.backup(join(store.path, inside)), RangeError, inside)
      assert.deepEqual(readdirSync(store.path), before)
    }
    await assert.rejects(store.backup(''), TypeError)
    await assert.rejects(store.backup(':memory:'), TypeError)
    await store.close()
    await assert.rejects(store.backup(join(parent, 'fresh')), { code: 'STORE_CLOSED' })
  })

  test('is one moment of a store that threads write to', async (t) => {
    const parent = temporaryDirectory(t)
    const path = join(parent, 'store')
    const store = open<Buffer>(path, options)
    const end = new Int32Array(new SharedArrayBuffer(8))
    const workers = [1, 2].map(
      (number) =>
        new Worker(new URL('./update-worker.js', import.meta.url), {
          workerData: { path, end, seed: seed + number },
        }),
    )
    const exits = workers.map((worker) => once(worker, 'exit'))
    // A prefix: of two counters, written one after the other, the second is never ahead.
    let count = 0
    const write = (): void => {
      if (Atomics.load(end, 0) !== 0) return
      count++
      store.put('first', Buffer.from(String(count)))
      store.put('second', Buffer.from(String(count)))
      setImmediate(write)
    }
    write()
    let before = 0
    for (let round = 0; round < 6 || Atomics.load(end, 1) < 100; round++) {
      const atLeast = count
      await store.backup(join(parent, 'backup'))
      const content = await contentOfBackup(t, join(parent, 'backup'))
      const [first, second] = ['/first', '/second'].map((key) =>
        Number(Buffer.from(content.get(key) ?? '', 'base64').toString()),
      )
      assert.ok(first - second === 0 || first - second === 1, `${first} ${second}`)
      assert.ok(second >= atLeast && second >= before, 'what was written before it is in it')
      before = second
    }
    Atomics.store(end, 0, 1)
    await Promise.all(exits)
    await store.close()
  })
})

test('a backup that is killed leaves no store, or the older backup, and the next one completes it', async (t) => {
  const parent = temporaryDirectory(t)
  const path = join(parent, 'store')
  const target = join(parent, 'backup')
  const child = fileURLToPath(new URL('../../linked/test/verify/copy-child.js', import.meta.url))
  const make = open<Buffer>(path, options)
  for (let round = 0; round < 4; round++) fill(make, round)
  await make.close()
  const random = new Random(seed)
  let older: Map<string, string> | undefined
  let killedCount = 0
  for (let round = 0; round < 24; round++) {
    if (round === 12) {
      const store = open<Buffer>(path, options)
      await store.backup(target)
      older = contentOf(store)
      for (let more = 10; more < 13; more++) fill(store, more)
      await store.close()
    }
    // The child ends itself at its n-th call that changes the target.
    const steps = 1 + random.below(round % 12 < 9 ? 80 : 25)
    const run = spawn(process.execPath, [child, 'backup', path, target, String(steps)], {
      stdio: 'inherit',
    })
    const [exitCode, signal] = await once(run, 'exit')
    if (signal === 'SIGKILL') killedCount++
    else assert.equal(exitCode, 0)
    const isDone = signal === null
    const copy = join(temporaryDirectory(t), 'copy')
    if (existsSync(target)) copyStore(target, copy)
    const hasStore = existsSync(join(copy, 'superblock'))
    if (older === undefined && !isDone && !hasStore) {
      assert.throws(() => open(copy, { createIfMissing: false }), /./, 'it is no store')
      continue
    }
    const store = open<Buffer>(copy, { createIfMissing: false })
    const content = contentOf(store)
    assert.deepEqual((await store.verify()).problems, [], `VARVE_SEED=${seed}`)
    await store.close()
    const source = open<Buffer>(path, { readOnly: true })
    const newer = contentOf(source)
    await source.close()
    const isOlder = older !== undefined && isSame(content, older)
    assert.ok(isOlder || isSame(content, newer), `VARVE_SEED=${seed} round ${round}`)
    if (isDone) assert.ok(isSame(content, newer))
    if (round < 12 && readdirSync(target).includes('superblock')) {
      // Begin anew: fresh targets are to be killed, too.
      removeDirectory(target)
    }
  }
  assert.ok(killedCount > 4, `${killedCount} were killed`)
  const store = open<Buffer>(path, options)
  await store.backup(target)
  assert.deepEqual(await contentOfBackup(t, target), contentOf(store))
  assert.ok(readdirSync(target).every((name) => !name.endsWith('.copy')))
  assert.ok(statSync(target).isDirectory())
  await store.close()
})

function isSame(a: Map<string, string>, b: Map<string, string>): boolean {
  return a.size === b.size && [...a].every(([key, value]) => b.get(key) === value)
}
