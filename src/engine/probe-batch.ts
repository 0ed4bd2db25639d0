/**
 * Finding the newest records of many keys at once, and copying their values.
 *
 * One lookup waits for its bucket and then for its record. Here each loop loads one thing for every
 * key (bucket, entry, record) and needs nothing that it loads itself, so memory answers many of them at
 * a time: 150 ns a key (1,000,000 records of 168 bytes), of which 50 are for the bucket and 60 for the record.
 *
 * What is read here counts only where {@link isQuiet}, or the version of the key's home bucket, says
 * so afterwards; a key that needs more than a look at its newest record (deleted, newer than the
 * snapshot, a value elsewhere, a second entry with its tag) has place -1 and is looked up alone.
 *
 * One set of arrays for all: nothing here calls anybody who could begin another batch.
 * Hot path: `bench/compare`, rows "scan", "range100", "prefix1000".
 */
import { copyWords } from '../base/copy-words.js'
import { hashKeyWords } from '../base/hash.js'
import { fence, loadWordFirst } from '../base/shared-words.js'
import { linkWordInBucket, versionWordInBucket } from '../format/bucket.js'
import { currentWord, poisonedWord, tokenBusy, writerWord } from '../format/control-layout.js'
import {
  flagAligned,
  flagInBatch,
  flagMoved,
  keySizeWord,
  kindWord,
  recordHeaderWords,
  sequenceDouble,
  typePut,
  valueSizeWord,
} from '../format/record.js'
import { bucketsFirstShift, wordOf } from '../index/hash-index.js'
import { pieceOf } from '../platform/region.js'
import type { Engine } from './engine.js'
import { keyspaceSeed, matchCountShift, matchPlaceMask, matchTags } from './probe.js'

/** Enough for memory to answer as many at a time as it can; their lines fit the first cache. */
export const keysAtOnce = 64

/** Of each key: its hash, the piece and the word where its home bucket begins, that one's version … */
export const hashes: Int32Array = new Int32Array(keysAtOnce)
const homePieces = new Int32Array(keysAtOnce)
const homeStarts = new Int32Array(keysAtOnce)
const versions = new Int32Array(keysAtOnce)
/** … the slot of its record, -1 where it is to be looked up alone, and the record's first word … */
export const slots: Int32Array = new Int32Array(keysAtOnce)
const records = new Int32Array(keysAtOnce)
/** … the first word of its value, and the value's bytes. */
const valueWords = new Int32Array(keysAtOnce)
const valueSizesBytes = new Int32Array(keysAtOnce)
/** Those whose entry is not in the home bucket, and the overflow bucket behind that. */
const chained = new Int32Array(keysAtOnce)
const links = new Int32Array(keysAtOnce)
let chainedCount = 0

let commits = 0
let wasQuiet = false

/**
 * Places the records of `count` keys, which lie zero-padded in `words`: those whose newest record is a
 * put, and not newer than `sequence`.
 */
export function probeBatch(
  engine: Engine,
  keyspaceId: number,
  sequence: number,
  words: Int32Array,
  starts: Int32Array,
  sizesBytes: Int32Array,
  first: number,
  count: number,
): void {
  noteCommits(engine)
  // Loaded for their cache lines: somebody must seem to want them.
  placeHomes(engine, keyspaceId, words, starts, sizesBytes, first, count)
  let touched = fetchBuckets(engine, count)
  touched ^= placeEntries(engine, count)
  placeChainedEntries(engine)
  // Behind versions and entries: see log.ts.
  engine.log.refreshSlots()
  touched ^= fetchRecords(engine, count)
  engine.lookup.touched = touched
  readRecords(engine, keyspaceId, sequence, words, starts, sizesBytes, first, count)
}

/** Before anything is read: which commit it is, and whether that is applied in full. */
function noteCommits(engine: Engine): void {
  const { words } = engine.control
  commits = Atomics.load(words, currentWord)
  // Poisoned, the last change may never have been applied, and nobody is busy with it.
  wasQuiet =
    (Atomics.load(words, writerWord) & tokenBusy) === 0 && Atomics.load(words, poisonedWord) === 0
}

/** True where nobody changed anything since the last {@link probeBatch} began. */
export function isQuiet(engine: Engine): boolean {
  fence()
  return wasQuiet && Atomics.load(engine.control.words, currentWord) === commits
}

/** True where nothing changed under the home bucket of one key since then. */
export function isPlaceStable(engine: Engine, at: number): boolean {
  const version = versions[at]
  fence()
  const words = engine.index.homeWords[homePieces[at]]
  const now = Atomics.load(words, homeStarts[at] + versionWordInBucket)
  return (version & 1) === 0 && now === version
}

function placeHomes(
  engine: Engine,
  keyspaceId: number,
  words: Int32Array,
  starts: Int32Array,
  sizesBytes: Int32Array,
  first: number,
  count: number,
): void {
  const { hashSeedHigh, index } = engine
  const seedLow = keyspaceSeed(engine, keyspaceId)
  for (let at = 0; at < count; at++) {
    const key = first + at
    const hash = hashKeyWords(words, starts[key], sizesBytes[key], seedLow, hashSeedHigh)
    const home = index.bucketOf(hash)
    hashes[at] = hash
    homePieces[at] = pieceOf(home, bucketsFirstShift)
    homeStarts[at] = wordOf(home)
  }
}

/** Apart from the hashes: between two loads there are then a few instructions, and not a hundred. */
function fetchBuckets({ index }: Engine, count: number): number {
  const { homeWords } = index
  let touched = 0
  for (let at = 0; at < count; at++) touched ^= homeWords[homePieces[at]][homeStarts[at]]
  return touched
}

function placeEntries(engine: Engine, count: number): number {
  const { index } = engine
  const { homeWords } = index
  let touched = 0
  chainedCount = 0
  for (let at = 0; at < count; at++) {
    const words = homeWords[homePieces[at]]
    const start = homeStarts[at]
    versions[at] = loadWordFirst(words, start + versionWordInBucket)
    const matches = matchTags(words, start, hashes[at])
    slots[at] = -1
    if (matches >>> matchCountShift === 1) {
      placeEntry(engine, at, words, start + ((matches & matchPlaceMask) << 1) - 2)
      continue
    }
    const link = words[start + linkWordInBucket]
    if (matches !== 0 || link === 0) continue
    chained[chainedCount] = at
    links[chainedCount++] = link
    touched ^= index.overflowWordsOf(link)[wordOf(link)]
  }
  return touched
}

function placeChainedEntries(engine: Engine): void {
  const { index } = engine
  for (let chain = 0; chain < chainedCount; chain++) {
    const at = chained[chain]
    const link = links[chain]
    const words = index.overflowWordsOf(link)
    const start = wordOf(link)
    const matches = matchTags(words, start, hashes[at])
    if (matches >>> matchCountShift !== 1) continue
    placeEntry(engine, at, words, start + ((matches & matchPlaceMask) << 1) - 2)
  }
}

function placeEntry(engine: Engine, at: number, words: Int32Array, entry: number): void {
  const { log } = engine
  const high = words[entry + 1]
  slots[at] = ((words[entry] & 0xff) << (32 - log.shift)) | (high >>> log.shift)
  records[at] = (high & log.offsetMask) << 1
}

/**
 * Loads from each cache line of the first 168 bytes of each record, from its sequence on. Four loads: with
 * the second one missing, the line of kind and key was not among them for every second record.
 */
function fetchRecords(engine: Engine, count: number): number {
  const { log } = engine
  const { wordMask } = log
  let touched = 0
  for (let at = 0; at < count; at++) {
    const slot = slots[at]
    if (slot < 0) continue
    const words = log.words[slot]
    // Not mapped yet, or no entry, but read while it changed.
    if (words === undefined) {
      slots[at] = -1
      continue
    }
    const record = records[at]
    touched ^=
      words[record + 2] ^
      words[(record + 16) & wordMask] ^
      words[(record + 24) & wordMask] ^
      words[(record + 40) & wordMask]
  }
  return touched
}

/** A put with its value in it, whatever else is true of the record. */
const plainMask = ~((flagAligned | flagMoved | flagInBatch) << 8)

function readRecords(
  engine: Engine,
  keyspaceId: number,
  sequence: number,
  words: Int32Array,
  starts: Int32Array,
  sizesBytes: Int32Array,
  first: number,
  count: number,
): void {
  const { log } = engine
  const plainKind = typePut | (keyspaceId << 16)
  for (let at = 0; at < count; at++) {
    const slot = slots[at]
    if (slot < 0) continue
    const from = log.words[slot]
    const record = records[at]
    const sizeBytes = sizesBytes[first + at]
    if (
      (from[record + kindWord] & plainMask) !== plainKind ||
      (from[record + keySizeWord] & 0xffff) !== sizeBytes ||
      log.doubles[slot][(record >>> 1) + sequenceDouble] > sequence ||
      !hasKey(from, record + recordHeaderWords, words, starts[first + at], sizeBytes)
    ) {
      slots[at] = -1
      continue
    }
    valueWords[at] = record + recordHeaderWords + (((sizeBytes + 7) & ~7) >>> 2)
    valueSizesBytes[at] = from[record + valueSizeWord]
  }
}

function hasKey(
  from: Int32Array,
  fromStart: number,
  words: Int32Array,
  start: number,
  sizeBytes: number,
): boolean {
  const count = (sizeBytes + 3) >>> 2
  for (let word = 0; word < count; word++) {
    if (from[fromStart + word] !== words[start + word]) return false
  }
  return true
}

/** Values of up to so many bytes share memory, as those of `Buffer.allocUnsafe` do. */
const sharingSizeBytesMax = 1024
/** As much as they share: who keeps one value keeps no more than that. */
const slabSizeBytesMax = 8192

/** What `Buffer.prototype.subarray` makes: a view, at half the price of asking for it there. */
const BufferView = (
  Buffer as unknown as {
    [Symbol.species]: new (buffer: ArrayBufferLike, byteOffset: number, length: number) => Buffer
  }
)[Symbol.species]

/** Copies the values of the keys that have a place to `values`, from index 0 on. */
export function copyValues(
  engine: Engine,
  values: (Buffer | string | undefined)[],
  count: number,
): void {
  const { log } = engine
  let sharedBytes = sharedSizeBytes(count)
  let slab: ArrayBufferLike = noWords.buffer
  let slabWords = noWords
  let at = 0
  let end = 0
  for (let key = 0; key < count; key++) {
    const slot = slots[key]
    if (slot < 0) continue
    const sizeBytes = valueSizesBytes[key] >>> 0
    if (sizeBytes > sharingSizeBytesMax) {
      const copy = Buffer.allocUnsafe(sizeBytes)
      const start = log.bases[slot] + valueWords[key] * 4
      copy.set(new Uint8Array(log.buffers[slot], start, sizeBytes))
      values[key] = copy
      continue
    }
    const roomBytes = (sizeBytes + 7) & ~7
    if (at + roomBytes > end) {
      const memory = Buffer.allocUnsafe(Math.min(sharedBytes, slabSizeBytesMax))
      slab = memory.buffer
      slabWords = new Int32Array(slab)
      at = memory.byteOffset
      end = at + memory.length
    }
    copyWords(slabWords, at >>> 2, log.words[slot], valueWords[key], (sizeBytes + 3) >>> 2)
    values[key] = new BufferView(slab, at, sizeBytes)
    at += roomBytes
    sharedBytes -= roomBytes
  }
}

const noWords = new Int32Array(0)

function sharedSizeBytes(count: number): number {
  let sum = 0
  for (let at = 0; at < count; at++) {
    const sizeBytes = valueSizesBytes[at] >>> 0
    if (slots[at] >= 0 && sizeBytes <= sharingSizeBytesMax) sum += (sizeBytes + 7) & ~7
  }
  return sum
}

/** As {@link copyValues}, as text. */
export function copyTexts(
  engine: Engine,
  values: (Buffer | string | undefined)[],
  count: number,
): void {
  const { log } = engine
  for (let key = 0; key < count; key++) {
    const slot = slots[key]
    if (slot < 0) continue
    const start = valueWords[key] * 4
    values[key] = log.bytes[slot].toString('utf8', start, start + (valueSizesBytes[key] >>> 0))
  }
}
