/** Writing a snapshot as a portable stream: what the format has is in format/export-stream.ts. */
import type { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { shown } from '../base/shown.js'
import type { KeyspaceRegistry } from '../engine/keyspaces.js'
import { RangeReader } from '../engine/range.js'
import { getRecordAt } from '../engine/snapshot.js'
import {
  contentSizeBytesMax,
  type ExportHeader,
  encodeEnd,
  encodeFrame,
  encodePreface,
  firstSeed,
  frameEnd,
  frameHeader,
  frameRecords,
  recordHeaderSizeBytes,
} from '../format/export-stream.js'
import { noExpiry } from '../log/expiry-table.js'
import type { Pin } from './snapshot.js'

/** Ends the stream; resolves when it has taken everything. */
export async function exportSnapshot(pin: Pin, writable: Writable): Promise<void> {
  if (typeof writable?.write !== 'function' || typeof writable.end !== 'function') {
    throw new TypeError(`the target of an export is ${shown(writable)}; accepted: a Writable`)
  }
  pin.requireOpen()
  await pipeline(streamOf(pin), writable)
}

/** The stream, frame by frame. */
async function* streamOf(pin: Pin): AsyncGenerator<Buffer> {
  const keyspaces = Object.entries(pin.registry.keyspaces)
  let seed = firstSeed
  const frame = (type: number, content: Uint8Array): Buffer => {
    const { bytes, checksum } = encodeFrame(type, content, seed)
    seed = checksum
    return bytes
  }
  yield encodePreface()
  yield frame(frameHeader, Buffer.from(JSON.stringify(headerOf(pin, keyspaces))))
  const content = Buffer.alloc(contentSizeBytesMax)
  let filled = 0
  let records = 0
  let sizeBytes = 0
  for (const part of partsOf(pin, keyspaces)) {
    if (part.isHeader) records++
    sizeBytes += part.bytes.length
    for (let taken = 0; taken < part.bytes.length; ) {
      const count = Math.min(part.bytes.length - taken, contentSizeBytesMax - filled)
      content.set(part.bytes.subarray(taken, taken + count), filled)
      taken += count
      filled += count
      if (filled < contentSizeBytesMax) continue
      yield frame(frameRecords, content)
      filled = 0
      // Whoever takes it may have done nothing but that: others have their turn, too.
      await new Promise(setImmediate)
      pin.requireOpen()
    }
  }
  if (filled > 0) yield frame(frameRecords, content.subarray(0, filled))
  yield frame(frameEnd, encodeEnd(records, sizeBytes))
}

type NamedKeyspaces = [name: string, entry: KeyspaceRegistry['keyspaces'][string]][]

function headerOf(pin: Pin, keyspaces: NamedKeyspaces): ExportHeader {
  const { structures } = pin.registry
  return {
    sequence: pin.sequence,
    ...(structures === undefined ? {} : { structures }),
    keyspaces: keyspaces.map(([name, { encoding, keyEncoding }]) => ({
      name,
      encoding,
      keyEncoding,
    })),
  }
}

interface Part {
  readonly isHeader: boolean
  readonly bytes: Uint8Array
}

/** Header, key and value of every record, in key order. A value is read when its turn comes. */
function* partsOf(pin: Pin, keyspaces: NamedKeyspaces): Generator<Part> {
  const { engine } = pin
  const range = {
    low: undefined,
    high: undefined,
    isReverse: false,
    limit: Number.POSITIVE_INFINITY,
  }
  for (const [place, [, { id }]] of keyspaces.entries()) {
    const reader = new RangeReader(engine, id, range, 'keys', pin)
    try {
      while (reader.nextBatch()) {
        for (let index = 0; index < reader.count; index++) {
          const key = Buffer.from(reader.keyBytes(index))
          engine.key.setBytes(key)
          const record = getRecordAt(engine, id, pin)
          if (record === undefined) throw new Error('a key of a snapshot has no value in it')
          const header = Buffer.alloc(recordHeaderSizeBytes)
          header.writeUInt32LE(place, 0)
          header.writeUInt32LE(key.length, 4)
          header.writeUInt32LE(record.value.length, 8)
          header.writeDoubleLE(record.expiresAtMs ?? noExpiry, 12)
          yield { isHeader: true, bytes: header }
          yield { isHeader: false, bytes: key }
          yield { isHeader: false, bytes: record.value }
        }
      }
    } finally {
      reader.close()
    }
  }
}
