/**
 * Applying a batch whose frame counts: steps 4 to 6 of write-batch.ts, from wherever they were left.
 * Also what repair does after a kill.
 */
import { assert } from '../base/assert.js'
import { versionWordInBucket } from '../format/bucket.js'
import * as layout from '../format/control-layout.js'
import {
  batchFrameSizeWords,
  batchSizeDouble,
  flagExpiry,
  recordHeaderSizeBytes,
  recordHeaderWords,
  typeTombstone,
} from '../format/record.js'
import { wordOf } from '../index/hash-index.js'
import {
  occupiedBytes,
  recordFlags,
  recordKeySize,
  recordKeyspace,
  recordSpan,
  recordType,
  recordValueSize,
} from '../log/record-fields.js'
import { accountInsert, accountRemove, accountReplace } from './account.js'
import { applyPending, makeEven, makeOdd } from './apply.js'
import type { Engine } from './engine.js'
import { hashKey, probe } from './probe.js'
import { announceInsert, announceRemove, announceReplace } from './publish.js'

/** Idempotent: each record says in the state which is next. */
export function applyBatch(engine: Engine): void {
  const { control } = engine
  const frame = control.get(layout.batchFrame)
  assert(frame !== 0, 'a batch is being applied')
  const end = batchEnd(engine, frame)
  turnHomes(engine, frame, true)
  while (control.get(layout.batchNext) < end) applyRecord(engine, control.get(layout.batchNext))
  turnHomes(engine, frame, false)
  control.begin()
  control.set(layout.batchFrame, 0)
  control.set(layout.batchNext, 0)
  control.commit()
}

function applyRecord(engine: Engine, address: number): void {
  const { control, log } = engine
  const { slot, offset } = log.locate(address)
  const words = log.words[slot]
  const start = offset * 2
  const keyspaceId = recordKeyspace(words, start)
  takeKey(engine, words, start)
  const hash = hashKey(engine, keyspaceId)
  const found = probe(engine, hash, keyspaceId)
  control.begin()
  control.set(layout.batchNext, address + recordSpan(words, start))
  control.set(layout.lastRecord, address)
  if (recordType(words, start) === typeTombstone) {
    if (found) {
      accountRemove(engine, keyspaceId)
      announceRemove(engine)
    }
  } else {
    const valueSizeBytes = recordValueSize(words, start)
    const bytes = occupiedBytes(log, slot, offset)
    if (found) {
      accountReplace(engine, keyspaceId, valueSizeBytes, bytes)
      announceReplace(engine, hash, slot, offset)
    } else {
      accountInsert(engine, keyspaceId, valueSizeBytes, bytes)
      announceInsert(engine, hash, slot, offset)
    }
  }
  control.commit()
  applyPending(engine)
}

/** Makes the home bucket of every key of the batch odd, or even again. */
function turnHomes(engine: Engine, frame: number, toOdd: boolean): void {
  const { index, log } = engine
  const end = batchEnd(engine, frame)
  for (let address = frame + batchFrameSizeWords; address < end; ) {
    const { slot, offset } = log.locate(address)
    const words = log.words[slot]
    takeKey(engine, words, offset * 2)
    const home = index.bucketOf(hashKey(engine, recordKeyspace(words, offset * 2)))
    const homeWords = index.wordsOf(home)
    const versionIndex = wordOf(home) + versionWordInBucket
    // Two keys of a batch may share a home: it is turned once.
    if (((homeWords[versionIndex] & 1) === 1) !== toOdd) {
      if (toOdd) makeOdd(homeWords, versionIndex)
      else makeEven(homeWords, versionIndex)
    }
    address += recordSpan(words, offset * 2)
  }
}

/** The address behind the last record of the batch. */
function batchEnd(engine: Engine, frame: number): number {
  const { slot, offset } = engine.log.locate(frame)
  const value = offset + recordHeaderSizeBytes / 8
  return frame + batchFrameSizeWords + engine.log.doubles[slot][value + batchSizeDouble]
}

/** Makes the key of a record the key at hand. */
export function takeKey(engine: Engine, words: Int32Array, start: number): void {
  const hasExpiry = (recordFlags(words, start) & flagExpiry) !== 0
  const keyStart = start + recordHeaderWords + (hasExpiry ? 2 : 0)
  engine.key.setWords(words, keyStart, recordKeySize(words, start))
}
