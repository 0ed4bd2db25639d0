/**
 * A batch before any of it is written: its operations in order, and their keys and small values as
 * zero-padded words, one behind the other. They are copies: between two operations the caller's
 * code runs, which may use its buffers again.
 * Hot path: `bench/compare`, row "batch".
 */
import type { Key } from './key.js'

/** One operation, its key and value already bytes. */
export interface EncodedOperation {
  readonly type: 'put' | 'delete'
  keyspaceId: number
  /** Where the key's words begin in the draft. */
  readonly keyStart: number
  readonly keySizeBytes: number
  /** The value, or undefined where its words lie in the draft. */
  readonly value: Uint8Array | string | undefined
  readonly valueStart: number
  readonly valueSizeBytes: number
  readonly expiresAtMs: number
}

/** Values above this are copied into memory of their own. */
const draftedValueSizeBytesMax = 1024
const firstWordCount = 4096
/** A draft that took more words than these is not worth keeping. */
const keptWordCount = 2 ** 18

export class BatchDraft {
  words: Int32Array<ArrayBuffer> = new Int32Array(firstWordCount)
  #bytes: Buffer = Buffer.from(this.words.buffer)
  #used = 0

  get isWorthKeeping(): boolean {
    return this.words.length <= keptWordCount
  }

  clear(): void {
    this.#used = 0
  }

  /** Keeps a copy of the key at hand; returns where it begins. */
  addKey(key: Key): number {
    const start = this.#take((key.sizeBytes + 3) >>> 2)
    const { words } = this
    const end = this.#used
    for (let from = 0, to = start; to < end; from++, to++) words[to] = key.words[from]
    return start
  }

  /** True where a key that was added is the key at hand. From the end: keys differ there sooner. */
  hasKey(start: number, sizeBytes: number, key: Key): boolean {
    if (sizeBytes !== key.sizeBytes) return false
    const { words } = this
    for (let word = ((sizeBytes + 3) >>> 2) - 1; word >= 0; word--) {
      if (words[start + word] !== key.words[word]) return false
    }
    return true
  }

  /** A key that was added, as text. */
  keyText(start: number, sizeBytes: number, encoding: 'utf8' | 'latin1'): string {
    return this.#bytes.toString(encoding, start * 4, start * 4 + sizeBytes)
  }

  /** Whether a value has its copy in the draft; another is copied by {@link ownCopy}. */
  static holds(value: Uint8Array | string): value is Uint8Array {
    return typeof value !== 'string' && value.length <= draftedValueSizeBytesMax
  }

  /** Keeps a copy of a value, padded to 8 bytes as in a record; returns where it begins. */
  addValue(value: Uint8Array): number {
    if (value.length === 0) return this.#used
    const start = this.#take(((value.length + 7) >>> 3) << 1)
    this.words[this.#used - 2] = 0
    this.words[this.#used - 1] = 0
    this.#bytes.set(value, start * 4)
    return start
  }

  /** A copy of a value that was added. */
  copyValue(start: number, sizeBytes: number): Buffer {
    return Buffer.from(this.#bytes.subarray(start * 4, start * 4 + sizeBytes))
  }

  #take(wordCount: number): number {
    const start = this.#used
    this.#used = start + wordCount
    if (this.#used > this.words.length) this.#grow()
    return start
  }

  #grow(): void {
    const grown = new Int32Array(2 * this.#used)
    grown.set(this.words)
    this.words = grown
    this.#bytes = Buffer.from(grown.buffer)
  }
}

/** Strings do not change; bytes of the caller's may. */
export function ownCopy(value: Uint8Array | string): Uint8Array | string {
  return typeof value === 'string' ? value : Buffer.from(value)
}
