/**
 * Goal: a recovery that begins with a checkpoint comes to what one from the beginning of the log does.
 * Method: random changes before, while and after checkpoints are made: the image is taken in several
 *   slices, between which keys come, go and change, the table grows, batches, keyspaces and snapshots
 *   come and go; then the directory is copied, as another boot finds it, and recovered both ways.
 * Properties checked: every entry of the index, every count, the ends of all segments; the values;
 *   `verify` finds nothing. One image is at every moment that of the moment it was begun at.
 * Kept by: `#goBack`, `#collectHome` in checkpoint-image.ts; the pin in checkpoint-moment.ts.
 */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { Engine } from '../../src/engine/engine.js'
import * as layout from '../../src/format/control-layout.js'
import { slotNumber } from '../../src/log/slot-table.js'
import { open, type Snapshot, type Store, type WriteOperation } from '../../src/store/index.js'
import { copyStore, removeDirectory, temporaryDirectory } from '../support/directory.js'
import { engineOf } from '../support/engine-of.js'
import { Random } from '../support/random.js'
import { seed } from '../support/seed.js'
import { isThorough } from '../support/thorough.js'
import { loadOnly } from './load-only.js'
import { indexEntries, recover, recoverWhole } from './recovered.js'

const segmentSizeBytes = 2 ** 20
const options = { encoding: 'binary', segmentSizeBytes, syncIntervalMs: 0 } as const
/** More than one slice of home buckets has. */
const keyCount = 7000
const rounds = isThorough ? 60 : 4

class Changes {
  readonly #store: Store<Buffer>
  readonly #random: Random
  #snapshots: Snapshot<Buffer>[] = []
  #newKeys = 0
  count = 0

  constructor(store: Store<Buffer>, random: Random) {
    this.#store = store
    this.#random = random
  }

  load(): void {
    const operations: WriteOperation<Buffer>[] = []
    for (let index = 0; index < keyCount; index++) {
      operations.push({ type: 'put', key: `key ${index}`, value: this.#random.bytes(8) })
    }
    this.#store.write(operations)
  }

  #key(): string {
    // A few keys are written again and again: in place, and behind every boundary.
    const random = this.#random
    return `key ${random.chance(0.3) ? random.below(20) : random.below(keyCount * 1.3)}`
  }

  #value(): Buffer {
    const random = this.#random
    if (random.chance(0.001)) return random.bytes(segmentSizeBytes / 4 + 8)
    return random.bytes(random.below(60))
  }

  async some(count: number): Promise<void> {
    const random = this.#random
    const store = this.#store
    for (let index = 0; index < count; index++) {
      this.count++
      const which = random.below(1000)
      if (which < 400) store.put(this.#key(), this.#value())
      else if (which < 600) store.delete(this.#key())
      else if (which < 700) store.put(`new ${this.#newKeys++}`, this.#value())
      else if (which < 800) this.#write()
      else if (which < 880) this.#keyspace().put(this.#key(), this.#value())
      else if (which < 900) this.#keyspace().delete(this.#key())
      else if (which < 906) store.dropKeyspace(`space ${random.below(3)}`)
      else if (which < 920) this.#snapshots.push(store.snapshot())
      else if (which < 940) this.#snapshots.splice(random.below(3), 1)[0]?.close()
      else if (which < 943) await store.sync()
      else if (which < 944) this.#grow()
    }
  }

  #keyspace(): ReturnType<Store<Buffer>['keyspace']> {
    return this.#store.keyspace(`space ${this.#random.below(3)}`, { encoding: 'binary' })
  }

  #write(): void {
    const operations: WriteOperation<Buffer>[] = []
    for (let part = 0; part < this.#random.below(12); part++) {
      const key = this.#key()
      operations.push(
        this.#random.chance(0.3)
          ? { type: 'delete', key }
          : { type: 'put', key, value: this.#value() },
      )
    }
    this.#store.write(operations)
  }

  /** The table gets a tenth more buckets. */
  #grow(): void {
    for (let index = 0; index < 700; index++) {
      this.#store.put(`new ${this.#newKeys++}`, this.#random.bytes(4))
    }
  }

  closeSnapshots(): void {
    for (const snapshot of this.#snapshots) snapshot.close()
    this.#snapshots = []
  }
}

/** Runs changes between the slices of the image, until `done`. */
async function during<T>(work: Promise<T>, changes: Changes, random: Random): Promise<T> {
  let isDone = false
  const ended = work.finally(() => {
    isDone = true
  })
  while (!isDone) {
    await changes.some(random.below(60))
    await new Promise(setImmediate)
  }
  return ended
}

describe('a recovery from a checkpoint', () => {
  for (let round = 0; round < rounds; round++) {
    test(`comes to what the whole log says, ${round}`, async (t) => {
      const what = `VARVE_SEED=${seed}`
      const parent = temporaryDirectory(t)
      const live = join(parent, 'live')
      const random = new Random(seed * 31 + round)
      const store = open<Buffer>(live, options)
      const changes = new Changes(store, random)
      changes.load()
      await changes.some(500)
      for (let step = 0; step < 3; step++) {
        const before = changes.count
        const info = await during(store.checkpoint(), changes, random)
        assert.ok(changes.count > before, 'changes were made meanwhile')
        assert.equal(store.checkpoints().at(-1)?.id, info.id)
        await changes.some(random.below(300))
        if (random.chance(0.5)) await store.sync()
        const copy = join(parent, `copy-${step}`)
        copyStore(live, copy)
        const own = recover(copy)
        const whole = recoverWhole(copy, join(parent, 'whole'))
        assert.equal(own.report.checkpoint, info.id, what)
        assert.equal(whole.report.checkpoint, undefined)
        assert.ok(own.report.recordsReplayed < whole.report.recordsReplayed)
        const { report: _own, ...ofCheckpoint } = own
        const { report: _whole, ...ofLog } = whole
        assert.deepEqual(ofCheckpoint, ofLog, what)
        if (step === 2) {
          const again = open<Buffer>(copy, { encoding: 'binary', syncIntervalMs: 0 })
          assert.deepEqual((await again.verify()).problems, [], what)
          await again.close()
        }
        removeDirectory(copy)
      }
      changes.closeSnapshots()
      assert.deepEqual((await store.verify()).problems, [], what)
      await store.close()
    })
  }

  test('has the index of the very moment, whatever changes while it is taken', async (t) => {
    const parent = temporaryDirectory(t)
    const live = join(parent, 'live')
    const store = open<Buffer>(live, options)
    const changes = new Changes(store, new Random(seed))
    changes.load()
    await changes.some(2000)
    changes.closeSnapshots()
    // With nothing left to sweep, the entries are the live keys.
    const { control } = engineOf(store)
    while (store.stats().oldestSnapshotSequence !== undefined) await new Promise(setImmediate)
    while (control.read(layout.tombstones) > 0) await new Promise(setImmediate)
    const entries = indexEntries(engineOf(store))
    const stats = store.stats()
    const making = store.checkpoint()
    // Behind the moment: it is taken before the call returns.
    store.put('key 0', Buffer.from('behind'))
    const info = await during(making, changes, new Random(seed + 1))
    assert.equal(info.sequence, stats.sequence)
    assert.equal(info.records, stats.records)
    // Everything behind the checkpoint is lost.
    const copy = join(parent, 'copy')
    copyStore(live, copy)
    assert.deepEqual(loadOnly(copy, info.id), entries, `VARVE_SEED=${seed}`)
    changes.closeSnapshots()
    await store.close()
  })

  test('has the index of the very moment, also where the log goes on in the slot of a segment that was dropped', async (t) => {
    const parent = temporaryDirectory(t)
    const live = join(parent, 'live')
    const store = open<Buffer>(live, { ...options, autoCompact: false })
    const engine = engineOf(store)
    const large = Buffer.alloc(200_000)
    for (let count = 0; count < 20; count++) store.put('large', large)
    new Changes(store, new Random(seed)).load()
    await store.compact({ minGarbageRatio: 0.1 })
    const freeSlots = freeSlotsOf(engine)
    assert.ok(freeSlots.length > 0, 'a slot was freed')
    const entries = indexEntries(engine)
    let isDone = false
    const making = store.checkpoint().finally(() => {
      isDone = true
    })
    for (let count = 0; !isDone; count++) {
      for (let part = 0; part < 6; part++) store.put('large', large)
      for (let part = 0; part < 50; part++) store.put(`new ${count}.${part}`, Buffer.from('new'))
      await new Promise(setImmediate)
    }
    assert.ok(freeSlotsOf(engine).length < freeSlots.length, 'it was taken again')
    assert.deepEqual(loadOnly(live, (await making).id), entries)
    await store.close()
  })
})

function freeSlotsOf({ control, log }: Engine): number[] {
  const slots = Array.from({ length: control.read(layout.slotEnd) }, (_, slot) => slot)
  return slots.filter((slot) => log.slots.get(slot, slotNumber) === 0)
}
