/**
 * How keys and values become bytes. A value encoding gives bytes or text; text is written to the
 * log as UTF-8 without a step between.
 */

import { Packr } from 'msgpackr'
import { toBufferKey } from 'ordered-binary'
import { shown } from '../base/shown.js'
import type { Key } from '../engine/key.js'

export const valueEncodingNames = ['msgpack', 'json', 'utf8', 'binary'] as const
export const keyEncodingNames = ['utf8', 'binary', 'ordered'] as const

export type ValueEncodingName = (typeof valueEncodingNames)[number]
export type KeyEncoding = (typeof keyEncodingNames)[number]

/** An encoding of one's own. Both functions must depend on nothing but their argument. */
export interface CustomEncoding<V> {
  encode(value: V): Uint8Array
  /** `bytes` belongs to the callee. */
  decode(bytes: Buffer): V
}

export type ValueEncoding<V = unknown> = ValueEncodingName | CustomEncoding<V>

/** Keys of the encoding `'ordered'` sort as their values do. */
export type OrderedKey = number | string | boolean | readonly OrderedKey[]

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

/** The name under which a keyspace remembers its encoding. */
export function encodingName(encoding: ValueEncoding<never>): string {
  return typeof encoding === 'string' ? encoding : 'custom'
}

// Records keep objects apart from Maps; every value is decoded without any other.
const packr = new Packr({ useRecords: true, moreTypes: true })

/** Throws `TypeError` for a value that the encoding cannot carry. */
export function encodeValue(encoding: ValueEncoding<never>, value: unknown): Uint8Array | string {
  if (value === undefined) {
    throw new TypeError('value is undefined; delete(key) removes a key, null can be stored')
  }
  if (encoding === 'binary') {
    if (value instanceof Uint8Array) return value
    throw wrongValue(encoding, value, 'a Buffer or Uint8Array')
  }
  if (encoding === 'utf8') {
    if (typeof value !== 'string') throw wrongValue(encoding, value, 'a string')
    if (!value.isWellFormed()) {
      throw new TypeError('value has a lone surrogate, which UTF-8 cannot carry')
    }
    return value
  }
  if (encoding === 'json') return encodeJson(value)
  if (encoding === 'msgpack') return encodeMsgpack(value)
  const bytes: unknown = (encoding as CustomEncoding<unknown>).encode(value)
  if (bytes instanceof Uint8Array) return bytes
  throw new TypeError(`encode() of the option "encoding" gave ${shown(bytes)}, not a Uint8Array`)
}

function encodeJson(value: unknown): string {
  const text = JSON.stringify(value) as string | undefined
  if (text === undefined) throw wrongValue('json', value, 'what JSON can carry')
  return text
}

function encodeMsgpack(value: unknown): Uint8Array {
  if (typeof value === 'function' || typeof value === 'symbol') {
    throw wrongValue('msgpack', value, 'what MessagePack can carry')
  }
  try {
    return packr.pack(value)
  } catch (error) {
    throw new TypeError(`value cannot be encoded as msgpack: ${String(error)}`, { cause: error })
  }
}

function wrongValue(encoding: string, value: unknown, accepted: string): TypeError {
  return new TypeError(`value is ${shown(value)}; encoding "${encoding}" accepts ${accepted}`)
}

/** Throws whatever the decoder throws. `bytes` may be kept by the value. */
export function decodeBytes(encoding: ValueEncoding<never>, bytes: Buffer): unknown {
  if (encoding === 'binary') return bytes
  if (encoding === 'utf8') return bytes.toString('utf8')
  if (encoding === 'json') return JSON.parse(bytes.toString('utf8'))
  if (encoding === 'msgpack') return packr.unpack(bytes)
  return (encoding as CustomEncoding<unknown>).decode(bytes)
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

function encodeOrdered(value: unknown): Uint8Array {
  requireOrdered(value)
  return toBufferKey(value as Parameters<typeof toBufferKey>[0])
}

function requireOrdered(value: unknown): void {
  if (Array.isArray(value)) {
    for (const element of value) requireOrdered(element)
    return
  }
  const isNumber = typeof value === 'number' && !Number.isNaN(value)
  if (isNumber || typeof value === 'string' || typeof value === 'boolean') return
  throw wrongKey('ordered', value, 'numbers, strings, booleans, and arrays of them')
}

function wrongKey(encoding: string, value: unknown, accepted: string): TypeError {
  return new TypeError(`key is ${shown(value)}; keyEncoding "${encoding}" accepts ${accepted}`)
}
