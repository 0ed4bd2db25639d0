/**
 * Goal: an argument that is something else than what an operation takes is refused by name, with what is
 *   accepted, before anything is changed.
 * Method: what one writes by mistake: one key for several, a value for a function, a Buffer for a stream of
 *   them, names that do not exist.
 * Properties checked: the class of the error and the words in its message; the sequence stays.
 */
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { open, type Store } from '../../src/store/index.js'
import { openOn, SimulatedDisk } from '../../src/testing/index.js'
import { ModelStore } from '../../src/testing/model-store.js'
import { type ErrorClass, refused } from '../support/store-error.js'

/** As one calls it who has no compiler. */
const loose = (value: unknown): never => value as never

describe('arguments of the wrong kind', () => {
  let store: Store<unknown>
  beforeEach(() => {
    store = open<unknown>(':memory:', { segmentSizeBytes: 2 ** 20 })
    store.put('a', 1)
  })
  afterEach(async () => {
    assert.equal(store.stats().sequence, 1 + registrations)
    await store.close()
  })
  /** The record that says which keyspaces there are. */
  const registrations = 1

  async function rejected(
    result: Promise<unknown>,
    type: ErrorClass,
    ...words: string[]
  ): Promise<void> {
    const error = await result.then(
      () => undefined,
      (thrown: unknown) => thrown,
    )
    refused(
      () => {
        throw error
      },
      type,
      ...words,
    )
  }

  test('keys that are one key, a number, or nothing', async () => {
    for (const keys of ['abc', 5, undefined, null, {}, Buffer.from('abc')]) {
      refused(() => store.getMany(loose(keys)), TypeError, 'keys are', 'accepted: an array')
      using snapshot = store.snapshot()
      refused(() => snapshot.getMany(loose(keys)), TypeError, 'keys are', 'accepted: an array')
      await rejected(store.getManyAsync(loose(keys)), TypeError, 'keys are', 'accepted')
      await rejected(store.prefetch(loose(keys)), TypeError, 'keys are', 'accepted')
    }
    assert.deepEqual(store.getMany(new Set(['a'])), [1])
  })

  test('operations that are one operation, or nothing', () => {
    for (const operations of [undefined, 5, { type: 'put', key: 'b', value: 1 }]) {
      refused(
        () => store.write(loose(operations)),
        TypeError,
        'operations are',
        'accepted: an array',
      )
    }
  })

  test('a view of no type', () => {
    for (const type of [undefined, null, Array, 'Float32Array', 4]) {
      refused(() => store.view('a', loose(type)), TypeError, 'type of a view is', 'Float32Array')
    }
  })

  test('a copy to a key that is none', async () => {
    const other = open(':memory:', { segmentSizeBytes: 2 ** 20 })
    for (const key of [null, 5, {}]) {
      refused(() => store.copy('a', other, loose(key)), TypeError, 'key is')
    }
    assert.equal(other.count(), 0)
    await other.close()
  })

  test('a Buffer in the place of a stream of them', async () => {
    const bytes = Buffer.alloc(5)
    await rejected(store.writeStream('b', loose(bytes)), TypeError, 'is a Buffer', 'accepted')
    await rejected(store.import(loose(bytes)), TypeError, 'is a Buffer', 'accepted')
  })

  test('an event that there is not, and a listener that is none', () => {
    refused(() => store.on(loose('sync'), () => undefined), TypeError, '"sync"', '"warning"')
    refused(() => store.on(loose('toString'), () => undefined), TypeError, '"toString"')
    refused(() => store.on('warning', loose(5)), TypeError, 'listener is 5')
  })

  test('a function of a lazy list that is none', () => {
    refused(() => store.keys().map(loose(undefined)), TypeError, 'change is undefined')
    refused(() => store.keys().filter(loose('a')), TypeError, 'isWanted is "a"')
  })
})

test('what varve/testing takes', () => {
  refused(() => openOn(loose('./data')), TypeError, 'disk is "./data"', 'a SimulatedDisk')
  refused(
    () => new SimulatedDisk(loose({ mapping: 'none' })),
    TypeError,
    '"mapping"',
    '"mmap", "file"',
  )
  refused(
    () => new SimulatedDisk(loose({ capacity: 5 })),
    TypeError,
    '"capacity"',
    '"capacityBytes"',
  )
  refused(() => new SimulatedDisk({ capacityBytes: -1 }), RangeError, '"capacityBytes" is -1')
  const disk = new SimulatedDisk()
  refused(() => disk.crash(loose(undefined)), TypeError, 'pick is undefined')
  refused(() => disk.faults.set(loose({ call: 'fsync', at: 1 })), TypeError, '"fsync"', '"sync"')
  refused(() => disk.faults.set({ call: 'sync', at: 0 }), RangeError, 'at of a fault is 0')
  refused(() => new ModelStore(loose({ encoding: 'xml' })), TypeError, '"encoding"', '"xml"')
  refused(() => new ModelStore(loose({ now: 5 })), TypeError, '"now"')
})
