/**
 * Goal: I4, below the read-only boundary bytes never change; below `durable` they survived a sync.
 * Method: the bytes of all segments up to the boundary are hashed after a sync, and again after many
 *   updates, deletes, batches, keyspaces and further syncs.
 * Properties checked: the same bytes; in-place updates do happen above the boundary; `durable` moves
 *   only when the flush has ended.
 * Kept by: the comparison with `readOnly` in `slackInPlace` (put.ts), `readOnly` in `writeMarker`.
 */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, test } from 'node:test'
import type { Engine } from '../../src/engine/engine.js'
import * as layout from '../../src/format/control-layout.js'
import { kindPart, slotKind, slotSizeBytes } from '../../src/log/slot-table.js'
import { open } from '../../src/store/index.js'
import { temporaryDirectory } from '../support/directory.js'
import { engineOf } from '../support/engine-of.js'
import { Random } from '../support/random.js'

/** The hash of every segment's bytes below an address. */
function hashBelow(engine: Engine, address: number): string[] {
  const { control, log } = engine
  const hashes: string[] = []
  for (let slot = 0; slot < control.get(layout.slotEnd); slot++) {
    if (log.slots.get(slot, slotKind) === kindPart) continue
    if (log.words[slot] === undefined) log.mapSlot(slot)
    const end = Math.min(log.slots.get(slot, slotSizeBytes), (address - log.starts[slot]) * 8)
    if (end <= 0) continue
    hashes.push(createHash('sha1').update(log.bytes[slot].subarray(0, end)).digest('hex'))
  }
  return hashes
}

describe('I4: below the read-only boundary', () => {
  for (const mapping of ['mmap', ':memory:'] as const) {
    test(`no byte changes after a sync (${mapping})`, async (t) => {
      const path = mapping === 'mmap' ? temporaryDirectory(t) : ':memory:'
      // A segment that nothing lives in would be dropped.
      const options = {
        segmentSizeBytes: 2 ** 20,
        encoding: 'binary',
        syncIntervalMs: 0,
        autoCompact: false,
      } as const
      const store = open<Buffer>(path, options)
      const engine = engineOf(store)
      const random = new Random(4)
      const boundaries: { readonly address: number; readonly hashes: string[] }[] = []
      for (let round = 0; round < 6; round++) {
        for (let index = 0; index < 300; index++) {
          const key = `key-${random.below(60)}`
          // The same size again and again: an update in place wherever that is allowed.
          store.put(key, random.bytes(100))
          if (random.chance(0.1)) store.delete(`key-${random.below(60)}`)
          if (random.chance(0.02)) store.put('large', random.bytes(270_000))
        }
        store.write([
          { type: 'put', key: 'key-1', value: random.bytes(100) },
          { type: 'delete', key: 'key-2' },
        ])
        const before = store.stats()
        store.put('key-1', random.bytes(100))
        store.put('key-1', random.bytes(100))
        assert.ok(store.stats().tail - before.tail <= 20, 'the second update is made in place')
        await store.sync()
        const { durable, tail } = store.stats()
        assert.equal(durable, tail)
        const address = engine.control.get(layout.readOnly)
        assert.ok(address >= durable)
        boundaries.push({ address, hashes: hashBelow(engine, address) })
        for (const { address: lower, hashes } of boundaries) {
          assert.deepEqual(hashBelow(engine, lower).slice(0, hashes.length), hashes)
        }
      }
      assert.ok(boundaries[0].address < boundaries[5].address)
      await store.close()
    })
  }

  test('durable stays where it was while a flush is under way', async (t) => {
    const store = open<string>(temporaryDirectory(t), {
      segmentSizeBytes: 2 ** 20,
      encoding: 'utf8',
    })
    store.put('a', '1')
    await store.sync()
    const { durable } = store.stats()
    store.put('a', '2')
    const flush = store.sync()
    assert.equal(store.stats().durable, durable)
    store.put('a', '3')
    await flush
    const after = store.stats()
    assert.ok(
      after.durable > durable && after.durable < after.tail,
      'what came later is not covered',
    )
    assert.equal(store.get('a'), '3')
    await store.close()
  })
})
