/**
 * A reader's way from the root to a leaf, while pages change.
 *
 * It takes the version of a page, then what the page says about the next one, then the version of
 * that one, and then looks whether the first is still what it was. So each page was the child of the
 * page above it at a moment when that one was whole.
 *
 * Order of loads: a version before all that is read under it (`loadWordFirst`), and again after it
 * (`Atomics.load`); base/shared-words.ts says why that is enough.
 */
import { loadWordFirst } from '../base/shared-words.js'
import {
  heightMax,
  heightWord,
  pageWords,
  rootWord,
  shapeWord,
  versionWord,
} from '../format/ordered-page.js'
import { baseOf, type OrderedIndex } from './ordered-index.js'
import type { OrderedKey } from './ordered-key.js'
import { childAt, entryCountOf, searchPage } from './ordered-page.js'

/** Where a descent ended, and under which versions. */
export class OrderedDescent {
  leafWords: Int32Array = new Int32Array(0)
  leafBase = 0
  leafVersion = 0
  /** Where the separator at the edge of the leaf lies, and 0 for the page where there is none. */
  fencePage = 0
  fenceEntry = 0
  fenceVersion = 0
}

/**
 * Goes down to the leaf of the key, or where `isBelow` to that of the keys just below it. False where
 * a page changed on the way.
 */
export function descend(
  index: OrderedIndex,
  descent: OrderedDescent,
  key: OrderedKey,
  isBelow: boolean,
  isReverse: boolean,
): boolean {
  const header = index.words[0]
  let words = header
  let base = 0
  let version = loadWordFirst(header, versionWord)
  if ((version & 1) === 1) return false
  let child = header[rootWord]
  const height = header[heightWord]
  if (height < 1 || height > heightMax) return false
  descent.fencePage = 0
  for (let level = height - 1; ; level--) {
    if (!index.hasPage(child)) return false
    const childWords = index.wordsOf(child)
    const childBase = baseOf(child)
    const childVersion = loadWordFirst(childWords, childBase + versionWord)
    if ((childVersion & 1) === 1) return false
    if (Atomics.load(words, base + versionWord) !== version) return false
    const page = child
    words = childWords
    base = childBase
    version = childVersion
    if (level === 0) break
    if ((words[base + shapeWord] & 0xff) !== level) return false
    const found = searchPage(index, words, base, key)
    if (found < 0) return false
    const position = (found >>> 1) + (isBelow ? 0 : found & 1)
    const fence = isReverse ? position - 1 : position
    if (fence >= 0 && fence < entryCountOf(words, base)) {
      descent.fencePage = page
      descent.fenceEntry = fence
      descent.fenceVersion = version
    }
    const childWord = childAt(words, base, position)
    if (childWord >= base + pageWords) return false
    child = words[childWord]
  }
  descent.leafWords = words
  descent.leafBase = base
  descent.leafVersion = version
  return true
}

/** What was read in the leaf since the descent was there as a whole. */
export function isLeafUnchanged(descent: OrderedDescent): boolean {
  const { leafWords, leafBase, leafVersion } = descent
  return Atomics.load(leafWords, leafBase + versionWord) === leafVersion
}
