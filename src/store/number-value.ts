/**
 * Numbers as msgpack, without the library's allocations: the same bytes as it writes, made in memory
 * that is used again. Counters are read and written millions of times a second.
 * Hot path: `bench/operations.mjs`, rows "update" and "increment".
 */
const sizeBytesMax = 9
const scratch = new ArrayBuffer(16)
const view = new DataView(scratch)
const decoded = new DataView(new ArrayBuffer(16))
/** The first bytes of the scratch memory, for each number of bytes. */
const firstBytes = Array.from(
  { length: sizeBytesMax + 1 },
  (_, sizeBytes) => new Uint8Array(scratch, 0, sizeBytes),
)

// From 0x40 on a single byte is the library's name for a shape of objects.
const singleByteMax = 0x3f
const float64 = 0xcb
const uint8 = 0xcc
const uint16 = 0xcd
const uint32 = 0xce
const int8 = 0xd0
const int16 = 0xd1
const int32 = 0xd2
const negativeSingleByteMin = 0xe0

/** The bytes hold good until the next call. */
export function encodeNumber(value: number): Uint8Array {
  if (value >>> 0 === value) return encodeUnsigned(value)
  if (value >> 0 === value) return encodeNegative(value)
  view.setUint8(0, float64)
  view.setFloat64(1, value)
  return firstBytes[9]
}

function encodeUnsigned(value: number): Uint8Array {
  if (value <= singleByteMax) {
    view.setUint8(0, value)
    return firstBytes[1]
  }
  if (value <= 0xff) {
    view.setUint16(0, (uint8 << 8) | value)
    return firstBytes[2]
  }
  if (value <= 0xffff) {
    view.setUint8(0, uint16)
    view.setUint16(1, value)
    return firstBytes[3]
  }
  view.setUint8(0, uint32)
  view.setUint32(1, value)
  return firstBytes[5]
}

function encodeNegative(value: number): Uint8Array {
  if (value >= -0x20) {
    view.setInt8(0, value)
    return firstBytes[1]
  }
  if (value >= -0x80) {
    view.setUint8(0, int8)
    view.setInt8(1, value)
    return firstBytes[2]
  }
  if (value >= -0x8000) {
    view.setUint8(0, int16)
    view.setInt16(1, value)
    return firstBytes[3]
  }
  view.setUint8(0, int32)
  view.setInt32(1, value)
  return firstBytes[5]
}

/** The number that `sizeBytes` of `bytes` from `start` hold, or undefined for anything else. */
export function decodeNumber(
  bytes: Uint8Array,
  start: number,
  sizeBytes: number,
): number | undefined {
  if (sizeBytes === 0 || sizeBytes > sizeBytesMax) return undefined
  const kind = bytes[start]
  if (sizeBytes === 1) {
    if (kind <= singleByteMax) return kind
    return kind >= negativeSingleByteMin ? kind - 0x100 : undefined
  }
  if (sizeBytes === 2) {
    if (kind === uint8) return bytes[start + 1]
    return kind === int8 ? (bytes[start + 1] << 24) >> 24 : undefined
  }
  if (sizeBytes === 3) {
    const half = (bytes[start + 1] << 8) | bytes[start + 2]
    if (kind === uint16) return half
    return kind === int16 ? (half << 16) >> 16 : undefined
  }
  if (sizeBytes === 5) {
    const word =
      (bytes[start + 1] << 24) |
      (bytes[start + 2] << 16) |
      (bytes[start + 3] << 8) |
      bytes[start + 4]
    if (kind === uint32) return word >>> 0
    return kind === int32 ? word : undefined
  }
  if (sizeBytes !== 9 || kind !== float64) return undefined
  for (let index = 1; index < sizeBytesMax; index++) decoded.setUint8(index, bytes[start + index])
  return decoded.getFloat64(1)
}
