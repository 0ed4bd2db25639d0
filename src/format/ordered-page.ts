/**
 * A page of the ordered index: 2 KiB of 32-bit words. Volatile like the hash index: believed only on
 * the boot that wrote it, built again from the log on another.
 *
 * A key in the index is a row of words: first its keyspace id, the bytes swapped so that keyspaces
 * sort by number, then its own bytes, zero-padded to whole words. Sizes in bytes include the first word.
 * Equal words and different sizes tell keys apart that differ in trailing zero bytes only.
 *
 * Page 0 is the header:
 *
 * word  | field
 * ----- | -----
 *     0 | version: odd while root and height change
 *     1 | root: number of the root page
 *     2 | height: levels from the root to the leaves, 1 for a root that is a leaf
 *    16 | pageEnd: pages ever used, this one included
 *    17 | freePage: first of the chain of free pages, 0 for none
 *    18 | keyCount
 *
 * A page of the tree:
 *
 * word  | field
 * ----- | -----
 *     0 | version: odd while anything in the page changes
 *     1 | next free page, where this one is free; nobody else ever writes it
 *     2 | level: 8 bits, 0 for a leaf | words of the prefix << 8
 *     3 | entries: 16 bits | first used word of the heap << 16
 *     4 | words of the heap that nothing refers to: 16 bits | appends in a row << 16
 *     5 | first child (of an inner page): the keys below those of the first entry
 *     6 | prefix: the words that every key of the page begins with
 *   ... | entries, in order of their keys: 2 words in a leaf, 3 in an inner page
 *   ... | free
 *   ... | heap: the words of each key behind its head, to the end of the page
 *
 * An entry:
 *
 * word  | field
 * ----- | -----
 *     0 | head: the word behind the prefix, bytes swapped and the sign turned, so that heads
 *       | compare as signed numbers as their bytes do; that of zeros where the key has no more words
 *     1 | place of its words in the heap: 12 bits | bytes of the key behind the prefix << 12: 18
 *       | bits | 1 << 30 for a long key
 *     2 | child (of an inner page): the keys from this one on, below the next entry's
 *
 * Of a long key, one of more than `inPageWordsMax` words, the page has only that many. Behind those in
 * the heap there are two words more: the page in which the rest begins, and the bytes of the whole key.
 *
 * A page of the rest of a long key, filled before anything refers to it:
 *
 * word  | field
 * ----- | -----
 *   0-1 | as in a page of the tree
 *     2 | next page of this key, 0 for none
 *   ... | words of the key
 *
 * A change, as it lies in the redo area until it is applied:
 *
 * word  | field
 * ----- | -----
 *     0 | end of the patches
 *     1 | end of the numbers of the pages that turn odd and even again
 *     2 | pageEnd after the change
 *     3 | patches: page, first word | words << 16, then the words
 *   ... | numbers of the pages that turn
 */

export const pageSizeBytes = 2048
export const pageWords = 512

export const versionWord = 0
export const rootWord = 1
export const heightWord = 2
export const pageEndWord = 16
export const freePageWord = 17
export const keyCountWord = 18

export const nextFreeWord = 1
export const shapeWord = 2
export const fillWord = 3
export const wasteWord = 4
export const firstChildWord = 5
export const pageHeaderWords = 6

export const leafEntryWords = 2
export const innerEntryWords = 3
export const placeBits = 12
/** A place behind the end of the page, of no words, reads as 0: nothing that is read lies outside. */
export const placeMask: number = pageWords - 1
export const suffixSizeMask = 0x3ffff
export const longFlag = 0x40000000

/** Words of a key that lie in a page: an inner page has room for four such keys at least. */
export const inPageWordsMax = 96
/** Words behind the last of a long key in the heap. */
export const longWords = 2

export const restNextWord = 2
export const restHeaderWords = 3
export const restPageWords: number = pageWords - restHeaderWords

export const patchEndWord = 0
export const turnEndWord = 1
export const redoPageEndWord = 2
export const redoHeaderWords = 3

/** More levels than any tree has: pages have two children at least, save a few. */
export const heightMax = 32
