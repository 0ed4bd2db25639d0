/**
 * Goal: checkpoints do what their calls say, for those who ask for them and those who do not.
 * Method: stores with a few records, mapped and not, several attachments, copies of their directories.
 * Properties checked: what is told of a checkpoint; ids rise and never come again; which are kept; which
 *   is used; that errors leave none behind; who makes one that is due.
 */
import assert from 'node:assert/strict'
import { readdirSync, statSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { AutoCheckpoint } from '../../src/engine/auto-checkpoint.js'
import { checkpointsReferring } from '../../src/engine/checkpoints.js'
import { abandon } from '../../src/engine/close.js'
import { checkpointFileName } from '../../src/format/file-names.js'
import type { Platform } from '../../src/platform/platform.js'
import { type CheckpointInfo, open, type Store } from '../../src/store/index.js'
import { copyStore, segmentNames, temporaryDirectory } from '../support/directory.js'
import { engineOf } from '../support/engine-of.js'
import { asStoreError, storeErrorOf } from '../support/store-error.js'

const options = {
  segmentSizeBytes: 2 ** 20,
  encoding: 'utf8',
  syncIntervalMs: 0,
  // It makes checkpoints of its own, and takes away what makes one due.
  autoCompact: false,
} as const

type Changeable<T> = { -readonly [K in keyof T]: T[K] }

const filesOf = (directory: string): string[] =>
  readdirSync(directory)
    .filter((name) => name.startsWith('checkpoint-') || name === 'checkpoint.next')
    .sort()

const idsOf = (checkpoints: readonly CheckpointInfo[]): number[] => checkpoints.map(({ id }) => id)

function fill(store: Store<string>, count: number, value = 'value'): void {
  for (let index = 0; index < count; index++) store.put(`key ${index}`, `${value} ${index}`)
}

/** On another boot: which checkpoint was used, and how many records were replayed behind it. */
function recoveryOf(directory: string, to: string): { used: number | undefined; replayed: number } {
  copyStore(directory, to)
  const store = open<string>(to, { readOnly: true })
  const { checkpoint, recordsReplayed } = store.stats().lastRecovery
  abandon(engineOf(store))
  return { used: checkpoint, replayed: recordsReplayed }
}

for (const mapping of ['mmap', 'file'] as const) {
  describe(`a checkpoint (${mapping})`, () => {
    test('is told of, listed, and where the next recovery begins', async (t) => {
      const parent = temporaryDirectory(t)
      const directory = join(parent, 'live')
      const store = open<string>(directory, { ...options, mapping })
      assert.deepEqual(store.checkpoints(), [])
      fill(store, 100)
      store.keyspace('one', { encoding: 'utf8' }).put('a', 'b')
      const { sequence } = store.stats()
      const beforeMs = Date.now()
      const info = await store.checkpoint()
      const { size } = statSync(join(directory, checkpointFileName(info.id)))
      assert.equal(info.records, 101)
      assert.equal(info.sequence, sequence)
      assert.equal(info.bytes, size)
      assert.ok(info.createdAtMs >= beforeMs && info.createdAtMs <= Date.now())
      const { checkpoints, durable } = store.stats()
      assert.equal(checkpoints, 1)
      assert.ok(durable >= info.address, 'what it covers is synced')
      assert.deepEqual(store.checkpoints(), [info])
      assert.deepEqual(filesOf(directory), [checkpointFileName(info.id)])
      store.put('key 5', 'later')
      await store.sync()
      assert.deepEqual(recoveryOf(directory, join(parent, 'copy')), { used: info.id, replayed: 1 })
      await store.close()
    })

    test('has an id that never comes again', async (t) => {
      const directory = temporaryDirectory(t)
      const ids: number[] = []
      for (let session = 0; session < 3; session++) {
        const store = open<string>(directory, { ...options, mapping })
        // Nothing was written in between.
        for (let round = 0; round < 2; round++) ids.push((await store.checkpoint()).id)
        store.pruneCheckpoints(0)
        ids.push((await store.checkpoint()).id)
        store.pruneCheckpoints(session === 1 ? 0 : 9)
        await store.close()
      }
      assert.deepEqual(
        ids,
        [...new Set(ids)].sort((a, b) => a - b),
      )
    })

    test('is kept as long as it is wanted', async (t) => {
      const directory = temporaryDirectory(t)
      const store = open<string>(directory, { ...options, mapping })
      for (let index = 0; index < 5; index++) await store.checkpoint()
      const all = store.checkpoints()
      assert.equal(all.length, 5)
      assert.deepEqual(store.pruneCheckpoints(9), [])
      assert.deepEqual(store.pruneCheckpoints(3), all.slice(0, 2))
      assert.deepEqual(store.checkpoints(), all.slice(2))
      assert.deepEqual(store.pruneCheckpoints(0), all.slice(2))
      assert.deepEqual(filesOf(directory), [])
      await store.close()
      const again = open<string>(directory, { ...options, mapping })
      assert.deepEqual(again.checkpoints(), [])
      await again.close()
    })

    test('serves every later boot, and the whole log follows it', async (t) => {
      const parent = temporaryDirectory(t)
      let directory = join(parent, '0')
      let store = open<string>(directory, { ...options, mapping })
      fill(store, 50)
      const { id } = await store.checkpoint()
      for (let boot = 1; boot <= 3; boot++) {
        store.put(`boot ${boot}`, 'x'.repeat(200_000))
        store.delete(`key ${boot}`)
        await store.sync()
        const next = join(parent, String(boot))
        copyStore(directory, next)
        await store.close()
        directory = next
        store = open<string>(directory, { ...options, mapping })
        const { checkpoint, recordsReplayed, rows } = store.stats().lastRecovery
        assert.equal(checkpoint, id)
        assert.equal(rows[1], 'newest-checkpoint')
        // Every change behind it, and no other record.
        assert.equal(recordsReplayed, 2 * boot)
        assert.equal(store.count(), 50)
        assert.equal(store.get('key 40'), 'value 40')
        assert.deepEqual((await store.verify()).problems, [])
      }
      await store.close()
    })

    test('is not made where it fails, and nothing of it is left', async (t) => {
      for (const failing of ['write', 'sync', 'reserve'] as const) {
        const directory = temporaryDirectory(t)
        const store = open<string>(directory, { ...options, mapping })
        fill(store, 10)
        const platform = engineOf(store).platform as Changeable<Platform>
        const { openFile } = platform
        const failure = Object.assign(new Error('EIO: i/o error'), { code: 'EIO' })
        platform.openFile = (path, mode) => {
          const file = openFile(path, mode)
          if (basename(path) !== 'checkpoint.next') return file
          const fail = (): never => {
            throw failure
          }
          return Object.assign(file, { [failing]: failing === 'sync' ? async () => fail() : fail })
        }
        if (failing === 'reserve') {
          // Nothing is reserved: the file is as long as what it has.
          await store.checkpoint()
        } else {
          await assert.rejects(store.checkpoint(), failure)
          assert.deepEqual(filesOf(directory), [])
        }
        platform.openFile = openFile
        store.put('a', 'and the store goes on')
        const info = await store.checkpoint()
        assert.equal(store.checkpoints().at(-1)?.id, info.id)
        assert.equal(store.stats().poisoned, false)
        await store.close()
      }
    })

    test('is given up by a close, which waits for that', async (t) => {
      const directory = temporaryDirectory(t)
      const store = open<string>(directory, { ...options, mapping })
      fill(store, 10)
      const making = store.checkpoint()
      const closing = store.close()
      await assert.rejects(making, (error) => asStoreError(error, 'STORE_CLOSED') !== null)
      await closing
      assert.deepEqual(filesOf(directory), [])
    })
  })
}

describe('calls', () => {
  test('with a number that is none, or of a store that may not be written', async (t) => {
    const directory = temporaryDirectory(t)
    const store = open<string>(directory, options)
    await store.checkpoint()
    for (const keep of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      assert.throws(() => store.pruneCheckpoints(keep), RangeError)
    }
    for (const keep of [undefined, '1', null]) {
      assert.throws(() => store.pruneCheckpoints(keep as never), TypeError)
    }
    assert.equal(store.checkpoints().length, 1)
    await store.close()
    const reader = open<string>(directory, { readOnly: true })
    assert.equal(reader.checkpoints().length, 1)
    storeErrorOf(() => reader.pruneCheckpoints(0), 'STORE_READ_ONLY')
    await assert.rejects(
      reader.checkpoint(),
      (error) => asStoreError(error, 'STORE_READ_ONLY') !== null,
    )
    await reader.close()
    storeErrorOf(() => reader.checkpoints(), 'STORE_CLOSED')
    storeErrorOf(() => reader.pruneCheckpoints(0), 'STORE_CLOSED')
    await assert.rejects(
      reader.checkpoint(),
      (error) => asStoreError(error, 'STORE_CLOSED') !== null,
    )
  })

  test('of a store in memory make nothing that would be left', async () => {
    const store = open<string>(':memory:', { encoding: 'utf8' })
    store.put('a', 'b')
    const first = await store.checkpoint()
    const second = await store.checkpoint()
    assert.deepEqual([first.records, first.bytes], [1, 0])
    assert.ok(second.id > first.id)
    assert.deepEqual(store.checkpoints(), [])
    assert.deepEqual(store.pruneCheckpoints(1), [])
    await store.close()
  })

  test('while another is being made, by whomever, wait for it', async (t) => {
    const directory = temporaryDirectory(t)
    const stores = [1, 2, 3].map(() => open<string>(directory, options))
    fill(stores[0], 3000)
    const made = await Promise.all(
      stores.flatMap((store) => [store.checkpoint(), store.checkpoint()]),
    )
    assert.equal(new Set(idsOf(made)).size, 6)
    assert.deepEqual(
      idsOf(stores[1].checkpoints()),
      idsOf(made).sort((a, b) => a - b),
    )
    assert.deepEqual(
      made.map(({ records }) => records),
      made.map(() => 3000),
    )
    for (const store of stores) await store.close()
  })

  test('leave a pin behind for nobody', async (t) => {
    const store = open<string>(temporaryDirectory(t), options)
    fill(store, 10)
    const making = store.checkpoint()
    assert.equal(store.stats().snapshots, 0)
    for (let index = 0; index < 10; index++) store.delete(`key ${index}`)
    await making
    assert.equal(store.stats().oldestSnapshotSequence, undefined)
    // What was deleted meanwhile is swept.
    await sleep(1)
    assert.deepEqual((await store.verify()).problems, [])
    await store.close()
  })
})

describe('a segment', () => {
  test('is known to the checkpoints that lead into it', async (t) => {
    const directory = temporaryDirectory(t)
    const store = open<string>(directory, options)
    store.put('large', 'x'.repeat(300_000))
    store.put('a', 'first')
    const first = await store.checkpoint()
    for (let index = 0; index < 6; index++) {
      store.put('filling', 'y'.repeat(200_000 + index))
    }
    store.put('a', 'second')
    store.delete('large')
    const second = await store.checkpoint()
    const engine = engineOf(store)
    const numbers = segmentNames(directory).map((name) => [
      name.startsWith('value') ? 'value' : 'log',
      Number(name.slice(-16)),
    ])
    const referring = new Map(
      numbers.map(([kind, number]) => [
        `${kind} ${number}`,
        idsOf(checkpointsReferring(engine, number as number)),
      ]),
    )
    // The registry of keyspaces stays where it was written first.
    assert.deepEqual(
      referring,
      new Map([
        ['log 1', [second.id, first.id]],
        ['log 3', [second.id]],
        ['value 2', [first.id]],
      ]),
    )
    await store.close()
  })
})

describe('a checkpoint that nobody asks for', () => {
  test('is made where it is due, by who has the duty, and two are kept', async (t) => {
    const directory = temporaryDirectory(t)
    const store = open<string>(directory, options)
    const engine = engineOf(store)
    const duty = new AutoCheckpoint(engine)
    const run = (): Promise<void> => duty.runIfDue(() => engine.requireOpen())
    await run()
    assert.deepEqual(store.checkpoints(), [], 'not for a small log')
    for (let round = 1; round <= 3; round++) {
      for (let index = 0; index < 70; index++) store.put('large', 'x'.repeat(1_000_000))
      await run()
      assert.equal(store.checkpoints().length, Math.min(2, round))
      await run()
      assert.equal(store.stats().checkpoints, round, 'none is due behind it')
    }
    await store.close()
  })

  test('is made by the background, of a store that is mapped and of one that is not', async (t) => {
    for (const mapping of ['mmap', 'file'] as const) {
      for (const autoCheckpoint of [true, false]) {
        const directory = temporaryDirectory(t)
        const store = open<string>(directory, { ...options, mapping, autoCheckpoint })
        for (let index = 0; index < 70; index++) store.put('large', 'x'.repeat(1_000_000))
        for (let waitedMs = 0; waitedMs < 20_000 && store.stats().checkpoints === 0; ) {
          if (!autoCheckpoint && waitedMs >= 1500) break
          await sleep(100)
          waitedMs += 100
        }
        assert.equal(store.checkpoints().length, autoCheckpoint ? 1 : 0)
        await store.close()
        assert.equal(filesOf(directory).length, autoCheckpoint ? 1 : 0)
      }
    }
  })

  test('is made by a close where it was due and nobody had time for it', async (t) => {
    const directory = temporaryDirectory(t)
    const store = open<string>(directory, options)
    for (let index = 0; index < 70; index++) store.put('large', 'x'.repeat(1_000_000))
    await store.close()
    assert.equal(filesOf(directory).length, 1)
    const again = open<string>(directory, options)
    assert.equal(again.stats().lastRecovery.kind, 'clean')
    await again.close()
    assert.equal(filesOf(directory).length, 1, 'none was due')
  })

  test('is made after a while of a log that is not so large', async (t) => {
    const directory = temporaryDirectory(t)
    const store = open<string>(directory, options)
    const engine = engineOf(store)
    const duty = new AutoCheckpoint(engine)
    for (let index = 0; index < 20; index++) store.put('large', 'x'.repeat(1_000_000))
    const platform = engine.platform as Changeable<Platform>
    const { nowMs } = platform
    await duty.runIfDue(() => engine.requireOpen())
    await store.checkpoint()
    for (let index = 0; index < 20; index++) store.put('large', 'x'.repeat(1_000_000))
    await duty.runIfDue(() => engine.requireOpen())
    const before = store.checkpoints().length
    platform.nowMs = () => nowMs() + 11 * 60_000
    await duty.runIfDue(() => engine.requireOpen())
    assert.equal(store.checkpoints().length, before + 1)
    await duty.runIfDue(() => engine.requireOpen())
    assert.equal(store.checkpoints().length, before + 1)
    platform.nowMs = nowMs
    await store.close()
  })

  test('that fails is told, and the store goes on', async (t) => {
    const directory = temporaryDirectory(t)
    const store = open<string>(directory, options)
    const engine = engineOf(store)
    for (let index = 0; index < 70; index++) store.put('large', 'x'.repeat(1_000_000))
    const platform = engine.platform as Changeable<Platform>
    const { rename } = platform
    const failure = Object.assign(new Error('EIO: i/o error'), { code: 'EIO' })
    platform.rename = (from, to) => {
      if (basename(from) === 'checkpoint.next') throw failure
      rename(from, to)
    }
    const errors: unknown[] = []
    store.on('error', (error) => errors.push(error))
    await new AutoCheckpoint(engine).runIfDue(() => engine.requireOpen())
    assert.deepEqual(errors, [failure])
    platform.rename = rename
    store.put('a', 'b')
    assert.equal((await store.checkpoint()).records, 2)
    await store.close()
    assert.deepEqual(
      filesOf(directory).filter((name) => name === 'checkpoint.next'),
      [],
    )
  })
})

test('files of checkpoints without a store are not taken for an empty directory', (t) => {
  const directory = temporaryDirectory(t)
  writeFileSync(join(directory, checkpointFileName(77)), 'x')
  storeErrorOf(() => open(directory, options), 'STORE_CORRUPT')
  assert.deepEqual(readdirSync(directory), [checkpointFileName(77)])
})
