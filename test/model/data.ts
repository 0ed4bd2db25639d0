/** Keys and values for the model test: which there are in each encoding, bounds included. */
import fc from 'fast-check'
import { Packr } from 'msgpackr'
import { Key } from '../../src/engine/key.js'
import { setKey } from '../../src/store/encoding.js'
import type { CustomEncoding, StoreKey } from '../../src/store/index.js'
import { Random } from '../support/random.js'

export const encodingLabels = [
  'binary',
  'utf8',
  'json',
  'msgpack',
  'msgpack-shared',
  'custom',
] as const
export type EncodingLabel = (typeof encodingLabels)[number]
export const keyEncodings = ['utf8', 'binary', 'ordered'] as const
export type KeyEncodingLabel = (typeof keyEncodings)[number]

const scratch = Buffer.alloc(1 << 20)

/** Turns bytes around, in an output buffer that it uses again for the next value. */
export const reversing: CustomEncoding<unknown> = {
  encode(value) {
    const source = value as Buffer
    const target = source.byteLength <= scratch.byteLength ? scratch : Buffer.alloc(source.length)
    target.set(source)
    return target.subarray(0, source.byteLength).reverse()
  },
  decode: (bytes) => Buffer.from(bytes).reverse(),
}

const longest = 65_535

export const keyPools: Readonly<Record<KeyEncodingLabel, readonly StoreKey[]>> = {
  utf8: [
    '',
    '\0',
    '\0\0',
    'a',
    'a\0',
    'ab',
    'abc',
    'abcd',
    'abcde',
    'abcdefgh',
    'é',
    '日本語の鍵',
    '😀',
    '\uffff',
    'k'.repeat(64),
    'k'.repeat(65),
    'x'.repeat(longest),
    `${'é'.repeat((longest - 1) / 2)}!`,
    '__proto__',
    'constructor',
  ],
  binary: [
    Buffer.alloc(0),
    Buffer.from([0]),
    Buffer.from([0, 0]),
    Buffer.alloc(8),
    Buffer.from([0xff]),
    Buffer.alloc(7, 0xff),
    Buffer.from([0xff, 0]),
    Buffer.from([0xc3, 0x28]),
    new Uint8Array([1, 2, 3, 4, 5]),
    Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)),
    Buffer.alloc(63, 1),
    Buffer.alloc(64, 1),
    Buffer.alloc(65, 1),
    Buffer.alloc(66, 1),
    Buffer.alloc(longest, 0xff),
    Buffer.alloc(longest),
  ],
  ordered: [
    0,
    1,
    -1,
    0.5,
    -0.5,
    2 ** 53 - 1,
    -(2 ** 53),
    1e300,
    5e-324,
    Number.POSITIVE_INFINITY,
    true,
    false,
    '',
    'a',
    'a\0',
    '1',
    'é',
    [0],
    ['a'],
    [0, 0],
    ['a', 'b'],
    ['a', 1],
    [1, 'a'],
    [true, -1, ''],
    'long'.repeat(400),
  ],
}

/** The bytes of a key; undefined for an ordered one, whose bytes are the store's own affair. */
export function keySizeBytes(keyEncoding: KeyEncodingLabel, key: StoreKey): number | undefined {
  if (keyEncoding === 'utf8') return Buffer.byteLength(key as string, 'utf8')
  if (keyEncoding === 'binary') return (key as Uint8Array).byteLength
  return undefined
}

/** What keys are ordered by. */
export function keyBytes(keyEncoding: KeyEncodingLabel, key: StoreKey): Buffer {
  const atHand = new Key()
  setKey(atHand, keyEncoding, key)
  return Buffer.from(atHand.bytes.subarray(0, atHand.sizeBytes))
}

/** The first `length` characters, bytes or elements of a key. */
export function prefixOf(key: StoreKey, length: number): StoreKey {
  if (typeof key === 'string') return [...key.slice(0, 70)].slice(0, length).join('')
  if (key instanceof Uint8Array) return key.subarray(0, length)
  return Array.isArray(key) ? key.slice(0, Math.max(1, length)) : key
}

/** A value in few words, so that a failing run can be printed. */
export type ValueSpec =
  | { readonly zeros: number }
  | { readonly bytes: number; readonly seed: number }
  | { readonly text: number; readonly seed: number }
  | { readonly json: unknown }

const letters = ['a', 'b', '0', '\n', '\0', 'é', '日', '😀']

export function makeValue(spec: ValueSpec): unknown {
  if ('zeros' in spec) return Buffer.alloc(spec.zeros)
  if ('bytes' in spec) return new Random(spec.seed).bytes(spec.bytes)
  if ('json' in spec) return spec.json
  const random = new Random(spec.seed)
  return Array.from({ length: spec.text }, () => random.pick(letters)).join('')
}

/** What a read gives for a value that was written. */
export function asRead(encoding: EncodingLabel, value: unknown): unknown {
  return encoding === 'json' ? (JSON.parse(JSON.stringify(value)) as unknown) : value
}

/**
 * A decoder that has seen no other value: each must be readable by itself, or with nothing but the
 * structures that the store has.
 */
export function decodeAlone(
  encoding: EncodingLabel,
  bytes: Buffer,
  structures: () => string[][],
): unknown {
  if (encoding === 'binary') return Buffer.from(bytes)
  if (encoding === 'utf8') return bytes.toString('utf8')
  if (encoding === 'json') return JSON.parse(bytes.toString('utf8'))
  if (encoding === 'custom') return Buffer.from(bytes).reverse()
  const options = { useRecords: true, moreTypes: true }
  if (encoding === 'msgpack') return new Packr(options).unpack(bytes)
  return new Packr({ ...options, structures: structures() }).unpack(bytes)
}

/** Sizes at which something changes: in place or not, inline or in a segment of its own. */
function sizes(segmentSizeBytes: number): fc.Arbitrary<number> {
  const redoBound = 16_384 - 48 - 8
  const ownSegmentBound = segmentSizeBytes / 4
  const bounds = [0, 1, 3, 4, 7, 8, 9, redoBound, redoBound + 1, redoBound + 9, 70_000]
  const large = [ownSegmentBound - 1, ownSegmentBound, ownSegmentBound + 1, ownSegmentBound * 2]
  const affordable = ownSegmentBound <= 2 ** 20 ? large : []
  return fc.oneof(
    { weight: 6, arbitrary: fc.nat(120) },
    { weight: 3, arbitrary: fc.constantFrom(...bounds) },
    { weight: 1, arbitrary: fc.constantFrom(...bounds, ...affordable) },
  )
}

const seed = fc.integer()

// -0 is 0 in MessagePack as in JSON, and msgpackr keeps "__proto__" out of objects.
const json: fc.Arbitrary<ValueSpec> = fc
  .jsonValue({ maxDepth: 3, depthSize: 'small' })
  .map((value) => JSON.parse(JSON.stringify(value).replaceAll('__proto__', 'proto')) as unknown)
  .map((value) => ({ json: value }))

const moreTypes: fc.Arbitrary<ValueSpec> = fc
  .oneof(
    fc.date({ noInvalidDate: true }),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map((value) => ({ value })),
    fc.array(fc.string(), { maxLength: 4 }).map((list) => new Set(list)),
    fc.array(fc.tuple(fc.string(), fc.nat()), { maxLength: 4 }).map((list) => new Map(list)),
    fc.nat(500).map((size) => Buffer.alloc(size, size)),
  )
  .map((value) => ({ json: value }))

export function valueSpecs(
  encoding: EncodingLabel,
  segmentSizeBytes: number,
): fc.Arbitrary<ValueSpec> {
  const size = sizes(segmentSizeBytes)
  if (encoding === 'binary' || encoding === 'custom') {
    return fc.oneof(
      { weight: 1, arbitrary: fc.record({ zeros: size }) },
      { weight: 3, arbitrary: fc.record({ bytes: size, seed }) },
    )
  }
  const text = fc.record({ text: size.map((bytes) => Math.ceil(bytes / 2)), seed })
  if (encoding === 'utf8') return text
  if (encoding === 'json') return fc.oneof(json, text)
  return fc.oneof(json, text, moreTypes)
}
