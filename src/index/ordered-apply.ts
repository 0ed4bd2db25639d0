/**
 * Doing what a change says, once it counts: the same when made twice, from whatever point the first
 * time ended at.
 *
 * Order, for a reader in another thread: the version words of all pages concerned become odd before
 * the first word of any of them changes, and even after the last.
 */
import { copyWords } from '../base/copy-words.js'
import { publishWord } from '../base/shared-words.js'
import {
  patchEndWord,
  redoHeaderWords,
  redoPageEndWord,
  turnEndWord,
  versionWord,
} from '../format/ordered-page.js'
import { baseOf, type OrderedIndex } from './ordered-index.js'

/** Hot path: `bench/ordered.mjs`, rows "insert". */
export function applyOrderedChange(index: OrderedIndex, redo: Int32Array): void {
  const patchEnd = redo[patchEndWord]
  const turnEnd = redo[turnEndWord]
  // Of the same size already for the writer itself, not for whoever finishes its change.
  index.region.reserve(redo[redoPageEndWord])
  for (let at = patchEnd; at < turnEnd; at++) {
    const page = redo[at]
    const words = index.wordsOf(page)
    const version = baseOf(page) + versionWord
    publishWord(words, version, words[version] | 1)
  }
  for (let at = redoHeaderWords; at < patchEnd; ) {
    const page = redo[at]
    const range = redo[at + 1]
    const words = index.wordsOf(page)
    const target = baseOf(page) + (range & 0xffff)
    const count = range >>> 16
    at += 2
    copyWords(words, target, redo, at, count)
    at += count
  }
  for (let at = patchEnd; at < turnEnd; at++) {
    const page = redo[at]
    const words = index.wordsOf(page)
    const version = baseOf(page) + versionWord
    publishWord(words, version, ((words[version] | 1) + 1) | 0)
  }
}
