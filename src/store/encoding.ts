/**
 * How keys and values become bytes. A value encoding gives bytes or text; text is written to the
 * log as UTF-8 without a step between.
 */

import { fromBufferKey, writeKey } from 'ordered-binary'
import { StoreError } from '../base/errors.js'
import { shown } from '../base/shown.js'
import { type Key, refuseOversize } from '../engine/key.js'
import { keySizeBytesMax } from '../format/record.js'
import { decodeMsgpack, encodeMsgpack, SharedMsgpack, sharedMsgpackName } from './msgpack.js'

export const valueEncodingNames = ['msgpack', 'json', 'utf8', 'binary', sharedMsgpackName] as const
export const keyEncodingNames = ['utf8', 'binary', 'ordered'] as const

export type ValueEncodingName = (typeof valueEncodingNames)[number]
export type KeyEncoding = (typeof keyEncodingNames)[number]

/** An encoding of one's own. Both functions must depend on nothing but their argument. */
export interface CustomEncoding<V> {
  encode(value: V): ArrayBufferView
  /** `bytes` belongs to the callee. */
  decode(bytes: Buffer): V
}

export type ValueEncoding<V = unknown> = ValueEncodingName | CustomEncoding<V>

/** Keys of the encoding `'ordered'` sort as their values do. */
export type OrderedKey = OrderedScalar | readonly OrderedScalar[]

export type StoreKey = string | Uint8Array | OrderedKey

export function isValueEncoding(value: unknown): boolean {
  if (typeof value === 'string') return (valueEncodingNames as readonly string[]).includes(value)
  return (
    typeof value === 'object' &&
    value !== null &&
    'encode' in value &&
    'decode' in value &&
    typeof value.encode === 'function' &&
    typeof value.decode === 'function'
  )
}

export function isKeyEncoding(value: unknown): boolean {
  return (keyEncodingNames as readonly unknown[]).includes(value)
}

/** What stands for functions where only names can be kept. */
export const customEncodingName = 'custom'

/** The name under which a keyspace remembers its encoding. */
export function encodingName(
  encoding: ValueEncoding<never>,
): ValueEncodingName | typeof customEncodingName {
  if (typeof encoding === 'string') return encoding
  return (encoding as unknown) instanceof SharedMsgpack ? sharedMsgpackName : customEncodingName
}

/** True where numbers and bytes are written as MessagePack has them. */
export function isMsgpack(encoding: ValueEncoding<never>): boolean {
  return encoding === 'msgpack' || (encoding as unknown) instanceof SharedMsgpack
}

/**
 * Throws `TypeError` for a value that the encoding cannot carry. Bytes may hold good only until the
 * next call.
 */
export function encodeValue(encoding: ValueEncoding<never>, value: unknown): Uint8Array | string {
  if (value === undefined) {
    throw new TypeError('value is undefined; delete(key) removes a key, null can be stored')
  }
  if (encoding === 'binary') {
    if (value instanceof Uint8Array) return value
    if (ArrayBuffer.isView(value)) return bytesOf(value)
    throw wrongValue(encoding, value, 'a Buffer, a typed array or a DataView')
  }
  if (encoding === 'utf8') {
    if (typeof value !== 'string') throw wrongValue(encoding, value, 'a string')
    requireWellFormed('value', value)
    return value
  }
  if (encoding === 'json') return encodeJson(value)
  if (encoding === 'msgpack') return encodeMsgpack(value)
  const bytes: unknown = (encoding as CustomEncoding<unknown>).encode(value)
  if (bytes instanceof Uint8Array) return bytes
  if (ArrayBuffer.isView(bytes)) return bytesOf(bytes)
  throw new TypeError(`encode() of the option "encoding" gave ${shown(bytes)}, not a typed array`)
}

function bytesOf({ buffer, byteLength, byteOffset }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength)
}

function encodeJson(value: unknown): string {
  const text = JSON.stringify(value) as string | undefined
  if (text === undefined) throw wrongValue('json', value, 'what JSON can carry')
  return text
}

function requireWellFormed(what: 'key' | 'value', text: string): void {
  if (text.isWellFormed()) return
  throw new TypeError(`${what} has a lone surrogate, which UTF-8 cannot carry`)
}

function wrongValue(encoding: string, value: unknown, accepted: string): TypeError {
  return new TypeError(`value is ${shown(value)}; encoding "${encoding}" accepts ${accepted}`)
}

/** Throws whatever the decoder throws. `bytes` may be kept by the value. */
export function decodeBytes(encoding: ValueEncoding<never>, bytes: Buffer): unknown {
  if (encoding === 'binary') return bytes
  if (encoding === 'utf8') return bytes.toString('utf8')
  if (encoding === 'json') return JSON.parse(bytes.toString('utf8'))
  if (encoding === 'msgpack') return decodeMsgpack(bytes)
  return (encoding as CustomEncoding<unknown>).decode(bytes)
}

/** {@link decodeBytes} of the value of a key; says which one it was where that fails. */
export function decodeValueOf(
  encoding: ValueEncoding<never>,
  key: StoreKey,
  bytes: Buffer,
): unknown {
  try {
    return decodeBytes(encoding, bytes)
  } catch (error) {
    throw undecodable(encoding, key, error)
  }
}

/** What to throw where {@link decodeBytes} of the value of a key fails. */
export function undecodable(
  encoding: ValueEncoding<never>,
  key: StoreKey,
  cause: unknown,
): StoreError {
  const what = `the value of key ${shown(key)} cannot be decoded as ${encodingName(encoding)}`
  return new StoreError('STORE_CORRUPT', what, { details: { key, what }, cause })
}

/** Makes `value` the key at hand. Throws `TypeError` or `RangeError`. */
export function setKey(key: Key, encoding: KeyEncoding, value: unknown): void {
  if (encoding === 'utf8') {
    if (typeof value !== 'string') throw wrongKey(encoding, value, 'a string')
    key.setText(value)
  } else if (encoding === 'binary') {
    if (!(value instanceof Uint8Array)) throw wrongKey(encoding, value, 'a Buffer or Uint8Array')
    key.setBytes(value)
  } else {
    key.setBytes(encodeOrdered(value))
  }
}

type OrderedScalar = number | string | boolean

/** Room for any key of 65,535 bytes, and for what is found to be longer only when it is written. */
const orderedScratchSizeBytes = 2 ** 20
let orderedScratch: Buffer | undefined

/**
 * ordered-binary gives `['a']` the bytes of `'a'`, and nested arrays those of flat ones. Here an
 * array of one gets a null behind it, which sorts before whatever a longer array has there; other
 * arrays that would lose their shape are refused.
 */
function encodeOrdered(value: unknown): Uint8Array {
  const elements: (OrderedScalar | null)[] = Array.isArray(value)
    ? value.map(orderedScalar)
    : [orderedScalar(value)]
  if (elements.length === 0) throw wrongKey('ordered', value, `${orderedKinds}; this one is empty`)
  refuseLongOrdered(elements)
  if (Array.isArray(value) && elements.length === 1) elements.push(null)
  orderedScratch ??= Buffer.alloc(orderedScratchSizeBytes)
  const key = Array.isArray(value) ? elements : elements[0]
  return orderedScratch.subarray(0, writeKey(key, orderedScratch, 0))
}

/** Every character takes a byte or more, and every element two: what cannot fit is not written. */
function refuseLongOrdered(elements: readonly (OrderedScalar | null)[]): void {
  const least = elements.reduce<number>(
    (sum, element) => sum + (typeof element === 'string' ? element.length : 1),
    elements.length - 1,
  )
  if (least > keySizeBytesMax) refuseOversize(least)
}

/**
 * Makes the bytes that all keys of a prefix begin with the key at hand. An array is the prefix of the
 * arrays that begin with its elements.
 */
export function setPrefix(key: Key, encoding: KeyEncoding, prefix: unknown): void {
  if (encoding !== 'ordered' || !Array.isArray(prefix)) {
    setKey(key, encoding, prefix)
    return
  }
  setKey(key, encoding, prefix)
  const bytes = Buffer.from(key.bytes.subarray(0, key.sizeBytes))
  // Behind the elements: what parts them from the next one. One alone has it, and a null, already.
  key.setBytes(prefix.length === 1 ? bytes.subarray(0, -1) : Buffer.concat([bytes, elementEnd]))
}

const elementEnd = Buffer.of(0)

/** The key that these bytes are, in any encoding; a copy that the caller owns. */
export function decodeKey(encoding: KeyEncoding, bytes: Buffer): StoreKey {
  if (encoding === 'utf8') return bytes.toString('utf8')
  return encoding === 'binary' ? Buffer.from(bytes) : decodeOrderedKey(bytes)
}

/** The key that {@link setKey} made these bytes of. */
export function decodeOrderedKey(bytes: Buffer): OrderedKey {
  const value = fromBufferKey(bytes) as OrderedScalar | (OrderedScalar | null)[]
  return Array.isArray(value) ? value.filter((element) => element !== null) : value
}

const orderedKinds = 'numbers, strings, booleans, and flat arrays of at least one of them'

function orderedScalar(value: unknown): OrderedScalar {
  // -0 and 0 are one number and must be one key.
  if (typeof value === 'number' && !Number.isNaN(value)) return value === 0 ? 0 : value
  if (typeof value === 'boolean') return value
  if (typeof value === 'string') {
    requireWellFormed('key', value)
    return escapeControls(value)
  }
  throw wrongKey('ordered', value, orderedKinds)
}

const escapedByLibraryBelow = 64

/**
 * ordered-binary keeps the bytes 0 to 4 for itself and writes them behind a 4 where a string has
 * them, but not in strings of 64 characters or more: there it is done here, in the same way.
 */
function escapeControls(text: string): string {
  if (text.length < escapedByLibraryBelow) return text
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return text.replace(/[\0-\x04]/g, '\x04$&')
}

function wrongKey(encoding: string, value: unknown, accepted: string): TypeError {
  return new TypeError(`key is ${shown(value)}; keyEncoding "${encoding}" accepts ${accepted}`)
}
