/** The key of a record as the key at hand. */
import { flagExpiry, recordHeaderWords } from '../format/record.js'
import { recordFlags, recordKeySize } from '../log/record-fields.js'
import type { Engine } from './engine.js'

/** Makes the key of a record the key at hand. */
export function takeKey(engine: Engine, words: Int32Array, start: number): void {
  const hasExpiry = (recordFlags(words, start) & flagExpiry) !== 0
  const keyStart = start + recordHeaderWords + (hasExpiry ? 2 : 0)
  engine.key.setWords(words, keyStart, recordKeySize(words, start))
}
