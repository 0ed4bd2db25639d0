/**
 * The rest of a long key: what does not lie in the page of its entry, in a chain of pages of its own.
 * The chain is written before anything refers to it and never changed; who reads it finds out from
 * the version of the page that referred to it whether it was still that.
 */
import {
  inPageWordsMax,
  restHeaderWords,
  restNextWord,
  restPageWords,
} from '../format/ordered-page.js'
import type { OrderedChange } from './ordered-change.js'
import { baseOf, type OrderedIndex } from './ordered-index.js'
import { headOf, type OrderedKey, wordCountOf } from './ordered-key.js'

/** The most bytes that a key of the index has, its keyspace included. */
export const orderedKeySizeBytesMax = 65_535 + 4

/** Pages that the rest of a key takes. */
export function restPageCount(sizeBytes: number): number {
  const restWords = wordCountOf(sizeBytes) - inPageWordsMax
  return restWords <= 0 ? 0 : Math.ceil(restWords / restPageWords)
}

/** Writes the rest of a key into pages that are taken for it; returns the first. */
export function writeRest(index: OrderedIndex, change: OrderedChange, key: OrderedKey): number {
  const wordCount = wordCountOf(key.sizeBytes)
  let next = 0
  // From the last page to the first: each is written with the number of the one behind it.
  for (let page = restPageCount(key.sizeBytes) - 1; page >= 0; page--) {
    const from = inPageWordsMax + page * restPageWords
    const to = Math.min(wordCount, from + restPageWords)
    const added = change.takePage()
    const words = index.wordsOf(added)
    const base = baseOf(added)
    words[base + restNextWord] = next
    const target = base + restHeaderWords - from
    for (let word = from; word < to; word++) words[target + word] = key.words[word]
    next = added
  }
  return next
}

/** Frees the pages from `first` on. */
export function freeRest(index: OrderedIndex, change: OrderedChange, first: number): void {
  for (let page = first; page !== 0; ) {
    const next = index.wordsOf(page)[baseOf(page) + restNextWord]
    change.freeRestPage(page)
    page = next
  }
}

/** How the rest of an entry compares with that of a long key whose words in the page are the same. */
export function compareRest(
  index: OrderedIndex,
  first: number,
  sizeBytes: number,
  key: OrderedKey,
): number {
  const common = Math.min(wordCountOf(sizeBytes), wordCountOf(key.sizeBytes))
  let page = first
  for (let from = inPageWordsMax; from < common; from += restPageWords) {
    if (!index.hasPage(page)) return 1
    const words = index.wordsOf(page)
    const base = baseOf(page)
    const to = Math.min(common, from + restPageWords)
    const source = base + restHeaderWords - from
    for (let word = from; word < to; word++) {
      if (words[source + word] === key.words[word]) continue
      return headOf(words[source + word]) < headOf(key.words[word]) ? -1 : 1
    }
    page = words[base + restNextWord]
  }
  return sizeBytes - key.sizeBytes
}

/** Adds the rest to a key that has its words of the page. False where what is there is no rest. */
export function readRest(
  index: OrderedIndex,
  first: number,
  sizeBytes: number,
  key: OrderedKey,
): boolean {
  if (sizeBytes <= inPageWordsMax * 4 || sizeBytes > orderedKeySizeBytesMax) return false
  const wordCount = wordCountOf(sizeBytes)
  const target = key.reserve(wordCount)
  let page = first
  for (let from = inPageWordsMax; from < wordCount; from += restPageWords) {
    if (!index.hasPage(page)) return false
    const words = index.wordsOf(page)
    const base = baseOf(page)
    const to = Math.min(wordCount, from + restPageWords)
    const source = base + restHeaderWords - from
    for (let word = from; word < to; word++) target[word] = words[source + word]
    page = words[base + restNextWord]
  }
  key.end(sizeBytes)
  return true
}
