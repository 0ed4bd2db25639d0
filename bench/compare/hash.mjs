const seed = 0x811c9dc5
const prime = 0x01000193
const missingMark = 0x100 // no byte has this value, so a missing record differs from any value

/**
 * FNV-1a over the values that `read` gives for the keys, in order: two engines that agree on it
 * have returned the same bytes for every key.
 *
 * @param {string[]} keys
 * @param {(key: string) => Uint8Array | undefined} read
 */
export function hashReads(keys, read) {
  let hash = seed
  for (const key of keys) {
    const value = read(key)
    if (value === undefined) {
      hash = Math.imul(hash ^ missingMark, prime)
      continue
    }
    for (let position = 0; position < value.length; position++) {
      hash = Math.imul(hash ^ value[position], prime)
    }
  }
  return (hash >>> 0).toString(16).padStart(8, '0')
}
