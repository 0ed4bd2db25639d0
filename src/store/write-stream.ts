/**
 * writeStream: a value that comes in pieces, of which not all have to fit into memory.
 *
 * Up to {@link memorySizeBytesMax} it is kept in memory and put as any other value. What is longer goes
 * to a spool, which has no name and is gone with its process, until its end is known: the store is not
 * touched before, so that a source that fails, or is aborted, leaves it as it was.
 */
import { shown } from '../base/shown.js'
import type { Engine } from '../engine/engine.js'
import { fillValueSegment, putReference } from '../engine/large-value.js'
import { put } from '../engine/put.js'
import { valueSizeBytesMax } from '../format/record.js'
import { openSpool, type Spool } from '../platform/spool.js'
import { encodeValue, isMsgpack, type ValueEncoding } from './encoding.js'

/** A Readable, a web stream, or any iterable of Buffers, Uint8Arrays or, with the encoding `'utf8'`, strings. */
export type ValueSource = AsyncIterable<Uint8Array | string> | Iterable<Uint8Array | string>

/** Where the value goes. */
export interface StreamTarget {
  readonly engine: Engine
  readonly encoding: ValueEncoding<never>
  readonly condition: number
  /** When the record expires that is written now. */
  expiresAtMs(): number
  /** Throws for a key that is none. */
  checkKey(): void
  /** Makes the key the key at hand; the keyspace is registered by then. */
  takeKey(): { readonly id: number; readonly generation: number }
}

const memorySizeBytesMax = 16 * 2 ** 20
/** What is brought to the spool at a time. */
const pieceSizeBytes = 262_144

/** True, or false where the condition did not hold. */
export async function writeStream(
  target: StreamTarget,
  source: ValueSource,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const { engine, encoding } = target
  engine.requireWritable()
  requireByteEncoding(encoding)
  requireSource(source)
  signal?.throwIfAborted()
  target.checkKey()
  const value = new StreamedValue(engine)
  try {
    for await (const chunk of chunksOf(source, encoding === 'utf8', signal)) {
      engine.requireWritable()
      await value.append(chunk)
    }
    return await putStreamed(target, value)
  } finally {
    await value.close()
  }
}

async function putStreamed(target: StreamTarget, value: StreamedValue): Promise<boolean> {
  const { condition, encoding, engine } = target
  const { spool, sizeBytes } = value
  if (spool === undefined) {
    const bytes = encodeBytes(encoding, value.inMemory())
    return untilDone(target, (id, generation) =>
      put(engine, id, generation, bytes, condition, target.expiresAtMs()),
    )
  }
  await value.flush()
  const prefix = prefixOf(encoding, sizeBytes)
  const total = prefix.length + sizeBytes
  refuseOversize(total)
  const reference = await fillValueSegment(engine, total, joined(prefix, spool))
  return untilDone(target, (id, generation) =>
    putReference(engine, id, generation, total, reference, condition, target.expiresAtMs()),
  )
}

/** Once more where the registry of keyspaces changed. */
function untilDone(
  target: StreamTarget,
  write: (id: number, generation: number) => boolean | undefined,
): boolean {
  for (;;) {
    const { id, generation } = target.takeKey()
    const isDone = write(id, generation)
    if (isDone !== undefined) return isDone
  }
}

async function* joined(prefix: Buffer, spool: Spool): AsyncGenerator<Uint8Array> {
  if (prefix.length > 0) yield prefix
  yield* spool.pieces()
}

/** The bytes so far: in memory, and from some size on in a spool. */
class StreamedValue {
  readonly #engine: Engine
  readonly #memorySizeBytesMax: number
  #chunks: Uint8Array[] = []
  #chunksSizeBytes = 0
  sizeBytes = 0
  spool: Spool | undefined

  constructor(engine: Engine) {
    this.#engine = engine
    this.#memorySizeBytesMax = Math.min(memorySizeBytesMax, engine.inlineValueSizeBytesMax)
  }

  async append(chunk: Uint8Array): Promise<void> {
    this.sizeBytes += chunk.length
    refuseOversize(this.sizeBytes)
    // Whoever gave it may use its memory again.
    this.#chunks.push(Buffer.from(chunk))
    this.#chunksSizeBytes += chunk.length
    const limit = this.spool === undefined ? this.#memorySizeBytesMax : pieceSizeBytes
    if (this.#chunksSizeBytes > limit) await this.flush()
  }

  /** Brings what is in memory to the spool. */
  async flush(): Promise<void> {
    const { directory, platform } = this.#engine
    this.spool ??= await openSpool(platform.hasDirectory ? directory : undefined)
    const bytes = this.inMemory()
    this.#chunks = []
    this.#chunksSizeBytes = 0
    await this.spool.append(bytes)
  }

  inMemory(): Buffer {
    return Buffer.concat(this.#chunks, this.#chunksSizeBytes)
  }

  async close(): Promise<void> {
    this.#chunks = []
    await this.spool?.close()
  }
}

/** The chunks of the source as bytes. Ends the source where it is left, and where the signal says so. */
async function* chunksOf(
  source: ValueSource,
  isText: boolean,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  const steps =
    Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]()
  const text = new TextJoiner()
  let isEnded = false
  try {
    for (;;) {
      // Before it is asked: nobody would hear what it answers.
      signal?.throwIfAborted()
      const step = await unlessAborted(steps.next(), signal)
      if (step.done === true) {
        isEnded = true
        text.end()
        return
      }
      if (step.value instanceof Uint8Array) yield step.value
      else if (isText && typeof step.value === 'string') yield text.encode(step.value)
      else throw wrongChunk(step.value, isText)
    }
  } finally {
    if (!isEnded) endSource(source, steps)
  }
}

/** Not waited for: an iterator that is waiting for its own source ends when that has answered. */
function endSource(source: ValueSource, steps: AsyncIterator<unknown> | Iterator<unknown>): void {
  const { destroy } = source as { destroy?: unknown }
  if (typeof destroy === 'function') destroy.call(source)
  Promise.resolve(steps.return?.()).catch(() => undefined)
}

function unlessAborted<T>(next: Promise<T> | T, signal: AbortSignal | undefined): Promise<T> | T {
  if (signal === undefined) return next
  return new Promise((done, failed) => {
    const abort = (): void => failed(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    Promise.resolve(next)
      .then(done, failed)
      .finally(() => signal.removeEventListener('abort', abort))
  })
}

/** Strings as UTF-8; a character may come in two halves. */
class TextJoiner {
  #half = ''

  encode(chunk: string): Buffer {
    let text = this.#half + chunk
    const last = text.charCodeAt(text.length - 1)
    const isHalf = last >= 0xd800 && last <= 0xdbff
    this.#half = isHalf ? text.slice(-1) : ''
    if (isHalf) text = text.slice(0, -1)
    if (!text.isWellFormed()) throw loneSurrogate()
    return Buffer.from(text, 'utf8')
  }

  end(): void {
    if (this.#half !== '') throw loneSurrogate()
  }
}

function loneSurrogate(): TypeError {
  return new TypeError('value has a lone surrogate, which UTF-8 cannot carry')
}

function wrongChunk(chunk: unknown, isText: boolean): TypeError {
  const accepted = isText ? 'Buffers, Uint8Arrays, strings' : 'Buffers, Uint8Arrays'
  return new TypeError(`the source of a value gave ${shown(chunk)}; accepted: ${accepted}`)
}

function requireSource(source: unknown): asserts source is ValueSource {
  if (typeof source === 'object' && source !== null && !ArrayBuffer.isView(source)) {
    if (Symbol.asyncIterator in source || Symbol.iterator in source) return
  }
  throw new TypeError(
    `the source of a value is ${shown(source)}; accepted: a Readable or an iterable of bytes`,
  )
}

function requireByteEncoding(encoding: ValueEncoding<never>): void {
  if (encoding !== 'json') return
  throw new TypeError(
    'writeStream stores bytes, which encoding "json" cannot carry; accepted: a keyspace with "binary", "utf8", "msgpack" or an encoding of its own',
  )
}

/** The bytes of a value that is bytes; of an encoding of one's own they are what it gave. */
function encodeBytes(encoding: ValueEncoding<never>, bytes: Buffer): Uint8Array | string {
  return isMsgpack(encoding) ? encodeValue(encoding, bytes) : bytes
}

const messagePackBinary32 = 0xc6
const noPrefix = Buffer.alloc(0)

/** What an encoding has before a value that is bytes. */
function prefixOf(encoding: ValueEncoding<never>, sizeBytes: number): Buffer {
  if (!isMsgpack(encoding)) return noPrefix
  const prefix = Buffer.alloc(5)
  prefix[0] = messagePackBinary32
  prefix.writeUInt32BE(sizeBytes, 1)
  return prefix
}

function refuseOversize(sizeBytes: number): void {
  if (sizeBytes <= valueSizeBytesMax) return
  throw new RangeError(
    `value has ${sizeBytes} bytes and more; a value has 0 to ${valueSizeBytesMax.toLocaleString('en')}`,
  )
}
