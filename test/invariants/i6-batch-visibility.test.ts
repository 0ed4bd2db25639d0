/**
 * Goal: I6, no reader sees half of a batch, at any moment, and a failed one leaves nothing.
 * Method: at every commit that a batch makes, each of its keys is looked at as a reader in another
 *   thread would: an odd bucket makes it wait, an even one answers.
 * Properties checked: the keys that can be read at one moment are all as before or all as after.
 * Kept by: `turnHomes` before the batch's first commit and after its last (write-batch.ts).
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Engine } from '../../src/engine/engine.js'
import { Key } from '../../src/engine/key.js'
import { Lookup } from '../../src/engine/lookup.js'
import { hashKey, probe } from '../../src/engine/probe.js'
import { versionWordInBucket } from '../../src/format/bucket.js'
import * as layout from '../../src/format/control-layout.js'
import { checksumWord, recordHeaderWords, versionDouble } from '../../src/format/record.js'
import { checksumRecord, recordSeed } from '../../src/format/record-checksum.js'
import { wordOf } from '../../src/index/hash-index.js'
import { recordSpan } from '../../src/log/record-fields.js'
import { type SegmentBytes, SegmentScan } from '../../src/log/segment-scan.js'
import { slotEpoch, slotNumber } from '../../src/log/slot-table.js'
import { open, type WriteOperation } from '../../src/store/index.js'
import { engineOf } from '../support/engine-of.js'

/** The version that a reader finds, 0 for none, undefined where it would have to wait. */
function readVersion(engine: Engine, key: string): number | undefined {
  // A reader of another thread has a key and a lookup of its own.
  const reader = Object.assign(Object.create(engine) as Engine, {
    key: new Key(),
    lookup: new Lookup(),
  })
  reader.key.setText(key)
  const hash = hashKey(reader, 0)
  const home = engine.index.bucketOf(hash)
  if ((engine.index.wordsOf(home)[wordOf(home) + versionWordInBucket] & 1) === 1) return undefined
  if (!probe(reader, hash, 0)) return 0
  return engine.log.doubles[reader.lookup.slot][reader.lookup.offset + versionDouble]
}

describe('I6: a batch', () => {
  test('is seen whole or not at all at each of its commits', async () => {
    const store = open<string>(':memory:', { segmentSizeBytes: 2 ** 20, encoding: 'utf8' })
    const engine = engineOf(store)
    for (let index = 0; index < 40; index += 2) store.put(`key-${index}`, 'old')
    const keys = Array.from({ length: 40 }, (_, index) => `key-${index}`)
    const before = keys.map((key) => readVersion(engine, key))
    const batch: WriteOperation[] = keys.map((key, index) =>
      index % 4 === 0 ? { type: 'delete', key } : { type: 'put', key, value: 'new' },
    )
    const moments: (number | undefined)[][] = []
    const look = (): void => {
      moments.push(keys.map((key) => readVersion(engine, key)))
    }
    const { control } = engine
    const commit = control.commit.bind(control)
    control.commit = () => {
      look()
      commit()
      look()
    }
    store.write(batch)
    control.commit = commit
    look()
    const after = keys.map((key) => readVersion(engine, key))
    assert.ok(before.every((version, index) => version !== after[index] || index % 4 === 0))
    assert.ok(moments.length >= 80)
    for (const [moment, versions] of moments.entries()) {
      const isBefore = versions.every(
        (version, key) => version === undefined || version === before[key],
      )
      const isAfter = versions.every(
        (version, key) => version === undefined || version === after[key],
      )
      assert.ok(isBefore || isAfter, `half of the batch can be read at moment ${moment}`)
    }
    assert.ok(
      moments.some((versions) => versions.every((version) => version === undefined)),
      'readers wait while it is applied',
    )
    await store.close()
  })

  test('that fails leaves nothing, and the store goes on', async () => {
    const store = open<string>(':memory:', { segmentSizeBytes: 2 ** 20, encoding: 'utf8' })
    store.put('a', 'old')
    const before = store.stats()
    const wrong = [
      { type: 'put', key: 'a', value: 'new' },
      { type: 'put', key: 'b', value: 'new' },
      { type: 'put', key: 'c', value: 7 },
    ] as unknown as WriteOperation[]
    assert.throws(() => store.write(wrong), TypeError)
    assert.equal(store.get('a'), 'old')
    assert.equal(store.has('b'), false)
    assert.equal(store.stats().tail, before.tail)
    store.write([{ type: 'put', key: 'b', value: 'new' }])
    assert.equal(store.get('b'), 'new')
    await store.close()
  })

  test('is bound to its frame: a record put in the place of another is not taken for it', async () => {
    const store = open<string>(':memory:', { segmentSizeBytes: 2 ** 20, encoding: 'utf8' })
    const { log, control } = engineOf(store)
    store.put('before', '')
    const frame = log.tailOffset
    store.write([
      { type: 'put', key: 'a', value: 'first' },
      { type: 'put', key: 'b', value: 'other' },
    ])
    const slot = log.tailSlot
    const segment: SegmentBytes = {
      words: log.words[slot],
      doubles: log.doubles[slot],
      storeId: log.storeId,
      epoch: log.slots.get(slot, slotEpoch),
      segmentNumber: log.slots.get(slot, slotNumber),
      shift: log.shift,
      endOffset: control.get(layout.tail) - log.starts[slot],
    }
    const scan = new SegmentScan(segment, frame)
    assert.equal(scan.look(), 'record')
    const [, second] = scan.recordOffsets()
    // The same record with another value and a right checksum, as an earlier attempt might leave it.
    log.words[slot][second * 2 + recordHeaderWords + 2] ^= 1
    const seed = recordSeed(log.seeds[slot], second, true)
    const wordCount = recordSpan(log.words[slot], second * 2) * 2
    const checksum = checksumRecord(log.words[slot], second * 2, wordCount, seed)
    log.words[slot][second * 2 + checksumWord] = checksum
    assert.equal(new SegmentScan(segment, frame).look(), 'bad')
    await store.close()
  })
})
