/**
 * Finding the newest record of the key at hand: the bucket's chain, then every record whose tag
 * matches, by its full key (I3). Two cache misses for a key that is there, one for one that is not.
 * Hot path: `bench/compare`, every row.
 */

import { hashKeyWords } from '../base/hash.js'
import { loadWordFirst } from '../base/shared-words.js'
import { linkWordInBucket, versionWordInBucket } from '../format/bucket.js'
import { flagExpiry, keySizeWord, kindWord, recordHeaderWords } from '../format/record.js'
import { wordOf } from '../index/hash-index.js'
import type { Engine } from './engine.js'

const expiryInKindWord = flagExpiry << 8

/** The hash of the key at hand within its keyspace. */
export function hashKey(engine: Engine, keyspaceId: number): number {
  const { key } = engine
  return hashKeyWords(
    key.words,
    key.sizeBytes,
    engine.hashSeedLow ^ Math.imul(keyspaceId, 0x9e3779b1),
    engine.hashSeedHigh,
  )
}

/** Fills `engine.lookup`; true where the key has a record. */
export function probe(engine: Engine, hash: number, keyspaceId: number): boolean {
  const { index, log, key, lookup } = engine
  const { shift, offsetMask } = log
  const home = index.bucketOf(hash)
  let words = index.wordsOf(home)
  let start = wordOf(home)
  let bucket = home
  lookup.home = home
  lookup.homeWords = words
  lookup.homeStart = start
  lookup.version = loadWordFirst(words, start + versionWordInBucket)
  const tag = hash >>> 8
  const keySizeBytes = key.sizeBytes
  const keyWords = key.words
  for (;;) {
    const end = start + versionWordInBucket
    for (let entry = start; entry < end; entry += 2) {
      const low = words[entry]
      if (low >>> 8 !== tag) continue
      const high = words[entry + 1]
      const slot = ((low & 0xff) << (32 - shift)) | (high >>> shift)
      const offset = high & offsetMask
      if (offset === 0) continue
      const recordWords = log.words[slot] ?? mapped(engine, slot)
      const record = offset << 1
      const kind = recordWords[record + kindWord]
      if (kind >>> 16 !== keyspaceId) continue
      if ((recordWords[record + keySizeWord] & 0xffff) !== keySizeBytes) continue
      const keyStart = record + recordHeaderWords + ((kind & expiryInKindWord) === 0 ? 0 : 2)
      if (!equalWords(recordWords, keyStart, keyWords, (keySizeBytes + 3) >>> 2)) continue
      lookup.bucket = bucket
      lookup.entryWords = words
      lookup.entryIndex = entry
      lookup.slot = slot
      lookup.offset = offset
      lookup.recordWords = recordWords
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

function mapped(engine: Engine, slot: number): Int32Array {
  engine.log.mapSlot(slot)
  return engine.log.words[slot]
}

function equalWords(a: Int32Array, start: number, b: Int32Array, count: number): boolean {
  for (let index = 0; index < count; index++) {
    if (a[start + index] !== b[index]) return false
  }
  return true
}
