/**
 * Reading a stream that a snapshot was exported as. First all of it goes to a spool and is verified,
 * frame by frame and record by record; nothing is written before the end was seen to fit.
 */
import { corrupt, StoreError, wrongFormat } from '../base/errors.js'
import { shown } from '../base/shown.js'
import type { Engine } from '../engine/engine.js'
import {
  createKeyspace,
  defaultKeyspaceName,
  type KeyspaceEntry,
  readRegistry,
} from '../engine/keyspaces.js'
import { anyVersion, put } from '../engine/put.js'
import {
  decodeFrame,
  type ExportedKeyspace,
  type ExportHeader,
  firstSeed,
  frameEnd,
  frameHeader,
  frameHeaderSizeBytes,
  frameRecords,
  frameSizeBytes,
  prefaceSizeBytes,
  problemOfPreface,
  recordHeaderSizeBytes,
} from '../format/export-stream.js'
import { keySizeBytesMax, valueSizeBytesMax } from '../format/record.js'
import { openSpool, type Spool } from '../platform/spool.js'
import { isKeyEncoding, isValueEncoding } from './encoding.js'
import { generationOf } from './keyspace.js'
import { SharedMsgpack, sharedMsgpackName, sharedMsgpackOf } from './msgpack.js'

/** What an import takes: a Readable, a web stream, or any iterable of bytes. */
export type ByteSource = AsyncIterable<Uint8Array> | Iterable<Uint8Array>

const sourceName = 'the stream'

/** `own` are the encodings of the store's handle, which its default keyspace has or would get. */
export async function importStream(
  engine: Engine,
  source: ByteSource,
  own: { readonly encoding: string; readonly keyEncoding: string },
): Promise<void> {
  engine.requireWritable()
  requireSource(source)
  const spool = await openSpool(engine.platform.hasDirectory ? engine.directory : undefined)
  try {
    const { header, records } = await spoolRecords(source, spool)
    engine.requireWritable()
    requireEncodings(engine, header, own)
    const targets = header.keyspaces.map((keyspace) => new Target(engine, keyspace, header))
    await putRecords(engine, spool, records, targets)
  } finally {
    await spool.close()
  }
}

/** Before anything is written: a keyspace that is there has the encodings of the stream. */
function requireEncodings(
  engine: Engine,
  { keyspaces }: ExportHeader,
  own: { readonly encoding: string; readonly keyEncoding: string },
): void {
  const registered = readRegistry(engine).keyspaces
  for (const { name, encoding, keyEncoding } of keyspaces) {
    const there = name === defaultKeyspaceName ? own : registered[name]
    if (there === undefined) continue
    if (there.encoding === encoding && there.keyEncoding === keyEncoding) continue
    const what = name === defaultKeyspaceName ? 'the store' : `keyspace ${shown(name)}`
    throw new TypeError(
      `${what} has the encodings "${there.encoding}" and "${there.keyEncoding}", in the stream it has "${encoding}" and "${keyEncoding}"`,
    )
  }
}

function requireSource(source: unknown): asserts source is ByteSource {
  if (typeof source === 'object' && source !== null && !ArrayBuffer.isView(source)) {
    if (Symbol.asyncIterator in source || Symbol.iterator in source) return
  }
  throw new TypeError(
    `the source of an import is ${shown(source)}; accepted: a Readable or an iterable of bytes`,
  )
}

/** Takes from a source by size. */
class Taker {
  readonly #chunks: AsyncIterator<Uint8Array> | Iterator<Uint8Array>
  #chunk: Uint8Array = new Uint8Array(0)
  #taken = 0
  /** Bytes taken so far. */
  position = 0

  constructor(source: ByteSource) {
    this.#chunks =
      Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]()
  }

  /** The next `sizeBytes`, or fewer where the source ends before. */
  async take(sizeBytes: number): Promise<Buffer> {
    const bytes = Buffer.alloc(sizeBytes)
    let filled = 0
    while (filled < sizeBytes && (await this.#fill())) {
      const count = Math.min(sizeBytes - filled, this.#chunk.length - this.#taken)
      bytes.set(this.#chunk.subarray(this.#taken, this.#taken + count), filled)
      this.#taken += count
      filled += count
    }
    this.position += filled
    return bytes.subarray(0, filled)
  }

  async end(): Promise<void> {
    await this.#chunks.return?.()
  }

  /** False where there is nothing more. */
  async #fill(): Promise<boolean> {
    while (this.#taken === this.#chunk.length) {
      const { done, value } = await this.#chunks.next()
      if (done === true) return false
      if (!(value instanceof Uint8Array)) {
        throw new TypeError(`the source of an import gave ${shown(value)}; accepted: Buffers`)
      }
      this.#chunk = value
      this.#taken = 0
    }
    return true
  }
}

/** Verifies all of the stream; the spool has its records then. */
async function spoolRecords(
  source: ByteSource,
  spool: Spool,
): Promise<{ readonly header: ExportHeader; readonly records: number }> {
  const taker = new Taker(source)
  try {
    const preface = await taker.take(prefaceSizeBytes)
    const problem =
      preface.length < prefaceSizeBytes ? 'it is too short' : problemOfPreface(preface)
    if (problem !== undefined) throw wrongFormat(sourceName, problem)
    let frame = await takeFrame(taker, firstSeed)
    if (frame.type !== frameHeader) throw damaged(taker, 'it does not begin with a header')
    const header = parseHeader(frame.content, taker)
    const shape = new RecordShape(header.keyspaces.length)
    for (;;) {
      frame = await takeFrame(taker, frame.checksum)
      if (frame.type !== frameRecords) break
      const wrong = shape.pass(frame.content)
      if (wrong !== undefined) throw damaged(taker, wrong)
      await spool.append(frame.content)
    }
    if (frame.type !== frameEnd) throw damaged(taker, 'a header stands among the records')
    const { records, sizeBytes } = shape
    const isWhole =
      frame.content.length === 16 &&
      frame.content.readDoubleLE(0) === records &&
      frame.content.readDoubleLE(8) === sizeBytes &&
      shape.isBetweenRecords
    if (!isWhole) throw damaged(taker, 'it has not the records that its end names')
    if ((await taker.take(1)).length > 0) throw damaged(taker, 'something stands behind its end')
    return { header, records }
  } catch (error) {
    await taker.end()
    throw error
  }
}

async function takeFrame(
  taker: Taker,
  seed: number,
): Promise<NonNullable<ReturnType<typeof decodeFrame>>> {
  const start = await taker.take(frameHeaderSizeBytes)
  if (start.length < frameHeaderSizeBytes) throw damaged(taker, 'it ends before its end')
  const sizeBytes = frameSizeBytes(start)
  if (sizeBytes === undefined) throw damaged(taker, 'the beginning of a frame is none')
  const rest = await taker.take(sizeBytes - frameHeaderSizeBytes)
  if (rest.length < sizeBytes - frameHeaderSizeBytes) throw damaged(taker, 'it ends within a frame')
  const frame = decodeFrame(Buffer.concat([start, rest]), seed)
  if (frame === undefined) throw damaged(taker, 'the checksum of a frame is wrong')
  return frame
}

function damaged(taker: Taker, what: string): StoreError {
  return corrupt(sourceName, taker.position, what)
}

function parseHeader(content: Buffer, taker: Taker): ExportHeader {
  try {
    const header = JSON.parse(content.toString('utf8')) as ExportHeader
    const isGood = header.keyspaces.every(
      ({ name, encoding, keyEncoding }) =>
        typeof name === 'string' &&
        (encoding === 'custom' || isValueEncoding(encoding)) &&
        isKeyEncoding(keyEncoding),
    )
    if (isGood) return header
  } catch (error) {
    throw new StoreError('STORE_CORRUPT', `${sourceName} has a header that cannot be read`, {
      details: { file: sourceName, address: taker.position },
      cause: error,
    })
  }
  throw damaged(taker, 'its header names encodings that are none')
}

/** Follows the records through frames without keeping them. */
class RecordShape {
  readonly #keyspaceCount: number
  readonly #header = Buffer.alloc(recordHeaderSizeBytes)
  #headerFilled = 0
  /** Bytes of the key and value that are still to come. */
  #left = 0
  records = 0
  sizeBytes = 0

  constructor(keyspaceCount: number) {
    this.#keyspaceCount = keyspaceCount
  }

  get isBetweenRecords(): boolean {
    return this.#left === 0 && this.#headerFilled === 0
  }

  /** What is wrong, or undefined. */
  pass(content: Buffer): string | undefined {
    this.sizeBytes += content.length
    for (let at = 0; at < content.length; ) {
      if (this.#left > 0) {
        const count = Math.min(this.#left, content.length - at)
        this.#left -= count
        at += count
        continue
      }
      this.#header[this.#headerFilled++] = content[at++]
      if (this.#headerFilled < recordHeaderSizeBytes) continue
      this.#headerFilled = 0
      const header = parseRecordHeader(this.#header)
      const { expiresAtMs, keyspace, keySizeBytes, valueSizeBytes } = header
      if (keyspace >= this.#keyspaceCount) return 'a record is of a keyspace that is not named'
      if (keySizeBytes > keySizeBytesMax || valueSizeBytes > valueSizeBytesMax) {
        return 'a record is larger than one can be'
      }
      if (!Number.isSafeInteger(expiresAtMs) || expiresAtMs < 0) {
        return 'the time at which a record expires is none'
      }
      this.#left = keySizeBytes + valueSizeBytes
      this.records++
    }
    return undefined
  }
}

function parseRecordHeader(header: Buffer): {
  readonly keyspace: number
  readonly keySizeBytes: number
  readonly valueSizeBytes: number
  readonly expiresAtMs: number
} {
  return {
    keyspace: header.readUInt32LE(0),
    keySizeBytes: header.readUInt32LE(4),
    valueSizeBytes: header.readUInt32LE(8),
    expiresAtMs: header.readDoubleLE(12),
  }
}

/** A keyspace that is imported to; made where there is none. */
class Target {
  readonly #engine: Engine
  readonly #name: string
  readonly #entry: KeyspaceEntry
  #generation: number
  /** Where values refer to structures of the store that was exported. */
  readonly #foreign: SharedMsgpack | undefined

  constructor(engine: Engine, keyspace: ExportedKeyspace, header: ExportHeader) {
    const { name, encoding, keyEncoding } = keyspace
    if (encoding === sharedMsgpackName) this.#foreign = foreignMsgpack(header)
    this.#engine = engine
    this.#name = name
    this.#entry = createKeyspace(engine, name, { encoding, keyEncoding })
    this.#generation = generationOf(engine)
  }

  put(key: Uint8Array, bytes: Buffer, expiresAtMs: number): void {
    const engine = this.#engine
    const value = this.#foreign === undefined ? bytes : reencoded(engine, this.#foreign, bytes)
    for (;;) {
      engine.key.setBytes(key)
      const { id } = this.#entry
      const isDone = put(engine, id, this.#generation, value, anyVersion, expiresAtMs)
      if (isDone !== undefined) return
      this.#generation = generationOf(engine)
      if (readRegistry(engine).keyspaces[this.#name]?.id === this.#entry.id) continue
      throw new StoreError('STORE_NOT_FOUND', `keyspace ${shown(this.#name)} was dropped`)
    }
  }
}

function foreignMsgpack({ structures = [] }: ExportHeader): SharedMsgpack {
  return new SharedMsgpack({ load: () => structures, save: () => false })
}

function reencoded(engine: Engine, foreign: SharedMsgpack, bytes: Buffer): Uint8Array {
  try {
    return sharedMsgpackOf(engine).encode(foreign.decode(bytes))
  } catch (error) {
    if (error instanceof StoreError) throw error
    throw new StoreError('STORE_CORRUPT', `${sourceName} has a value that cannot be decoded`, {
      details: { file: sourceName },
      cause: error,
    })
  }
}

async function putRecords(
  engine: Engine,
  spool: Spool,
  records: number,
  targets: readonly Target[],
): Promise<void> {
  const taker = new Taker(spool.pieces())
  try {
    for (let record = 0; record < records; record++) {
      const header = parseRecordHeader(await taker.take(recordHeaderSizeBytes))
      const key = await taker.take(header.keySizeBytes)
      const value = await taker.take(header.valueSizeBytes)
      engine.requireWritable()
      targets[header.keyspace].put(key, value, header.expiresAtMs)
    }
  } finally {
    await taker.end()
  }
}
