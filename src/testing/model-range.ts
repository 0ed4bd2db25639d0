/** Which of some items a range has, and in what order: the short way, by looking at each of them. */

export interface ModelRange<T> {
  readonly gt?: Uint8Array | undefined
  readonly gte?: Uint8Array | undefined
  readonly lt?: Uint8Array | undefined
  readonly lte?: Uint8Array | undefined
  readonly hasPrefix?: ((item: T) => boolean) | undefined
  readonly reverse?: boolean | undefined
  readonly limit?: number | undefined
}

/** Items are in the order of their bytes. */
export function selectRange<T>(
  items: Iterable<T>,
  bytesOf: (item: T) => Uint8Array,
  range: ModelRange<T>,
): T[] {
  const { gt, gte, hasPrefix, limit, lt, lte, reverse } = range
  const found = Array.from(items)
    .filter((item) => {
      const bytes = bytesOf(item)
      if (gt !== undefined && Buffer.compare(bytes, gt) <= 0) return false
      if (gte !== undefined && Buffer.compare(bytes, gte) < 0) return false
      if (lt !== undefined && Buffer.compare(bytes, lt) >= 0) return false
      if (lte !== undefined && Buffer.compare(bytes, lte) > 0) return false
      return hasPrefix === undefined || hasPrefix(item)
    })
    .sort((a, b) => Buffer.compare(bytesOf(a), bytesOf(b)))
  if (reverse === true) found.reverse()
  return found.slice(0, limit)
}
