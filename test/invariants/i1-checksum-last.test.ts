/**
 * Goal: I1, a record is reachable only after all its bytes, its checksum last, are in place.
 * Method: every commit of a control state, the one store that makes a record count, is preceded by
 *   a look at the memory that it is about to make reachable.
 * Properties checked: what lies up to the new tail, in a value segment that it names, or in the redo
 *   area, verifies; the index refers to nothing behind the old tail.
 * Kept by: `seal` before `commit` in append-record.ts, put.ts, write-batch.ts and sync.ts.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Engine } from '../../src/engine/engine.js'
import { checksumValue } from '../../src/engine/reference.js'
import * as layout from '../../src/format/control-layout.js'
import {
  checksumWord,
  flagReference,
  referenceChecksumWord,
  typeBatch,
} from '../../src/format/record.js'
import { checksumRecord, recordSeed } from '../../src/format/record-checksum.js'
import {
  recordFlags,
  recordType,
  recordValueOffset,
  recordValueSize,
  referencedSlot,
} from '../../src/log/record-fields.js'
import { firstRecordOffset } from '../../src/log/roll.js'
import { SegmentScan } from '../../src/log/segment-scan.js'
import { slotEpoch, slotNumber } from '../../src/log/slot-table.js'
import { open } from '../../src/store/index.js'
import { temporaryDirectory } from '../support/directory.js'
import { engineOf } from '../support/engine-of.js'

/** Everything in a segment up to `endOffset` verifies, with the values that it refers to. */
function requireVerified(engine: Engine, slot: number, endOffset: number): number {
  const { log } = engine
  const segment = {
    words: log.words[slot],
    doubles: log.doubles[slot],
    storeId: log.storeId,
    epoch: log.slots.get(slot, slotEpoch),
    segmentNumber: log.slots.get(slot, slotNumber),
    shift: log.shift,
    endOffset,
  }
  const scan = new SegmentScan(segment, firstRecordOffset)
  let records = 0
  for (; scan.offset < endOffset; scan.skip()) {
    assert.equal(scan.look(), 'record', `a reachable record at ${scan.offset} does not verify`)
    for (const offset of scan.recordOffsets()) requireValue(engine, slot, offset)
    records++
  }
  assert.equal(scan.offset, endOffset)
  return records
}

function requireValue(engine: Engine, slot: number, offset: number): void {
  const { log } = engine
  const words = log.words[slot]
  if (recordType(words, offset * 2) === typeBatch) return
  if ((recordFlags(words, offset * 2) & flagReference) === 0) return
  const reference = offset * 2 + recordValueOffset(words, offset * 2) / 4
  const valueSlot = referencedSlot(log, slot, offset)
  const checksum = checksumValue(log, valueSlot, recordValueSize(words, offset * 2))
  assert.equal(words[reference + referenceChecksumWord], checksum, 'a value is in its place')
}

function requireRedoVerified(engine: Engine): void {
  const { control, log } = engine
  const { doubles, next, words } = control
  const start = control.redoStart(next) >>> 2
  const offset = doubles[next + layout.pendingTargetOffset]
  const seed = recordSeed(log.seeds[doubles[next + layout.pendingTargetSlot]], offset, false)
  const count = doubles[next + layout.pendingSizeWords] * 2
  assert.equal(words[start + checksumWord], checksumRecord(words, start, count, seed))
}

/** No entry of the index refers to something behind the tail that counts. */
function requireNothingBehindTail(engine: Engine): void {
  const { control, index, log } = engine
  const tailSlot = control.get(layout.tailSlot)
  const tailOffset = control.get(layout.tail) - log.starts[tailSlot]
  for (let word = 0; word < index.bucketCount * 16; word += 2) {
    if (word % 16 === 14) continue
    const [low, high] = [index.homeWords[0][word], index.homeWords[0][word + 1]]
    const slot = ((low & 0xff) << (32 - log.shift)) | (high >>> log.shift)
    if (slot === tailSlot) assert.ok((high & log.offsetMask) < tailOffset)
  }
}

describe('I1: before a record can be reached', () => {
  for (const mapping of ['mmap', 'file'] as const) {
    test(`all of it is in its place, its checksum included (${mapping})`, async (t) => {
      const directory = temporaryDirectory(t)
      const options = { segmentSizeBytes: 2 ** 20, mapping, syncIntervalMs: 0 } as const
      const store = open<Buffer>(directory, { ...options, encoding: 'binary' })
      const engine = engineOf(store)
      const { control } = engine
      const commit = control.commit.bind(control)
      const seen = { appends: 0, updates: 0 }
      control.commit = () => {
        requireNothingBehindTail(engine)
        const { doubles, next } = control
        const slot = doubles[next + layout.tailSlot]
        const end = doubles[next + layout.tail] - log.starts[slot]
        if (end > firstRecordOffset) seen.appends = requireVerified(engine, slot, end)
        if (doubles[next + layout.pendingKind] === layout.changeInPlace) {
          requireRedoVerified(engine)
          seen.updates++
        }
        commit()
      }
      const { log } = engine
      for (let index = 0; index < 20; index++) {
        store.put(`key-${index % 7}`, Buffer.alloc(50 + (index % 3), index))
        if (index % 5 === 0) store.delete(`key-${index % 7}`)
      }
      store.put('large', Buffer.alloc(300_000, 5))
      store.write([
        { type: 'put', key: 'x', value: Buffer.alloc(9, 1) },
        { type: 'put', key: 'large', value: Buffer.alloc(400_000, 2) },
        { type: 'delete', key: 'key-1' },
      ])
      await store.sync()
      store.put('key-1', Buffer.alloc(9))
      assert.ok(seen.appends >= 10)
      assert.ok(mapping === 'file' || seen.updates > 3)
      await store.close()
    })
  }
})
