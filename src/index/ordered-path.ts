/** The writer's way from the root to a leaf. It is alone in changing pages and needs no versions. */
import { leafEntryWords, pageHeaderWords } from '../format/ordered-page.js'
import { baseOf, type OrderedIndex } from './ordered-index.js'
import type { OrderedKey } from './ordered-key.js'
import { childAt, entryCountOf, searchPage } from './ordered-page.js'

/**
 * The leaf in which the key is or would be; fills the way to it.
 * Hot path: `bench/ordered.mjs`, rows "insert".
 */
export function findLeaf(index: OrderedIndex, key: OrderedKey): number {
  const { pathPages, pathChildren } = index
  let page = index.root
  for (let level = index.height - 1; level > 0; level--) {
    const words = index.wordsOf(page)
    const base = baseOf(page)
    const found = searchPage(index, words, base, key)
    // The entry of the key itself leads to it: children begin with their separators.
    const child = (found >>> 1) + (found & 1)
    pathPages[level] = page
    pathChildren[level] = child
    page = words[childAt(words, base, child)]
  }
  pathPages[0] = page
  fetchEntries(index.wordsOf(page), baseOf(page))
  return page
}

/** What is loaded for its cache line, and not for its value: somebody must seem to want it. */
export const fetched: Int32Array = new Int32Array(1)

/**
 * Loads from each cache line of the entries of a page. A search waits for one line after another, and
 * an insertion needs half of them anyway; here memory answers them all at a time.
 */
function fetchEntries(words: Int32Array, base: number): void {
  const end = base + pageHeaderWords + entryCountOf(words, base) * leafEntryWords
  let bits = 0
  for (let word = base + lineWords; word < end; word += lineWords) bits ^= words[word]
  fetched[0] = bits
}

const lineWords = 16
