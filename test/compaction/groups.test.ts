/**
 * Goal: a process killed while it moves a group of records leaves counts and entries that are right (I7, I8).
 * Method: a compaction of small records, tombstones and aligned values is stopped before many of its stores to shared
 *   memory, most of them where the entries of a group follow its commit; each time the next one opens the store.
 * Properties checked: every value is there; no bucket is odd; entries, live bytes, and the dead bytes of each segment
 *   are those that a recovery on another boot counts, which reads the log.
 * Kept by: `commitMoves`, `accountMove`, `applyMoves`, and the order of `moveRecords`.
 */
import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { abandon } from '../../src/engine/close.js'
import * as layout from '../../src/format/control-layout.js'
import { open, type Store } from '../../src/store/index.js'
import { type Recovered, recover, recoveredFrom } from '../checkpoint/recovered.js'
import { copyAsKilled, moveToOtherBoot } from '../kill/memory-image.js'
import { trapStores } from '../kill/store-traps.js'
import { removeDirectory, temporaryDirectory } from '../support/directory.js'
import { engineOf, oddBuckets } from '../support/engine-of.js'
import { seed } from '../support/seed.js'
import { isThorough } from '../support/thorough.js'
import { bytesOf, type Model, options } from './support.js'

/** Every how many stores an image is taken: while the entries of a group are written, and else. */
const [strideWithin, stride] = isThorough ? [3, 101] : [149, 3001]
const smallCount = 90
const livingFrom = 3

interface Image {
  readonly directory: string
  readonly isWithin: boolean
}

const comparedNames = ['counts', 'segments', 'keyspaces', 'entries'] as const
type Compared = Record<(typeof comparedNames)[number], unknown>

/** What both have to agree in. */
function comparedOf({ entries, keyspaces, segments, state }: Recovered): Compared {
  const { keyBytes, liveBytes, records, sequence, valueBytes, version } = state
  const counts = { keyBytes, liveBytes, records, sequence, valueBytes, version }
  // The last one is sealed by a recovery.
  return { counts, entries, keyspaces, segments: segments.slice(0, -1) }
}

function requireValues(store: Store<Buffer>, model: Model, what: string): void {
  assert.equal(store.count(), model.size, what)
  for (const [key, value] of model) assert.deepEqual(store.get(key), bytesOf(value), what)
}

test('a process may be killed at every store of a group that is moved', async (t) => {
  const parent = temporaryDirectory(t)
  const live = join(parent, 'live')
  mkdirSync(live)
  const store = open<Buffer>(live, options)
  const model: Model = new Map()
  const put = (key: string, size: number, valueSeed: number): void => {
    const value = { size, seed: valueSeed }
    store.put(key, bytesOf(value))
    model.set(key, value)
  }
  const sizeOf = (index: number): number => (index % 10 === 0 ? 600 + index : 20 + index)
  for (let index = 0; index < smallCount; index++) put(`small ${index}`, sizeOf(index), index)
  for (let index = 0; index < 9; index++) put(`filler ${index}`, 120_000, index)
  await store.sync()
  for (let index = 0; index < 12; index++) {
    store.delete(`small ${index}`)
    model.delete(`small ${index}`)
  }
  for (let index = 0; index < smallCount; index++) {
    if (index % livingFrom === 0) put(`small ${index + 1}`, sizeOf(index), 100 + index)
  }
  for (let index = 0; index < 9; index++) put(`filler ${index}`, 120_000, 20 + index)
  for (let index = 0; index < 9; index++) put(`filler ${index}`, 120_000, 40 + index)
  await store.sync()

  const engine = engineOf(store)
  const images: Image[] = []
  let place = seed % strideWithin
  const release = trapStores(engine, () => {
    const isWithin = engine.control.get(layout.pendingKind) === layout.changeMoves
    if (place++ % (isWithin ? strideWithin : stride) !== 0) return
    const directory = join(parent, `image-${place}`)
    copyAsKilled(live, directory)
    images.push({ directory, isWithin })
  })
  const report = await store.compact({ minGarbageRatio: 0.2 }).finally(release)
  assert.ok(report.recordsMoved > smallCount / 2, `${report.recordsMoved} records were moved`)
  requireValues(store, model, 'at the end')

  const withinCount = images.filter(({ isWithin }) => isWithin).length
  assert.ok(withinCount > 8, `${withinCount} images within groups`)
  for (const { directory, isWithin } of images) {
    const what = `${directory}${isWithin ? ', within a group' : ''}, VARVE_SEED=${seed}`
    const next = open<Buffer>(directory, options)
    assert.equal(next.stats().lastRecovery.kind, 'same-boot', what)
    // Else a read would wait for ever.
    assert.deepEqual(oddBuckets(engineOf(next)), [], what)
    requireValues(next, model, what)
    const repaired = comparedOf(recoveredFrom(engineOf(next)))
    abandon(engineOf(next))
    moveToOtherBoot(directory)
    const recovered = comparedOf(recover(directory))
    for (const name of comparedNames) assert.deepEqual(repaired[name], recovered[name], what)
    removeDirectory(directory)
  }
  await store.close()
  t.diagnostic(`${images.length} images, ${withinCount} within groups`)
})
