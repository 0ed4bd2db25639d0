import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { hashKeyWords } from '../../src/base/hash.js'
import { Key } from '../../src/engine/key.js'
import { Random } from '../support/random.js'

const key = new Key()

function hashOf(bytes: Buffer, low = 0x12345678, high = 0x9abcdef): number {
  key.setBytes(bytes)
  return hashKeyWords(key.words, 0, key.sizeBytes, low, high) >>> 0
}

describe('the hash of keys', () => {
  test('is the one that stores were written with', () => {
    const expected = new Map([
      ['', '87c9e6f0'],
      ['a', '861fa146'],
      ['abcd', 'a207b487'],
      ['a key of more than four words', '500ba284'],
    ])
    for (const [text, hash] of expected) {
      assert.equal(hashOf(Buffer.from(text)).toString(16), hash, text)
    }
  })

  test('tells keys apart that differ in trailing zero bytes only', () => {
    const hashes = new Set(Array.from({ length: 64 }, (_, size) => hashOf(Buffer.alloc(size))))
    assert.equal(hashes.size, 64)
  })

  test('depends on both words of the seed', () => {
    const bytes = Buffer.from('the same key')
    const hashes = [hashOf(bytes, 1, 2), hashOf(bytes, 1, 3), hashOf(bytes, 2, 2)]
    assert.equal(new Set(hashes).size, 3)
  })

  test('flips about half of its bits when any bit of the key flips', () => {
    const random = new Random(1)
    let flipped = 0
    const rounds = 2000
    for (let round = 0; round < rounds; round++) {
      const bytes = random.bytes(1 + random.below(40))
      const before = hashOf(bytes)
      bytes[random.below(bytes.length)] ^= 1 << random.below(8)
      flipped += (before ^ hashOf(bytes)).toString(2).replaceAll(/[^1]/g, '').length
    }
    assert.ok(Math.abs(flipped / rounds - 16) < 1.5, `${flipped / rounds} bits`)
  })

  test('fills the buckets of a table evenly with keys that count up', () => {
    const buckets = new Uint32Array(256)
    for (let index = 0; index < 256 * 100; index++) {
      buckets[hashOf(Buffer.from(`user${String(index).padStart(12, '0')}`)) & 255]++
    }
    assert.ok(Math.min(...buckets) > 50 && Math.max(...buckets) < 160, 'about 100 in each of 256')
  })
})
