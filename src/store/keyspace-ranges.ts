/** The operations of a keyspace that go over many records: in order, in the log, or as they change. */
import { clearRange } from '../engine/clear.js'
import { readCounts } from '../engine/expiry.js'
import { getNewest } from '../engine/last-entry.js'
import type { KeyRange } from '../engine/range.js'
import type { StoreKey } from './encoding.js'
import { entryOf, type StoreEntry } from './entry.js'
import { KeyspaceChanges } from './keyspace-changes.js'
import { Lazy } from './lazy.js'
import type { WatchOptions } from './options.js'
import {
  countRangeOf,
  keySteps,
  type RangeOptions,
  type RangeSource,
  RangeSteps,
  resolveRange,
} from './range.js'
import { keyAtHand, LogSteps, type ScanOptions } from './scan.js'
import { Watch } from './watch.js'

export abstract class KeyspaceRanges<V, K extends StoreKey> extends KeyspaceChanges<V, K> {
  abstract readonly name: string

  /** @internal Throws where the store is closed, or the keyspace was dropped. */
  abstract rangeSource(): RangeSource

  /** Live keys, O(1) and what expired since it was last asked, or those of a range, O(keys counted). */
  count(options?: RangeOptions<K>): number {
    this.engine.requireOpen()
    if (options === undefined) {
      const id = this.rangeSource().keyspaceId
      return readCounts(
        this.engine,
        (other) => other === id,
        (due) => this.engine.counts.get(id, 0) - due[0],
      )
    }
    return countRangeOf(this.rangeSource(), this.#range(options))
  }

  /**
   * Entries in the order of the bytes of their keys, as the store is when an iteration begins,
   * whatever is written meanwhile. What it holds back is given back at its end or when it is left
   * (`break`, `return`).
   *
   * Cost: the first range of a store builds the ordered index, a second for a million keys; from then
   * on it is kept, and each insertion and deletion of a key costs two to three times as much.
   * Memory: keys and values are the caller's; one that is kept may hold up to 4 KiB of other keys, or 8 KiB
   * of other values, as those of `Buffer.allocUnsafe` do.
   * @throws TypeError, RangeError for options when the iteration begins.
   */
  range(options: RangeOptions<K> = {}): Lazy<[K, V]> {
    return new Lazy(
      () => new RangeSteps<[K, V]>(this.rangeSource(), this.#range(options), 'entries'),
    )
  }

  /** As {@link range}, the keys alone. */
  keys(options: RangeOptions<K> = {}): Lazy<K> {
    return new Lazy(() => keySteps<K>(this.rangeSource(), this.#range(options)))
  }

  /** As {@link range}, the values alone. */
  values(options: RangeOptions<K> = {}): Lazy<V> {
    return new Lazy(() => new RangeSteps<V>(this.rangeSource(), this.#range(options), 'values'))
  }

  /**
   * Live records in the order of the log, oldest first, or newest first with `reverse`, as the store is
   * when an iteration begins. An update in the young part of the log keeps the place of its record, so
   * this is the order of writes only as far as records were not written again; `sequence` tells it.
   *
   * Cost: reads and verifies the log, what was replaced and deleted included.
   * @throws TypeError for options when the iteration begins; StoreError `STORE_CORRUPT` where a record
   * of the index is not in the log.
   */
  scan(options: ScanOptions = {}): Lazy<StoreEntry<V, K>> {
    return new Lazy(() => {
      const { engine, keyspaceId } = this.rangeSource()
      return new LogSteps<V, K>(engine, keyspaceId, this.codecs, options)
    })
  }

  /**
   * The live record that was written last, or undefined where there is none.
   *
   * Cost: as `getEntry` where the last write of the store put it; else it is looked for in the log,
   * backwards, up to a sync before it.
   */
  lastEntry(): StoreEntry<V, K> | undefined {
    const id = this.rangeSource().keyspaceId
    const record = getNewest(this.engine, id)
    if (record === undefined) return undefined
    return entryOf<V, K>(this.codecs.encoding, keyAtHand<K>(this.engine, this.codecs), record)
  }

  /**
   * Removes the keys of a range, or all. Those that are there when it is called; not all at once:
   * others see it go on, and a crash leaves a part of them.
   *
   * Cost: as many deletes, in batches of some hundreds.
   * @throws as `range` and `delete`.
   */
  clear(options: RangeOptions<K> = {}): void {
    this.engine.requireWritable()
    clearRange(this.rangeSource(), this.#range(options), () => ({
      id: this.rangeSource().keyspaceId,
      generation: this.generation,
    }))
  }

  /**
   * Every change of the keyspace's keys, by any thread or process, in the order of the sequences, from now on
   * or behind `sinceSequence`: within 5 ms where the event loop is free. A batch's changes follow each
   * other, when all of them are visible. It reads the log at the pace of its consumer and loses nothing.
   *
   * Changes from before it began are those that the log still has: of updates in place between two syncs
   * only the last. Dropping a keyspace is no change of its keys.
   *
   * Ends with `break`, its `close()`, the signal, and `store.close()`.
   *
   * Cost: while anybody watches nothing is updated in place; a timer of 2 ms while it waits, which also
   * keeps the process alive; the log from where it has come to is kept.
   * @throws TypeError, RangeError for options, also for a `sinceSequence` that is yet to come; StoreError
   * `STORE_COMPACTED`, from here or while it goes on, where changes that were asked for are gone
   * (`details.oldest`: the lowest `sinceSequence` that can be served); `STORE_CLOSED`; `STORE_READ_ONLY` for
   * one that may not write to the directory; `STORE_NOT_FOUND`, while it goes on, where the keyspace is
   * dropped.
   */
  watch(options: WatchOptions<K> = {}): Watch<V, K> {
    this.engine.requireOpen()
    const keyspaceId = this.rangeSource().keyspaceId
    const { codecs, engine, name } = this
    const check = (): void => {
      this.rangeSource().keyspaceId
    }
    return new Watch({ engine, keyspaceId, name, codecs, check }, options)
  }

  #range(options: RangeOptions<K>): KeyRange {
    const { engine, keyEncoding, keyspaceId } = this.rangeSource()
    return resolveRange(engine.key, keyspaceId, keyEncoding, options as RangeOptions)
  }
}
