/**
 * Goal: the suite that others are given holds for the store on every back end, and for the model; and it
 *   finds what does not keep the promises.
 * Method: the suite on stores that are mapped, not mapped, in memory, in a simulated disk, and on the
 *   model; then on stores of which one method was broken. Random operations on a store and on the model.
 * Properties checked: every test of the suite; each broken store fails one of them; both give equal answers.
 */
import assert from 'node:assert/strict'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { open, type StoreKey } from '../../src/store/index.js'
import {
  type ConformanceOptions,
  conformanceGroups,
  conformanceSuite,
  type KeyValueStore,
  ModelStore,
  openOn,
  SimulatedDisk,
} from '../../src/testing/index.js'
import { removeDirectory } from '../support/directory.js'
import { Random } from '../support/random.js'
import { seed } from '../support/seed.js'
import { refused } from '../support/store-error.js'

const segmentSizeBytes = 2 ** 20

for (const mapping of ['mmap', 'file'] as const) {
  describe(`the suite, on a store in a directory (${mapping})`, () => {
    const parent = mkdtempSync(join(tmpdir(), 'varve-'))
    after(() => removeDirectory(parent))
    let count = 0
    const openNext: ConformanceOptions['open'] = <V, K extends StoreKey>(options: object) =>
      open<V, K>(join(parent, `${count++}`), {
        ...options,
        mapping,
        segmentSizeBytes,
        syncIntervalMs: 0,
      })
    conformanceSuite({ test, open: openNext })
  })
}

describe('the suite, on a store in memory', () => {
  conformanceSuite({
    test,
    open: (options) => open(':memory:', { ...options, segmentSizeBytes }),
  })
})

describe('the suite, on a store on a simulated disk', () => {
  conformanceSuite({ test, open: (options) => openOn(new SimulatedDisk(), options) })
})

describe('the suite, on the model', () => {
  conformanceSuite({ test, open: (options) => new ModelStore(options) })
})

/** Names of the tests that fail on models that `change` has broken. */
async function failuresWith(change: (store: ModelStore<unknown>) => void): Promise<string[]> {
  const failed: string[] = []
  const runs: Promise<void>[] = []
  conformanceSuite({
    test: (name, action) => {
      runs.push(action().catch(() => void failed.push(name)))
    },
    open: <V, K extends StoreKey>(options: object): KeyValueStore<V, K> => {
      const store = new ModelStore<V, K>(options)
      change(store as unknown as ModelStore<unknown>)
      return store
    },
  })
  await Promise.all(runs)
  return failed
}

describe('the suite finds', () => {
  const faults: Record<string, (store: ModelStore<unknown>) => void> = {
    'a delete that says nothing': (store) => {
      const { delete: remove } = store
      store.delete = (...args) => remove.apply(store, args) || true
    },
    'a put without conditions': (store) => {
      const { put } = store
      store.put = (key, value) => put.call(store, key, value)
    },
    'ranges without an order': (store) => {
      const { keys } = store
      store.keys = (options) => {
        const list = keys.call(store, { ...options, reverse: false })
        return Object.assign(list, { toArray: () => [...list] })
      }
    },
    'a batch that is done in part': (store) => {
      store.write = (operations) => {
        for (const operation of operations) {
          if (operation.type === 'put') store.put(operation.key as string, operation.value)
          else store.delete(operation.key as string)
        }
      }
    },
    'a transaction that does not roll back': (store) => {
      store.transaction = (action) => action(store as never)
    },
    'a snapshot that moves': (store) => {
      store.snapshot = () =>
        Object.assign(Object.create(store), { close: () => undefined }) as ReturnType<
          ModelStore<unknown>['snapshot']
        >
    },
    'expired keys that count': (store) => {
      let most = 0
      const { count, put } = store
      store.put = (...args) => {
        most++
        return put.apply(store, args)
      }
      store.count = (options) => (options === undefined ? most : count.call(store, options))
    },
    'keyspaces that are one': (store) => {
      store.keyspace = () => store as never
    },
  }
  for (const [name, change] of Object.entries(faults)) {
    test(name, async () => {
      assert.notDeepEqual(await failuresWith(change), [])
    })
  }

  test('nothing where nothing is broken', async () => {
    assert.deepEqual(await failuresWith(() => undefined), [])
  })
})

test('groups can be left out, and only those that there are', () => {
  const names = (without: ConformanceOptions['without']): string[] => {
    const registered: string[] = []
    conformanceSuite({
      test: (name) => registered.push(name),
      open: (options) => new ModelStore(options),
      ...(without === undefined ? {} : { without }),
    })
    return registered
  }
  const all = names(undefined)
  for (const group of conformanceGroups) {
    assert.ok(all.some((name) => name.startsWith(`${group}: `)))
    assert.ok(!names([group]).some((name) => name.startsWith(`${group}: `)))
  }
  refused(() => names(['range' as never]), TypeError, '"range"', 'ranges')
})

test('random operations have equal answers from a store and from the model', async () => {
  const random = new Random(seed)
  const store = open<unknown>(':memory:', { segmentSizeBytes })
  const model = new ModelStore()
  const both = <T>(action: (one: KeyValueStore<unknown, string>) => T): void => {
    assert.deepEqual(
      outcomeOf(() => action(store)),
      outcomeOf(() => action(model)),
    )
  }
  for (let turn = 0; turn < 3000; turn++) {
    const key = `k${random.below(30)}`
    const value = random.chance(0.5) ? random.below(100) : { text: key }
    const bound = `k${random.below(30)}`
    const range = { gte: key, lt: bound, reverse: random.chance(0.5), limit: random.below(5) }
    const choice = random.below(12)
    if (choice < 2) both((one) => one.put(key, value))
    else if (choice === 2) both((one) => one.put(key, value, { ifAbsent: true }))
    else if (choice === 3) both((one) => one.delete(key))
    else if (choice === 4) both((one) => one.increment(key, random.below(1) + 3))
    else if (choice === 5) both((one) => one.rename(key, bound))
    else if (choice === 6) both((one) => one.put(key, value, { expiresAtMs: 1 }))
    else if (choice === 7) both((one) => one.range(range).toArray())
    else if (choice === 8) both((one) => one.count(range))
    else if (choice === 9) both((one) => one.getOrInsert(key, value))
    else if (choice === 10) {
      both((one) =>
        one.transaction((tx) => {
          tx.put(key, value)
          tx.increment(bound)
          return tx.get(key)
        }),
      )
    } else if (random.chance(0.05)) both((one) => one.clear({ gte: key, lt: bound }))
    both((one) => [one.get(key), one.has(bound), one.count()])
  }
  both((one) => one.range().toArray())
  await store.close()
})

/** What an action gives, or the class of what it throws. */
function outcomeOf(action: () => unknown): unknown {
  try {
    return { gives: action() }
  } catch (error) {
    return { throws: (error as Error).name }
  }
}
