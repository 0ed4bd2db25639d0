/**
 * Goal: who watches is told of every change once, in order, whatever compaction does meanwhile.
 * Method: watchers that lag behind while most of the log becomes garbage and is compacted; one that begins
 *   behind what was dropped, and one before it; beside a list of all changes.
 * Properties checked: every change, values in segments of their own included, in the order of sequences, and
 *   no record that was moved; what a watcher has not seen stays, and goes when it has; history that is gone
 *   is said to be.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { open, type Store, StoreError } from '../../src/store/index.js'
import { temporaryDirectory } from '../support/directory.js'
import { Random } from '../support/random.js'
import { storeErrorOf } from '../support/store-error.js'
import { bytesOf, options, segmentSizeBytes, type Written } from './support.js'

const all = { minGarbageRatio: 0.01 }

interface Expected {
  readonly key: string
  readonly value: Written | undefined
  readonly sequence: number
}

function write(store: Store<Buffer>, random: Random, changes: Expected[], count: number): void {
  for (let index = 0; index < count; index++) {
    const key = `key ${random.below(40)}`
    const isLarge = random.chance(0.02)
    const size = isLarge ? segmentSizeBytes / 4 + random.below(5000) : random.below(9000)
    const value = random.chance(0.2) ? undefined : { size, seed: random.below(2 ** 30) }
    if (value === undefined && !store.delete(key)) continue
    if (value !== undefined) store.put(key, bytesOf(value))
    changes.push({ key, value, sequence: store.stats().sequence })
  }
}

async function requireTold(
  watch: AsyncIterator<{ key: unknown; value?: Buffer | undefined; sequence: number }>,
  changes: readonly Expected[],
): Promise<void> {
  for (const { key, sequence, value } of changes) {
    const { value: told } = await watch.next()
    assert.equal(told.sequence, sequence)
    assert.equal(told.key, key)
    assert.deepEqual(told.value, value === undefined ? undefined : bytesOf(value))
  }
}

/** Of all changes that can be had: begins anew behind each that is gone. */
async function sequencesFrom(store: Store<Buffer>, oldest: number): Promise<Set<number>> {
  const told = new Set<number>()
  const last = store.stats().sequence
  for (let since = oldest; since < last; ) {
    try {
      for await (const { sequence } of store.watch({ sinceSequence: since })) {
        told.add(sequence)
        since = sequence
        if (sequence === last) break
      }
    } catch (error) {
      assert.ok(error instanceof StoreError && error.code === 'STORE_COMPACTED')
      assert.ok((error.details.oldest ?? 0) > since)
      since = error.details.oldest ?? last
    }
  }
  return told
}

for (const mapping of ['mmap', 'file'] as const) {
  describe(`over a compaction (${mapping})`, () => {
    test('a watcher that lags behind is told of every change, and nothing else', async (t) => {
      const store = open<Buffer>(temporaryDirectory(t), { ...options, mapping })
      const random = new Random(1)
      const changes: Expected[] = []
      write(store, random, [], 300)
      const watch = store.watch()
      let toldCount = 0
      for (let round = 0; round < 4; round++) {
        write(store, random, changes, 900)
        await store.compact(all)
        assert.ok(store.stats().pinnedBytes > 2 * segmentSizeBytes)
        const some = changes.slice(toldCount, toldCount + 500)
        await requireTold(watch, some)
        toldCount += some.length
      }
      await store.compact(all)
      await requireTold(watch, changes.slice(toldCount))
      // A change more shows that it has come to the end of these.
      write(store, random, changes, 1)
      await requireTold(watch, changes.slice(-1))
      await watch.return?.()
      await store.compact(all)
      const { fileBytes, liveBytes, pinnedBytes } = store.stats()
      assert.equal(pinnedBytes, 0)
      assert.ok(fileBytes <= 2 * liveBytes + 2 * segmentSizeBytes)
      assert.deepEqual((await store.verify()).problems, [])
      await store.close()
    })

    test('history that was dropped is said to be gone, and the rest can be had', async (t) => {
      const directory = temporaryDirectory(t)
      let store = open<Buffer>(directory, { ...options, mapping })
      const random = new Random(2)
      const changes: Expected[] = []
      write(store, random, changes, 2000)
      await store.compact(all)
      write(store, random, changes, 200)
      for (const isOpenedAnew of [false, true]) {
        if (isOpenedAnew) {
          await store.close()
          store = open<Buffer>(directory, { ...options, mapping })
        }
        const error = storeErrorOf(() => store.watch({ sinceSequence: 0 }), 'STORE_COMPACTED')
        const { oldest = 0 } = error.details
        assert.ok(oldest > 0)
        const left = changes.filter(({ sequence }) => sequence > oldest)
        const told = await sequencesFrom(store, oldest)
        // Values in segments of their own go before the records that refer to them, and before anybody
        // watched some changes were made in place.
        const isSuperseded = (change: Expected): boolean =>
          left.some(({ key, sequence }) => key === change.key && sequence > change.sequence)
        const missing = left.filter(({ sequence }) => !told.has(sequence))
        assert.ok(told.size >= 100 && missing.every(isSuperseded))
      }
      await store.close()
    })
  })
}
