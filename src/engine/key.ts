/**
 * The key of the operation at hand: its bytes as zero-padded words, ready to be hashed, compared
 * and copied. One for each engine; it holds good until the next operation.
 *
 * Characters are put together into words here, because a byte store followed by a word load of the
 * same memory stalls the processor for longer than the rest of this takes.
 * Hot path: `bench/compare`, every row.
 */
import { keySizeBytesMax } from '../format/record.js'

export class Key {
  readonly words: Int32Array
  readonly bytes: Buffer
  sizeBytes = 0

  constructor() {
    const buffer = new ArrayBuffer(keySizeBytesMax + 1 + 8)
    this.words = new Int32Array(buffer)
    this.bytes = Buffer.from(buffer)
  }

  /** Takes the UTF-8 bytes of `text`. Throws where they are too many or `text` has none. */
  setText(text: string): void {
    if (!this.#setAscii(text)) this.#setUtf8(text)
  }

  #setAscii(text: string): boolean {
    const { length } = text
    if (length > keySizeBytesMax) return false
    const { words } = this
    let seen = 0
    let index = 0
    let word = 0
    for (; index + 4 <= length; index += 4) {
      const a = text.charCodeAt(index)
      const b = text.charCodeAt(index + 1)
      const c = text.charCodeAt(index + 2)
      const d = text.charCodeAt(index + 3)
      seen |= a | b | c | d
      words[word++] = a | (b << 8) | (c << 16) | (d << 24)
    }
    let last = 0
    for (let shift = 0; index < length; index++, shift += 8) {
      const code = text.charCodeAt(index)
      seen |= code
      last |= code << shift
    }
    words[word] = last
    words[word + 1] = 0
    this.sizeBytes = length
    return seen < 0x80
  }

  #setUtf8(text: string): void {
    if (!text.isWellFormed()) {
      throw new TypeError('key has a lone surrogate, which UTF-8 cannot carry')
    }
    const sizeBytes = Buffer.byteLength(text, 'utf8')
    refuseOversize(sizeBytes)
    this.#pad(sizeBytes)
    this.bytes.write(text, 0, 'utf8')
  }

  setBytes(source: Uint8Array): void {
    const sizeBytes = source.byteLength
    refuseOversize(sizeBytes)
    const { words } = this
    let index = 0
    let word = 0
    if (sizeBytes > 64) {
      this.#pad(sizeBytes)
      this.bytes.set(source)
      return
    }
    for (; index + 4 <= sizeBytes; index += 4) {
      words[word++] =
        source[index] |
        (source[index + 1] << 8) |
        (source[index + 2] << 16) |
        (source[index + 3] << 24)
    }
    let last = 0
    for (let shift = 0; index < sizeBytes; index++, shift += 8) last |= source[index] << shift
    words[word] = last
    words[word + 1] = 0
    this.sizeBytes = sizeBytes
  }

  /** Takes the key of a record that lies at `start` (in words) of `from`. */
  setWords(from: Int32Array, start: number, sizeBytes: number): void {
    const count = (sizeBytes + 3) >>> 2
    this.words[count] = 0
    this.words[count + 1] = 0
    for (let index = 0; index < count; index++) this.words[index] = from[start + index]
    this.sizeBytes = sizeBytes
  }

  /** Sets the size, and the words that its last bytes share to zero. */
  #pad(sizeBytes: number): void {
    const word = sizeBytes >>> 2
    this.words[word] = 0
    this.words[word + 1] = 0
    this.sizeBytes = sizeBytes
  }
}

/** Throws `RangeError` for a key of more bytes than a record can name. */
export function refuseOversize(sizeBytes: number): void {
  if (sizeBytes > keySizeBytesMax) {
    throw new RangeError(
      `key has ${sizeBytes} bytes; a key has 0 to ${keySizeBytesMax.toLocaleString('en')} bytes`,
    )
  }
}
