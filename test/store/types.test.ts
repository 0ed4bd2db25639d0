/**
 * Goal: the compiler knows what is in a store.
 * Method: each line that must not compile stands under `@ts-expect-error`, which is itself an error where
 *   the line compiles; types that are given are compared exactly.
 * Properties checked: by compiling this file; running it only shows that the calls are real.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  type Command,
  type Keyspace,
  type Lazy,
  type OrderedKey,
  type Outcome,
  open,
  type Snapshot,
  type Store,
  type StoreEntry,
} from '../../src/store/index.js'

interface User {
  readonly name: string
  readonly visits: number
}

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
const isSame = <A, B>(same: Same<A, B>): void => assert.equal(same, true)

test('values, keys, and what is made of them, are of the types that open is given', async () => {
  const store = open<User>(':memory:')
  isSame<typeof store, Store<User, string>>(true)
  const ada: User = { name: 'Ada', visits: 1 }
  store.put('ada', ada, { ttlMs: 60_000 })
  // @ts-expect-error: a value of another type
  store.put('eve', { name: 'Eve' })
  // @ts-expect-error: a key of another type
  const refused = (): unknown => store.put(7, ada)
  assert.throws(refused, TypeError)

  isSame<ReturnType<typeof store.get>, User | undefined>(true)
  isSame<ReturnType<typeof store.getEntry>, StoreEntry<User, string> | undefined>(true)
  isSame<ReturnType<typeof store.getMany>, (User | undefined)[]>(true)
  isSame<ReturnType<typeof store.range>, Lazy<[string, User]>>(true)
  isSame<ReturnType<typeof store.snapshot>, Snapshot<User, string>>(true)

  const updated = store.update('ada', (user) => {
    isSame<typeof user, User | undefined>(true)
    return { name: user?.name ?? '', visits: 2 }
  })
  assert.equal(updated.visits, 2)
  const removed = store.update('missing', () => undefined)
  isSame<typeof removed, undefined>(true)
  // @ts-expect-error: what update returns is a value
  store.update('eve', () => 'text')
  isSame<ReturnType<typeof store.getOrInsert>, User>(true)
  // @ts-expect-error: what it makes is a value
  store.getOrInsert('eve', () => 7)

  const visits = store.transaction((tx) => {
    isSame<ReturnType<typeof tx.get>, User | undefined>(true)
    tx.put('bob', { name: 'Bob', visits: 0 })
    // @ts-expect-error: a value of another type
    tx.put('eve', 'text')
    tx.delete('eve')
    const counts = tx.keyspace<number>('counts')
    isSame<ReturnType<typeof counts.get>, number | undefined>(true)
    return tx.get('ada')?.visits ?? 0
  })
  isSame<typeof visits, number>(true)

  const command: Command<User, string> = { type: 'put', key: 'ada', value: ada, version: 1 }
  const outcome = store.apply(command)
  isSame<typeof outcome, Outcome>(true)
  const outcomes = store.apply([command, { type: 'delete', key: 'eve', version: 1 }])
  isSame<typeof outcomes, Outcome[]>(true)
  // @ts-expect-error: a put without a value
  const without = (): unknown => store.apply({ type: 'put', key: 'ada', version: 1 })
  assert.throws(without, TypeError)
  await store.close()
})

test('keyspaces have types of their own; copies between them take any', async () => {
  const store = open<string>(':memory:')
  const places = store.keyspace<User, OrderedKey>('places', { keyEncoding: 'ordered' })
  isSame<typeof places, Keyspace<User, OrderedKey>>(true)
  places.put(['Rome', 7], { name: 'Forum', visits: 3 })
  for (const [key, value] of places.range({ prefix: ['Rome'] })) {
    isSame<typeof key, OrderedKey>(true)
    isSame<typeof value, User>(true)
  }
  assert.equal(places.copy(['Rome', 7], store, 'forum'), true)
  // @ts-expect-error: a key that the other keyspace cannot have
  const refused = (): unknown => store.copy('forum', places, Symbol('none'))
  assert.throws(refused, TypeError)
  const untyped = open(':memory:')
  isSame<ReturnType<typeof untyped.get>, unknown>(true)
  await untyped.close()
  await store.close()
})
