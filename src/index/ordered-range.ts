/**
 * Ranges of the ordered index, as two keys: all keys from `low` on and below `high`. Every range can
 * be said so: a key excluded below or included above is {@link OrderedKey.raise}d, a prefix or a
 * keyspace ends at the first key behind it ({@link setBehind}).
 */

import { type OrderedCursor, seekBusy, takeFence } from './ordered-cursor.js'
import { descend, isLeafUnchanged } from './ordered-descent.js'
import type { OrderedIndex } from './ordered-index.js'
import { compareKeys, headOf, type OrderedKey, wordCountOf } from './ordered-key.js'
import { entryCountOf, searchPage } from './ordered-page.js'

/** Sets `key` to the first key behind all that begin with `prefix`, in its keyspace or behind it. */
export function setBehind(key: OrderedKey, prefix: OrderedKey): void {
  let sizeBytes = prefix.sizeBytes
  const byteAt = (at: number): number => (prefix.words[at >>> 2] >>> ((at & 3) * 8)) & 0xff
  while (sizeBytes > 4 && byteAt(sizeBytes - 1) === 0xff) sizeBytes--
  if (sizeBytes === 4) {
    key.set(prefix.keyspaceId + 1, noWords, 0, 0)
    return
  }
  key.setKey(prefix, sizeBytes)
  // The byte is not 0xff, so nothing is carried.
  key.words[(sizeBytes - 1) >>> 2] += 1 << (((sizeBytes - 1) & 3) * 8)
}

const noWords = new Int32Array(0)

/**
 * Keys from `low` on, below `high`; or {@link seekBusy}. While others write, each leaf is counted as
 * it is when its turn comes.
 */
export function countRange(
  index: OrderedIndex,
  cursor: OrderedCursor,
  low: OrderedKey,
  high: OrderedKey,
): number {
  const { descent, fence, from } = cursor
  cursor.isReverse = false
  from.setKey(low, low.sizeBytes)
  let sum = 0
  let retry = 0
  while (compareKeys(from, high) < 0) {
    if (retry++ > cursor.retriesMax) return seekBusy
    if (!descend(index, descent, from, false, false)) continue
    const first = searchPage(index, descent.leafWords, descent.leafBase, from)
    const end = searchPage(index, descent.leafWords, descent.leafBase, high)
    const count = entryCountOf(descent.leafWords, descent.leafBase)
    if (!isLeafUnchanged(descent) || !takeFence(index, cursor)) continue
    sum += (end >>> 1) - (first >>> 1)
    // Where the keyspace ends the fence is behind it, and `high` perhaps behind that.
    if (end >>> 1 < count || descent.fencePage === 0) return sum
    // Fences rise in a tree that is whole; one that is not must not lead around for ever.
    if (compareKeys(from, fence) < 0) retry = 0
    from.setKey(fence, fence.sizeBytes)
  }
  return sum
}

/**
 * Drops the keys of a cursor that lie behind the end of a range: not below `bound`, or in reverse
 * below it. The cursor is the last one then.
 */
export function trimCursor(cursor: OrderedCursor, bound: OrderedKey): void {
  const { isReverse } = cursor
  let low = 0
  let high = cursor.count
  while (low < high) {
    // Keys come in order, so most often all are within the range or only the last few are not.
    const middle = high === cursor.count ? high - 1 : (low + high) >>> 1
    const order = compareInCursor(cursor, middle, bound)
    if (isReverse ? order >= 0 : order < 0) low = middle + 1
    else high = middle
  }
  if (low < cursor.count) {
    cursor.count = low
    cursor.isLast = true
  }
}

/** How a key of the cursor compares with another of any keyspace. */
function compareInCursor(cursor: OrderedCursor, index: number, key: OrderedKey): number {
  const { keyspaceWord, words } = cursor
  if (key.words[0] !== keyspaceWord) return headOf(keyspaceWord) < headOf(key.words[0]) ? -1 : 1
  const sizeBytes = cursor.sizesBytes[index] + 4
  const start = cursor.starts[index] - 1
  const common = Math.min(wordCountOf(sizeBytes), wordCountOf(key.sizeBytes))
  for (let word = 1; word < common; word++) {
    if (words[start + word] === key.words[word]) continue
    return headOf(words[start + word]) < headOf(key.words[word]) ? -1 : 1
  }
  return sizeBytes - key.sizeBytes
}
