/**
 * Values as JSON can carry them. What MessagePack has and JSON has not is shown so: bytes as
 * base64, a Map as an object (as pairs, where a key is no string), a Set or typed array as an array,
 * a Date as ISO 8601, a bigint, NaN or Infinity as the text of the number.
 */

export function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return String(value)
  if (typeof value === 'number') return Number.isFinite(value) ? value : String(value)
  return typeof value === 'object' && value !== null ? plainObject(value) : value
}

function plainObject(value: object): unknown {
  if (Array.isArray(value)) return value.map(plain)
  if (value instanceof Uint8Array) return base64(value)
  if (value instanceof ArrayBuffer) return base64(new Uint8Array(value))
  if (value instanceof Map) return plainMap(value)
  if (value instanceof Set) return Array.from(value, plain)
  if (value instanceof Date) return Number.isNaN(value.valueOf()) ? String(value) : value.toJSON()
  if (value instanceof RegExp || value instanceof Error) return String(value)
  if (ArrayBuffer.isView(value)) return plainView(value)
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, plain(member)]))
}

function plainMap(map: Map<unknown, unknown>): unknown {
  const pairs = Array.from(map, ([key, member]) => [plain(key), plain(member)] as const)
  const isObject = Array.from(map.keys()).every((key) => typeof key === 'string')
  return isObject ? Object.fromEntries(pairs) : pairs
}

function plainView(view: ArrayBufferView): unknown {
  if (view instanceof DataView) {
    return base64(new Uint8Array(view.buffer, view.byteOffset, view.byteLength))
  }
  return Array.from(view as unknown as Iterable<unknown>, plain)
}

export function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')
}
