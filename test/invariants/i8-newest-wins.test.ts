/**
 * Goal: I8, per key the highest version wins, in memory and in a replay of the log.
 * Method: a store is written while the wall clock jumps back and forth, closed, killed, copied and
 *   opened again under an earlier clock; records that a store has are replayed into it in any order.
 * Properties checked: every write has a version and a sequence above all before it, a batch one for
 *   each of its operations; the last write of a key is found, by its own version, also where
 *   another boot finds it in the log; an older record never takes the place of a newer one.
 * Kept by: the `Math.max` of append-record.ts, put.ts and version-clock.ts; in replay.ts the maxima
 *   of `gather` and `former >= sequence`.
 * (No commands of other stores, no compaction and no remembered deletes yet: one store's versions
 * and sequences rise together, and only the order of puts is free.)
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { abandon } from '../../src/engine/close.js'
import { sequencesPerLoss } from '../../src/format/control-layout.js'
import { typePut } from '../../src/format/record.js'
import { recordType } from '../../src/log/record-fields.js'
import { SegmentScan } from '../../src/log/segment-scan.js'
import { createFilePlatform } from '../../src/platform/file-platform.js'
import { type BelievedStretch, LogReader } from '../../src/recovery/log-reader.js'
import { replayStretch } from '../../src/recovery/replay.js'
import { findSegmentFiles } from '../../src/recovery/segment-files.js'
import { readManifest, readSuperblock } from '../../src/recovery/store-files.js'
import { open, type Store } from '../../src/store/index.js'
import { copyAsKilled } from '../kill/memory-image.js'
import { copyStore, temporaryDirectory } from '../support/directory.js'
import { engineOf } from '../support/engine-of.js'
import { Random } from '../support/random.js'
import { seed } from '../support/seed.js'

const options = { segmentSizeBytes: 2 ** 20, encoding: 'utf8', syncIntervalMs: 0 } as const
const dayMs = 86_400_000

/** The wall clock, as the test wants it. */
function ownClock(t: TestContext): { nowMs: number } {
  const clock = { nowMs: Date.now() }
  t.mock.method(Date, 'now', () => clock.nowMs)
  return clock
}

/** Writes of one turn of the event loop share a reading of the clock: not these. */
const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

interface Write {
  readonly what: string
  /** How many versions it draws. */
  readonly count: number
  readonly run: (store: Store<string>) => void
}

const writes: readonly Write[] = [
  { what: 'a put of a new key', count: 1, run: (store) => store.put('a', 'first') },
  { what: 'an update of the same size', count: 1, run: (store) => store.put('a', 'again') },
  { what: 'a longer update', count: 1, run: (store) => store.put('a', 'x'.repeat(300)) },
  {
    what: 'a batch',
    count: 3,
    run: (store) =>
      store.write([
        { type: 'put', key: 'a', value: 'of a batch' },
        { type: 'put', key: 'b', value: 'of a batch' },
        { type: 'put', key: 'a', value: 'of a batch, too' },
      ]),
  },
  { what: 'a large value', count: 1, run: (store) => store.put('l', 'l'.repeat(300_000)) },
  { what: 'a delete', count: 1, run: (store) => store.delete('b') },
  { what: 'a delete of the newest record', count: 1, run: (store) => store.delete('a') },
]

/** Does every kind of write under a clock that fell back; each version must be above the last. */
async function requireRising(store: Store<string>, clock: { nowMs: number }): Promise<void> {
  const latestMs = clock.nowMs
  for (const { what, count, run } of writes) {
    for (const nowMs of [latestMs - dayMs, latestMs - 3 * dayMs, latestMs - dayMs / 2]) {
      clock.nowMs = nowMs
      await nextTurn()
      const before = store.stats()
      run(store)
      // Twice the same delete is none.
      if (store.stats().sequence === before.sequence && what.includes('delete')) continue
      assert.ok(store.stats().version >= before.version + count, `${what}: versions rise`)
      assert.equal(store.stats().sequence, before.sequence + count, what)
      const key = what === 'a large value' ? 'l' : 'a'
      if (what.includes('delete')) continue
      const { version, sequence } = store.getEntry(key) ?? assert.fail(what)
      assert.equal(version, store.stats().version, what)
      assert.equal(sequence, store.stats().sequence, what)
    }
  }
  clock.nowMs = latestMs
}

describe('I8: a version is above every version that the store has seen', () => {
  test('in memory, while the clock goes back', async (t) => {
    const clock = ownClock(t)
    const store = open<string>(':memory:', options)
    store.put('z', 'at the latest time')
    assert.ok(store.stats().version >= clock.nowMs, 'versions follow the clock')
    await requireRising(store, clock)
    await store.close()
  })

  for (const mapping of ['mmap', 'file'] as const) {
    for (const last of ['a put', 'an update', 'a batch', 'a delete'] as const) {
      test(`also when it is opened again, and the newest record is ${last} (${mapping})`, async (t) => {
        const clock = ownClock(t)
        const latestMs = clock.nowMs
        const parent = temporaryDirectory(t)
        const directory = join(parent, 'live')
        const store = open<string>(directory, { ...options, mapping })
        clock.nowMs = latestMs - dayMs
        store.put('deleted', 'long ago')
        store.put('z', 'long ago')
        await nextTurn()
        clock.nowMs = latestMs
        if (last === 'a put') store.put('new', 'now')
        if (last === 'an update') store.put('z', 'just now')
        if (last === 'a batch') store.write([{ type: 'put', key: 'new', value: 'now' }])
        if (last === 'a delete') store.delete('deleted')
        const { version, sequence } = store.stats()
        await store.sync()
        if (mapping === 'mmap') copyAsKilled(directory, join(parent, 'killed'))
        copyStore(directory, join(parent, 'copied'))
        await store.close()
        const kinds = { live: 'clean', killed: 'same-boot', copied: 'replay' }
        for (const [name, kind] of Object.entries(kinds)) {
          if (mapping === 'file' && name === 'killed') continue
          clock.nowMs = latestMs - 2 * dayMs
          await nextTurn()
          const again = open<string>(join(parent, name), { ...options, mapping })
          assert.equal(again.stats().lastRecovery.kind, mapping === 'file' ? 'replay' : kind)
          assert.equal(again.stats().version, version, name)
          // Of a copy it is not known whether it has the last changes.
          const skipped = name === 'copied' ? sequencesPerLoss : 0
          assert.equal(again.stats().sequence, sequence + skipped, name)
          await requireRising(again, clock)
          await again.close()
        }
      })
    }
  }
})

describe('I8: of the records of a key', () => {
  for (const mapping of ['mmap', 'file'] as const) {
    test(`the last written is found, in memory and in the log (${mapping})`, async (t) => {
      const clock = ownClock(t)
      const latestMs = clock.nowMs
      const random = new Random(seed)
      const parent = temporaryDirectory(t)
      const live = join(parent, 'live')
      const expected = new Map<string, { value: string; version: number }>()
      const requireExpected = (store: Store<string>, what: string): void => {
        assert.equal(store.count(), expected.size, `${what}, VARVE_SEED=${seed}`)
        for (const [key, { value, version }] of expected) {
          const entry = store.getEntry(key)
          const found = { value: entry?.value, version: entry?.version }
          assert.deepEqual(found, { value, version }, `${what}: ${key}, VARVE_SEED=${seed}`)
        }
      }
      const store = open<string>(live, { ...options, mapping })
      for (let round = 0; round < 400; round++) {
        clock.nowMs = latestMs - random.below(3) * dayMs
        if (random.chance(0.3)) await nextTurn()
        const key = `key-${random.below(12)}`
        if (random.chance(0.15)) {
          store.delete(key)
          expected.delete(key)
        } else {
          const value = `${round}`.padEnd(random.pick([8, 8, 50]), '.')
          if (random.chance(0.2)) store.write([{ type: 'put', key, value }])
          else store.put(key, value)
          expected.set(key, { value, version: store.stats().version })
        }
        if (random.chance(0.05)) await store.sync()
      }
      requireExpected(store, 'in memory')
      copyStore(live, join(parent, 'copied'))
      await store.close()
      const copied = open<string>(join(parent, 'copied'), { ...options, mapping, readOnly: true })
      assert.equal(copied.stats().lastRecovery.kind, 'replay')
      requireExpected(copied, 'in the log')
      await copied.close()
    })
  }

  test('none takes the place of a newer one, in whatever order they are replayed', async (t) => {
    const random = new Random(seed)
    const directory = temporaryDirectory(t)
    const store = open<string>(directory, options)
    for (let round = 0; round < 200; round++) {
      store.put(`key-${random.below(5)}`, `value ${round}`.padEnd(10 + (round % 40)))
    }
    await store.close()
    const reopened = open<string>(directory, { ...options, mapping: 'file', readOnly: true })
    const keys = Array.from({ length: 5 }, (_, index) => `key-${index}`)
    const before = keys.map((key) => reopened.getEntry(key))
    for (const records of recordsOf(directory)) {
      for (const stretches of [[...records].reverse(), shuffled(records, random)]) {
        for (const stretch of stretches) assert.equal(replayStretch(engineOf(reopened), stretch), 1)
        const after = keys.map((key) => reopened.getEntry(key))
        assert.deepEqual(after, before, `VARVE_SEED=${seed}`)
        assert.equal(reopened.count(), before.filter((entry) => entry !== undefined).length)
      }
    }
    abandon(engineOf(reopened))
  })
})

/** What a replay of each segment is given, a stretch for every record; markers are not among them. */
function recordsOf(directory: string): BelievedStretch[][] {
  const platform = createFilePlatform()
  const superblock = readSuperblock(platform, directory, true)
  const manifest = readManifest(platform, directory, superblock.storeId)
  assert.ok(manifest !== undefined)
  const shift = superblock.segmentShift
  const reader = new LogReader({
    platform,
    shift,
    durable: manifest.durable,
    claim: undefined,
    update: undefined,
    values: new Map(),
    nextSegmentNumber: 1,
    isDropped: () => false,
  })
  const { stretches } = reader.read(findSegmentFiles(platform, directory, manifest).log)
  const records = stretches.map(({ file, startOffset, endOffset }) => {
    const { buffer, byteOffset } = readFileSync(file.path)
    const bytes = buffer.slice(byteOffset, byteOffset + file.fileSizeBytes)
    const words = new Int32Array(bytes)
    const { epoch, segmentNumber, storeId } = file.header
    const doubles = new Float64Array(bytes)
    const segment = { words, doubles, storeId, epoch, segmentNumber, shift, endOffset }
    const found: BelievedStretch[] = []
    const scan = new SegmentScan(segment, startOffset)
    for (; scan.look() === 'record'; scan.skip()) {
      if (recordType(words, scan.offset * 2) !== typePut) continue
      found.push({ file, startOffset: scan.offset, endOffset: scan.offset + scan.span })
    }
    return found
  })
  assert.ok(records.some(({ length }) => length > 10))
  return records
}

function shuffled<T>(list: readonly T[], random: Random): T[] {
  const left = [...list]
  return list.map(() => left.splice(random.below(left.length), 1)[0])
}
