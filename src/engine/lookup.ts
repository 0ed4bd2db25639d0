/** What {@link probe} found. One for each engine; it holds good until the next probe. */
export class Lookup {
  /** The home bucket, and where it lies. */
  home = 0
  homeWords: Int32Array = new Int32Array(16)
  homeStart = 0
  /** The home bucket's version before the chain was read. */
  version = 0
  /** Of the entry found: its bucket (an overflow bucket as its negative number) … */
  bucket = 0
  /** … the words it lies in and the index of its low word there. */
  entryWords: Int32Array = new Int32Array(16)
  entryIndex = 0
  /** Slot of the record found, its offset there in 8-byte words, and its words. */
  slot = 0
  offset = 0
  recordWords: Int32Array = new Int32Array(16)
  /** Words behind the record's header: loaded early for their cache lines, not for their values. */
  touched = 0
  /** The last bucket of the chain, as `bucket`; only after a miss. */
  lastBucket = 0
  /** The value: its slot, the byte offset at which it begins there, its size. See `locateValue`. */
  valueSlot = 0
  valueStart = 0
  valueSizeBytes = 0
}
