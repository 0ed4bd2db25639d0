/** The key of a record, and its hash. */
import { hashKeyWords } from '../base/hash.js'
import { flagExpiry, recordHeaderWords } from '../format/record.js'
import { recordFlags, recordKeySize, recordKeyspace } from '../log/record-fields.js'
import type { Engine } from './engine.js'
import { keyspaceSeed } from './probe.js'

/** Makes the key of a record the key at hand. */
export function takeKey(engine: Engine, words: Int32Array, start: number): void {
  engine.key.setWords(words, keyStartOf(words, start), recordKeySize(words, start))
}

/** The hash of a record's key, without making it the key at hand. Hot path: `bench/recovery.mjs`. */
export function hashRecord(engine: Engine, words: Int32Array, start: number): number {
  const seedLow = keyspaceSeed(engine, recordKeyspace(words, start))
  const sizeBytes = recordKeySize(words, start)
  return hashKeyWords(words, keyStartOf(words, start), sizeBytes, seedLow, engine.hashSeedHigh)
}

function keyStartOf(words: Int32Array, start: number): number {
  const hasExpiry = (recordFlags(words, start) & flagExpiry) !== 0
  return start + recordHeaderWords + (hasExpiry ? 2 : 0)
}
