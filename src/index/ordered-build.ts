/**
 * Building an ordered index from keys in order, all at once: the pages are written one behind the
 * other, level by level, while nothing refers to them, and one change makes the last one the root.
 */
import { assert } from '../base/assert.js'
import { inPageWordsMax, pageWords, wasteWord } from '../format/ordered-page.js'
import { KeyList } from './key-list.js'
import { OrderedChange } from './ordered-change.js'
import { OrderedDraft } from './ordered-draft.js'
import { baseOf, type OrderedIndex } from './ordered-index.js'
import { OrderedKey, setSeparator, wordCountOf } from './ordered-key.js'
import { writeRest } from './ordered-rest.js'

/**
 * Three sixteenths of each page are left free. With one, a tenth as many new keys divided nearly every
 * page, which cost each of them half as much again.
 */
const builtWordsMax: number = pageWords - 3 * (pageWords >>> 4)

const change = new OrderedChange()
const draft = new OrderedDraft()
const left = new OrderedKey()
const right = new OrderedKey()
const separator = new OrderedKey()

/** The pages of a level, in order, and the separators between them. */
interface Level {
  readonly pages: number[]
  readonly separators: KeyList
}

/**
 * Plans into `redo` that the index, which has no keys, gets those of a sorted list; keys that are in
 * it twice count once. Returns the words that the change takes. Throws `STORE_FULL`.
 */
export function planBuild(index: OrderedIndex, keys: KeyList, redo: Int32Array): number {
  assert(index.keyCount === 0, 'an index is built once')
  change.begin(index, redo)
  if (keys.count === 0) return change.finish()
  change.freePage(index.root)
  let level = buildLeaves(index, keys)
  let height = 1
  while (level.pages.length > 1) level = buildInnerPages(index, level, height++)
  change.setRoot(level.pages[0], height)
  return change.finish()
}

/** Hot path: `bench/ordered.mjs`, row "build". */
function buildLeaves(index: OrderedIndex, keys: KeyList): Level {
  const built: Level = { pages: [], separators: new KeyList() }
  const { order, sizesBytes, starts, words } = keys
  let keyCount = 0
  let previous = -1
  draft.begin(0, 0)
  for (let place = 0; place < keys.count; place++) {
    const key = order[place]
    if (previous >= 0 && isSameKey(keys, previous, key)) continue
    const rest = writeRestOf(index, keys, key)
    draft.addWords(words, starts[key], sizesBytes[key], rest, 0)
    if (draft.pageWordsOf(0, draft.count) > builtWordsMax) {
      built.pages.push(writePage(index, draft.count - 1))
      keys.readKey(previous, left)
      keys.readKey(key, right)
      setSeparator(separator, left, right)
      built.separators.addKey(separator)
      draft.begin(0, 0)
      draft.addWords(words, starts[key], sizesBytes[key], rest, 0)
    }
    previous = key
    keyCount++
  }
  built.pages.push(writePage(index, draft.count))
  change.keyCount = keyCount
  return built
}

/** One level more: each page of it takes as many of the pages below as there is room for. */
function buildInnerPages(index: OrderedIndex, below: Level, levelNumber: number): Level {
  const built: Level = { pages: [], separators: new KeyList() }
  const { pages, separators } = below
  draft.begin(levelNumber, pages[0])
  for (let child = 1; child < pages.length; child++) {
    const key = child - 1
    const start = separators.starts[key]
    const sizeBytes = separators.sizesBytes[key]
    const isLongKey = sizeBytes > inPageWordsMax * 4
    draft.addWords(separators.words, start, sizeBytes, isLongKey ? unwrittenRest : 0, pages[child])
    if (draft.pageWordsOf(0, draft.count) > builtWordsMax) {
      // It goes up instead, to lead to the next page, whose first child is its own.
      built.pages.push(writePage(index, draft.count - 1))
      separators.readKey(key, separator)
      built.separators.addKey(separator)
      draft.begin(levelNumber, pages[child])
    } else if (isLongKey) {
      draft.rests[draft.count - 1] = writeRestOf(index, separators, key)
    }
  }
  built.pages.push(writePage(index, draft.count))
  return built
}

/** Counts as a rest while it is not known in which page the key will lie. */
const unwrittenRest = -1

/** Writes the first `count` entries of the draft to a page; they came in order. */
function writePage(index: OrderedIndex, count: number): number {
  const page = change.takePage()
  draft.write(index, page, 0, count, draft.firstChild)
  index.wordsOf(page)[baseOf(page) + wasteWord] = count << 16
  return page
}

function writeRestOf(index: OrderedIndex, keys: KeyList, key: number): number {
  if (keys.sizesBytes[key] <= inPageWordsMax * 4) return 0
  keys.readKey(key, right)
  return writeRest(index, change, right)
}

function isSameKey(keys: KeyList, a: number, b: number): boolean {
  const { sizesBytes, starts, words } = keys
  if (sizesBytes[a] !== sizesBytes[b]) return false
  const wordCount = wordCountOf(sizesBytes[a])
  const startA = starts[a]
  const startB = starts[b]
  for (let word = 0; word < wordCount; word++) {
    if (words[startA + word] !== words[startB + word]) return false
  }
  return true
}
