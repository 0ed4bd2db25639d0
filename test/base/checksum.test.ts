import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { checksumBytes, checksumWords, RunningChecksum } from '../../src/base/checksum.js'
import { checksumWord } from '../../src/format/record.js'
import { checksumRecord, recordSeed } from '../../src/format/record-checksum.js'
import { fc } from '../support/properties.js'

const prime1 = 0x9e3779b1
const prime2 = 0x85ebca77
const prime3 = 0xc2b2ae3d
const prime4 = 0x27d4eb2f
const prime5 = 0x165667b1

const rotate = (value: number, bits: number): number => (value << bits) | (value >>> (32 - bits))

/** XXH32 of any bytes, as its specification describes it step by step. */
function xxh32(bytes: Buffer, seed: number): number {
  let at = 0
  let hash = seed + prime5
  if (bytes.length >= 16) {
    const lanes = [seed + prime1 + prime2, seed + prime2, seed, seed - prime1]
    for (; at + 16 <= bytes.length; at += 16) {
      lanes.forEach((lane, index) => {
        const word = bytes.readUInt32LE(at + index * 4)
        lanes[index] = Math.imul(rotate((lane + Math.imul(word, prime2)) | 0, 13), prime1)
      })
    }
    hash = rotate(lanes[0], 1) + rotate(lanes[1], 7) + rotate(lanes[2], 12) + rotate(lanes[3], 18)
  }
  hash = (hash + bytes.length) | 0
  for (; at + 4 <= bytes.length; at += 4) {
    const word = bytes.readUInt32LE(at)
    hash = Math.imul(rotate((hash + Math.imul(word, prime3)) | 0, 17), prime4)
  }
  for (; at < bytes.length; at++) {
    hash = Math.imul(rotate((hash + Math.imul(bytes[at], prime5)) | 0, 11), prime1)
  }
  hash = Math.imul(hash ^ (hash >>> 15), prime2)
  hash = Math.imul(hash ^ (hash >>> 13), prime3)
  return hash ^ (hash >>> 16)
}

/** The buffer of the sanity checks of the reference implementation. */
function sanityBytes(size: number): Buffer {
  let generator = prime1
  return Buffer.from(
    Array.from({ length: size }, () => {
      const byte = generator >>> 24
      generator = Math.imul(generator, generator) >>> 0
      return byte
    }),
  )
}

const hex = (checksum: number): string => (checksum >>> 0).toString(16).padStart(8, '0')

describe('XXH32', () => {
  const published: readonly (readonly [Buffer, number, string])[] = [
    [Buffer.alloc(0), 0, '02cc5d05'],
    [Buffer.alloc(0), prime1, '36b78ae7'],
    [sanityBytes(1), 0, 'b85cbee5'],
    [sanityBytes(1), prime1, 'd5845d64'],
    [sanityBytes(14), 0, 'e5aa0ab4'],
    [sanityBytes(14), prime1, '4481951d'],
    [sanityBytes(101), 0, '1f1aa412'],
    [sanityBytes(101), prime1, '498ec8e2'],
    [Buffer.from('abcd'), 0, 'a3643705'],
    [Buffer.from('Hello World!'), 0, '0bd69788'],
  ]

  test('the step-by-step version of this test gives the published values', () => {
    for (const [bytes, seed, expected] of published) assert.equal(hex(xxh32(bytes, seed)), expected)
  })

  test('gives the published values for whole words', () => {
    const whole = published.filter(([bytes]) => bytes.length % 4 === 0)
    assert.ok(whole.length >= 4)
    for (const [bytes, seed, expected] of whole) {
      assert.equal(hex(checksumBytes(bytes, seed)), expected)
    }
  })

  test('is the step-by-step version for whole words of any number, place and seed', () => {
    const bytes = fc.uint8Array({ maxLength: 200 }).map((all) => all.subarray(0, all.length & ~3))
    fc.assert(
      fc.property(bytes, fc.integer(), fc.nat(5), (content, seed, shift) => {
        const expected = xxh32(Buffer.from(content), seed)
        const shifted = new Uint8Array(content.length + shift)
        shifted.set(content, shift)
        assert.equal(checksumBytes(shifted.subarray(shift), seed), expected)
        const words = new Int32Array(content.length / 4 + shift)
        words.set(new Int32Array(Uint8Array.from(content).buffer), shift)
        assert.equal(checksumWords(words, shift, content.length / 4, seed), expected)
      }),
    )
  })

  test('of a record is that of its words with the checksum as 0', () => {
    const words = fc.array(fc.integer(), { minLength: 12, maxLength: 80 })
    fc.assert(
      fc.property(words, fc.integer(), fc.nat(9), (list, seed, start) => {
        const even = list.slice(0, list.length & ~1)
        const record = Int32Array.from([...Array(start).fill(-1), ...even])
        const zeroed = Int32Array.from(even)
        zeroed[checksumWord] = 0
        const expected = checksumWords(zeroed, 0, zeroed.length, seed)
        assert.equal(checksumRecord(record, start, even.length, seed), expected)
        assert.equal(
          record[start + checksumWord],
          even[checksumWord],
          'the record is left as it was',
        )
      }),
    )
  })

  test('of a record starts from another seed at every offset, and within a batch', () => {
    const seeds = new Set<number>()
    for (let offset = 0; offset < 50_000; offset++) {
      seeds.add(recordSeed(77, offset, false))
      seeds.add(recordSeed(77, offset, true))
    }
    assert.equal(seeds.size, 100_000)
  })
})

test('a checksum of pieces is that of the whole', () => {
  const words = Int32Array.from({ length: 64 }, (_, index) => Math.imul(index + 1, 0x9e3779b1))
  for (let count = 0; count <= words.length; count++) {
    for (const pieces of [[], [4], [8, 4], [16, 16]]) {
      const running = new RunningChecksum(7)
      let done = 0
      for (const piece of pieces) {
        if (done + piece > count) break
        running.add(words, done, piece)
        done += piece
      }
      assert.equal(running.end(words, done, count - done), checksumWords(words, 0, count, 7))
    }
  }
})
