/**
 * Goal: the background compacts in a thread of its own, which may die; where there can be none, in slices.
 * Method: stores of small segments that are overwritten while the background is on: mapped ones, one in memory, one
 *   that is not mapped, one whose thread is refused; threads that are terminated at random; a process that ends
 *   beside one.
 * Properties checked: who compacted; values, always; verify; events, `stats()` and the next `compact()` after a
 *   death; that nothing is left of the thread after a close.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { excessOf } from '../../src/compaction/occupancy.js'
import { surveySegments } from '../../src/compaction/survey.js'
import { checkpointLockFileName, lifecycleFileName } from '../../src/format/file-names.js'
import { open, type Store } from '../../src/store/index.js'
import { temporaryDirectory } from '../support/directory.js'
import { atEnd } from '../support/ending.js'
import { engineOf } from '../support/engine-of.js'
import { Random } from '../support/random.js'
import { seed } from '../support/seed.js'
import { isThorough } from '../support/thorough.js'
import { type Model, options, requireModel, segmentSizeBytes, write } from './support.js'

const background = { ...options, autoCompact: true } as const
const keyCount = 300
const deaths = isThorough ? 20 : 2
const round = { count: 1500, keyCount, deletePart: 0.1, batchPart: 0.1, sizeMax: 4000 }

/** The timers of the background keep no process alive. */
function keepAlive(t: TestContext): void {
  const timer = setInterval(() => undefined, 1000)
  atEnd(t, () => clearInterval(timer))
}

async function comesTrue(isTrue: () => boolean): Promise<void> {
  for (let waited = 0; waited < 600; waited++) {
    if (isTrue()) return
    await setTimeout(25)
  }
  assert.fail('it does not come true within 15 s')
}

const threadOf = (store: Store<Buffer>) => engineOf(store).compacted.thread

/** Overwrites until the background has given something back, and all is within the bound. */
async function overwrite(store: Store<Buffer>, model: Model, random: Random): Promise<void> {
  const before = store.stats().compactions
  for (let step = 0; step < 5; step++) {
    write(store, model, random, round)
    await store.sync()
  }
  await comesTrue(() => {
    const { compactions, fileBytes, liveBytes } = store.stats()
    return compactions > before && fileBytes <= 2 * liveBytes + 3 * segmentSizeBytes
  })
  requireModel(store, model, keyCount)
}

describe(`compaction in the background (VARVE_SEED=${seed})`, () => {
  for (const [what, path, more, hasThread] of [
    ['of a mapped store', undefined, {}, true],
    ['of a store in memory', ':memory:', {}, true],
    ['of a store that is not mapped', undefined, { mapping: 'file' }, false],
  ] as const) {
    const by = hasThread ? 'a thread' : 'slices of the thread that has it open'
    test(`${what} is done by ${by}`, async (t) => {
      keepAlive(t)
      const store = open<Buffer>(path ?? temporaryDirectory(t), { ...background, ...more })
      const model: Model = new Map()
      await overwrite(store, model, new Random(seed))
      assert.equal(threadOf(store) !== undefined, hasThread)
      if (hasThread) assert.equal(store.attachments().length, 2)
      assert.deepEqual((await store.verify()).problems, [])
      await store.close()
      assert.equal(threadOf(store), undefined)
    })
  }

  test('its thread comes up for who writes, ahead of what there is to do, and does not come again without', async (t) => {
    keepAlive(t)
    const directory = temporaryDirectory(t)
    const store = open<Buffer>(directory, background)
    const engine = engineOf(store)
    engine.compacted.idleMsMax = 300
    const excess = (): number => excessOf(engine, surveySegments(engine)) / segmentSizeBytes
    const keys = 6 * 1000
    for (let index = 0; index < keys; index++) store.put(`key ${index}`, Buffer.alloc(1000))
    let excessBefore = excess()
    for (let index = 0; threadOf(store) === undefined; index++) {
      excessBefore = excess()
      assert.ok(excessBefore < 0, 'there is nothing to do yet')
      store.put(`key ${(index * 7919) % keys}`, Buffer.alloc(1000))
      if (index % 100 === 0) await store.sync()
    }
    assert.ok(excessBefore > -2.5, `it came as early as ${excessBefore} segments`)
    await comesTrue(() => threadOf(store) === undefined)
    await setTimeout(1000)
    assert.equal(threadOf(store), undefined)
    assert.equal(store.stats().compactions, 0)
    await store.close()
    // Who only deletes asks for it, too.
    const reopened = open<Buffer>(directory, background)
    reopened.delete('key 0')
    assert.notEqual(threadOf(reopened), undefined)
    await reopened.close()
  })

  test('goes on in slices where a thread cannot have the store', async (t) => {
    keepAlive(t)
    const directory = temporaryDirectory(t)
    const store = open<Buffer>(directory, { ...background, lockTimeoutMs: 20 })
    const { platform } = engineOf(store)
    // Nobody can attach.
    const lock = platform.tryLock(join(directory, lifecycleFileName), 'exclusive')
    assert.ok(lock !== undefined)
    const model: Model = new Map()
    await overwrite(store, model, new Random(seed))
    assert.equal(store.attachments().length, 1)
    assert.equal(threadOf(store), undefined)
    lock.release()
    await store.close()
  })

  test('a thread ends when it has nothing to do, and not in the middle of a run', async (t) => {
    keepAlive(t)
    const directory = temporaryDirectory(t)
    const store = open<Buffer>(directory, { ...background, autoCheckpoint: false })
    const idleMsMax = 500
    engineOf(store).compacted.idleMsMax = idleMsMax
    // While somebody makes a checkpoint a run waits.
    const { platform } = engineOf(store)
    const lock = platform.tryLock(join(directory, checkpointLockFileName), 'exclusive')
    assert.ok(lock !== undefined)
    const model: Model = new Map()
    const random = new Random(seed)
    for (let step = 0; step < 5; step++) write(store, model, random, round)
    await comesTrue(() => store.attachments().length === 2)
    const thread = threadOf(store)
    await setTimeout(4 * idleMsMax)
    assert.ok(thread !== undefined)
    assert.equal(threadOf(store), thread)
    lock.release()
    await comesTrue(() => store.stats().compactions > 0)
    await comesTrue(() => threadOf(store) === undefined)
    await store.close()
  })

  test('what only a checkpoint of somebody else pins is compacted behind it', async (t) => {
    keepAlive(t)
    const directory = temporaryDirectory(t)
    const store = open<Buffer>(directory, { ...background, autoCheckpoint: false })
    const { platform } = engineOf(store)
    const model: Model = new Map()
    const random = new Random(seed)
    // As one that makes a checkpoint does: it has the lock, and pins what there is.
    const beginCheckpoint = (): (() => void) => {
      const lock = platform.tryLock(join(directory, checkpointLockFileName), 'exclusive')
      assert.ok(lock !== undefined)
      const snapshot = store.snapshot()
      return () => {
        snapshot.close()
        lock.release()
      }
    }
    const endFirst = beginCheckpoint()
    for (let step = 0; step < 5; step++) write(store, model, random, round)
    await comesTrue(() => store.attachments().length === 2)
    endFirst()
    await comesTrue(() => store.stats().compactions > 0)
    store.compactionPaused = true
    const endSecond = beginCheckpoint()
    for (let step = 0; step < 5; step++) write(store, model, random, round)
    await store.sync()
    const compacting = store.compact()
    await setTimeout(100)
    endSecond()
    const { segmentsDropped } = await compacting
    assert.ok(segmentsDropped > 0)
    requireModel(store, model, keyCount)
    await store.close()
  })

  test('a thread that dies in the middle is told of, and others finish what it began', async (t) => {
    keepAlive(t)
    const random = new Random(seed)
    const directory = temporaryDirectory(t)
    const store = open<Buffer>(directory, background)
    const model: Model = new Map()
    for (let death = 0; death < deaths; death++) {
      const errors: unknown[] = []
      const listener = (error: unknown): void => {
        errors.push(error)
      }
      store.on('error', listener)
      for (let step = 0; step < 5; step++) write(store, model, random, round)
      await comesTrue(() => store.attachments().length === 2)
      await setTimeout(random.below(60))
      await threadOf(store)?.terminate()
      requireModel(store, model, keyCount)
      write(store, model, random, round)
      assert.equal(errors.length, 1)
      assert.equal(store.stats().compactionFailure, errors[0])
      await assert.rejects(store.compact(), (error) => error === errors[0])
      await store.compact()
      store.off('error', listener)
      requireModel(store, model, keyCount)
      assert.deepEqual((await store.verify()).problems, [])
      // The background rests after a failure; another store has none.
      const { fileBytes, liveBytes } = store.stats()
      assert.ok(fileBytes <= 2 * liveBytes + 3 * segmentSizeBytes)
      await comesTrue(() => {
        write(store, model, random, { ...round, count: 100 })
        return threadOf(store) !== undefined
      })
    }
    await store.close()
    const again = open<Buffer>(directory, options)
    requireModel(again, model, keyCount)
    await again.close()
  })

  test('keeps no process alive, and one that ends beside it loses nothing', (t) => {
    const directory = temporaryDirectory(t)
    const child = fileURLToPath(new URL('./unclosed-child.js', import.meta.url))
    const { status, stderr } = spawnSync(process.execPath, [child, directory], {
      encoding: 'utf8',
      timeout: 60_000,
    })
    assert.equal(status, 0, stderr)
    const store = open<Buffer>(directory, options)
    for (let key = 0; key < 100; key++) assert.equal(store.get(`${key}`)?.byteLength, 10_000)
    return store.close()
  })
})
