import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { segmentShift } from '../../src/format/address.js'
import { encodeManifest } from '../../src/format/manifest.js'
import { encodeSegmentHeader, segmentSeed } from '../../src/format/segment-header.js'
import { encodeSuperblock } from '../../src/format/superblock.js'

const storeId = Uint8Array.from({ length: 16 }, (_, index) => 0xa0 + index)
const lineageId = Uint8Array.from({ length: 16 }, (_, index) => 0xb0 + index)

/** Lines of 16 bytes; zeros at the end left out. */
function dump(bytes: Uint8Array): string[] {
  const end = bytes.findLastIndex((byte) => byte !== 0) + 1
  const lines: string[] = []
  for (let at = 0; at < end; at += 16) {
    lines.push(Buffer.from(bytes.subarray(at, Math.min(end, at + 16))).toString('hex'))
  }
  return lines
}

// Changing one of these is changing the format: raise its version, and keep reading the old one.
describe('the bytes of format version 1', () => {
  test('of a superblock', () => {
    const bytes = encodeSuperblock({
      segmentShift: segmentShift(2 ** 26),
      storeId,
      lineageId,
      hashSeedLow: 0x01020304,
      hashSeedHigh: -2,
      createdAtMs: 1_700_000_000_000,
    })
    assert.equal(bytes.length, 8192)
    assert.deepEqual(dump(bytes.subarray(0, 4092)), [
      '5641525653544f520100000004030201',
      '00000000000000000000000001000000',
      '0100000017000000a0a1a2a3a4a5a6a7',
      'a8a9aaabacadaeafb0b1b2b3b4b5b6b7',
      'b8b9babbbcbdbebf04030201feffffff',
      '00008056febc7842',
    ])
    assert.equal(Buffer.from(bytes.subarray(4092, 4096)).toString('hex'), 'a33bf82d')
    assert.ok(Buffer.from(bytes.subarray(0, 4096)).equals(bytes.subarray(4096)), 'two copies')
  })

  test('of a manifest', () => {
    const bytes = encodeManifest({
      storeId,
      epoch: 3,
      nextSegmentNumber: 9,
      durable: 1234,
      losses: 2,
      isClosed: false,
      segments: [
        { segmentNumber: 1, epoch: 1, endBytes: 4096, kind: 1 },
        { segmentNumber: 2, epoch: 2, endBytes: 8192, kind: 2 },
      ],
    })
    assert.deepEqual(dump(bytes), [
      '564152564d414e49a0a1a2a3a4a5a6a7',
      'a8a9aaabacadaeaf0000000000000840',
      '00000000000022400000000000489340',
      '0200000002000000000000000000f03f',
      '000000000000f03f000000000000b040',
      '01000000000000000000000000000040',
      '0000000000000040000000000000c040',
      '0200000000000000d06b3058',
    ])
  })

  test('of a segment header', () => {
    const bytes = encodeSegmentHeader({
      storeId,
      segmentNumber: 7,
      epoch: 2,
      firstSequence: 100,
      sequenceBefore: 98,
      previousSegment: 6,
      sizeBytes: 2 ** 26,
      kind: 1,
      reason: 1,
      flags: 1,
    })
    assert.equal(bytes.length, 128)
    assert.deepEqual(dump(bytes), [
      '564152565345474da0a1a2a3a4a5a6a7',
      'a8a9aaabacadaeaf0000000000001c40',
      '00000000000000400000000000005940',
      '00000000000018400000000000009041',
      '01000000010000000100000096c22b9b',
      '0000000000805840',
    ])
  })

  test('of the seed of a segment', () => {
    assert.equal(segmentSeed(storeId, 2, 7), -1683051503)
  })
})
