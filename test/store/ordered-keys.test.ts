/**
 * Goal: keys of the encoding `ordered` are the values they were made of, and sort as these do.
 * Method: pairs of random numbers, strings, booleans and flat arrays of them.
 * Properties checked: a key decodes to what it was; two keys have the same bytes only if they are
 * the same value; arrays of one kind compare as their elements do; what would lose its shape is
 * refused.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Key } from '../../src/engine/key.js'
import { decodeOrderedKey, type OrderedKey, setKey } from '../../src/store/encoding.js'
import { fc } from '../support/properties.js'

const scalar = fc.oneof(
  fc.string({ unit: 'binary' }).filter((text) => text.isWellFormed()),
  fc.double({ noNaN: true }).map((value) => (value === 0 ? 0 : value)),
  fc.integer(),
  fc.boolean(),
)
const orderedKey = fc.oneof(scalar, fc.array(scalar, { minLength: 1, maxLength: 4 }))

function encode(value: OrderedKey): Buffer {
  const key = new Key()
  setKey(key, 'ordered', value)
  return Buffer.from(key.bytes.subarray(0, key.sizeBytes))
}

describe('an ordered key', () => {
  test('decodes to the value it was made of', () => {
    fc.assert(
      fc.property(orderedKey, (value) => {
        assert.deepEqual(decodeOrderedKey(encode(value)), value)
      }),
      { numRuns: 2000 },
    )
  })

  test('has the bytes of another only if it is the same value', () => {
    fc.assert(
      fc.property(orderedKey, orderedKey, (a, b) => {
        const isSame = JSON.stringify([a]) === JSON.stringify([b])
        if (!isSame) assert.notEqual(encode(a).compare(encode(b)), 0)
      }),
      { numRuns: 5000 },
    )
    assert.notEqual(encode(['a']).compare(encode('a')), 0)
  })

  test('sorts numbers as numbers, also within arrays', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true }), fc.double({ noNaN: true }), (a, b) => {
        const wanted = a === b ? 0 : a < b ? -1 : 1
        assert.equal(encode(a).compare(encode(b)), wanted)
        assert.equal(encode(['x', a, 1]).compare(encode(['x', b, 1])), wanted)
      }),
      { numRuns: 2000 },
    )
  })

  test('sorts an array before the longer ones that begin with it', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer(), { minLength: 1, maxLength: 3 }),
        fc.integer(),
        (head, last) => {
          assert.equal(encode(head).compare(encode([...head, last])), -1)
        },
      ),
    )
  })

  test('is refused where it would lose its shape', () => {
    for (const value of [[], [1, [2]], [[1]], Number.NaN, null, undefined, {}, [null], 1n]) {
      assert.throws(() => encode(value as OrderedKey), TypeError)
    }
  })

  test('is the same for 0 and -0', () => {
    assert.equal(encode(-0).compare(encode(0)), 0)
  })
})
