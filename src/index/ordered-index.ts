/**
 * The ordered index: the set of keys in order, a B+tree in pages of mapped memory. Values are not in
 * it; they are found through the hash index.
 *
 * Invariants:
 * - Every page below `pageEnd` is the header, in the tree, in the rest of a long key, or free, and
 *   only one of these.
 * - Keys below a child are not below its separator, and below the next one.
 * - Nothing that can be reached from the root changes except by applying a change
 *   (ordered-apply.ts): the pages concerned are odd meanwhile, all of them at once.
 * - A page that leaves the tree turns odd and even with the change that removes it. So a reader that
 *   still holds it notices, whatever the page becomes afterwards.
 *
 * One thread plans and applies at a time; any number read (ordered-cursor.ts).
 *
 * Not here: what readers and the one writer do with it, and when a change counts. Each is a file of
 * its own, and the last is the business of whoever has the control state.
 */
import {
  fillWord,
  freePageWord,
  heightMax,
  heightWord,
  keyCountWord,
  pageEndWord,
  pageSizeBytes,
  pageWords,
  rootWord,
  shapeWord,
} from '../format/ordered-page.js'
import type { MapAccess, MappingSpace, PlatformFile } from '../platform/platform.js'
import { indexInPiece, pieceOf, Region } from '../platform/region.js'
import { OrderedKey } from './ordered-key.js'

/** log2 of the pages in the first piece of the region: 1 MiB. */
export const pagesFirstShift: number = 20 - Math.log2(pageSizeBytes)

export class OrderedIndex {
  readonly region: Region
  /** The pieces of `region`: {@link wordsOf} and {@link baseOf} say where a page lies. */
  readonly words: Int32Array[]
  /** The key that is inserted or removed. */
  readonly key: OrderedKey = new OrderedKey()
  /** The writer's way from the root to the leaf, by level: the page, and which child was taken. */
  readonly pathPages: Int32Array = new Int32Array(heightMax)
  readonly pathChildren: Int32Array = new Int32Array(heightMax)

  constructor(file: PlatformFile, access: MapAccess, space: MappingSpace | undefined) {
    this.region = new Region(
      file,
      { firstShift: pagesFirstShift, elementSizeBytes: pageSizeBytes },
      access,
      space,
    )
    this.words = this.region.words
  }

  /** Makes an empty tree: a header, and a root that is an empty leaf. For a new or a foreign file. */
  initialize(): void {
    this.region.reserve(2)
    const words = this.words[0]
    words.fill(0, 0, 2 * pageWords)
    words[pageWords + shapeWord] = 0
    words[pageWords + fillWord] = pageWords << 16
    words[rootWord] = 1
    words[heightWord] = 1
    words[pageEndWord] = 2
  }

  get root(): number {
    return this.words[0][rootWord]
  }

  get height(): number {
    return this.words[0][heightWord]
  }

  get pageEnd(): number {
    return this.words[0][pageEndWord]
  }

  get freePage(): number {
    return this.words[0][freePageWord]
  }

  get keyCount(): number {
    return this.words[0][keyCountWord] >>> 0
  }

  /** The words that a page lies in; it begins there at {@link baseOf}. */
  wordsOf(page: number): Int32Array {
    return this.words[pieceOf(page, pagesFirstShift)]
  }

  /**
   * True where `page` can be read: a reader may have been led to a number that is none. Pages that
   * another process added are mapped here when they are first asked for.
   */
  hasPage(page: number): boolean {
    if (page <= 0) return false
    if (page < this.region.reservedCount) return true
    if (page >= this.pageEnd) return false
    this.region.reserve(this.pageEnd)
    return true
  }

  get sizeBytes(): number {
    return this.region.reservedBytes
  }
}

/** First word of a page within its piece. */
export function baseOf(page: number): number {
  return indexInPiece(page, pagesFirstShift) * pageWords
}
