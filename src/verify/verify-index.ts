/**
 * Verifying the hash index: every entry leads to a record of a key that belongs in its bucket, and a
 * lookup of that key comes back to this entry. Whether all keys are there the log tells.
 *
 * A bucket is read as readers do, without a lock, and once more where it changed. What looks wrong is
 * looked at again with the writer's word.
 */
import type { Engine } from '../engine/engine.js'
import { hashKey, probe } from '../engine/probe.js'
import { takeTurn } from '../engine/read.js'
import { takeKey } from '../engine/take-key.js'
import {
  bucketSizeBytes,
  entriesPerBucket,
  entryWords,
  linkWordInBucket,
  versionWordInBucket,
} from '../format/bucket.js'
import * as layout from '../format/control-layout.js'
import { bucketsFileName, overflowFileName } from '../format/file-names.js'
import { typePut, typeTombstone } from '../format/record.js'
import { wordOf } from '../index/hash-index.js'
import { recordKeyspace, recordType } from '../log/record-fields.js'
import { firstRecordOffset } from '../log/roll.js'
import { kindPart, kindValue, slotKind, slotNumber, slotSizeBytes } from '../log/slot-table.js'
import type { Verification } from './verification.js'

const homesPerStep = 32

export function* verifyIndex(verification: Verification): Generator<void, void> {
  const { engine } = verification
  const { index } = engine
  for (let home = 0; home < index.bucketCount; home++) {
    if (home % homesPerStep === 0) yield
    index.adoptBucketCount()
    verifyHome(verification, home)
  }
}

interface Suspicion {
  readonly file: string
  readonly address: number
  readonly what: string
}

function verifyHome(verification: Verification, home: number): void {
  const { engine, problems } = verification
  if (suspicionsOf(engine, home).length === 0) return
  const found = verification.exclusively(() => {
    engine.index.adoptBucketCount()
    return suspicionsOf(engine, home)
  })
  // Without the writer's word only what stands still is believed.
  if (!verification.isComparable()) return
  for (const { file, address, what } of found) {
    problems.add(file, address, what)
    if (what === leadsOut || what === leadsNowhere) verification.isIndexUsable = false
  }
}

// What a lookup must not follow.
const leadsOut = 'an entry leads out of the log'
const leadsNowhere = 'the link of a bucket leads nowhere'

/** Reads a chain until it stood still meanwhile. */
function suspicionsOf(engine: Engine, home: number): Suspicion[] {
  const words = engine.index.wordsOf(home)
  const versionWord = wordOf(home) + versionWordInBucket
  for (let tries = 1; ; tries++) {
    const version = Atomics.load(words, versionWord)
    const found = readChain(engine, home)
    const isSame = Atomics.load(words, versionWord) === version
    if (isSame && ((version & 1) === 0 || found.length === 0 || tries > 4)) return found
    if (tries % 64 === 0) takeTurn(engine)
  }
}

function readChain(engine: Engine, home: number): Suspicion[] {
  const { control, index, log } = engine
  const found: Suspicion[] = []
  const overflowEnd = control.read(layout.overflowEnd)
  let name = bucketsFileName
  let words = index.wordsOf(home)
  let bucket = home
  for (let length = 0; ; length++) {
    const start = wordOf(bucket)
    for (let entry = 0; entry < entriesPerBucket * entryWords; entry += entryWords) {
      const what = lookAtEntry(engine, home, words, start + entry)
      if (what === undefined) continue
      found.push({ file: log.path(name), address: bucket * bucketSizeBytes + entry * 4, what })
    }
    const link = words[start + linkWordInBucket]
    if (link === 0) return found
    if (link < 0 || link >= overflowEnd || length > overflowEnd) {
      const address = bucket * bucketSizeBytes + linkWordInBucket * 4
      found.push({ file: log.path(name), address, what: leadsNowhere })
      return found
    }
    name = overflowFileName
    words = index.overflowWordsOf(link)
    bucket = link
  }
}

/** What is wrong with an entry, if anything is. */
function lookAtEntry(
  engine: Engine,
  home: number,
  words: Int32Array,
  entry: number,
): string | undefined {
  const { control, index, log, lookup } = engine
  const low = words[entry]
  const high = words[entry + 1]
  if (high === 0 && (low & 0xff) === 0) return undefined
  const slot = ((low & 0xff) << (32 - log.shift)) | (high >>> log.shift)
  const offset = high & log.offsetMask
  if (!isInLog(engine, slot, offset)) return leadsOut
  if (log.words[slot] === undefined) log.mapSlot(slot)
  const record = log.words[slot]
  const type = recordType(record, offset * 2)
  if (type !== typePut && type !== typeTombstone)
    return 'an entry leads to something else than a record'
  if (log.starts[slot] + offset >= control.read(layout.tail))
    return 'an entry leads behind the tail'
  takeKey(engine, record, offset * 2)
  const keyspaceId = recordKeyspace(record, offset * 2)
  const hash = hashKey(engine, keyspaceId)
  if (hash >>> 8 !== low >>> 8) return 'an entry leads to a record of another key'
  if (index.bucketOf(hash) !== home) return 'an entry is in the bucket of other keys'
  if (!probe(engine, hash, keyspaceId)) return 'the key of an entry is not found'
  if (lookup.slot === slot && lookup.offset === offset) return undefined
  return 'a key has two entries'
}

function isInLog(engine: Engine, slot: number, offset: number): boolean {
  const { control, log } = engine
  if (slot < 0 || slot >= control.read(layout.slotEnd)) return false
  if (log.slots.get(slot, slotNumber) === 0) return false
  const kind = log.slots.get(slot, slotKind)
  if (kind === kindValue) return false
  if (kind !== kindPart && offset < firstRecordOffset) return false
  const first = log.firstSlotOf(slot)
  return (slot - first) * log.segmentWords + offset < log.slots.get(first, slotSizeBytes) / 8
}
