/**
 * Goal: the files stay near the size of what is live, and compaction changes no answer.
 * Method: random overwrites, deletes, batches and large values on small segments, compacted between
 *   rounds, beside a model; the directory is measured, verified, opened again, and replayed from a copy.
 * Properties checked: every value and count; at most 2 times live bytes and two segments on disk; verify
 *   finds nothing; the log alone tells the same; what is written meanwhile stays.
 */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { open } from '../../src/store/index.js'
import { copyStore, segmentNames, temporaryDirectory } from '../support/directory.js'
import { Random } from '../support/random.js'
import { seed } from '../support/seed.js'
import { type Model, options, type Round, requireBound, requireModel, write } from './support.js'

const base: Round = { count: 3000, keyCount: 2000, deletePart: 0, batchPart: 0.1, sizeMax: 2500 }
const workloads: Readonly<Record<string, readonly Round[]>> = {
  'overwrites only': [base, base, base],
  'deletes only': [
    base,
    { ...base, count: 20_000, deletePart: 1, batchPart: 0 },
    { ...base, count: 20_000, deletePart: 1, batchPart: 0 },
  ],
  'a mix': [0.2, 0.5, 0.6, 0.4].map((deletePart) => ({ ...base, deletePart })),
  'small records, most of them tombstones': Array.from({ length: 4 }, () => ({
    ...{ count: 15_000, keyCount: 3000, deletePart: 0.7, batchPart: 0, sizeMax: 30 },
  })),
  'large values': [0.1, 0.5, 0.9].map((deletePart) => ({
    ...{ count: 40, keyCount: 8, deletePart, batchPart: 0.3, sizeMax: 600_000 },
  })),
}

describe(`compaction keeps a store small (VARVE_SEED=${seed})`, () => {
  for (const [name, rounds] of Object.entries(workloads)) {
    for (const mapping of ['mmap', 'file'] as const) {
      test(`${name}, ${mapping}`, async (t) => {
        const parent = temporaryDirectory(t)
        const directory = join(parent, 'store')
        const random = new Random(seed)
        const model: Model = new Map()
        let store = open<Buffer>(directory, { ...options, mapping })
        for (const [index, round] of rounds.entries()) {
          write(store, model, random, round)
          const before = store.stats()
          const report = await store.compact()
          requireBound(store, directory)
          requireModel(store, model, round.keyCount)
          // Copies are without the room that updates in place left, but have their own to be aligned.
          const slackBytes = report.recordsMoved * 56
          assert.ok(store.stats().liveBytes <= before.liveBytes + slackBytes)
          assert.equal(store.stats().sequence, before.sequence)
          assert.equal(report.isPostponed, false)
          assert.deepEqual((await store.verify()).problems, [])
          if (index % 2 === 0) continue
          await store.close()
          store = open<Buffer>(directory, { ...options, mapping })
          requireModel(store, model, round.keyCount)
        }
        const { keyCount } = rounds[0]
        write(store, model, random, { ...rounds[0], count: 20 })
        copyStore(directory, join(parent, 'copy'))
        await store.close()
        const copy = open<Buffer>(join(parent, 'copy'), { ...options, mapping })
        assert.equal(copy.stats().lastRecovery.kind, 'replay')
        requireModel(copy, model, keyCount)
        assert.deepEqual((await copy.verify()).problems, [])
        await copy.compact({ minGarbageRatio: 0.01 })
        requireBound(copy, join(parent, 'copy'))
        requireModel(copy, model, keyCount)
        await copy.close()
      })
    }
  }

  test('a writer that never pauses is held back until a thread that compacts has caught up', async (t) => {
    const store = open<Buffer>(temporaryDirectory(t), { ...options, autoCompact: true })
    const random = new Random(seed)
    const keyCount = 8000
    const value = Buffer.alloc(1000, 7)
    for (let index = 0; index < keyCount; index++) store.put(`key ${index}`, value)
    let highest = 0
    for (let count = 0; count < 50_000; count++) {
      store.put(`key ${random.below(keyCount)}`, value)
      if (count % 100 !== 0) continue
      // From here on none of them is updated in place.
      store.snapshot().close()
      const { fileBytes, liveBytes } = store.stats()
      highest = Math.max(highest, fileBytes / liveBytes)
    }
    // Of 50 MB of log; a little above 2 where nothing else keeps the processors.
    assert.ok(highest < 5, `${highest} times what is live`)
    await store.close()
  })

  test('who deletes without a pause is held back until a thread that compacts has caught up', async (t) => {
    const store = open<Buffer>(temporaryDirectory(t), { ...options, autoCompact: true })
    const keyCount = 60_000
    const value = Buffer.alloc(1000, 7)
    for (let index = 0; index < keyCount; index++) store.put(`key ${index}`, value)
    let highest = 0
    for (let count = 0; count < 45_000; count++) {
      // Out of all segments alike.
      store.delete(`key ${(count * 7919) % keyCount}`)
      if (count % 100 !== 0) continue
      const { fileBytes, liveBytes } = store.stats()
      highest = Math.max(highest, fileBytes / liveBytes)
    }
    // It would be 4 at the end; a little above 2 where nothing else keeps the processors.
    assert.ok(highest < 3.5, `${highest} times what is live`)
    await store.close()
  })

  test('a segment that is dead as a whole is dropped, and one that lives is left alone', async (t) => {
    const directory = temporaryDirectory(t)
    const store = open<Buffer>(directory, options)
    for (let index = 0; index < 30; index++) store.put(`stays ${index}`, Buffer.alloc(100_000))
    for (let index = 0; index < 60; index++) store.put(`goes ${index % 2}`, Buffer.alloc(100_000))
    await store.sync()
    const names = segmentNames(directory)
    const report = await store.compact()
    const left = segmentNames(directory)
    assert.ok(report.segmentsDropped >= 4)
    // The first two hold nothing else than what stays.
    assert.deepEqual(left.slice(0, 2), names.slice(0, 2))
    assert.ok(report.bytesMoved < 1_100_000, `${report.bytesMoved} bytes were moved`)
    assert.equal(report.bytesBefore - report.bytesAfter, report.segmentsDropped * 2 ** 20)
    await store.close()
  })

  test('what is written while its segment is copied, and could be updated in place, is not undone', async (t) => {
    const store = open<number | string>(temporaryDirectory(t), {
      segmentSizeBytes: 2 ** 20,
      syncIntervalMs: 0,
      autoCompact: false,
    })
    const random = new Random(seed)
    const values = Array.from({ length: 3000 }, (_, key) => key + 1e6)
    for (const [key, value] of values.entries()) store.put(`hot ${key}`, value)
    // The rest of the segment is dead, all of no other is, and no sync ends the region of updates in place.
    for (let key = 0; key < 1000; key++) store.put(`dead ${key}`, 'v'.repeat(1000))
    for (let key = 0; key < 1000; key++) store.delete(`dead ${key}`)
    const { mutableBytes } = store.stats()
    assert.ok(mutableBytes > 2 ** 20, `${mutableBytes} bytes may be updated in place`)
    let isDone = false
    const compacting = store.compact({ minGarbageRatio: 0.01 }).finally(() => {
      isDone = true
    })
    const undone: string[] = []
    const look = (key: number): void => {
      const actual = store.get(`hot ${key}`)
      if (actual !== values[key]) undone.push(`hot ${key}: ${actual}, not ${values[key]}`)
    }
    for (let turns = 0; !isDone; turns++) {
      for (let count = 0; count < 100; count++) {
        const key = random.below(values.length)
        look(key)
        values[key] = 2e6 + turns
        store.put(`hot ${key}`, values[key])
      }
      await turn()
    }
    assert.ok((await compacting).recordsMoved > 0)
    for (const key of values.keys()) look(key)
    assert.deepEqual(undone, [], `VARVE_SEED=${seed}`)
    await store.close()
  })
})
