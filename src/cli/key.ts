/**
 * Keys on the command line and in what it prints: text for the key encoding `utf8`, hexadecimal
 * digits for `binary`, JSON for `ordered`.
 */
import type { KeyEncoding, StoreKey } from '../store/index.js'
import { UsageError } from './failure.js'
import { plain } from './plain.js'
import { quoted, textAsLine } from './text.js'

export const keyNotation = 'the key: text, hexadecimal digits (binary keys) or JSON (ordered keys)'

export function parseKey(text: string, encoding: KeyEncoding): StoreKey {
  if (encoding === 'utf8') return text
  return encoding === 'binary' ? parseHex(text) : parseOrdered(text)
}

function parseHex(text: string): Buffer {
  if (/^([0-9a-f]{2})*$/i.test(text)) return Buffer.from(text, 'hex')
  throw new UsageError(
    `keys here are bytes, written as hexadecimal digits; this is ${quoted(text)}`,
  )
}

function parseOrdered(text: string): StoreKey {
  try {
    return JSON.parse(text) as StoreKey
  } catch {
    throw new UsageError(
      `keys here are "ordered", written as JSON ("a", 5, ["a",5]), and this is not: ${quoted(text)}`,
    )
  }
}

/** The key as a value of JSON. */
export function keyAsJson(key: StoreKey): unknown {
  return key instanceof Uint8Array ? Buffer.from(key).toString('hex') : plain(key)
}

/** The key as it can be given to the command again, but for quotes around text that needs them. */
export function keyAsLine(key: StoreKey, encoding: KeyEncoding): string {
  return encoding === 'ordered' ? quoted(keyAsJson(key)) : textAsLine(keyAsJson(key))
}
