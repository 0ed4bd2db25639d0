/**
 * Goal: docs/format.md says what the code does.
 * Method: the tables of the page are parsed; each structure is written by the code with a value of
 * its own in every field, and read back at the offset and with the type that the page gives.
 * Properties checked: every row's field lies where the page says; rows cover each structure without
 * gap or overlap; numbers of types and flags are those of the code.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { describe, test } from 'node:test'
import { checksumWords } from '../../src/base/checksum.js'
import { getText } from '../../src/engine/read.js'
import * as bucket from '../../src/format/bucket.js'
import * as checkpoint from '../../src/format/checkpoint.js'
import * as exportStream from '../../src/format/export-stream.js'
import { encodeManifest } from '../../src/format/manifest.js'
import * as record from '../../src/format/record.js'
import { encodeSegmentHeader } from '../../src/format/segment-header.js'
import { encodeSuperblock } from '../../src/format/superblock.js'
import { type RecordTarget, seal, writeSizes, writeStamp } from '../../src/log/append.js'
import { keyEncodingNames, valueEncodingNames } from '../../src/store/encoding.js'
import { open } from '../../src/store/index.js'
import { engineOf } from '../support/engine-of.js'

interface Row {
  readonly offset: number
  readonly size: number
  readonly field: string
  readonly type: string
}

const page = readFileSync(join(process.cwd(), 'docs', 'format.md'), 'utf8')

/** The lines of the page from a heading to the next one. */
function section(heading: string): string[] {
  const lines = page.split('\n')
  const start = lines.indexOf(heading)
  assert.notEqual(start, -1, `the page has the heading ${heading}`)
  const end = lines.findIndex((line, index) => index > start && line.startsWith('#'))
  return lines.slice(start + 1, end === -1 ? undefined : end)
}

/** The tables of a section, each as its rows of cells without the head. */
function tables(heading: string): string[][][] {
  const found: string[][][] = []
  let isInside = false
  for (const line of section(heading)) {
    if (!line.startsWith('|')) {
      isInside = false
      continue
    }
    if (!isInside) found.push([])
    isInside = true
    const cells = line.split('|').slice(1, -1)
    found[found.length - 1].push(cells.map((cell) => cell.trim()))
  }
  return found.map((rows) => rows.slice(2))
}

function layout(heading: string, index = 0): Row[] {
  const rows = tables(heading)[index].map(([offset, size, field, type]) => ({
    offset: Number(offset),
    size: Number(size),
    field,
    type,
  }))
  let end = 0
  for (const row of rows) {
    assert.equal(row.offset, end, `${heading}: ${row.field} follows the field before`)
    end += row.size
  }
  return rows
}

function readField(view: DataView, { offset, size, type }: Row): number | string {
  switch (type) {
    case 'f64':
      return view.getFloat64(offset, true)
    case 'u32':
      return view.getUint32(offset, true)
    case 'i32':
      return view.getInt32(offset, true)
    case 'u16':
      return view.getUint16(offset, true)
    case 'u8':
      return view.getUint8(offset)
    default:
      return Buffer.from(view.buffer, view.byteOffset + offset, size).toString('latin1')
  }
}

/** Compares every row that `expected` names, and sees to it that it names all but checksums. */
function compare(
  rows: readonly Row[],
  bytes: Uint8Array,
  expected: Record<string, number | string>,
) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  for (const row of rows) {
    if (row.field === 'checksum') continue
    const wanted = row.type === 'zero' ? '\0'.repeat(row.size) : expected[row.field]
    assert.notEqual(wanted, undefined, `the test knows the field ${row.field}`)
    assert.equal(readField(view, row), wanted, `${row.field} at ${row.offset}`)
  }
}

const storeId = Uint8Array.from({ length: 16 }, (_, index) => 65 + index)
const lineageId = Uint8Array.from({ length: 16 }, (_, index) => 97 + index)

describe('docs/format.md', () => {
  test('gives the superblock as it is written', () => {
    const bytes = encodeSuperblock({
      segmentShift: 23,
      storeId,
      lineageId,
      hashSeedLow: -5,
      hashSeedHigh: 77,
      createdAtMs: 1234.5,
    })
    const rows = layout('## Superblock')
    assert.equal(
      rows.reduce((sum, row) => sum + row.size, 0),
      bytes.byteLength / 2,
    )
    compare(rows, bytes, {
      magic: 'VARVSTOR',
      formatVersion: 1,
      byteOrder: 0x01020304,
      compatible: 0,
      readOnlyCompatible: 0,
      incompatible: 0,
      hashAlgorithm: 1,
      checksumAlgorithm: 1,
      segmentShift: 23,
      storeId: 'ABCDEFGHIJKLMNOP',
      lineageId: 'abcdefghijklmnop',
      hashSeedLow: -5,
      hashSeedHigh: 77,
      createdAtMs: 1234.5,
    })
  })

  test('gives the segment header as it is written', () => {
    const fields = {
      segmentNumber: 11,
      epoch: 12,
      firstSequence: 13,
      sequenceBefore: 10,
      previousSegment: 14,
      sizeBytes: 15,
      kind: 1,
      reason: 2,
      flags: 1,
    }
    const bytes = encodeSegmentHeader({ storeId, ...fields })
    const rows = layout('## Segment header')
    assert.equal(
      rows.reduce((sum, row) => sum + row.size, 0),
      bytes.byteLength,
    )
    compare(rows, bytes, { magic: 'VARVSEGM', storeId: 'ABCDEFGHIJKLMNOP', ...fields })
  })

  test('gives the record header as it is written', () => {
    const buffer = new ArrayBuffer(64)
    const target: RecordTarget = {
      words: new Int32Array(buffer),
      doubles: new Float64Array(buffer),
      bytes: Buffer.from(buffer),
      offset: 0,
      seed: 3,
    }
    const kind = record.kindWordOf(record.typePut, record.flagMoved, 0xabcd)
    writeStamp(target, 1, 2, 3, 4)
    writeSizes(target, kind, 0x1234, 0x56789abc, 0x4321)
    const checksum = seal(target, 6)
    const rows = layout('## Record')
    assert.equal(
      rows.reduce((sum, row) => sum + row.size, 0),
      record.recordHeaderSizeBytes,
    )
    compare(rows, new Uint8Array(buffer), {
      version: 1,
      sequence: 2,
      timestampMs: 3,
      previous: 4,
      type: record.typePut,
      flags: record.flagMoved,
      keyspace: 0xabcd,
      valueSize: 0x56789abc,
      keySize: 0x1234,
      slack: 0x4321,
    })
    const checksumRow = rows.find((row) => row.field === 'checksum')
    assert.ok(checksumRow)
    assert.equal(readField(new DataView(buffer), checksumRow), checksum)
  })

  test('gives the values of references, batch frames and markers where the code puts them', () => {
    const offsets = {
      '### Value of a record with the flag "reference"': {
        segmentNumber: record.referenceSegmentDouble * 8,
        epoch: record.referenceEpochDouble * 8,
        valueChecksum: record.referenceChecksumWord * 4,
        reserved: record.valueReferenceSizeBytes - 4,
      },
      '### Value of a batch frame': {
        batchSizeWords: record.batchSizeDouble * 8,
        recordCount: record.batchCountWord * 4,
        digest: record.batchDigestWord * 4,
      },
      '### Value of a marker': {
        magic: 0,
        durable: record.markerDurableDouble * 8,
        previousMarker: record.markerPreviousDouble * 8,
        epoch: record.markerEpochDouble * 8,
        digestLow: record.markerDigestLowWord * 4,
        digestHigh: record.markerDigestHighWord * 4,
      },
    }
    const sizes = [
      record.valueReferenceSizeBytes,
      record.batchFrameValueSizeBytes,
      record.markerValueSizeBytes,
    ]
    for (const [index, [heading, expected]] of Object.entries(offsets).entries()) {
      const rows = layout(heading)
      assert.deepEqual(Object.fromEntries(rows.map((row) => [row.field, row.offset])), expected)
      assert.equal(
        rows.reduce((sum, row) => sum + row.size, 0),
        sizes[index],
        heading,
      )
    }
    const magic = new Int32Array([record.markerMagicLow, record.markerMagicHigh])
    assert.equal(Buffer.from(magic.buffer).toString('latin1'), 'VARVMARK')
  })

  test('gives the numbers of types and the bits of flags', () => {
    const [, types, flags] = tables('## Record')
    const constants: Record<string, unknown> = { ...record }
    for (const [name, number] of types) assert.equal(Number(number), constants[name], name)
    for (const [name, bit] of flags) assert.equal(2 ** Number(bit), constants[name], name)
    assert.equal(types.length, record.typeKnownMax)
    const known = flags.reduce((sum, [, bit]) => sum + 2 ** Number(bit), 0)
    assert.equal(known, record.flagsKnown)
  })

  test('gives the manifest as it is written', () => {
    const segment = { segmentNumber: 7, epoch: 8, endBytes: 9, kind: 2 }
    const manifest = {
      storeId,
      epoch: 3,
      nextSegmentNumber: 4,
      durable: 5,
      losses: 6,
      isClosed: false,
      segments: [segment],
    }
    const bytes = encodeManifest(manifest)
    const head = layout('## Manifest', 0)
    const headSize = head.reduce((sum, row) => sum + row.size, 0)
    compare(head, bytes, {
      magic: 'VARVMANI',
      storeId: 'ABCDEFGHIJKLMNOP',
      epoch: 3,
      nextSegmentNumber: 4,
      durable: 5,
      losses: 6,
      segmentCount: 1,
    })
    const each = layout('## Manifest', 1)
    compare(each, bytes.subarray(headSize), segment)
    const eachSize = each.reduce((sum, row) => sum + row.size, 0)
    assert.equal(headSize + eachSize + 4, bytes.byteLength)
  })

  test('gives the registry of keyspaces as it is written', async () => {
    await using store = open(':memory:', { encoding: 'json' })
    store.put('a', 1)
    store.keyspace('kept', { encoding: 'utf8', keyEncoding: 'ordered' })
    store.keyspace('dropped').put('a', 1)
    using snapshot = store.snapshot()
    store.dropKeyspace('dropped')
    store.keyspace('more', { encoding: 'msgpack-shared' }).put('a', { field: 1 })
    const engine = engineOf(store)
    engine.key.setText('keyspaces')
    const text = getText(engine, record.systemKeyspaceId)
    const written = JSON.parse(text ?? '') as Record<string, Record<string, object>>
    const [members, entryMembers] = tables('## Registry of keyspaces')
    assert.deepEqual(members.map(([name]) => name).sort(), Object.keys(written).sort())
    assert.deepEqual(written.structures, [['field']])
    assert.deepEqual(written.keyspaces, {
      '': { id: 0, encoding: 'json', keyEncoding: 'utf8' },
      kept: { id: 2, encoding: 'utf8', keyEncoding: 'ordered' },
      more: { id: 4, encoding: 'msgpack-shared', keyEncoding: 'utf8' },
    })
    const entryNames = entryMembers.map(([name]) => name)
    assert.deepEqual(entryNames, Object.keys(written.keyspaces.kept))
    assert.deepEqual(written.dropped, { 3: snapshot.sequence + 1 })
    assert.equal(written.nextId, 5)
    for (const [name, choices] of [
      ['encoding', [...valueEncodingNames, 'custom']],
      ['keyEncoding', keyEncodingNames],
    ] as const) {
      const [, what] = entryMembers[entryNames.indexOf(name)]
      const named = [...what.matchAll(/`([\w-]+)`/g)].map(([, choice]) => choice)
      assert.deepEqual(named.sort(), [...choices].sort())
    }
  })

  test('gives an export stream as it is written', async () => {
    await using store = open<string>(':memory:', { encoding: 'utf8' })
    const large = 'v'.repeat(exportStream.contentSizeBytesMax)
    store.put('key', 'a value')
    store.put('large', large)
    const other = store.keyspace<string>('other', { encoding: 'utf8', keyEncoding: 'binary' })
    other.put(Buffer.from([0xff]) as never, '')
    using snapshot = store.snapshot()
    const chunks: Buffer[] = []
    const target = new PassThrough()
    target.on('data', (chunk: Buffer) => chunks.push(chunk))
    await snapshot.export(target)
    const stream = Buffer.concat(chunks)

    const preface = layout('### Preface of an export stream')
    compare(preface, stream, {
      magic: 'VARVEXPT',
      formatVersion: exportStream.exportFormatVersion,
    })
    const frameRows = layout('### Frame of an export stream')
    const frameHeaderBytes = frameRows.reduce((sum, row) => sum + row.size, 0)
    assert.equal(frameHeaderBytes, exportStream.frameHeaderSizeBytes)
    const [, types] = tables('### Frame of an export stream')
    const constants: Record<string, unknown> = { ...exportStream }
    for (const [name, number] of types) assert.equal(Number(number), constants[name], name)

    const contents: { type: number; content: Buffer }[] = []
    let seed = 1
    let at = preface.reduce((sum, row) => sum + row.size, 0)
    while (at < stream.length) {
      const bytes = Buffer.from(stream.subarray(at))
      const [type, sizeBytes] = [bytes.readUInt32LE(0), bytes.readUInt32LE(4)]
      compare(frameRows, bytes, { type, sizeBytes })
      const frameBytes: number = frameHeaderBytes + Math.ceil(sizeBytes / 4) * 4
      const words = new Int32Array(Uint8Array.from(bytes.subarray(0, frameBytes)).buffer)
      const checksumRow = frameRows.find((row) => row.field === 'checksum')
      assert.ok(checksumRow)
      const checksum = bytes.readInt32LE(checksumRow.offset)
      words[checksumRow.offset / 4] = 0
      assert.equal(checksumWords(words, 0, words.length, seed), checksum)
      contents.push({
        type,
        content: bytes.subarray(frameHeaderBytes, frameHeaderBytes + sizeBytes),
      })
      seed = checksum
      at += frameBytes
    }
    assert.deepEqual(
      contents.map(({ type }) => type),
      [1, 2, 2, 3],
    )
    assert.equal(contents[1].content.length, 262_144)
    assert.deepEqual(JSON.parse(contents[0].content.toString('utf8')), {
      sequence: snapshot.sequence,
      keyspaces: [
        { name: '', encoding: 'utf8', keyEncoding: 'utf8' },
        { name: 'other', encoding: 'utf8', keyEncoding: 'binary' },
      ],
    })
    const records = Buffer.concat([contents[1].content, contents[2].content])
    const end = contents[3].content
    assert.deepEqual([end.readDoubleLE(0), end.readDoubleLE(8)], [3, records.length])
    const recordRows = layout('### Record of an export stream')
    let offset = 0
    for (const [keyspace, key, value] of [
      [0, Buffer.from('key'), Buffer.from('a value')],
      [0, Buffer.from('large'), Buffer.from(large)],
      [1, Buffer.from([0xff]), Buffer.alloc(0)],
    ] as const) {
      const sizes = { keySizeBytes: key.length, valueSizeBytes: value.length }
      compare(recordRows, records.subarray(offset), { keyspace, ...sizes })
      offset += exportStream.recordHeaderSizeBytes
      const both = records.subarray(offset, offset + key.length + value.length)
      assert.ok(both.equals(Buffer.concat([key, value])))
      offset += both.length
    }
    assert.equal(offset, records.length)
  })

  test('gives the header of a checkpoint as it is written', () => {
    const rows = layout('## Checkpoint', 0)
    const numbers = Object.fromEntries(
      rows
        .filter(({ field, type }) => ['f64', 'u32', 'i32'].includes(type) && field !== 'checksum')
        .map(({ field }, index) => [field, 1000 + index]),
    )
    const header = { storeId, ...numbers } as unknown as checkpoint.CheckpointHeader
    const bytes = checkpoint.encodeCheckpointHeader(header)
    assert.equal(bytes.byteLength, checkpoint.checkpointHeaderSizeBytes)
    assert.equal(
      rows.reduce((sum, row) => sum + row.size, 0),
      bytes.byteLength,
    )
    compare(rows, bytes, { magic: 'VARVCHKP', storeId: 'ABCDEFGHIJKLMNOP', ...numbers })
    assert.deepEqual(checkpoint.decodeCheckpointHeader(bytes, ''), header)
  })

  test('gives the chunks of a checkpoint and their elements as they are written', () => {
    const words = new Int32Array(checkpoint.chunkHeaderWords + checkpoint.elementWords)
    checkpoint.sealChunk(words, { kind: 3, index: 11, first: 12, count: 1 }, 5)
    const chunk = layout('## Checkpoint', 1)
    const bytes = new Uint8Array(words.buffer)
    compare(chunk, bytes, { kind: 3, index: 11, first: 12, count: 1 })
    const stored = words[checkpoint.chunkChecksumWord]
    words[checkpoint.chunkChecksumWord] = 0
    assert.equal(checkpoint.checksumChunk(words, 1, 5), stored)
    const segment = {
      ...{ segmentNumber: 1, epoch: 2, sizeBytes: 3, endBytes: 4 },
      ...{ deadBytes: 5, entries: 6, kind: 7, overheadBytes: 8, tombstoneBytes: 16 },
    }
    const keyspace = { keyspaceId: 1, records: 2, keyBytes: 3, valueBytes: 4 }
    const element = new DataView(new ArrayBuffer(checkpoint.elementSizeBytes))
    checkpoint.encodeCheckpointSegment(element, 0, segment)
    const inWords = { ...segment, overheadWords: 1, tombstoneWords: 2 }
    compare(layout('## Checkpoint', 2), new Uint8Array(element.buffer), inWords)
    assert.deepEqual(checkpoint.decodeCheckpointSegment(element, 0), segment)
    const other = new DataView(new ArrayBuffer(checkpoint.elementSizeBytes))
    checkpoint.encodeCheckpointKeyspace(other, 0, keyspace)
    compare(layout('## Checkpoint', 3), new Uint8Array(other.buffer), keyspace)
    assert.deepEqual(checkpoint.decodeCheckpointKeyspace(other, 0), keyspace)
    for (const table of [1, 2, 3]) {
      const sizes = layout('## Checkpoint', table).reduce((sum, row) => sum + row.size, 0)
      assert.equal(sizes, checkpoint.elementSizeBytes)
    }
    assert.equal(checkpoint.elementSizeBytes, bucket.bucketSizeBytes)
  })

  test('gives the words of a bucket', () => {
    const [rows] = tables('## Bucket of the hash index')
    const [entries, version, link] = rows.map(([word]) => word)
    assert.equal(entries, `0 to ${bucket.entriesPerBucket * bucket.entryWords - 1}`)
    assert.equal(Number(version), bucket.versionWordInBucket)
    assert.equal(Number(link), bucket.linkWordInBucket)
    assert.equal(bucket.bucketWords * 4, bucket.bucketSizeBytes)
  })
})
