/** Values on the command line and in what it prints. */
import { isUtf8 } from 'node:buffer'
import { UsageError } from './failure.js'
import { base64, plain } from './plain.js'
import { formatCount } from './quantities.js'
import { textAsLine } from './text.js'

/** The value that `bytes` stand for, in a keyspace of this encoding. */
export function parseValue(bytes: Buffer, encoding: string, isJson: boolean): unknown {
  if (isJson) return parseJson(bytes, encoding)
  return encoding === 'binary' ? bytes : parseText(bytes)
}

function parseText(bytes: Buffer): string {
  if (isUtf8(bytes)) return bytes.toString('utf8')
  throw new UsageError('the value is not UTF-8; only the encoding "binary" stores any bytes')
}

const takesJson = ['json', 'msgpack', 'msgpack-shared']

function parseJson(bytes: Buffer, encoding: string): unknown {
  if (!takesJson.includes(encoding)) {
    throw new UsageError(`--json-value has no meaning here: values have the encoding "${encoding}"`)
  }
  try {
    return JSON.parse(parseText(bytes))
  } catch (error) {
    throw error instanceof SyntaxError
      ? new UsageError(`the value is not JSON: ${error.message}`)
      : error
  }
}

/** What a file or a pipe gets: text and bytes as they are, anything else as JSON. */
export function valueAsContent(value: unknown): string | Uint8Array {
  if (typeof value === 'string' || value instanceof Uint8Array) return value
  return JSON.stringify(plain(value))
}

/** The members that stand for the value in printed JSON. */
export function valueAsJson(value: unknown): { value: unknown } | { valueBase64: string } {
  if (value instanceof Uint8Array) return { valueBase64: base64(value) }
  return { value: plain(value) }
}

/** The value in a line of its own: bytes by their number, text with quotes where it needs them. */
export function valueAsLine(value: unknown): string {
  if (value instanceof Uint8Array) return `<${formatCount(value.byteLength)} bytes>`
  return textAsLine(plain(value))
}
