/**
 * Goal: an update of the record that was updated in place last, which is not looked up again, does what any
 *   update does, whatever came in between.
 * Method: two attachments to one store, in which random changes of few keys take turns with long runs of
 *   updates of one key; then each thing that may come in between two updates, by itself.
 * Properties checked: every value returned, read and shown by snapshots against a model; versions and
 *   sequences rise; the log and both indexes verify, also of a copy of the directory.
 */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { type Keyspace, open, type Snapshot, type Store } from '../../src/store/index.js'
import { copyStore, temporaryDirectory } from '../support/directory.js'
import { engineOf } from '../support/engine-of.js'
import { Random } from '../support/random.js'
import { seed } from '../support/seed.js'
import { isThorough } from '../support/thorough.js'

const options = { segmentSizeBytes: 2 ** 20, syncIntervalMs: 0 } as const
type Values = Store<unknown>

/** True where the next update of the key needs no look at the index, if nothing comes in between. */
function isHot(store: Values, key: string): boolean {
  const { control, hot } = engineOf(store as Store<Buffer>)
  return hot.key === key && hot.commits === control.commits
}

test(`updates among other changes (VARVE_SEED=${seed})`, async (t) => {
  const random = new Random(seed)
  for (let run = 0; run < (isThorough ? 100 : 2); run++) {
    const parent = temporaryDirectory(t)
    const stores: Values[] = [1, 2].map(() => open(join(parent, 'store'), options))
    const spaces = stores.map((store) => [store, store.keyspace('other')])
    const models = [new Map<string, unknown>(), new Map<string, unknown>()]
    let held: { snapshot: Snapshot<unknown>; was: Map<string, unknown> } | undefined
    let hotCount = 0
    for (let step = 0; step < 1500; step++) {
      const at = random.below(2)
      const space = random.below(2)
      const keyspace = spaces[at][space] as Keyspace<unknown>
      const model = models[space]
      const key = random.pick(['a', 'b', 'a key of some length'])
      const roll = random.below(100)
      if (roll < 50) {
        for (let count = random.below(6); count >= 0; count--) {
          if (isHot(stores[at], key)) hotCount++
          if (typeof model.get(key) === 'number' && random.chance(0.5)) {
            const by = random.pick([1, 1, 300, -70_000, 0.5])
            const sum = (model.get(key) as number) + by
            assert.equal(keyspace.increment(key, by), sum)
            model.set(key, sum)
            continue
          }
          const next = random.pick([count, 2 ** 40, 'text', { a: 1 }, random.below(300), undefined])
          const version = keyspace.getEntry(key)?.version ?? 0
          const change = (current: unknown): unknown => {
            assert.deepEqual(current, model.get(key))
            if (random.chance(0.2)) assert.deepEqual(keyspace.get('b'), model.get('b'))
            return next
          }
          assert.deepEqual(keyspace.update(key, change), next)
          if (next === undefined) model.delete(key)
          else model.set(key, next)
          assert.ok(next === undefined || (keyspace.getEntry(key)?.version ?? 0) > version)
        }
      } else if (roll < 60) {
        keyspace.put(key, step)
        model.set(key, step)
      } else if (roll < 65) {
        assert.equal(keyspace.delete(key), model.delete(key))
      } else if (roll < 70) {
        held?.snapshot.close()
        held = { snapshot: stores[at].snapshot(), was: new Map(models[0]) }
      } else if (roll < 73) {
        held?.snapshot.close()
        held = undefined
      } else if (roll < 76) {
        await stores[at].sync()
      } else if (roll < 80) {
        stores[at].put('z', Buffer.alloc(random.below(60_000)))
        stores[at].delete('z')
      } else {
        assert.deepEqual(keyspace.get(key), model.get(key))
      }
      if (held !== undefined) {
        for (const name of ['a', 'b']) assert.deepEqual(held.snapshot.get(name), held.was.get(name))
      }
    }
    assert.ok(hotCount > 100, `only ${hotCount} updates of a hot record`)
    held?.snapshot.close()
    await stores[0].sync()
    copyStore(join(parent, 'store'), join(parent, 'copy'))
    const copy: Values = open(join(parent, 'copy'), options)
    for (const store of [...stores, copy]) {
      for (const [space, keyspace] of [store, store.keyspace('other')].entries()) {
        assert.equal(keyspace.count(), models[space].size)
        for (const [key, value] of models[space]) assert.deepEqual(keyspace.get(key), value)
      }
      assert.deepEqual((await store.verify()).problems, [])
    }
    for (const store of [...stores, copy]) await store.close()
  }
})

describe('between two updates of a key', () => {
  /** The store, and another attachment to it, with a hot record of the value 2 under `a`. */
  async function between(
    t: Parameters<typeof temporaryDirectory>[0],
    action: (store: Values, other: Values) => unknown,
    expected: unknown = 3,
  ): Promise<void> {
    const directory = temporaryDirectory(t)
    const store: Values = open(directory, options)
    const other: Values = open(directory, options)
    store.put('a', 0)
    store.increment('a')
    store.increment('a')
    assert.ok(isHot(store, 'a'))
    await action(store, other)
    assert.equal(
      store.update('a', (n) => ((n as number | undefined) ?? 100) + 1),
      expected,
    )
    assert.equal(other.get('a'), expected)
    assert.deepEqual((await store.verify()).problems, [])
    await store.close()
    await other.close()
  }

  test('another one puts, deletes, or updates it', async (t) => {
    await between(t, (_, other) => other.put('a', 7), 8)
    await between(t, (_, other) => other.delete('a'), 101)
    await between(t, (_, other) => other.increment('a', 5), 8)
    await between(t, (store) => store.rename('a', 'b'), 101)
  })

  test('a key that is missing is updated to stay so, and it is not taken for the other one', async (t) => {
    await between(t, (store) => store.update('missing', () => undefined))
    await between(t, (store) => {
      store.put('b', 50)
      store.put('b', 51)
      assert.equal(
        store.update('missing', () => undefined),
        undefined,
      )
      assert.equal(isHot(store, 'missing'), false)
      assert.equal(store.increment('missing', 4), 4)
    })
  })

  test('a snapshot shows what there was', async (t) => {
    let snapshot: Snapshot<unknown> | undefined
    await between(t, (store) => {
      snapshot = store.snapshot()
    })
    await between(t, async (store) => {
      const shown = store.snapshot()
      store.increment('a')
      store.increment('a', -1)
      assert.equal(shown.get('a'), 2)
      shown.close()
    })
    assert.ok(snapshot)
  })

  test('somebody begins to watch, and is told of each', async (t) => {
    await between(
      t,
      async (store, other) => {
        const watch = other.watch()
        for (let count = 0; count < 3; count++) store.increment('a')
        const values: unknown[] = []
        while (values.length < 3) values.push((await watch.next()).value?.value)
        assert.deepEqual(values, [3, 4, 5])
        await watch.return()
      },
      6,
    )
  })

  test('its keyspace is dropped and made again', async (t) => {
    await between(t, (store, other) => {
      const space = store.keyspace('one')
      space.put('a', 1)
      space.increment('a')
      assert.ok(isHot(store, 'a'))
      other.dropKeyspace('one')
      assert.throws(() => space.increment('a'), { code: 'STORE_NOT_FOUND' })
      assert.equal(store.keyspace('one').increment('a', 9), 9)
    })
  })

  test('the function throws, fails to write, or reads other keys', async (t) => {
    await between(t, (store) => {
      const wrong = new Error('wrong')
      const failing = (): never => {
        store.get('b')
        throw wrong
      }
      assert.throws(() => store.update('a', failing), wrong)
      assert.equal(
        store.update('a', (n) => {
          assert.equal(store.get('b'), undefined)
          assert.throws(() => store.increment('a'), { code: 'STORE_IN_USE' })
          return n
        }),
        2,
      )
    })
  })
})
