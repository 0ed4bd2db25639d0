/**
 * Words that other threads and processes read while they change.
 *
 * On x64 every store becomes visible after all stores before it, and every load happens before all
 * loads after it, so plain accesses are in order as long as the compiler keeps them: V8 keeps the
 * order of loads and stores to typed arrays, and moves none of them over an `Atomics` call. There a
 * plain store replaces an `Atomics.store`, which costs 12 ns and waits for all stores before it;
 * three of them are in every put. Elsewhere (arm64) it is an `Atomics.store`.
 *
 * What must not be plain anywhere is the second of two loads of one word: V8 may take the first
 * one's result for it. It is an `Atomics.load` by whoever compares.
 *
 * On arm64 an acquire load does not hold back the plain loads before it, nor a release store the
 * plain stores after it: both sides of a seqlock need {@link fence} there.
 */
const isTotalStoreOrder = process.arch === 'x64'

/** Stores a word after everything that was stored before. */
export function publishWord(words: Int32Array, index: number, value: number): void {
  if (isTotalStoreOrder) words[index] = value
  else Atomics.store(words, index, value)
}

/** Loads a word before everything that is loaded after. */
export function loadWordFirst(words: Int32Array, index: number): number {
  return isTotalStoreOrder ? words[index] : Atomics.load(words, index)
}

const fenceWords = new Int32Array(new SharedArrayBuffer(4))

/** Keeps everything before it before everything after it, where the processor does not by itself. */
export function fence(): void {
  // An atomic read-modify-write is a full barrier for what surrounds it.
  if (!isTotalStoreOrder) Atomics.add(fenceWords, 0, 1)
}
