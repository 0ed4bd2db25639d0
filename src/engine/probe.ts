/**
 * Finding the newest record of the key at hand: the bucket's chain, then every record whose tag
 * matches, by its full key (I3). Two cache misses for a key that is there, one for one that is not.
 *
 * Two things here are for the processor's sake. The entry of the home bucket is chosen without a
 * branch: which of the seven it is cannot be predicted, and a wrong guess would throw away the work
 * that the processor has begun on the operations behind this one while memory answers. And the
 * lines behind the record's first are asked for before the first has arrived to say how long it is.
 * Hot path: `bench/compare`, every row.
 */

import { hashKeyWords } from '../base/hash.js'
import { loadWordFirst } from '../base/shared-words.js'
import { entryHigh, entryLow, linkWordInBucket, versionWordInBucket } from '../format/bucket.js'
import { slotGenerationWord } from '../format/control-layout.js'
import { flagExpiry, keySizeWord, kindWord, recordHeaderWords } from '../format/record.js'
import { wordOf } from '../index/hash-index.js'
import type { Engine } from './engine.js'

const expiryInKindWord = flagExpiry << 8

/** The hash of the key at hand within its keyspace. */
export function hashKey(engine: Engine, keyspaceId: number): number {
  const { key } = engine
  const seedLow = keyspaceSeed(engine, keyspaceId)
  return hashKeyWords(key.words, 0, key.sizeBytes, seedLow, engine.hashSeedHigh)
}

/** The lower half of the seed of a keyspace's hashes. */
export function keyspaceSeed(engine: Engine, keyspaceId: number): number {
  return engine.hashSeedLow ^ Math.imul(keyspaceId, 0x9e3779b1)
}

/** Fills `engine.lookup`; true where the key has a record. */
export function probe(engine: Engine, hash: number, keyspaceId: number): boolean {
  const { index, lookup } = engine
  const home = index.bucketOf(hash)
  const words = index.wordsOf(home)
  const start = wordOf(home)
  lookup.home = home
  lookup.homeWords = words
  lookup.homeStart = start
  lookup.version = loadWordFirst(words, start + versionWordInBucket)
  // Behind the version: see log.ts.
  if (engine.control.words[slotGenerationWord] !== engine.log.slotGeneration) {
    engine.log.forgetDropped()
  }
  const matches = matchTags(words, start, hash)
  if (matches >>> matchCountShift === 1) {
    const entry = start + ((matches & matchPlaceMask) << 1) - 2
    if (isEntryOfKey(engine, words, entry, keyspaceId)) {
      lookup.bucket = home
      return true
    }
  }
  return probeChain(engine, hash, keyspaceId)
}

export const matchCountShift = 8
export const matchPlaceMask = 0xff

/**
 * Compares the tags of a bucket's seven entries with that of `hash`: the number of equal ones in
 * the bits from 8 on, the sum of their places, counted from 1, below. `(x - 1) >>> 31` is 1 for 0
 * and 0 for every tag.
 */
export function matchTags(words: Int32Array, start: number, hash: number): number {
  const one = (((words[start] ^ hash) >>> 8) - 1) >>> 31
  const two = (((words[start + 2] ^ hash) >>> 8) - 1) >>> 31
  const three = (((words[start + 4] ^ hash) >>> 8) - 1) >>> 31
  const four = (((words[start + 6] ^ hash) >>> 8) - 1) >>> 31
  const five = (((words[start + 8] ^ hash) >>> 8) - 1) >>> 31
  const six = (((words[start + 10] ^ hash) >>> 8) - 1) >>> 31
  const seven = (((words[start + 12] ^ hash) >>> 8) - 1) >>> 31
  const count = one + two + three + four + five + six + seven
  const places = one + two * 2 + three * 3 + four * 4 + five * 5 + six * 6 + seven * 7
  return (count << matchCountShift) | places
}

/** The whole chain, entry by entry: for a second match, an overflow bucket, or a miss. */
function probeChain(engine: Engine, hash: number, keyspaceId: number): boolean {
  const { index, lookup } = engine
  const tag = hash >>> 8
  let words = lookup.homeWords
  let start = lookup.homeStart
  let bucket = lookup.home
  for (;;) {
    for (let entry = start; entry < start + versionWordInBucket; entry += 2) {
      if (words[entry] >>> 8 !== tag || !isEntryOfKey(engine, words, entry, keyspaceId)) continue
      lookup.bucket = bucket
      return true
    }
    const link = words[start + linkWordInBucket]
    if (link === 0) {
      lookup.lastBucket = bucket
      return false
    }
    words = index.overflowWordsOf(link)
    start = wordOf(link)
    bucket = -link
  }
}

/**
 * Fills `engine.lookup` with the entry of `hash` that leads to one place; false where none does. With the writer's
 * word in hand. No record is looked at.
 * Hot path: `bench/compaction.mjs`, "compact()".
 */
export function probePlace(engine: Engine, hash: number, slot: number, offset: number): boolean {
  const { index, log, lookup } = engine
  const low = entryLow(hash, slot, log.shift)
  const high = entryHigh(slot, offset, log.shift)
  const home = index.bucketOf(hash)
  let words = index.wordsOf(home)
  let start = wordOf(home)
  let bucket = home
  for (;;) {
    for (let entry = start; entry < start + versionWordInBucket; entry += 2) {
      if (words[entry + 1] !== high || words[entry] !== low) continue
      lookup.home = home
      lookup.bucket = bucket
      lookup.entryWords = words
      lookup.entryIndex = entry
      lookup.slot = slot
      lookup.offset = offset
      lookup.recordWords = log.words[slot] ?? mapSlot(engine, slot)
      return true
    }
    const link = words[start + linkWordInBucket]
    if (link === 0) return false
    words = index.overflowWordsOf(link)
    start = wordOf(link)
    bucket = -link
  }
}

function mapSlot({ log }: Engine, slot: number): Int32Array {
  log.mapSlot(slot)
  return log.words[slot]
}

/** Brings the home buckets of some hashes into the processor's cache. Nothing depends on it. */
export function fetchHomes({ index, lookup }: Engine, hashes: Int32Array, count: number): void {
  let touched = 0
  for (let key = 0; key < count; key++) {
    const home = index.bucketOf(hashes[key])
    touched ^= index.wordsOf(home)[wordOf(home)]
  }
  lookup.touched = touched
}

/** True where the entry's record is of the key at hand; the lookup then says where it lies. */
function isEntryOfKey(
  engine: Engine,
  words: Int32Array,
  entry: number,
  keyspaceId: number,
): boolean {
  const { key, log, lookup } = engine
  const high = words[entry + 1]
  const lowest = words[entry] & 0xff
  // Location 0 is the header of the first segment: no entry. Offset 0 alone is not: a record may
  // begin with a part of an oversized segment.
  if (high === 0 && lowest === 0) return false
  const slot = (lowest << (32 - log.shift)) | (high >>> log.shift)
  const offset = high & log.offsetMask
  const recordWords = log.words[slot] ?? mapped(engine, slot)
  if (recordWords === undefined) return false
  const record = offset << 1
  lookup.touched =
    recordWords[(record + 24) & log.wordMask] ^ recordWords[(record + 40) & log.wordMask]
  const kind = recordWords[record + kindWord]
  if (kind >>> 16 !== keyspaceId) return false
  if ((recordWords[record + keySizeWord] & 0xffff) !== key.sizeBytes) return false
  const keyStart = record + recordHeaderWords + ((kind & expiryInKindWord) === 0 ? 0 : 2)
  if (!equalWords(recordWords, keyStart, key.words, (key.sizeBytes + 3) >>> 2)) return false
  lookup.entryWords = words
  lookup.entryIndex = entry
  lookup.slot = slot
  lookup.offset = offset
  lookup.recordWords = recordWords
  return true
}

/**
 * Brings what probes of these keys are going to read into the processor's cache. One probe waits
 * for its bucket and then for its record; here no load waits for another of the same kind, so
 * memory answers many of them at a time. Nothing depends on it.
 *
 * Three loops, not two: the processor looks ahead over some hundreds of instructions, and choosing an
 * entry takes a hundred. Between loads of records there are none of these (1,000,000 records of 168
 * bytes: 263 ns a key with two loops, {@link locateRecord} within the second).
 * Hot path: `bench/compare`, row "batch"; `bench/values`, row "getMany".
 */
export function fetchAhead(engine: Engine, hashes: Int32Array, count: number): void {
  const { index, lookup } = engine
  let touched = 0
  for (let first = 0; first < count; first += fetchedMax) {
    const end = Math.min(count, first + fetchedMax)
    for (let key = first; key < end; key++) {
      const home = index.bucketOf(hashes[key])
      touched ^= index.wordsOf(home)[wordOf(home)]
    }
    let found = 0
    for (let key = first; key < end; key++) {
      if (locateRecord(engine, hashes[key], found)) found++
    }
    touched ^= fetchRecords(engine, found)
  }
  lookup.touched = touched
}

const fetchedMax = 64
const fetchedSlots = new Int32Array(fetchedMax)
const fetchedRecords = new Int32Array(fetchedMax)

/** Notes where the record in the home bucket lies that `hash` probably means. False for none. */
function locateRecord(engine: Engine, hash: number, place: number): boolean {
  const { index, log } = engine
  const home = index.bucketOf(hash)
  const words = index.wordsOf(home)
  const start = wordOf(home)
  const matches = matchTags(words, start, hash)
  if (matches >>> matchCountShift !== 1) return false
  const entry = start + ((matches & matchPlaceMask) << 1) - 2
  const high = words[entry + 1]
  const slot = ((words[entry] & 0xff) << (32 - log.shift)) | (high >>> log.shift)
  if (log.words[slot] === undefined) return false
  fetchedSlots[place] = slot
  fetchedRecords[place] = (high & log.offsetMask) << 1
  return true
}

/** Loads from each of the first cache lines of the records that were located. */
function fetchRecords({ log }: Engine, count: number): number {
  const { wordMask, words } = log
  let touched = 0
  for (let place = 0; place < count; place++) {
    const recordWords = words[fetchedSlots[place]]
    const record = fetchedRecords[place]
    touched ^=
      recordWords[record] ^
      recordWords[(record + 16) & wordMask] ^
      recordWords[(record + 24) & wordMask] ^
      recordWords[(record + 40) & wordMask]
  }
  return touched
}

/**
 * The words of a segment that this one has not mapped. Undefined where the entry is none: it was
 * read while it changed, half old and half new, and the reader will see that it did.
 */
function mapped(engine: Engine, slot: number): Int32Array | undefined {
  const { homeWords, homeStart, version } = engine.lookup
  if (Atomics.load(homeWords, homeStart + versionWordInBucket) !== version) return undefined
  if ((version & 1) !== 0 && !engine.log.isInUse(slot)) return undefined
  try {
    engine.log.mapSlot(slot)
  } catch (error) {
    // Moved away and dropped since the entry was read.
    if (Atomics.load(homeWords, homeStart + versionWordInBucket) !== version) return undefined
    throw error
  }
  return engine.log.words[slot]
}

function equalWords(a: Int32Array, start: number, b: Int32Array, count: number): boolean {
  for (let index = 0; index < count; index++) {
    if (a[start + index] !== b[index]) return false
  }
  return true
}
