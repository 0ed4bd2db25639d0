/**
 * Goal: I2, a record is a record only in the store, epoch, segment and place it was written to, and
 *   what a recovery cut off never comes back.
 * Method: real records are moved, to other offsets and into segments with other facts in a valid
 *   header; a store is cut on another boot, written over, and cut again.
 * Kept by: `segmentSeed` (storeId, epoch, number), `recordSeed` (offset, batch), the raised epoch in
 *   `rebuild` and the new segment of `startLog`.
 */
import assert from 'node:assert/strict'
import { copyFileSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { typeBatch } from '../../src/format/record.js'
import { decodeSegmentHeader } from '../../src/format/segment-header.js'
import { recordType } from '../../src/log/record-fields.js'
import { firstRecordOffset } from '../../src/log/roll.js'
import { type SegmentBytes, SegmentScan } from '../../src/log/segment-scan.js'
import { open, type Store } from '../../src/store/index.js'
import { copyStore, segmentNames, temporaryDirectory } from '../support/directory.js'

const options = { segmentSizeBytes: 2 ** 20, encoding: 'utf8', syncIntervalMs: 0 } as const

async function segmentOfStore(directory: string): Promise<SegmentBytes> {
  const store = open<string>(directory, options)
  for (let index = 0; index < 5; index++) store.put(`key-${index}`, `value ${index}`)
  store.write([
    { type: 'put', key: 'a', value: 'b' },
    { type: 'put', key: 'c', value: 'd' },
  ])
  await store.close()
  const [name] = segmentNames(directory)
  const bytes = readFileSync(join(directory, name))
  const header = decodeSegmentHeader(bytes, name)
  const { buffer } = Uint8Array.from(bytes)
  return {
    words: new Int32Array(buffer),
    doubles: new Float64Array(buffer),
    storeId: header.storeId,
    epoch: header.epoch,
    segmentNumber: header.segmentNumber,
    shift: Math.log2(options.segmentSizeBytes / 8),
    endOffset: options.segmentSizeBytes / 8,
  }
}

function offsetsOf(segment: SegmentBytes): number[] {
  const scan = new SegmentScan(segment, firstRecordOffset)
  const offsets: number[] = []
  for (; scan.look() === 'record'; scan.skip()) offsets.push(scan.offset)
  return offsets
}

describe('I2: a record', () => {
  test('verifies where it was written, and with no other store, epoch, number or shift', async (t) => {
    const segment = await segmentOfStore(temporaryDirectory(t))
    const offsets = offsetsOf(segment)
    assert.ok(offsets.length >= 7)
    const otherId = Uint8Array.from(segment.storeId)
    otherId[15] ^= 1
    const others: readonly SegmentBytes[] = [
      { ...segment, storeId: otherId },
      { ...segment, epoch: segment.epoch + 1 },
      { ...segment, segmentNumber: segment.segmentNumber + 1 },
    ]
    for (const offset of offsets) {
      for (const other of others) assert.equal(new SegmentScan(other, offset).look(), 'bad')
    }
  })

  test('does not verify at any other offset', async (t) => {
    const segment = await segmentOfStore(temporaryDirectory(t))
    for (const offset of offsetsOf(segment)) {
      const original = new SegmentScan(segment, offset)
      assert.equal(original.look(), 'record')
      for (const shift of [1, 2, 7, 64, 1000]) {
        const words = Int32Array.from(segment.words)
        words.copyWithin((offset + shift) * 2, offset * 2, (offset + original.span) * 2)
        const moved = { ...segment, words, doubles: new Float64Array(words.buffer) }
        assert.equal(new SegmentScan(moved, offset + shift).look(), 'bad', `moved by ${shift}`)
      }
    }
  })

  test('of a batch does not verify by itself', async (t) => {
    const segment = await segmentOfStore(temporaryDirectory(t))
    const frame = offsetsOf(segment).find(
      (offset) => recordType(segment.words, offset * 2) === typeBatch,
    )
    assert.ok(frame !== undefined)
    const scan = new SegmentScan(segment, frame)
    assert.equal(scan.look(), 'record')
    for (const inner of scan.recordOffsets()) {
      assert.equal(new SegmentScan(segment, inner).look(), 'bad')
    }
  })

  test('does not verify with any of its words changed', async (t) => {
    const segment = await segmentOfStore(temporaryDirectory(t))
    for (const offset of offsetsOf(segment)) {
      const scan = new SegmentScan(segment, offset)
      scan.look()
      for (let word = offset * 2; word < (offset + scan.span) * 2; word++) {
        for (const bit of [0, 13, 31]) {
          segment.words[word] ^= 1 << bit
          assert.equal(new SegmentScan(segment, offset).look(), 'bad', `word ${word} bit ${bit}`)
          segment.words[word] ^= 1 << bit
        }
      }
    }
  })
})

describe('I2: what was cut off', () => {
  test('never comes back, whatever is written after it', async (t) => {
    const parent = temporaryDirectory(t)
    const first = open<string>(join(parent, '1'), options)
    first.put('kept', 'old')
    await first.sync()
    // Not synced: on another boot, without the control file, all of this is gone.
    for (let index = 0; index < 50; index++)
      first.put('kept', `abandoned ${index}`.padEnd(40 + index))
    for (let index = 0; index < 50; index++) first.put(`abandoned-${index}`, 'x')
    copyStore(join(parent, '1'), join(parent, '2'))
    rmSync(join(parent, '2', 'control'))
    const second = open<string>(join(parent, '2'), options)
    assert.equal(second.get('kept'), 'old')
    assert.equal(second.count(), 1)
    const segmentOf = (address: number): number =>
      Math.floor(address / (options.segmentSizeBytes / 8))
    assert.ok(segmentOf(second.stats().tail) > segmentOf(first.stats().tail), 'in a new segment')
    second.put('new', 'timeline')
    await second.sync()
    second.put('not', 'synced')
    copyStore(join(parent, '2'), join(parent, '3'))
    rmSync(join(parent, '3', 'control'))
    const third = open<string>(join(parent, '3'), options)
    assert.equal(third.get('kept'), 'old')
    assert.equal(third.get('new'), 'timeline')
    assert.equal(third.count(), 2)
    for (const store of [first, second, third]) await store.close()
  })

  test('never comes back where a segment file of the abandoned time is put in', async (t) => {
    const parent = temporaryDirectory(t)
    const write = (store: Store<string>, name: string, count: number): void => {
      for (let index = 0; index < count; index++) store.put(`${name}-${index}`, 'x'.repeat(9000))
    }
    const first = open<string>(join(parent, '1'), options)
    first.put('kept', 'old')
    await first.sync()
    write(first, 'abandoned', 300)
    copyStore(join(parent, '1'), join(parent, '2'))
    rmSync(join(parent, '2', 'control'))
    const second = open<string>(join(parent, '2'), options)
    write(second, 'new', 300)
    await second.close()
    // The abandoned store goes on as well, to numbers that the other has not reached.
    write(first, 'later', 1000)
    await first.close()
    const used = segmentNames(join(parent, '2'))
    const foreign = segmentNames(join(parent, '1')).filter((name) => name > used[used.length - 1])
    assert.ok(foreign.length >= 2)
    copyStore(join(parent, '2'), join(parent, '3'))
    for (const name of foreign) copyFileSync(join(parent, '1', name), join(parent, '3', name))
    const third = open<string>(join(parent, '3'), options)
    assert.equal(third.count(), 301)
    assert.equal(third.get('later-0'), undefined)
    assert.equal(third.get('new-299')?.length, 9000)
    await third.close()
  })

  test('has numbers that are not used again', async (t) => {
    const parent = temporaryDirectory(t)
    const first = open<string>(join(parent, '1'), options)
    first.put('kept', 'old')
    await first.sync()
    for (let index = 0; index < 300; index++) first.put(`abandoned-${index}`, 'x'.repeat(9000))
    copyStore(join(parent, '1'), join(parent, '2'))
    rmSync(join(parent, '2', 'control'))
    const second = open<string>(join(parent, '2'), options)
    for (let index = 0; index < 300; index++) second.put(`new-${index}`, 'y'.repeat(9000))
    const abandoned = segmentNames(join(parent, '1')).slice(1)
    const used = segmentNames(join(parent, '2'))
    assert.ok(abandoned.length >= 2 && used.length >= 3)
    assert.deepEqual(
      abandoned.filter((name) => used.includes(name)),
      [],
    )
    await first.close()
    await second.close()
  })
})
