/**
 * Reading with `verifyReads: 'always'`: the record that a lookup found is verified where it lies, and
 * so is its value in a segment of its own, before anything of them is used. A miss is believed only
 * if every record whose entry could have been the key's verifies: a damaged key looks like another.
 *
 * A record may be changing while it is verified: what does not match is damage only if the home
 * bucket's version did not move ({@link isStable}).
 */
import { StoreError } from '../base/errors.js'
import { linkWordInBucket, versionWordInBucket } from '../format/bucket.js'
import { segmentFileName } from '../format/file-names.js'
import {
  checksumWord,
  flagInBatch,
  flagReference,
  keySizeWord,
  recordHeaderWords,
  referenceChecksumWord,
  referenceSegmentDouble,
} from '../format/record.js'
import { checksumRecord, recordSeed } from '../format/record-checksum.js'
import { segmentHeaderSizeBytes } from '../format/segment-header.js'
import { wordOf } from '../index/hash-index.js'
import {
  recordFlags,
  recordSpan,
  recordValueOffset,
  recordValueSize,
} from '../log/record-fields.js'
import { slotNumber, slotSizeBytes } from '../log/slot-table.js'
import type { Engine } from './engine.js'
import { isStable } from './read.js'
import { checksumValue, mapReference } from './reference.js'

/**
 * True where the record that the lookup found verifies; false where it is to be looked up again.
 * Throws `STORE_CORRUPT` where it is damaged.
 */
export function verifyFound(engine: Engine, keyspaceId: number): boolean {
  const { offset, slot } = engine.lookup
  return verifyAt(engine, keyspaceId, slot, offset)
}

/** Throws `STORE_CORRUPT` where an older record, which does not change any more, is damaged. */
export function verifyOlder(
  engine: Engine,
  keyspaceId: number,
  slot: number,
  offset: number,
): void {
  // Only the home bucket moves meanwhile.
  while (!verifyAt(engine, keyspaceId, slot, offset)) engine.lookup.version = readVersion(engine)
}

function readVersion({ lookup }: Engine): number {
  return Atomics.load(lookup.homeWords, lookup.homeStart + versionWordInBucket)
}

/**
 * True where the key is missing, and not only its record damaged, as far as the home bucket of the
 * lookup tells; false where it changed meanwhile.
 */
export function verifyMissing(engine: Engine, keyspaceId: number, hash: number): boolean {
  const { index, log, lookup } = engine
  let words = lookup.homeWords
  let start = lookup.homeStart
  for (;;) {
    for (let entry = start; entry < start + versionWordInBucket; entry += 2) {
      const low = words[entry]
      const high = words[entry + 1]
      if (low >>> 8 !== hash >>> 8 || (high === 0 && (low & 0xff) === 0)) continue
      const slot = ((low & 0xff) << (32 - log.shift)) | (high >>> log.shift)
      // Mapped by the lookup, unless it was half an entry.
      if (log.words[slot] === undefined) return false
      if (!verifyAt(engine, keyspaceId, slot, high & log.offsetMask)) return false
    }
    const link = words[start + linkWordInBucket]
    if (link === 0) return true
    words = index.overflowWordsOf(link)
    start = wordOf(link)
  }
}

function verifyAt(engine: Engine, keyspaceId: number, slot: number, offset: number): boolean {
  if (!recordVerifies(engine, slot, offset)) {
    return refuse(engine, keyspaceId, slot, offset * 8, 'a record does not match its checksum')
  }
  const { log } = engine
  const words = log.words[slot]
  if ((recordFlags(words, offset * 2) & flagReference) === 0) return true
  const reference = offset + recordValueOffset(words, offset * 2) / 8
  const number = log.doubles[slot][reference + referenceSegmentDouble]
  const sizeBytes = recordValueSize(words, offset * 2)
  const checksum = words[reference * 2 + referenceChecksumWord]
  const valueSlot = log.slotOf(number)
  if (valueSlot !== -1) {
    mapReference(log, slot, reference * 8)
    const isInside = segmentHeaderSizeBytes + sizeBytes <= log.slots.get(valueSlot, slotSizeBytes)
    if (isInside && checksumValue(log, valueSlot, sizeBytes) === checksum) return true
  }
  const file = log.path(segmentFileName('value', number))
  return refuseFile(
    engine,
    keyspaceId,
    file,
    segmentHeaderSizeBytes,
    'the value does not match its checksum',
  )
}

function recordVerifies({ log }: Engine, slot: number, offset: number): boolean {
  const words = log.words[slot]
  const start = offset * 2
  if (start + recordHeaderWords > words.length) return false
  const span = recordSpan(words, start)
  if (offset + span > words.length / 2) return false
  const size = span - (words[start + keySizeWord] >>> 16)
  const isInBatch = (recordFlags(words, start) & flagInBatch) !== 0
  const seed = recordSeed(log.seeds[slot], offset, isInBatch)
  return checksumRecord(words, start, size * 2, seed) === words[start + checksumWord]
}

function refuse(
  engine: Engine,
  keyspaceId: number,
  slot: number,
  address: number,
  what: string,
): false {
  const { log } = engine
  const first = log.firstSlotOf(slot)
  const file = log.path(segmentFileName('log', log.slots.get(first, slotNumber)))
  return refuseFile(engine, keyspaceId, file, address + (slot - first) * log.segmentSizeBytes, what)
}

/** False where it changed meanwhile. */
function refuseFile(
  engine: Engine,
  keyspaceId: number,
  file: string,
  address: number,
  what: string,
): false {
  if (!isStable(engine)) return false
  // Telling the key looks up others.
  const bytes = Buffer.from(engine.key.bytes.subarray(0, engine.key.sizeBytes))
  const key = engine.describeKey(keyspaceId, bytes)
  throw new StoreError('STORE_CORRUPT', `${file} is damaged at ${address}: ${what}`, {
    details: { file, address, what, key },
  })
}
