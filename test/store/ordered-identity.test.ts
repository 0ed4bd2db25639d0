/**
 * Goal: keys of the encoding "ordered" never meet, however alike they are, and have any length.
 * Method: groups of keys chosen to be close, and random ones full of control characters, each put
 *   with a value of its own; long strings.
 * Properties checked: every key has its own value; the count; the order of strings.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Key } from '../../src/engine/key.js'
import { setKey } from '../../src/store/encoding.js'
import { type OrderedKey, open } from '../../src/store/index.js'
import { fc } from '../support/properties.js'

function bytesOf(value: OrderedKey): Buffer {
  const key = new Key()
  setKey(key, 'ordered', value)
  return Buffer.from(key.bytes.subarray(0, key.sizeBytes))
}

const text = fc.oneof(
  fc.string({ unit: 'grapheme' }),
  fc.string({ unit: fc.constantFrom('\0', '\x01', '\x04', '\x1b', 'a', '\x7f', 'é') }),
  fc.string({ minLength: 60, maxLength: 70, unit: fc.constantFrom('\0', 'a', '\x1b', 'é') }),
)
const scalar = fc.oneof(text, fc.double({ noNaN: true }), fc.integer(), fc.boolean())
const key: fc.Arbitrary<OrderedKey> = fc.oneof(
  scalar,
  fc.array(scalar, { minLength: 1, maxLength: 3 }),
)

/** Equal keys have equal labels; -0 is 0. */
function labelOf(value: OrderedKey): string {
  if (Array.isArray(value)) return `[${value.map(labelOf).join()}]`
  return typeof value === 'number' ? `n${value + 0}` : JSON.stringify(value)
}

describe('keys of the encoding "ordered"', () => {
  const long = 'x'.repeat(64)
  const close: readonly (readonly OrderedKey[])[] = [
    ['a', ['a'], ['a', 'a'], 'a\0a', ['a', ''], 'a\0'],
    ['', [''], ['', ''], ['', '', '']],
    [0, [0], [0, 0], false, '0', [false]],
    ['\0', '\0\0', ['\0'], ['', ''], '\x01', '\x1b', '\x1b\x1b'],
    [long, [long], [long, 'b'], `${long}\0b`, `${long}\0`],
    ['\x1b', '', '\x1ba', 'a'],
    [1, 1 + 2 ** -52, 1 - 2 ** -53, -1],
    [2 ** 53, 2 ** 53 - 1, 2 ** 53 + 2],
  ]
  for (const keys of close) {
    test(`are told apart: ${keys.map(labelOf).join(' ').slice(0, 70)}`, async () => {
      const store = open<number, OrderedKey>(':memory:', {
        keyEncoding: 'ordered',
        encoding: 'json',
      })
      keys.forEach((value, index) => {
        store.put(value, index)
      })
      const values = keys.map((value) => store.get(value))
      assert.deepEqual(values, [...keys.keys()])
      assert.equal(store.count(), keys.length)
      await store.close()
    })
  }

  test('are told apart at random, and equal ones are one', () => {
    fc.assert(
      fc.property(key, key, (a, b) => {
        assert.equal(bytesOf(a).equals(bytesOf(b)), labelOf(a) === labelOf(b))
      }),
      { numRuns: 3000 },
    )
  })

  test('sort as strings do, by code points, also those of control characters', () => {
    fc.assert(
      fc.property(text, text, (a, b) => {
        const order = Buffer.compare(bytesOf(a), bytesOf(b))
        assert.equal(order, Buffer.compare(Buffer.from(a), Buffer.from(b)))
      }),
      { numRuns: 3000 },
    )
  })

  test('of 0 and -0 are one', async () => {
    const store = open<number, OrderedKey>(':memory:', { keyEncoding: 'ordered', encoding: 'json' })
    store.put(-0, 1)
    store.put(['a', 0], 2)
    assert.equal(store.get(0), 1)
    assert.equal(store.get(['a', -0]), 2)
    await store.close()
  })

  test('may be strings of any length that a key may have', async () => {
    const store = open<number, OrderedKey>(':memory:', { keyEncoding: 'ordered', encoding: 'json' })
    for (const length of [63, 64, 65, 2000, 8190, 8192, 20_000, 60_000]) {
      const value = 'y'.repeat(length)
      store.put(value, length)
      store.put([value, 1], -length)
      assert.equal(store.get(value), length)
      assert.equal(store.get([value, 1]), -length)
      assert.equal(store.get(`${value}y`), undefined)
    }
    await store.close()
  })
})
