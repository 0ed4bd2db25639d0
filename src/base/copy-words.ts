/**
 * Copies words from one array to another, four in a step: V8 looks at both arrays' lengths and types
 * for every access, which costs more than the word itself, and once in a step suffices. A call of
 * `set` would need a view of what is copied, made for each call.
 * Hot path: `bench/compare`, row "update".
 */
export function copyWords(
  to: Int32Array,
  toStart: number,
  from: Int32Array,
  fromStart: number,
  count: number,
): void {
  let word = 0
  for (const last = count - 4; word <= last; word += 4) {
    to[toStart + word] = from[fromStart + word]
    to[toStart + word + 1] = from[fromStart + word + 1]
    to[toStart + word + 2] = from[fromStart + word + 2]
    to[toStart + word + 3] = from[fromStart + word + 3]
  }
  for (; word < count; word++) to[toStart + word] = from[fromStart + word]
}
