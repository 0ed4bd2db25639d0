import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { checksumBytes } from '../../src/base/checksum.js'
import { decodeManifest, encodeManifest } from '../../src/format/manifest.js'
import {
  decodeSegmentHeader,
  encodeSegmentHeader,
  isBlankSegmentHeader,
  type SegmentHeader,
  segmentSeed,
} from '../../src/format/segment-header.js'
import { decodeSuperblock, encodeSuperblock, type Superblock } from '../../src/format/superblock.js'
import { formatVersion } from '../../src/format/version.js'
import { fc } from '../support/properties.js'
import { isDamageError, storeErrorOf, thrownBy } from '../support/store-error.js'

const id = fc.uint8Array({ minLength: 16, maxLength: 16 })
const whole = fc.maxSafeNat()
const plain = { noNullPrototype: true } as const

const superblocks: fc.Arbitrary<Superblock> = fc.record(
  {
    segmentShift: fc.integer({ min: 17, max: 27 }),
    storeId: id,
    lineageId: id,
    hashSeedLow: fc.integer(),
    hashSeedHigh: fc.integer(),
    createdAtMs: whole,
  },
  plain,
)
const manifests = fc.record(
  {
    storeId: id,
    epoch: whole,
    nextSegmentNumber: whole,
    durable: whole,
    losses: fc.nat(),
    isClosed: fc.boolean(),
    segments: fc.array(
      fc.record(
        {
          segmentNumber: whole,
          epoch: whole,
          endBytes: whole,
          kind: fc.constantFrom(1, 2),
        },
        plain,
      ),
      { maxLength: 5 },
    ),
  },
  plain,
)
const headers: fc.Arbitrary<SegmentHeader> = fc.record(
  {
    storeId: id,
    segmentNumber: whole,
    epoch: whole,
    firstSequence: whole,
    sequenceBefore: whole,
    previousSegment: whole,
    sizeBytes: whole,
    kind: fc.constantFrom(1, 2),
    reason: fc.constantFrom(1, 2, 3, 4),
    flags: fc.constantFrom(0, 1),
  },
  plain,
)

interface Structure {
  readonly name: string
  readonly encoded: fc.Arbitrary<{ readonly bytes: Uint8Array; readonly fields: unknown }>
  readonly decode: (bytes: Uint8Array) => unknown
}

const structures: readonly Structure[] = [
  {
    name: 'superblock',
    encoded: superblocks.map((fields) => ({ fields, bytes: encodeSuperblock(fields) })),
    decode: (bytes) => decodeSuperblock(bytes, 'file', false),
  },
  {
    name: 'manifest',
    encoded: manifests.map((fields) => ({ fields, bytes: encodeManifest(fields) })),
    decode: (bytes) => decodeManifest(bytes, 'file'),
  },
  {
    name: 'segment header',
    encoded: headers.map((fields) => ({ fields, bytes: encodeSegmentHeader(fields) })),
    decode: (bytes) => decodeSegmentHeader(bytes, 'file'),
  },
]

function flipped(bytes: Uint8Array, bit: number): Uint8Array {
  const copy = bytes.slice()
  copy[bit >>> 3] ^= 1 << (bit & 7)
  return copy
}

for (const { name, encoded, decode } of structures) {
  describe(`a ${name}`, () => {
    test('reads as it was written', () => {
      fc.assert(
        fc.property(encoded, ({ bytes, fields }) => assert.deepEqual(decode(bytes), fields)),
      )
    })
  })
}

describe('damage', () => {
  const [superblock, manifest, header] = structures.map((structure) => ({
    ...structure,
    ...fc.sample(structure.encoded, { numRuns: 1, seed: 5 })[0],
  }))

  for (const { name, bytes, decode } of [manifest, header]) {
    test(`of any bit of a ${name} is refused`, () => {
      for (let bit = 0; bit < bytes.length * 8; bit++) {
        assert.ok(isDamageError(thrownBy(() => decode(flipped(bytes, bit)))), `bit ${bit}`)
      }
    })

    test(`by cutting a ${name} anywhere is refused`, () => {
      for (let length = 0; length < bytes.length; length++) {
        assert.ok(isDamageError(thrownBy(() => decode(bytes.subarray(0, length)))), `${length}`)
      }
    })
  }

  test('of any bit of one copy of the superblock leaves the other to be read', () => {
    const { bytes, decode, fields } = superblock
    for (let bit = 0; bit < bytes.length * 8; bit += 1 + (bit > 800 && bit < 32_000 ? 61 : 0)) {
      assert.deepEqual(decode(flipped(bytes, bit)), fields, `bit ${bit}`)
    }
  })

  test('of both copies of the superblock is refused', () => {
    const { bytes, decode } = superblock
    for (let bit = 0; bit < 4096 * 8; bit += 1 + (bit > 800 ? 61 : 0)) {
      const both = flipped(flipped(bytes, bit), bit + 4096 * 8)
      assert.ok(isDamageError(thrownBy(() => decode(both))), `bit ${bit}`)
    }
  })

  test('by cutting the superblock is survived up to the end of its first copy', () => {
    const { bytes, decode, fields } = superblock
    assert.deepEqual(decode(bytes.subarray(0, 4096)), fields)
    assert.deepEqual(decode(bytes.subarray(0, 5000)), fields)
    for (const length of [0, 1, 7, 8, 100, 4095]) {
      assert.ok(isDamageError(thrownBy(() => decode(bytes.subarray(0, length)))), `${length}`)
    }
  })

  test('by bytes behind the end of a manifest is refused', () => {
    const { bytes, decode } = manifest
    for (const more of [1, 4, 32]) {
      const longer = new Uint8Array(bytes.length + more)
      longer.set(bytes)
      assert.ok(isDamageError(thrownBy(() => decode(longer))))
    }
  })
})

/** A superblock with a field changed and its checksums made right again. */
function forged(offset: number, value: number): Uint8Array {
  const [fields] = fc.sample(superblocks, { numRuns: 1, seed: 6 })
  const bytes = encodeSuperblock(fields)
  const view = new DataView(bytes.buffer)
  view.setUint32(offset, value, true)
  view.setInt32(4092, checksumBytes(bytes.subarray(0, 4092), 0), true)
  bytes.copyWithin(4096, 0, 4096)
  return bytes
}

describe('a superblock of another version', () => {
  const refusal = (offset: number, value: number, readOnly = false): string =>
    storeErrorOf(() => decodeSuperblock(forged(offset, value), 'file', readOnly), 'STORE_FORMAT')
      .message

  test('is refused by its number', () => {
    assert.ok(refusal(8, formatVersion + 1).includes(String(formatVersion + 1)))
    refusal(8, 0)
  })

  test('is refused with another byte order, hash or checksum', () => {
    refusal(12, 0x04030201)
    refusal(28, 2)
    refusal(32, 2)
  })

  test('is refused with an incompatible feature, and with a reserved byte that is used', () => {
    for (const readOnly of [false, true]) {
      refusal(24, 1, readOnly)
      refusal(88, 1, readOnly)
      refusal(4088, 0x80000000, readOnly)
    }
  })

  test('can be read, not written, with a read-only compatible feature', () => {
    refusal(20, 1)
    assert.ok(decodeSuperblock(forged(20, 1), 'file', true))
  })

  test('can be written with a compatible feature', () => {
    assert.ok(decodeSuperblock(forged(16, 1), 'file', false))
  })
})

describe('a segment header', () => {
  test('is blank only if nothing was ever written', () => {
    assert.equal(isBlankSegmentHeader(new Uint8Array(128)), true)
    for (let byte = 0; byte < 128; byte++) {
      const bytes = new Uint8Array(128)
      bytes[byte] = 1
      assert.equal(isBlankSegmentHeader(bytes), false)
    }
  })

  test('is refused with unknown flags or a reserved byte that is used', () => {
    const [fields] = fc.sample(headers, { numRuns: 1, seed: 7 })
    for (const [offset, value] of [
      [72, 2],
      [72, 0x80000000],
      [88, 1],
      [124, 1],
    ]) {
      const bytes = encodeSegmentHeader(fields)
      const view = new DataView(bytes.buffer)
      view.setUint32(offset, value, true)
      view.setInt32(76, 0, true)
      view.setInt32(76, checksumBytes(bytes, 0), true)
      storeErrorOf(() => decodeSegmentHeader(bytes, 'file'), 'STORE_FORMAT')
    }
  })

  test('gives its records a seed of their own for every store, epoch and number', () => {
    const seeds = new Set<number>()
    for (let store = 0; store < 10; store++) {
      const storeId = new Uint8Array(16).fill(store)
      for (let epoch = 1; epoch <= 30; epoch++) {
        for (let number = 1; number <= 30; number++) seeds.add(segmentSeed(storeId, epoch, number))
      }
    }
    assert.ok(seeds.size > 8990, 'collisions of 32 bits are rare')
  })
})
