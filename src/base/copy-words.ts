/**
 * Copies words from one array to another.
 *
 * Few of them four in a step: V8 looks at both arrays' lengths and types for every access, which costs more
 * than the word itself, and once in a step suffices. Many by `set`, which wants a view of what is
 * copied: that is made in the time of 80 words, on Node 24 of 50, and the words then cost next to nothing.
 * Hot path: `bench/compare`, rows "update" and "insertOrdered".
 */
export function copyWords(
  to: Int32Array,
  toStart: number,
  from: Int32Array,
  fromStart: number,
  count: number,
): void {
  if (count > fewWordsMax) {
    to.set(new Int32Array(from.buffer, from.byteOffset + fromStart * 4, count), toStart)
    return
  }
  let word = 0
  for (const last = count - 4; word <= last; word += 4) {
    to[toStart + word] = from[fromStart + word]
    to[toStart + word + 1] = from[fromStart + word + 1]
    to[toStart + word + 2] = from[fromStart + word + 2]
    to[toStart + word + 3] = from[fromStart + word + 3]
  }
  for (; word < count; word++) to[toStart + word] = from[fromStart + word]
}

const fewWordsMax = 64
