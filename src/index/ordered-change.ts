/**
 * A change to the ordered index while it is planned: patches for pages that are in the tree, and new
 * pages, which are written at once because nothing refers to them yet.
 *
 * A page is either patched, a few words of it, or replaced by a new one whose number is then patched
 * into its parent. So a change is small however many pages it concerns, and a split of the whole way
 * up to the root is no larger than one insertion into a leaf.
 *
 * Invariants: pages are taken from those that were free before the change, never from those that it
 * frees, so until the change counts every page of the tree as it was stays as it was, and so do the
 * links of the free pages.
 */
import { assert } from '../base/assert.js'
import {
  freePageWord,
  nextFreeWord,
  pageEndWord,
  patchEndWord,
  redoHeaderWords,
  redoPageEndWord,
  rootWord,
  turnEndWord,
} from '../format/ordered-page.js'
import { baseOf, type OrderedIndex } from './ordered-index.js'

/** Three pages at each of 32 levels, and the header. */
const turnedMax = 128

export class OrderedChange {
  /** Where the change is written to; the next patch begins at `at`. */
  redo: Int32Array = new Int32Array(0)
  at = 0
  root = 0
  height = 0
  keyCount = 0
  #index: OrderedIndex | undefined
  #freePage = 0
  #pageEnd = 0
  #isRootChanged = false
  readonly #turned = new Int32Array(turnedMax)
  #turnedCount = 0
  /** Pages that the change frees, whatever they were. */
  #freed = new Int32Array(64)
  #freedCount = 0

  begin(index: OrderedIndex, redo: Int32Array): void {
    const header = index.words[0]
    this.redo = redo
    this.at = redoHeaderWords
    this.#index = index
    this.root = index.root
    this.height = index.height
    this.keyCount = index.keyCount
    this.#freePage = header[freePageWord]
    this.#pageEnd = header[pageEndWord]
    this.#isRootChanged = false
    this.#turnedCount = 0
    this.#freedCount = 0
  }

  /** A page that nothing refers to. Throws `STORE_FULL`; the tree is then as it was. */
  takePage(): number {
    const index = this.#index as OrderedIndex
    const page = this.#freePage
    if (page !== 0) {
      this.#freePage = index.wordsOf(page)[baseOf(page) + nextFreeWord]
      return page
    }
    const added = this.#pageEnd
    index.region.reserve(added + 1)
    this.#pageEnd = added + 1
    return added
  }

  /** A page of the tree is no longer in it. */
  freePage(page: number): void {
    this.#turn(page)
    this.freeRestPage(page)
  }

  /** Readers of the rest of a key go by the version of the page that refers to it. */
  freeRestPage(page: number): void {
    if (this.#freedCount === this.#freed.length) {
      const grown = new Int32Array(2 * this.#freedCount)
      grown.set(this.#freed)
      this.#freed = grown
    }
    this.#freed[this.#freedCount++] = page
  }

  /** Begins a patch of a page of the tree; its `count` words go to {@link redo} from {@link at} on. */
  patch(page: number, firstWord: number, count: number): void {
    this.#turn(page)
    this.#startPatch(page, firstWord, count)
  }

  setRoot(root: number, height: number): void {
    this.root = root
    this.height = height
    this.#isRootChanged = true
  }

  /** Writes what is left; returns how many words of the redo area the change takes. */
  finish(): number {
    const { redo } = this
    let freePage = this.#freePage
    for (let freed = 0; freed < this.#freedCount; freed++) {
      this.#startPatch(this.#freed[freed], nextFreeWord, 1)
      redo[this.at++] = freePage
      freePage = this.#freed[freed]
    }
    this.#startPatch(0, pageEndWord, 3)
    redo[this.at++] = this.#pageEnd
    redo[this.at++] = freePage
    redo[this.at++] = this.keyCount
    if (this.#isRootChanged) {
      this.patch(0, rootWord, 2)
      redo[this.at++] = this.root
      redo[this.at++] = this.height
    }
    const patchEnd = this.at
    for (let turned = 0; turned < this.#turnedCount; turned++) {
      redo[this.at++] = this.#turned[turned]
    }
    redo[patchEndWord] = patchEnd
    redo[turnEndWord] = this.at
    redo[redoPageEndWord] = this.#pageEnd
    assert(this.at <= redo.length, 'a change fits into the redo area')
    return this.at
  }

  #startPatch(page: number, firstWord: number, count: number): void {
    const { redo } = this
    redo[this.at++] = page
    redo[this.at++] = firstWord | (count << 16)
  }

  #turn(page: number): void {
    for (let turned = 0; turned < this.#turnedCount; turned++) {
      if (this.#turned[turned] === page) return
    }
    this.#turned[this.#turnedCount++] = page
  }
}
