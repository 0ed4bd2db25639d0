/**
 * Removing a key: planned here, made by ordered-apply.ts.
 *
 * An entry goes, or with the last one the page. A page that is left with little is laid out anew
 * together with the one beside it under the same parent, where both fit into one with room to spare;
 * its parent then loses an entry in the same way.
 */
import {
  fillWord,
  firstChildWord,
  longFlag,
  longWords,
  pageHeaderWords,
  pageWords,
  placeMask,
  wasteWord,
} from '../format/ordered-page.js'
import { OrderedChange } from './ordered-change.js'
import { OrderedDraft } from './ordered-draft.js'
import { baseOf, type OrderedIndex } from './ordered-index.js'
import { OrderedKey } from './ordered-key.js'
import {
  childAt,
  entryAt,
  entryCountOf,
  entryWordsAt,
  heapStartOf,
  prefixWordsOf,
  readEntry,
  restAt,
  searchPage,
  tailWordsOf,
} from './ordered-page.js'
import { findLeaf } from './ordered-path.js'
import { freeRest } from './ordered-rest.js'

const change = new OrderedChange()
const draft = new OrderedDraft()
const separator = new OrderedKey()

/** A page that uses less looks for another to share one with … */
const sparseWordsMax: number = pageWords / 3
/** … which then uses no more than this, so that the next keys do not divide it again. */
const mergedWordsMax: number = pageWords - (pageWords >>> 2)

/**
 * Plans the removal of a key into `redo`; arguments as for `planInsert`. Returns the words that the
 * change takes, or 0 where there is no such key. Throws `STORE_FULL` where a merge needs a page and
 * there is none.
 */
export function planRemove(
  index: OrderedIndex,
  keyspaceId: number,
  keyWords: Int32Array,
  start: number,
  keySizeBytes: number,
  redo: Int32Array,
): number {
  const { key } = index
  key.set(keyspaceId, keyWords, start, keySizeBytes)
  const leaf = findLeaf(index, key)
  const words = index.wordsOf(leaf)
  const base = baseOf(leaf)
  const found = searchPage(index, words, base, key)
  if ((found & 1) === 0) return 0
  change.begin(index, redo)
  change.keyCount--
  const position = found >>> 1
  freeEntryRest(index, words, base, position)
  if (entryCountOf(words, base) === 1 && change.height > 1) removePage(index, 0)
  else removeEntry(index, 0, position, 0)
  return change.finish()
}

/** The pages of the rest of an entry's key, where it has any, are free. */
function freeEntryRest(
  index: OrderedIndex,
  words: Int32Array,
  base: number,
  position: number,
): void {
  const place = words[entryAt(words, base, position) + 1]
  if ((place & longFlag) === 0) return
  freeRest(index, change, words[base + restAt(place)])
}

/** The page of the way at `level` has nothing left in it. */
function removePage(index: OrderedIndex, level: number): void {
  change.freePage(index.pathPages[level])
  const parent = level + 1
  if (parent === change.height) {
    const root = change.takePage()
    draft.begin(0, 0)
    draft.write(index, root, 0, 0, 0)
    change.setRoot(root, 1)
    return
  }
  const page = index.pathPages[parent]
  const words = index.wordsOf(page)
  const base = baseOf(page)
  if (entryCountOf(words, base) === 0) {
    removePage(index, parent)
    return
  }
  const child = index.pathChildren[parent]
  // The first child has no entry of its own: the second takes its place.
  const position = child === 0 ? 0 : child - 1
  freeEntryRest(index, words, base, position)
  removeEntry(index, parent, position, child === 0 ? words[childAt(words, base, 1)] : 0)
}

/**
 * Removes an entry, and in an inner page the child that it leads to, from the page of the way at
 * `level`. `before` is the new number of the child before that one, 0 where it stays.
 */
function removeEntry(index: OrderedIndex, level: number, position: number, before: number): void {
  const page = index.pathPages[level]
  const words = index.wordsOf(page)
  const base = baseOf(page)
  if (level + 1 === change.height) {
    if (level > 0 && entryCountOf(words, base) === 1) shrinkRoot(index, page, before)
    else patchOut(words, base, page, level, position, before)
    return
  }
  if (isSparse(words, base) && mergePage(index, level, position, before)) return
  patchOut(words, base, page, level, position, before)
}

/** The root has one child left, which becomes the root. */
function shrinkRoot(index: OrderedIndex, oldRoot: number, before: number): void {
  change.freePage(oldRoot)
  let level = change.height - 2
  let root = before === 0 ? index.wordsOf(oldRoot)[baseOf(oldRoot) + firstChildWord] : before
  // Of a page that is new it is known that it has entries, and nobody needs to look.
  while (before === 0 && level > 0) {
    const words = index.wordsOf(root)
    const base = baseOf(root)
    if (entryCountOf(words, base) > 0) break
    change.freePage(root)
    root = words[base + firstChildWord]
    level--
  }
  change.setRoot(root, level + 1)
}

function patchOut(
  words: Int32Array,
  base: number,
  page: number,
  level: number,
  position: number,
  before: number,
): void {
  const { redo } = change
  const count = entryCountOf(words, base)
  const entryWords = entryWordsAt(level)
  const entry = entryAt(words, base, position)
  const isBeforeInEntry = before !== 0 && position > 0
  const moved = (count - 1 - position) * entryWords
  if (moved > 0 || isBeforeInEntry) {
    const extra = isBeforeInEntry ? 1 : 0
    change.patch(page, entry - base - extra, moved + extra)
    let at = change.at
    if (isBeforeInEntry) redo[at++] = before
    const source = entry + entryWords
    for (let word = 0; word < moved; word++) redo[at++] = words[source + word]
    change.at = at
  }
  const place = words[entry + 1]
  const heapWords = tailWordsOf(place) + ((place & longFlag) === 0 ? 0 : longWords)
  const isBeforeInHeader = before !== 0 && position === 0
  const waste = words[base + wasteWord]
  let heapStart = heapStartOf(words, base)
  let wasted = waste & 0xffff
  // The words that were put into the heap last can be used again at once.
  if ((place & placeMask) === heapStart) heapStart += heapWords
  else wasted += heapWords
  change.patch(page, fillWord, isBeforeInHeader ? 3 : 2)
  redo[change.at++] = (count - 1) | (heapStart << 16)
  redo[change.at++] = wasted | ((waste >>> 16) << 16)
  if (isBeforeInHeader) redo[change.at++] = before
}

function usedWords(words: Int32Array, base: number): number {
  const fill = words[base + fillWord]
  const shape = words[base + 2]
  const entryWords = (fill & 0xffff) * entryWordsAt(shape & 0xff)
  const heapWords = pageWords - (fill >>> 16) - (words[base + wasteWord] & 0xffff)
  return pageHeaderWords + prefixWordsOf(words, base) + entryWords + heapWords
}

function isSparse(words: Int32Array, base: number): boolean {
  return usedWords(words, base) < sparseWordsMax
}

/** Puts the page and one beside it into a new one. False where they are too much for that. */
function mergePage(index: OrderedIndex, level: number, position: number, before: number): boolean {
  const parent = level + 1
  const parentPage = index.pathPages[parent]
  const parentWords = index.wordsOf(parentPage)
  const parentBase = baseOf(parentPage)
  const siblings = entryCountOf(parentWords, parentBase)
  const child = index.pathChildren[parent]
  const page = index.pathPages[level]
  for (const leftChild of [child, child - 1]) {
    if (leftChild < 0 || leftChild >= siblings) continue
    const isLeft = leftChild === child
    const other = parentWords[childAt(parentWords, parentBase, isLeft ? child + 1 : leftChild)]
    const own = usedWords(index.wordsOf(page), baseOf(page))
    if (own + usedWords(index.wordsOf(other), baseOf(other)) > mergedWordsMax) continue
    draftBoth(
      index,
      level,
      isLeft ? page : other,
      isLeft ? other : page,
      leftChild,
      page,
      position,
      before,
    )
    if (draft.pageWordsOf(0, draft.count) > mergedWordsMax) continue
    const merged = change.takePage()
    draft.write(index, merged, 0, draft.count, draft.firstChild)
    change.freePage(page)
    change.freePage(other)
    // An inner page takes the separator over, its rest with it.
    if (level === 0) freeEntryRest(index, parentWords, parentBase, leftChild)
    removeEntry(index, parent, leftChild, merged)
    return true
  }
  return false
}

/** Both pages, without the entry `position` of the page `reduced`. */
function draftBoth(
  index: OrderedIndex,
  level: number,
  left: number,
  right: number,
  leftChild: number,
  reduced: number,
  position: number,
  before: number,
): void {
  const leftWords = index.wordsOf(left)
  const rightWords = index.wordsOf(right)
  const rightBase = baseOf(right)
  draft.begin(level, leftWords[baseOf(left) + firstChildWord])
  draftWithout(leftWords, baseOf(left), left === reduced ? position : -1)
  if (left === reduced && before !== 0) draft.setChild(position, before)
  if (level > 0) {
    const parentPage = index.pathPages[level + 1]
    const words = index.wordsOf(parentPage)
    const base = baseOf(parentPage)
    const entry = entryAt(words, base, leftChild)
    const place = words[entry + 1]
    readEntry(index, words, base, entry, separator)
    const rest = (place & longFlag) === 0 ? 0 : words[base + restAt(place)]
    draft.addKey(separator, rest, rightWords[rightBase + firstChildWord])
  }
  const first = draft.count
  draftWithout(rightWords, rightBase, right === reduced ? position : -1)
  if (right === reduced && before !== 0) draft.setChild(first + position, before)
}

function draftWithout(words: Int32Array, base: number, position: number): void {
  const count = entryCountOf(words, base)
  if (position < 0) {
    draft.addEntries(words, base, 0, count)
    return
  }
  draft.addEntries(words, base, 0, position)
  draft.addEntries(words, base, position + 1, count)
}
