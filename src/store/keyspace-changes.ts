/** The operations of a keyspace that make a new value out of the one that there is. */
import { shown } from '../base/shown.js'
import type { Outcome } from '../engine/apply-command.js'
import type { Engine } from '../engine/engine.js'
import { timeNow } from '../engine/time.js'
import { type NextValue, unchanged, update, updateHot } from '../engine/update.js'
import { noExpiry } from '../log/expiry-table.js'
import { applyAll, type Command } from './command.js'
import { encodeValue, type StoreKey } from './encoding.js'
import type { Keyspace } from './keyspace.js'
import type { Encodings } from './keyspace-encodings.js'
import {
  checkExpiryOptions,
  type ExpiryOptions,
  expiryOf,
  type TransferOptions,
} from './options.js'
import {
  decodeFound,
  requireFiniteNumber,
  requireFunction,
  requireNoPromise,
  sum,
} from './read-modify-write.js'
import { transfer } from './transfer.js'

export abstract class KeyspaceChanges<V, K extends StoreKey> {
  protected abstract readonly engine: Engine

  abstract get(key: K): V | undefined

  /** @internal */
  abstract readonly codecs: Encodings

  /** @internal Makes `key` the key at hand; returns the keyspace's id, and registers it if need be. */
  abstract takeKeyToWrite(key: K): number

  /** @internal */
  abstract asKeyspace(): Keyspace<V, K>

  /** @internal The registry's generation for which that id is right. */
  abstract get generation(): number

  /** @internal When a record that is put with these options expires. */
  expiryOf(options: ExpiryOptions): number {
    const { engine } = this
    const expiresAtMs = expiryOf(options, () => timeNow(engine))
    if (expiresAtMs !== noExpiry) engine.background.startAlone()
    return expiresAtMs
  }

  /** @internal True where a record that expires then would be missing now. */
  isPast(expiresAtMs: number): boolean {
    return expiresAtMs !== noExpiry && expiresAtMs <= timeNow(this.engine)
  }

  /**
   * Puts what `change` makes of the value of `key`, or of undefined where it is missing; removes the
   * key where that is undefined. Returns what `change` returned. Nobody writes in between. A key that
   * expires keeps the time at which it does.
   *
   * `change` runs once, with all other writers of the store waiting, in whatever thread or process: it
   * should be short. It may read this store, as it was before; a write, a range or a snapshot of it
   * throws `STORE_IN_USE`. Where it throws, or returns a promise (`TypeError`), nothing is changed.
   * @throws what `change` throws, and as `get` and `put`.
   */
  update<R extends V | undefined>(key: K, change: (current: V | undefined) => R): R {
    requireFunction('change', change)
    const { encoding } = this.codecs
    let result: unknown
    const next = (isThere: boolean): Uint8Array | string | undefined => {
      result = change(isThere ? (decodeFound(this.engine, encoding, key) as V) : undefined)
      if (result === undefined) return undefined
      requireNoPromise('update()', result)
      return encodeValue(encoding, result)
    }
    this.#change(key, 'update()', next)
    return result as R
  }

  /**
   * The value of `key`; where it is missing, `value`, or what the function `value` returns, is put
   * first, to expire as `options` say. Of several that ask at once, one inserts, and all get what it
   * inserted.
   *
   * Cost: as `get` where the key is there. The function runs only where it is not, as in {@link update}.
   * @throws as {@link update}; TypeError where the function returns undefined.
   */
  getOrInsert(key: K, value: V | (() => V), options: ExpiryOptions = {}): V {
    checkExpiryOptions(options)
    const expiresAtMs = this.expiryOf(options)
    const there = this.get(key)
    if (there !== undefined) return there
    const { encoding } = this.codecs
    let result: unknown
    const next = (isThere: boolean): Uint8Array | string | undefined => {
      if (isThere) {
        result = decodeFound(this.engine, encoding, key)
        return unchanged
      }
      result = typeof value === 'function' ? (value as () => V)() : value
      requireNoPromise('getOrInsert()', result)
      return encodeValue(encoding, result)
    }
    for (;;) {
      const id = this.takeKeyToWrite(key)
      const isDone = update(this.engine, id, this.generation, 'getOrInsert()', next, expiresAtMs)
      if (isDone) return result as V
    }
  }

  /**
   * Adds `by` to the number under `key`, or to 0 where it is missing, and returns the sum. Nobody
   * writes in between. A key that expires keeps the time at which it does.
   *
   * @throws TypeError where the value is no number, or `by` is no finite number; RangeError where the
   * sum of two whole numbers is beyond 2^53 - 1, and so not exact, or any other not finite. Nothing is
   * written then. As `put` otherwise.
   */
  increment(key: K, by = 1): number {
    requireFiniteNumber(by)
    const { encoding } = this.codecs
    let result = 0
    const next = (isThere: boolean): Uint8Array | string => {
      result = sum(isThere ? decodeFound(this.engine, encoding, key) : 0, by)
      return encodeValue(encoding, result)
    }
    this.#change(key, 'increment()', next)
    return result
  }

  #change(key: K, operation: string, next: NextValue): void {
    const { engine, generation } = this
    const { hot } = engine
    if (hot.key === key && hot.owner === this) {
      if (updateHot(engine, generation, operation, next)) return
    }
    for (;;) {
      const id = this.takeKeyToWrite(key)
      // Not before: that may have written to the registry.
      hot.isNoted = false
      if (update(engine, id, this.generation, operation, next)) break
    }
    if (!hot.isNoted || typeof key !== 'string' || engine.verifiesReads) return
    hot.key = key
    hot.owner = this
  }

  /**
   * Applies puts and deletes that were made elsewhere, each with its version. Per key the highest version
   * wins: `'applied'` for a put that did, `'removed'` for a delete that did, whether the key was there or
   * not, `'stale'` for what came too late, or again. Of equal versions a delete wins, then the put that
   * expires first, then the greater bytes of the value. So the same commands in any order, with repeats, on
   * any stores end in the same state. The writes of the store itself draw versions above all that it has seen.
   *
   * Once it was used on a store, deletes are remembered for ever, by all keyspaces, or as long as the option
   * `rememberDeletesMs` says: each takes an entry of the index, and ranges take longer where there are some.
   *
   * Commands of an array are applied one after the other, with nobody's write in between; a crash leaves
   * those that came first, and applying all of them again does the rest.
   * @throws TypeError, RangeError for any of the commands, before the first one is applied; a version within
   * 2^40 of 2^53 is a RangeError. As `put` otherwise.
   */
  apply(command: Command<V, K>): Outcome
  apply(commands: readonly Command<V, K>[]): Outcome[]
  apply(commands: Command<V, K> | readonly Command<V, K>[]): Outcome | Outcome[] {
    if (Array.isArray(commands)) return applyAll(this.asKeyspace(), commands)
    return applyAll(this.asKeyspace(), [commands as Command<V, K>])[0]
  }

  /**
   * Puts the value of `from` under `to`, to expire when it would have, and removes `from`: nobody sees both
   * or neither, and no crash leaves that. False where `from` is missing, or, with `ifAbsent`, `to` is there.
   * A key renamed to itself stays as it is.
   *
   * @throws as `put` and `delete`.
   */
  rename(from: K, to: K, options: TransferOptions = {}): boolean {
    const keyspace = anyOf(this.asKeyspace())
    return transfer({ keyspace, key: from }, { keyspace, key: to }, true, options)
  }

  /**
   * Puts the value of `key` into `other`, a store or a keyspace of any store, under `toKey`, by default
   * the same key, to expire when it would have. Bytes are taken as they are where both have the same
   * encoding, and the value is encoded anew where not. False as {@link rename}.
   *
   * @throws TypeError where the other encoding cannot carry the value; as `put` of the other store.
   */
  copy<W = unknown, L extends StoreKey = K>(
    key: K,
    other: Keyspace<W, L>,
    toKey?: L,
    options: TransferOptions = {},
  ): boolean {
    return this.#transfer(key, other, toKey, false, options)
  }

  /**
   * As {@link copy}, and removes `key` here. Within one store, however often it was opened, as one batch.
   * Between two, the other one has it, and has synced it, before it is removed here: whatever dies or loses
   * power in between, it is in one of them, or in both.
   *
   * Cost: between two stores a blocking sync of the other one.
   * @throws as {@link copy}; nothing is removed then.
   */
  move<W = unknown, L extends StoreKey = K>(
    key: K,
    other: Keyspace<W, L>,
    toKey?: L,
    options: TransferOptions = {},
  ): boolean {
    return this.#transfer(key, other, toKey, true, options)
  }

  #transfer<W, L extends StoreKey>(
    key: K,
    other: Keyspace<W, L>,
    toKey: L | undefined,
    removes: boolean,
    options: TransferOptions,
  ): boolean {
    if (!(other instanceof KeyspaceChanges)) {
      throw new TypeError(
        `the other store is ${shown(other)}; accepted: a store, or a keyspace of one`,
      )
    }
    const from = { keyspace: anyOf(this.asKeyspace()), key }
    const to = { keyspace: anyOf(other), key: toKey === undefined ? key : toKey }
    return transfer(from, to, removes, options)
  }
}

function anyOf<V, K extends StoreKey>(keyspace: Keyspace<V, K>): Keyspace<unknown, StoreKey> {
  return keyspace as unknown as Keyspace<unknown, StoreKey>
}
