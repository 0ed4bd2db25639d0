/** readStream: a value as a stream of Buffers. */
import { Readable } from 'node:stream'
import type { ValueSource } from '../engine/value-source.js'
import { isMsgpack, type ValueEncoding } from './encoding.js'
import type { ReadStreamOptions } from './options.js'

const pieceSizeBytes = 262_144
/** `source` is closed with the stream. */
export function streamOf(
  source: ValueSource,
  encoding: ValueEncoding<never>,
  options: ReadStreamOptions,
): Readable {
  return new ValueStream(source, isMsgpack(encoding), options)
}

class ValueStream extends Readable {
  readonly #source: ValueSource
  readonly #isMessagePack: boolean
  readonly #start: number
  readonly #end: number
  #position = 0
  #limit = 0
  #isBegun = false

  constructor(
    source: ValueSource,
    isMessagePack: boolean,
    { end = Number.MAX_SAFE_INTEGER, signal, start = 0 }: ReadStreamOptions,
  ) {
    super({ highWaterMark: pieceSizeBytes, ...(signal === undefined ? {} : { signal }) })
    this.#source = source
    this.#isMessagePack = isMessagePack
    this.#start = start
    this.#end = end
  }

  override _read(): void {
    this.#readPiece().catch((error: unknown) => this.destroy(error as Error))
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#source.close()
    done(error)
  }

  async #readPiece(): Promise<void> {
    if (!this.#isBegun) await this.#begin()
    const size = Math.min(pieceSizeBytes, this.#limit - this.#position)
    if (size <= 0) {
      this.push(null)
      return
    }
    const piece = Buffer.allocUnsafeSlow(size)
    await this.#source.read(piece, this.#position)
    this.#position += size
    this.push(piece)
  }

  async #begin(): Promise<void> {
    this.#isBegun = true
    const { sizeBytes } = this.#source
    const first = this.#isMessagePack ? await contentStart(this.#source) : 0
    this.#position = Math.min(first + this.#start, sizeBytes)
    this.#limit = Math.min(sizeBytes, first + this.#end + 1)
  }
}

/** By its first byte: the bytes before the content of MessagePack's binary and string formats. */
const prefixSizes: ReadonlyMap<number, number> = new Map([
  [0xc4, 2],
  [0xc5, 3],
  [0xc6, 5],
  [0xd9, 2],
  [0xda, 3],
  [0xdb, 5],
])
const shortStringMask = 0xe0
const shortString = 0xa0

async function contentStart(source: ValueSource): Promise<number> {
  const first = Buffer.alloc(1)
  if (source.sizeBytes > 0) await source.read(first, 0)
  const prefixSize = (first[0] & shortStringMask) === shortString ? 1 : prefixSizes.get(first[0])
  if (prefixSize !== undefined) return prefixSize
  throw new TypeError(
    'the value is neither bytes nor text; get() gives it, and a keyspace with encoding "binary" streams any value',
  )
}
