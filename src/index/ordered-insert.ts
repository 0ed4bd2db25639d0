/**
 * Inserting a key: planned here, made by ordered-apply.ts.
 *
 * A leaf with room gets one entry. One without is replaced by two, and the same then happens in its
 * parent, where one more entry is wanted; at worst up to a new root. A page that is full because it
 * was filled in order stays as it is, and the key begins the next one: so keys that come in order
 * leave full pages behind.
 */
import { assert } from '../base/assert.js'
import { copyWords } from '../base/copy-words.js'
import {
  fillWord,
  firstChildWord,
  inPageWordsMax,
  longFlag,
  longWords,
  pageHeaderWords,
  pageWords,
  placeBits,
  wasteWord,
} from '../format/ordered-page.js'
import { OrderedChange } from './ordered-change.js'
import { OrderedDraft } from './ordered-draft.js'
import { baseOf, type OrderedIndex } from './ordered-index.js'
import { headOf, isLong, OrderedKey, setSeparator, wordCountOf } from './ordered-key.js'
import {
  childAt,
  entryAt,
  entryCountOf,
  entryWordsAt,
  hasPrefix,
  heapStartOf,
  prefixWordsOf,
  readEntry,
  searchPage,
} from './ordered-page.js'
import { findLeaf } from './ordered-path.js'
import { writeRest } from './ordered-rest.js'

const change = new OrderedChange()
const draft = new OrderedDraft()
const left = new OrderedKey()
const right = new OrderedKey()
const separator = new OrderedKey()

/** What a level adds to its parent: a page in the place of its own, 0 for none, and one behind it. */
let replacement = 0
let added = 0
/** First page of the rest of `separator`, which leads to `added`; 0 for none. */
let separatorRest = 0

/** Compact instead of divided only where this leaves room for more than a few keys. */
const compactedWordsMax: number = pageWords - (pageWords >>> 3)
/** So many of its keys came in order at the end of a page that the next one will, too. */
const appendPart = 2

/**
 * Plans the insertion of a key into `redo`; `keyWords` has it zero-padded from word `start` on.
 * Returns the words that the change takes, or 0 where the key is there already. Throws `STORE_FULL`.
 *
 * Hot path: `bench/ordered.mjs`, rows "insert".
 */
export function planInsert(
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
  const found = searchPage(index, index.wordsOf(leaf), baseOf(leaf), key)
  if ((found & 1) === 1) return 0
  change.begin(index, redo)
  change.keyCount++
  const rest = isLong(key) ? writeRest(index, change, key) : 0
  insertEntry(index, 0, found >>> 1, key, rest, 0, 0)
  return change.finish()
}

/**
 * Inserts an entry into the page of the way at `level`, and what follows from that above. `before`
 * is the new number of the child before the entry's own, 0 where it stays.
 */
function insertEntry(
  index: OrderedIndex,
  level: number,
  position: number,
  key: OrderedKey,
  rest: number,
  child: number,
  before: number,
): void {
  const page = index.pathPages[level]
  const words = index.wordsOf(page)
  const base = baseOf(page)
  if (patchEntry(words, base, page, level, position, key, rest, child, before)) return
  if (position === entryCountOf(words, base) && isFilledInOrder(words, base)) {
    appendPage(index, level, page, key, rest, child, before)
  } else {
    rebuild(index, level, page, position, key, rest, child, before)
  }
  const parent = level + 1
  if (parent === change.height) growRoot(index, page, parent)
  else if (added !== 0) {
    separatorUp.setKey(separator, separator.sizeBytes)
    insertEntry(
      index,
      parent,
      index.pathChildren[parent],
      separatorUp,
      separatorRest,
      added,
      replacement,
    )
  } else patchChild(index, parent, replacement)
}

/** The separator on its way up, while the next one is made. */
const separatorUp = new OrderedKey()

/** Plans the insertion where there is room for it in the page as it is. */
function patchEntry(
  words: Int32Array,
  base: number,
  page: number,
  level: number,
  position: number,
  key: OrderedKey,
  rest: number,
  child: number,
  before: number,
): boolean {
  const count = entryCountOf(words, base)
  const prefixWords = prefixWordsOf(words, base)
  const entryWords = entryWordsAt(level)
  const inPageWords = Math.min(wordCountOf(key.sizeBytes), inPageWordsMax)
  const tailWords = Math.max(0, inPageWords - prefixWords - 1)
  const heapWords = tailWords + (rest === 0 ? 0 : longWords)
  const heapStart = heapStartOf(words, base)
  const end = pageHeaderWords + prefixWords + count * entryWords
  // A page without entries has a prefix of nothing: the first key is to bring its own.
  if (count === 0 || end + entryWords + heapWords > heapStart) return false
  if (!hasPrefix(words, base, key)) return false

  const { redo } = change
  const heap = heapStart - heapWords
  const entry = entryAt(words, base, position)
  // The child before the entry ends the entry before it, or lies in the header.
  const isBeforeInEntry = before !== 0 && position > 0
  const first = entry - base - (isBeforeInEntry ? 1 : 0)
  const moved = (count - position) * entryWords
  change.patch(page, first, moved + entryWords + (isBeforeInEntry ? 1 : 0))
  let at = change.at
  if (isBeforeInEntry) redo[at++] = before
  redo[at++] = headOf(key.words[prefixWords])
  const inPageSizeBytes = rest === 0 ? key.sizeBytes : inPageWordsMax * 4
  redo[at++] =
    heap | ((inPageSizeBytes - prefixWords * 4) << placeBits) | (rest === 0 ? 0 : longFlag)
  if (level !== 0) redo[at++] = child
  copyWords(redo, at, words, entry, moved)
  change.at = at + moved

  if (heapWords > 0) {
    change.patch(page, heap, heapWords)
    at = change.at
    const tail = prefixWords + 1
    for (let word = 0; word < tailWords; word++) redo[at++] = key.words[tail + word]
    if (rest !== 0) {
      redo[at++] = rest
      redo[at++] = key.sizeBytes
    }
    change.at = at
  }

  const waste = words[base + wasteWord]
  const appends = position === count ? (waste >>> 16) + 1 : 0
  const isBeforeInHeader = before !== 0 && position === 0
  change.patch(page, fillWord, isBeforeInHeader ? 3 : 2)
  redo[change.at++] = (count + 1) | (heap << 16)
  redo[change.at++] = (waste & 0xffff) | (appends << 16)
  if (isBeforeInHeader) redo[change.at++] = before
  return true
}

function isFilledInOrder(words: Int32Array, base: number): boolean {
  const count = entryCountOf(words, base)
  return count > 2 && (words[base + wasteWord] >>> 16) * appendPart >= count
}

/** The page stays as it is, and the key begins one behind it. */
function appendPage(
  index: OrderedIndex,
  level: number,
  page: number,
  key: OrderedKey,
  rest: number,
  child: number,
  before: number,
): void {
  const words = index.wordsOf(page)
  const base = baseOf(page)
  const count = entryCountOf(words, base)
  replacement = 0
  added = change.takePage()
  if (level === 0) {
    readEntry(index, words, base, entryAt(words, base, count - 1), left)
    setSeparator(separator, left, key)
    separatorRest = isLong(separator) ? writeRest(index, change, separator) : 0
    draft.begin(0, 0)
    draft.addKey(key, rest, 0)
    draft.write(index, added, 0, 1, 0)
  } else {
    // The key itself goes up; its child is the first and only one of the new page.
    if (before !== 0) {
      change.patch(page, childAt(words, base, count) - base, 1)
      change.redo[change.at++] = before
    }
    separator.setKey(key, key.sizeBytes)
    separatorRest = rest
    draft.begin(level, child)
    draft.write(index, added, 0, 0, child)
  }
  markFilledInOrder(index, added)
}

/** The entries of the page and the new one are laid out anew, in one page or in two. */
function rebuild(
  index: OrderedIndex,
  level: number,
  page: number,
  position: number,
  key: OrderedKey,
  rest: number,
  child: number,
  before: number,
): void {
  const words = index.wordsOf(page)
  const base = baseOf(page)
  const count = entryCountOf(words, base)
  const isAppend = position === count
  const appends = words[base + wasteWord] >>> 16
  draft.begin(level, words[base + firstChildWord])
  draft.addEntries(words, base, 0, position)
  draft.addKey(key, rest, child)
  draft.addEntries(words, base, position, count)
  if (before !== 0) draft.setChild(position, before)
  change.freePage(page)
  replacement = change.takePage()
  added = 0
  const total = draft.count
  if (draft.pageWordsOf(0, total) <= compactedWordsMax) {
    draft.write(index, replacement, 0, total, draft.firstChild)
    // The new page has taken over how the old one was filled.
    if (isAppend) setAppends(index, replacement, appends + 1)
    return
  }
  const place = draft.splitPlace()
  assert(place >= 0, 'a page can be divided')
  added = change.takePage()
  draft.write(index, replacement, 0, place, draft.firstChild)
  if (level === 0) {
    draft.readKey(index, place - 1, left)
    draft.readKey(index, place, right)
    setSeparator(separator, left, right)
    separatorRest = isLong(separator) ? writeRest(index, change, separator) : 0
    draft.write(index, added, place, total, 0)
  } else {
    draft.readKey(index, place, separator)
    separatorRest = draft.rests[place]
    draft.write(index, added, place + 1, total, draft.children[place])
  }
}

function setAppends(index: OrderedIndex, page: number, appends: number): void {
  index.wordsOf(page)[baseOf(page) + wasteWord] = appends << 16
}

function markFilledInOrder(index: OrderedIndex, page: number): void {
  setAppends(index, page, 1)
}

/** The root was replaced, by one page or by two. */
function growRoot(index: OrderedIndex, oldRoot: number, level: number): void {
  const first = replacement === 0 ? oldRoot : replacement
  if (added === 0) {
    change.setRoot(first, level)
    return
  }
  const root = change.takePage()
  draft.begin(level, first)
  draft.addKey(separator, separatorRest, added)
  draft.write(index, root, 0, 1, first)
  markFilledInOrder(index, root)
  change.setRoot(root, level + 1)
}

/** The child that the way takes at `level` gets another number. */
function patchChild(index: OrderedIndex, level: number, child: number): void {
  const page = index.pathPages[level]
  const words = index.wordsOf(page)
  const base = baseOf(page)
  change.patch(page, childAt(words, base, index.pathChildren[level]) - base, 1)
  change.redo[change.at++] = child
}
