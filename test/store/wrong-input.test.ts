/**
 * Goal: wrong input is refused with a message that says what is accepted, and changes nothing.
 * Method: every option and argument with values of wrong type, out of range, too long or malformed,
 *   in every encoding.
 * Properties checked: the class of the error, the name and the value in its message, and that the
 *   store's sequence and count are as before.
 */
import assert from 'node:assert/strict'
import { statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import {
  open,
  type PutOptions,
  type StoreKey,
  type StoreOptions,
  type StoreStats,
  type ValueEncoding,
} from '../../src/store/index.js'
import { temporaryDirectory } from '../support/directory.js'
import { type ErrorClass, refused, storeErrorOf, thrownBy } from '../support/store-error.js'

/** The store after it has refused something is the store before. */
function unchanged(store: { stats(): StoreStats }, action: () => void): void {
  const before = store.stats()
  action()
  const after = store.stats()
  assert.equal(after.sequence, before.sequence)
  assert.equal(after.tail, before.tail)
  assert.equal(after.records, before.records)
}

/** Calls with arguments that the types do not allow. */
function loose(options: unknown): StoreOptions {
  return options as StoreOptions
}

describe('options of open', () => {
  test('a path that is no text, empty, or has a NUL is a TypeError', () => {
    for (const path of [undefined, null, 7, '', 'a\0b', new URL('file:///x')]) {
      refused(() => open(path as string), TypeError, 'path')
    }
  })

  test('a path where no directory can be made is an error that names it', (t) => {
    const file = join(temporaryDirectory(t), 'file')
    writeFileSync(file, 'mine')
    // One that exists and takes no entries.
    const paths = process.platform === 'linux' ? [file, '/proc'] : [file]
    for (const above of paths) {
      const error = thrownBy(() => open(join(above, 'sub', 'store')))
      assert.ok(error instanceof Error && error.message.includes(join(above, 'sub')), String(error))
    }
  })

  test('the directories above are made, for their owner only', async (t) => {
    const above = join(temporaryDirectory(t), 'a', 'b')
    await open(join(above, 'store'), { segmentSizeBytes: 2 ** 20 }).close()
    assert.equal(statSync(above).mode & 0o777, process.platform === 'win32' ? 0o777 : 0o700)
  })

  test('options that are no object are a TypeError', () => {
    for (const options of [null, 'x', 7, true, []]) {
      refused(() => open(':memory:', loose(options)), TypeError, 'options')
    }
  })

  test('an unknown option is a TypeError that names it and what is accepted', () => {
    refused(() => open(':memory:', loose({ cache: 1 })), TypeError, '"cache"', '"encoding"')
    for (const name of ['toString', '__proto__', 'hasOwnProperty']) {
      const options = JSON.parse(`{${JSON.stringify(name)}: 1}`) as StoreOptions
      refused(() => open(':memory:', options), TypeError, name)
    }
  })

  test('an option that differs from a known one in its case is asked about', () => {
    refused(() => open(':memory:', loose({ readonly: true })), TypeError, 'did you mean "readOnly"')
    refused(() => open(':memory:', loose({ Encoding: 'json' })), TypeError, '"encoding"?')
  })

  const wrong: readonly (readonly [string, unknown, ErrorClass])[] = [
    ['encoding', 'xml', TypeError],
    ['encoding', {}, TypeError],
    ['encoding', 5n, TypeError],
    ['encoding', { encode: () => Buffer.alloc(0) }, TypeError],
    ['encoding', null, TypeError],
    ['keyEncoding', 'json', TypeError],
    ['keyEncoding', 1, TypeError],
    ['readOnly', 1, TypeError],
    ['readOnly', 'false', TypeError],
    ['createIfMissing', null, TypeError],
    ['errorIfExists', 0, TypeError],
    ['segmentSizeBytes', '1048576', TypeError],
    ['segmentSizeBytes', 2 ** 19, RangeError],
    ['segmentSizeBytes', 2 ** 31, RangeError],
    ['segmentSizeBytes', 3 * 2 ** 20, RangeError],
    ['segmentSizeBytes', 0, RangeError],
    ['segmentSizeBytes', -(2 ** 20), RangeError],
    ['segmentSizeBytes', Number.NaN, RangeError],
    ['segmentSizeBytes', Number.POSITIVE_INFINITY, RangeError],
    ['syncIntervalMs', -1, RangeError],
    ['syncIntervalMs', 0.5, RangeError],
    ['syncIntervalMs', 2 ** 31, RangeError],
    ['syncIntervalMs', Number.NaN, RangeError],
    ['syncIntervalMs', '5', TypeError],
    ['mapping', 'shared', TypeError],
    ['mapping', true, TypeError],
  ]
  for (const [name, value, type] of wrong) {
    const shown = typeof value === 'object' ? JSON.stringify(value) : String(value)
    test(`${name} of ${shown} is a ${type.name}`, () => {
      const given = typeof value === 'bigint' ? `${value}n` : typeof value === 'object' ? '' : shown
      const words = [`"${name}"`, given, 'accepted']
      refused(() => open(':memory:', loose({ [name]: value })), type, ...words)
    })
  }

  test('the bounds themselves, and undefined, are accepted', async () => {
    for (const options of [
      { segmentSizeBytes: 2 ** 20 },
      { syncIntervalMs: 0 },
      { syncIntervalMs: 2 ** 31 - 1 },
      { encoding: undefined, mapping: undefined, readOnly: undefined },
    ]) {
      await open(':memory:', loose(options)).close()
    }
  })
})

describe('keys', () => {
  const cases: readonly (readonly ['utf8' | 'binary' | 'ordered', readonly unknown[]])[] = [
    ['utf8', [undefined, null, 1, true, Buffer.from('a'), ['a'], {}, Symbol('a'), 1n]],
    ['binary', [undefined, null, 1, 'a', ['a'], {}, new ArrayBuffer(4), new Float64Array(1)]],
    [
      'ordered',
      [undefined, null, Number.NaN, {}, Buffer.from('a'), 1n, Symbol('a'), new Date(), [null]],
    ],
    ['ordered', [[1, Number.NaN], [[undefined]], [{}], () => 1]],
  ]
  for (const [keyEncoding, keys] of cases) {
    test(`a key of a wrong type is a TypeError: ${keyEncoding}`, async () => {
      const store = open<number, never>(':memory:', { keyEncoding, encoding: 'json' })
      for (const key of keys as readonly never[]) {
        unchanged(store, () => {
          refused(() => store.put(key, 1), TypeError, 'key')
          refused(() => store.get(key), TypeError, 'key')
          refused(() => store.has(key), TypeError, 'key')
          refused(() => store.delete(key), TypeError, 'key')
          refused(() => store.getEntry(key), TypeError, 'key')
          refused(() => store.getInto(key, Buffer.alloc(1)), TypeError, 'key')
          refused(() => store.getMany([key]), TypeError, 'key')
          refused(() => store.write([{ type: 'put', key, value: 1 }]), TypeError, 'key')
        })
      }
      await store.close()
    })
  }

  test('a key of 65,535 bytes is stored, one of 65,536 is a RangeError', async () => {
    const kinds: readonly (readonly ['utf8' | 'binary' | 'ordered', StoreKey, StoreKey])[] = [
      ['utf8', 'x'.repeat(65_535), 'x'.repeat(65_536)],
      ['utf8', `x${'é'.repeat(32_767)}`, 'é'.repeat(32_768)],
      ['utf8', `xxx${'😀'.repeat(16_383)}`, '😀'.repeat(16_384)],
      ['binary', Buffer.alloc(65_535), Buffer.alloc(65_536)],
      ['ordered', 'x'.repeat(60_000), 'x'.repeat(70_000)],
    ]
    for (const [keyEncoding, longest, tooLong] of kinds) {
      const store = open<number, never>(':memory:', { keyEncoding, encoding: 'json' })
      store.put(longest as never, 1)
      assert.equal(store.get(longest as never), 1, keyEncoding)
      unchanged(store, () => {
        refused(() => store.put(tooLong as never, 1), RangeError, 'key')
        refused(() => store.get(tooLong as never), RangeError, 'key')
      })
      await store.close()
    }
  })

  test('a key with a lone surrogate is a TypeError', async () => {
    for (const keyEncoding of ['utf8', 'ordered'] as const) {
      const store = open<number>(':memory:', { keyEncoding, encoding: 'json' })
      for (const key of ['\ud800', 'a\udc00', `${'x'.repeat(100)}\ud800`]) {
        unchanged(store, () => {
          refused(() => store.put(key, 1), TypeError, 'surrogate')
          refused(() => store.get(key), TypeError, 'surrogate')
        })
      }
      await store.close()
    }
  })
})

describe('values', () => {
  const circular: unknown[] = []
  circular.push(circular)
  const cases: readonly (readonly [ValueEncoding<unknown>, readonly unknown[]])[] = [
    ['binary', [undefined, null, 'text', 1, [1], {}, new ArrayBuffer(8)]],
    ['utf8', [undefined, null, 1, Buffer.from('a'), {}, '\ud800', 'a\udfffb']],
    ['json', [undefined, () => 1, Symbol('a'), 1n, circular]],
    ['msgpack', [undefined, () => 1, Symbol('a'), circular, 'a\ud800']],
    [{ encode: () => 'text' as never, decode: () => 0 }, [undefined, 1]],
    [{ encode: () => undefined as never, decode: () => 0 }, [undefined, 1]],
  ]
  for (const [encoding, values] of cases) {
    const name = typeof encoding === 'string' ? encoding : 'one of one’s own'
    test(`a value that the encoding cannot carry is a TypeError: ${name}`, async () => {
      const store = open<unknown>(':memory:', { encoding })
      for (const value of values) {
        unchanged(store, () => {
          refused(() => store.put('a', value), TypeError)
          refused(() => store.write([{ type: 'put', key: 'a', value }]), TypeError)
        })
        assert.equal(store.has('a'), false)
      }
      await store.close()
    })
  }

  test('text with a lone surrogate is refused or comes back as it was, never as other text', async () => {
    for (const encoding of ['json', 'msgpack'] as const) {
      const store = open<unknown>(':memory:', { encoding })
      for (const value of ['a\ud800b', ['\udc00'], { a: `${'x'.repeat(100)}\ud800` }]) {
        try {
          store.put('a', value)
        } catch (error) {
          assert.ok(error instanceof TypeError)
          continue
        }
        assert.deepEqual(store.get('a'), value, encoding)
      }
      await store.close()
    }
  })

  test('what an encoder throws reaches the caller, and nothing is written', async () => {
    const failure = new Error('no')
    const encoding = {
      encode: (): Uint8Array => {
        throw failure
      },
      decode: (): unknown => 0,
    }
    const store = open<unknown>(':memory:', { encoding })
    unchanged(store, () => {
      assert.equal(
        thrownBy(() => store.put('a', 1)),
        failure,
      )
    })
    await store.close()
  })

  test('a value that cannot be decoded names its key, and the record stays', async (t) => {
    const encoding = {
      encode: (value: string) => Buffer.from(value),
      decode: (bytes: Buffer) => {
        if (bytes.length > 3) throw new Error('too long for me')
        return bytes.toString()
      },
    }
    const store = open<string>(temporaryDirectory(t), { encoding, segmentSizeBytes: 2 ** 20 })
    store.put('good', 'abc')
    store.put('bad', 'abcd')
    for (const read of [
      () => store.get('bad'),
      () => store.getEntry('bad'),
      () => store.getMany(['good', 'bad']),
    ]) {
      const error = storeErrorOf(read, 'STORE_CORRUPT')
      assert.equal(error.details.key, 'bad')
      assert.ok(error.message.includes('bad'))
      assert.equal((error.cause as Error).message, 'too long for me')
    }
    assert.equal(store.get('good'), 'abc')
    assert.equal(store.has('bad'), true)
    assert.equal(store.count(), 2)
    const target = Buffer.alloc(4)
    assert.equal(store.getInto('bad', target), 4)
    assert.equal(target.toString(), 'abcd')
    assert.equal(store.delete('bad'), true)
    await store.close()
  })
})

describe('options and arguments of operations', () => {
  test('conditions of wrong type or range are refused, and nothing is written', async () => {
    const store = open<number>(':memory:', { encoding: 'json' })
    store.put('a', 1)
    const wrong: readonly (readonly [unknown, ErrorClass])[] = [
      [{ ifVersion: '1' }, TypeError],
      [{ ifVersion: -1 }, RangeError],
      [{ ifVersion: 1.5 }, RangeError],
      [{ ifVersion: 2 ** 53 }, RangeError],
      [{ ifAbsent: 1 }, TypeError],
      [{ ifAbsent: true, ifVersion: 1 }, TypeError],
      [{ ifabsent: true }, TypeError],
      [null, TypeError],
      ['ifAbsent', TypeError],
    ]
    unchanged(store, () => {
      for (const [options, type] of wrong) {
        refused(() => store.put('a', 2, options as PutOptions), type)
      }
      refused(() => store.delete('a', { ifVersion: '1' } as never), TypeError, 'ifVersion')
      refused(() => store.delete('a', { ifVersion: -1 }), RangeError, 'ifVersion')
      refused(() => store.delete('a', { ifAbsent: true } as never), TypeError, 'ifAbsent')
    })
    assert.equal(store.get('a'), 1)
    await store.close()
  })

  test('getInto refuses a target that is none, and an offset outside of it', async () => {
    const store = open<Buffer>(':memory:', { encoding: 'binary' })
    store.put('a', Buffer.from('abc'))
    for (const target of [undefined, 'text', new ArrayBuffer(9), [1, 2, 3], new Int32Array(9)]) {
      refused(() => store.getInto('a', target as never), TypeError, 'target')
    }
    const target = Buffer.alloc(4)
    for (const offset of [-1, 5, 0.5, Number.NaN, '0']) {
      refused(() => store.getInto('a', target, offset as number), RangeError, 'offset')
    }
    refused(() => store.getInto('a', target, 2), RangeError)
    assert.ok(target.equals(Buffer.alloc(4)))
    assert.equal(store.getInto('a', target, 1), 3)
    assert.equal(store.getInto('missing', target, 4), -1)
    await store.close()
  })

  test('a batch with a wrong operation writes nothing and makes no keyspace', async () => {
    const store = open<number>(':memory:', { encoding: 'json' })
    store.put('a', 1)
    const good = { type: 'put', key: 'b', value: 2 }
    const elsewhere = { type: 'put', key: 'b', value: 2, keyspace: 'new' }
    const wrong: readonly unknown[] = [
      null,
      'put',
      {},
      { type: 'set', key: 'c', value: 1 },
      { type: 'put', key: 'c' },
      { type: 'put', key: 'c', value: undefined },
      { type: 'put', key: 7, value: 1 },
      { type: 'put', key: 'c', value: 1n },
      { type: 'put', key: 'c', value: 1, ttl: 5 },
      { type: 'delete', key: undefined },
      { type: 'put', key: 'c', value: 1, keyspace: 7 },
      { type: 'put', key: 'c', value: 1, keyspace: '' },
    ]
    for (const operation of wrong) {
      unchanged(store, () => {
        refused(() => store.write([good, elsewhere, operation] as never), TypeError)
      })
      assert.equal(store.has('b'), false)
      assert.deepEqual(store.keyspaces(), [])
    }
    refused(() => store.write(undefined as never), TypeError)
    await store.close()
  })

  test('names and options of keyspaces are checked', async () => {
    const store = open(':memory:')
    for (const name of [undefined, 7, '', 'x'.repeat(256), null]) {
      refused(() => store.keyspace(name as string), TypeError, 'keyspace')
      refused(() => store.dropKeyspace(name as string), TypeError, 'keyspace')
    }
    refused(() => store.keyspace('a', { readOnly: true } as never), TypeError, '"readOnly"')
    refused(() => store.keyspace('a', { encoding: 'xml' } as never), TypeError, '"encoding"')
    assert.deepEqual(store.keyspaces(), [])
    await store.close()
  })

  test('names of keyspaces that objects have as properties are names like others', async (t) => {
    const directory = temporaryDirectory(t)
    const names = ['__proto__', 'constructor', 'hasOwnProperty', 'toString', '\ud800', 'ä', 'x y']
    for (const name of names) {
      const fresh = open<unknown>(':memory:')
      assert.equal(fresh.dropKeyspace(name), false, name)
      fresh.keyspace(name).put('a', JSON.stringify(name))
      assert.deepEqual(fresh.keyspaces(), [name])
      assert.equal(fresh.keyspace(name).get('a'), JSON.stringify(name))
      assert.equal(fresh.dropKeyspace(name), true)
      await fresh.close()
    }
    const store = open<unknown>(directory, { segmentSizeBytes: 2 ** 20 })
    for (const name of names) store.keyspace(name).put('a', JSON.stringify(name))
    await store.close()
    const again = open<unknown>(directory)
    assert.deepEqual(again.keyspaces(), [...names].sort())
    for (const name of names) assert.equal(again.keyspace(name).get('a'), JSON.stringify(name))
    await again.close()
  })
})
