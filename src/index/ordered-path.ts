/** The writer's way from the root to a leaf. It is alone in changing pages and needs no versions. */
import { baseOf, type OrderedIndex } from './ordered-index.js'
import type { OrderedKey } from './ordered-key.js'
import { childAt, searchPage } from './ordered-page.js'

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
  return page
}
