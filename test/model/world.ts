/**
 * A store and a model of it side by side: every operation is done on both, every answer compared.
 * The model is a Map for each keyspace, from the place of a key in its pool to what was last written;
 * a snapshot has a copy of it, and an iteration the list of what it must give.
 */
import assert from 'node:assert/strict'
import { Writable } from 'node:stream'
import { isDeepStrictEqual } from 'node:util'
import type { Engine } from '../../src/engine/engine.js'
import { readStructures } from '../../src/engine/structures.js'
import * as layout from '../../src/format/control-layout.js'
import type { StoreStats } from '../../src/store/index.js'
import {
  type Keyspace,
  type KeyspaceSnapshot,
  open,
  type RangeOptions,
  type Snapshot,
  type Store,
  type StoreKey,
  type StoreOptions,
  type WriteOperation,
} from '../../src/store/index.js'
import { selectRange } from '../../src/testing/index.js'
import { copyStore, removeDirectory } from '../support/directory.js'
import { engineOf, oddBuckets } from '../support/engine-of.js'
import { checkTree } from '../support/ordered-tree.js'
import {
  asRead,
  decodeAlone,
  keyBytes,
  keyPools,
  keySizeBytes,
  makeValue,
  prefixOf,
  reversing,
} from './data.js'
import type { BatchPart, Expiry, Operation, Place, RangeSpec, Space } from './operations.js'

interface Expected {
  readonly value: unknown
  readonly version: number
  readonly sequence: number
  readonly expiresAtMs: number | undefined
}

type AnyStore = Store<unknown, StoreKey>
type AnyKeyspace = Keyspace<unknown, StoreKey>
type Model = (Map<number, Expected> | undefined)[]
type Entry = readonly [StoreKey, unknown]

/** An iteration that was begun, and what it has still to give. */
interface Held {
  readonly entries: Iterator<[StoreKey, unknown]>
  readonly expected: Entry[]
}

/** A snapshot, and the model as it was then. */
interface Moment {
  readonly snapshot: Snapshot<unknown, StoreKey>
  readonly model: Model
}

export class World {
  readonly #spaces: readonly Space[]
  readonly #options: StoreOptions<unknown>
  /** By index of the keyspace; undefined for one that does not exist. */
  readonly #model: Model
  #held: Held[] = []
  #moments: Moment[] = []
  #directory: string
  #copies = 0
  #store: AnyStore
  #sequence = 0
  /** Versions of remembered deletes, by keyspace and key; undefined before the first command. */
  #deleted: Map<number, number>[] | undefined
  #version = 0
  /** The highest id, and that of the newest checkpoint there is. */
  #lastCheckpoint = 0
  #newest: number | undefined

  constructor(directory: string, spaces: readonly Space[], options: StoreOptions<unknown>) {
    this.#directory = directory
    this.#spaces = spaces
    this.#options = { ...options, syncIntervalMs: 0, ...encodingsOf(spaces[0]) }
    this.#model = spaces.map(() => undefined)
    this.#model[0] = new Map()
    this.#store = this.#open(directory)
  }

  async run(operations: readonly Operation[]): Promise<void> {
    for (const operation of operations) {
      await this.#apply(operation)
      const { sequence, version } = this.#store.stats()
      assert.ok(sequence >= this.#sequence && version >= this.#version, 'the clocks never go back')
      this.#sequence = sequence
      this.#version = version
    }
    this.#compareAll(this.#store)
    for (const held of this.#held) this.#advance(held, Number.POSITIVE_INFINITY)
    for (const moment of this.#moments) {
      this.#compareMoment(moment)
      moment.snapshot.close()
    }
    await this.#compareIndexes()
  }

  async close(): Promise<void> {
    await this.#store.close()
  }

  #open(directory: string, more: StoreOptions<unknown> = {}): AnyStore {
    const store = open<unknown, StoreKey>(directory, { ...this.#options, ...more })
    assert.deepEqual(oddBuckets(engineOf(store)), [], 'no bucket is left odd')
    return store
  }

  async #apply(operation: Operation): Promise<void> {
    switch (operation.do) {
      case 'put':
        return this.#put(operation)
      case 'update':
      case 'getOrInsert':
        return this.#change(operation)
      case 'apply':
        return this.#applyCommand(operation)
      case 'delete':
        return this.#delete(operation)
      case 'write':
        return this.#write(operation.parts)
      case 'make':
        this.#keyspace(this.#store, operation.space)
        this.#model[operation.space] ??= new Map()
        return this.#compareNames()
      case 'drop':
        return this.#drop(operation.space)
      case 'sync':
        await this.#store.sync()
        assert.equal(this.#store.stats().durable, this.#store.stats().tail)
        return
      case 'compact':
        return this.#compact(operation.minGarbageRatio)
      case 'read':
        return this.#compareAll(this.#store)
      case 'range':
        return this.#range(operation.space, operation.range)
      case 'hold':
        return this.#hold(operation.space, operation.range)
      case 'advance':
        for (const held of this.#held) this.#advance(held, 3)
        this.#held = this.#held.filter((held) => held.expected.length > 0)
        return
      case 'snapshot':
        this.#moments.push(this.#momentNow())
        return
      case 'readSnapshot':
        if (this.#moments.length > 0) {
          this.#compareMoment(this.#moments[operation.which % this.#moments.length])
        }
        return
      case 'closeSnapshot':
        if (this.#moments.length > 0) {
          const [moment] = this.#moments.splice(operation.which % this.#moments.length, 1)
          moment.snapshot.close()
        }
        return
      case 'export':
        return this.#export(operation)
      case 'checkpoint':
        return this.#checkpoint(operation.keep)
      case 'reopen':
        return this.#reopen(operation.readOnlyBetween)
      case 'copy':
        return this.#copy(operation.sync, operation.goOn)
    }
  }

  /** Nothing of what the store answers changes by it; without snapshots the bound on its size holds. */
  async #compact(minGarbageRatio: number): Promise<void> {
    const before = this.#store.stats()
    const report = await this.#store.compact({ minGarbageRatio })
    assert.equal(report.isPostponed, false)
    this.#compareAll(this.#store)
    const after = this.#store.stats()
    assert.equal(after.records, before.records)
    assert.equal(after.sequence, before.sequence)
    assert.equal(after.version, before.version)
    // Copies are without the room that updates in place left, but have their own to be aligned.
    assert.ok(after.liveBytes <= before.liveBytes + report.recordsMoved * 56)
    if (after.oldestSnapshotSequence === undefined) {
      const bound = 2 * after.liveBytes + 2 * after.segmentSizeBytes
      assert.ok(
        after.fileBytes <= bound,
        `${after.fileBytes} bytes for ${after.liveBytes} live ones`,
      )
    }
    const { problems } = await this.#store.verify()
    assert.deepEqual(problems, [])
    // One that leads into what was dropped is replaced by another one.
    this.#newest = this.#store.checkpoints().at(-1)?.id
    this.#lastCheckpoint = Math.max(this.#lastCheckpoint, this.#newest ?? 0)
  }

  #keyspace(store: AnyStore, space: number): AnyKeyspace {
    if (space === 0) return store
    return store.keyspace<unknown, StoreKey>(
      this.#spaces[space].name,
      encodingsOf(this.#spaces[space]),
    )
  }

  #entries(space: number): Map<number, Expected> {
    this.#model[space] ??= new Map()
    return this.#model[space]
  }

  #put(operation: Extract<Operation, { do: 'put' }>): void {
    const { condition } = operation
    const keyspace = this.#keyspace(this.#store, operation.space)
    const entries = this.#entries(operation.space)
    const key = this.#key(operation)
    const before = entries.get(operation.key)
    const value = makeValue(operation.value)
    const times = timesOf(operation.expiry)
    const options = {
      none: times === undefined ? undefined : {},
      sameVersion: { ifVersion: before?.version ?? 1 },
      otherVersion: { ifVersion: (before?.version ?? 1) + 1 },
      absent: { ifAbsent: true },
    }[condition]
    const holds =
      condition === 'none' ||
      (condition === 'sameVersion' && before !== undefined) ||
      (condition === 'absent' && before === undefined)
    const all = times === undefined ? options : { ...options, ...times }
    assert.equal(keyspace.put(key, value, all), holds, 'what put returns')
    if (holds) this.#expectPut(operation, value, operation.expiry)
    this.#compareKey(this.#store, operation)
    assert.equal(keyspace.count(), entries.size)
  }

  /** What was deleted, or expired, is remembered by at most the version that the store has now. */
  #forget({ key, space }: Place): void {
    this.#entries(space).delete(key)
    this.#deleted?.[space].set(key, engineOf(this.#store).control.read(layout.version))
  }

  #applyCommand(operation: Extract<Operation, { do: 'apply' }>): void {
    const { encoding } = this.#spaces[operation.space]
    const keyspace = this.#keyspace(this.#store, operation.space)
    const entries = this.#entries(operation.space)
    const key = this.#key(operation)
    // What has expired, and what snapshots keep, would be remembered as well.
    if (this.#deleted === undefined) {
      this.#forgetMoments()
      keyspace.count()
    }
    this.#deleted ??= this.#spaces.map(() => new Map())
    const deleted = this.#deleted[operation.space]
    const isHighest = operation.version === 5
    const version = isHighest ? this.#store.stats().version + 1 : operation.version
    const before = entries.get(operation.key)
    const value = operation.value === undefined ? undefined : makeValue(operation.value)
    const last = before?.version ?? deleted.get(operation.key) ?? -1
    let wins = version > last
    if (version === last && before !== undefined) {
      // The rule of equal versions is that of the bytes: see test/store/apply.test.ts.
      wins = value === undefined
      if (!wins) return
    }
    const command =
      value === undefined
        ? ({ type: 'delete', key, version } as const)
        : ({ type: 'put', key, value, version } as const)
    const outcome = keyspace.apply(command)
    if (!wins) {
      assert.equal(outcome, 'stale')
    } else if (value === undefined) {
      assert.equal(outcome, 'removed')
      entries.delete(operation.key)
      deleted.set(operation.key, version)
    } else {
      assert.equal(outcome, 'applied')
      const entry = keyspace.getEntry(key)
      assert.equal(entry?.version, version)
      const { sequence } = entry ?? { sequence: 0 }
      const asGiven = asRead(encoding, value)
      entries.set(operation.key, { value: asGiven, version, sequence, expiresAtMs: undefined })
    }
    this.#compareKey(this.#store, operation)
    assert.equal(keyspace.count(), entries.size)
  }

  #change(operation: Extract<Operation, { do: 'update' | 'getOrInsert' }>): void {
    const keyspace = this.#keyspace(this.#store, operation.space)
    const entries = this.#entries(operation.space)
    const key = this.#key(operation)
    const before = entries.get(operation.key)
    const value = operation.value === undefined ? undefined : makeValue(operation.value)
    if (operation.do === 'getOrInsert') {
      const given = keyspace.getOrInsert(key, () => value)
      if (before === undefined) this.#expect(operation, value, undefined)
      else requireEqual(given, before.value, 'what getOrInsert returns')
    } else {
      const given = keyspace.update(key, (current) => {
        requireEqual(current, before?.value, 'what update is given')
        return value
      })
      assert.equal(given, value)
      if (value === undefined) {
        if (before !== undefined) this.#forget(operation)
      } else this.#expect(operation, value, before?.expiresAtMs)
    }
    this.#compareKey(this.#store, operation)
    assert.equal(keyspace.count(), entries.size)
  }

  #delete(operation: Extract<Operation, { do: 'delete' }>): void {
    const { condition } = operation
    const keyspace = this.#keyspace(this.#store, operation.space)
    const entries = this.#entries(operation.space)
    const key = this.#key(operation)
    const before = entries.get(operation.key)
    const version = (before?.version ?? 1) + (condition === 'otherVersion' ? 1 : 0)
    const options = condition === 'none' ? undefined : { ifVersion: version }
    const holds = before !== undefined && condition !== 'otherVersion'
    assert.equal(keyspace.delete(key, options), holds, 'what delete returns')
    if (holds) this.#forget(operation)
    this.#compareKey(this.#store, operation)
    assert.equal(keyspace.count(), entries.size)
  }

  #write(parts: readonly BatchPart[]): void {
    for (const { space } of parts) {
      this.#keyspace(this.#store, space)
      this.#entries(space)
    }
    const batch: WriteOperation[] = parts.map((part) => {
      const { name } = this.#spaces[part.space]
      const keyspace = name === '' ? {} : { keyspace: name }
      const key = this.#key(part)
      return part.value === undefined
        ? { type: 'delete', key, ...keyspace }
        : {
            ...{ type: 'put', key, value: makeValue(part.value) },
            ...{ ...keyspace, ...timesOf(part.expiry) },
          }
    })
    // Asking for the numbers would take out what has expired.
    const { control } = engineOf(this.#store)
    const before = control.read(layout.sequence)
    this.#store.write(batch)
    const after = control.read(layout.sequence)
    assert.ok(after - before >= parts.length, 'every operation of a batch has a sequence')
    for (const part of parts) this.#forget(part)
    parts.forEach((part, index) => {
      const isLast = !parts.slice(index + 1).some((later) => samePlace(later, part))
      if (!isLast || part.value === undefined || part.expiry === 'past') return
      this.#deleted?.[part.space].delete(part.key)
      const entry = this.#keyspace(this.#store, part.space).getEntry(this.#key(part))
      assert.equal(entry?.sequence, after - parts.length + 1 + index, 'sequences follow the batch')
      this.#expectPut(part, makeValue(part.value), part.expiry)
    })
    for (const part of parts) this.#compareKey(this.#store, part)
    for (const { space } of parts) {
      assert.equal(this.#keyspace(this.#store, space).count(), this.#entries(space).size)
    }
  }

  #drop(space: number): void {
    const existed = this.#model[space] !== undefined
    assert.equal(this.#store.dropKeyspace(this.#spaces[space].name), existed)
    this.#model[space] = undefined
    this.#deleted?.[space].clear()
    this.#compareNames()
  }

  /** The entries of a range in the model, in order. */
  #expectedRange(model: Model, space: number, spec: RangeSpec): Entry[] {
    const { keyEncoding } = this.#spaces[space]
    const pool = keyPools[keyEncoding]
    const bytesAt = (key: number): Buffer => keyBytes(keyEncoding, pool[key])
    const at = (key: number | undefined): Buffer | undefined =>
      key === undefined ? undefined : bytesAt(key)
    const { gt, gte, limit, lt, lte, prefix, reverse } = spec
    const hasPrefix = (key: number): boolean => {
      if (prefix === undefined) return true
      const start = prefixOf(pool[prefix.key], prefix.length)
      const value = pool[key]
      if (Array.isArray(start)) {
        return Array.isArray(value) && isDeepStrictEqual(value.slice(0, start.length), start)
      }
      const startBytes = keyBytes(keyEncoding, start)
      return bytesAt(key).subarray(0, startBytes.length).equals(startBytes)
    }
    return selectRange(model[space] ?? [], ([key]) => bytesAt(key), {
      ...{ gt: at(gt), gte: at(gte), lt: at(lt), lte: at(lte), limit, reverse },
      hasPrefix: ([key]) => hasPrefix(key),
    }).map(([key, { value }]): Entry => [pool[key], value])
  }

  #rangeOptions(space: number, spec: RangeSpec): RangeOptions<StoreKey> {
    const pool = keyPools[this.#spaces[space].keyEncoding]
    const { gt, gte, lt, lte, prefix, reverse, limit } = spec
    const at = (key: number | undefined): StoreKey | undefined =>
      key === undefined ? undefined : pool[key]
    const start = prefix === undefined ? undefined : prefixOf(pool[prefix.key], prefix.length)
    const all = {
      gt: at(gt),
      gte: at(gte),
      lt: at(lt),
      lte: at(lte),
      prefix: start,
      reverse,
      limit,
    }
    return Object.fromEntries(
      Object.entries(all).filter(([, value]) => value !== undefined),
    ) as RangeOptions<StoreKey>
  }

  #compareRange(
    source: Pick<AnyKeyspace, 'range' | 'keys' | 'values' | 'count'>,
    expected: readonly Entry[],
    options: RangeOptions<StoreKey>,
  ): void {
    const keys = source.keys(options).toArray()
    requireEqual(keys.length, expected.length, 'the number of keys')
    keys.forEach((key, index) => {
      requireEqual(key, expected[index][0], 'a key of keys()')
    })
    source
      .values(options)
      .toArray()
      .forEach((value, index) => {
        requireEqual(value, expected[index][1], 'a value of values()')
      })
    const entries = source.range(options).toArray()
    requireEqual(entries.length, expected.length, 'the number of entries')
    entries.forEach((entry, index) => {
      requireEqualEntry(entry, expected[index])
    })
    assert.equal(source.count(options), expected.length, 'count of a range')
  }

  #range(space: number, spec: RangeSpec): void {
    if (this.#model[space] === undefined) return
    const expected = this.#expectedRange(this.#model, space, spec)
    this.#compareRange(
      this.#keyspace(this.#store, space),
      expected,
      this.#rangeOptions(space, spec),
    )
  }

  #hold(space: number, spec: RangeSpec): void {
    if (this.#model[space] === undefined) return
    const expected = this.#expectedRange(this.#model, space, spec)
    const range = this.#keyspace(this.#store, space).range(this.#rangeOptions(space, spec))
    this.#held.push({ entries: range[Symbol.iterator](), expected })
  }

  /** Reads on, up to `count` entries; at the end there must be no more. */
  #advance({ entries, expected }: Held, count: number): void {
    for (let read = 0; read < count && expected.length > 0; read++) {
      const step = entries.next()
      assert.notEqual(step.done, true, 'an iteration that is held ends where it would have')
      requireEqualEntry(step.value, expected.shift() as Entry)
    }
    if (expected.length === 0) assert.equal(entries.next().done, true)
  }

  #compareMoment({ snapshot, model }: Moment): void {
    assert.deepEqual(snapshot.keyspaces(), this.#namesIn(model))
    this.#spaces.forEach(({ encoding, name, keyEncoding }, space) => {
      let view: KeyspaceSnapshot<unknown, StoreKey> = snapshot
      if (space > 0) {
        // An encoding of one's own comes with a handle, and to make one would make the keyspace.
        const isThere = this.#model[space] !== undefined
        if (!isThere && encoding === 'custom') return
        view = snapshot.keyspace(isThere ? this.#keyspace(this.#store, space) : name)
      }
      const entries = model[space] ?? new Map<number, Expected>()
      const pool = keyPools[keyEncoding]
      // By its name, one that did not exist has no key encoding.
      if (model[space] !== undefined) {
        pool.forEach((key, place) => {
          const expected = entries.get(place)
          assert.equal(view.has(key), expected !== undefined)
          const entry = view.getEntry(key)
          assert.equal(entry?.version, expected?.version)
          assert.equal(entry?.sequence, expected?.sequence)
          requireEqual(view.get(key), expected?.value, 'get of a snapshot')
        })
      }
      const expected = this.#expectedRange(model, space, {})
      this.#compareRange(view, expected, {})
      this.#compareRange(view, [...expected].reverse(), { reverse: true })
    })
  }

  /** What is imported into another store is what the snapshot shows, over what that one has. */
  async #export({ which, chunkSizeBytes }: Extract<Operation, { do: 'export' }>): Promise<void> {
    const held = which === undefined ? undefined : this.#moments[which % this.#moments.length]
    const { snapshot, model } = held ?? this.#momentNow()
    const stream = await exportOf(snapshot)
    if (held === undefined) snapshot.close()
    const { segmentSizeBytes } = this.#options
    const options = { segmentSizeBytes, ...encodingsOf(this.#spaces[0]) } as StoreOptions<unknown>
    const other = open<unknown, StoreKey>(':memory:', options)
    try {
      const [key] = keyPools[this.#spaces[0].keyEncoding]
      const first = model[0]?.get(0)
      // Of its own keys, those that the stream has are replaced.
      if (first !== undefined) other.put(key, first.value)
      const { version } = other.stats()
      await other.import(piecesOf(stream, chunkSizeBytes))
      assert.deepEqual(other.keyspaces(), this.#namesIn(model))
      this.#spaces.forEach((_, space) => {
        if (model[space] === undefined) return
        const keyspace = this.#keyspace(other, space)
        this.#compareRange(keyspace, this.#expectedRange(model, space, {}), {})
        for (const entry of keyspace.scan()) assert.ok(entry.version > version, 'versions are new')
      })
      assert.equal(
        other.stats().records,
        model.reduce((sum, entries) => sum + (entries?.size ?? 0), 0),
      )
    } finally {
      await other.close()
    }
  }

  #momentNow(): Moment {
    const model = this.#model.map((entries) => entries && new Map(entries))
    return { snapshot: this.#store.snapshot(), model }
  }

  #namesIn(model: Model): string[] {
    return this.#spaces
      .flatMap(({ name }, index) => (name === '' || model[index] === undefined ? [] : [name]))
      .sort()
  }

  /** Iterations and snapshots end with the store that they read. */
  #forgetMoments(): void {
    for (const { entries } of this.#held) entries.return?.()
    for (const { snapshot } of this.#moments) snapshot.close()
    this.#held = []
    this.#moments = []
  }

  /** Nobody reads: the indexes have what is live and nothing else. */
  async #compareIndexes(): Promise<void> {
    const engine = engineOf(this.#store)
    assert.equal(this.#store.stats().snapshots, 0)
    for (
      let turn = 0;
      this.#deleted === undefined && turn < 1000 && tombstonesOf(engine) > 0;
      turn++
    ) {
      await new Promise(setImmediate)
    }
    if (this.#deleted === undefined) {
      assert.equal(tombstonesOf(engine), 0, 'tombstones leave the indexes')
    }
    this.#store.count({})
    const { keys } = checkTree(engine.order)
    const expected = engine.control.read(layout.records) + tombstonesOf(engine)
    assert.equal(keys.length, expected, 'keys in the ordered index')
  }

  async #checkpoint(keep: number): Promise<void> {
    const { records, sequence } = this.#store.stats()
    const info = await this.#store.checkpoint()
    assert.equal(info.sequence, sequence)
    // A snapshot keeps what it shows of a keyspace that was dropped.
    if (this.#moments.length === 0 && this.#held.length === 0) assert.equal(info.records, records)
    assert.ok(info.id > this.#lastCheckpoint)
    this.#lastCheckpoint = info.id
    this.#store.pruneCheckpoints(keep)
    const { length } = this.#store.checkpoints()
    assert.ok(keep === 0 ? length === 0 : length >= 1 && length <= keep)
    this.#newest = keep === 0 ? undefined : info.id
  }

  async #reopen(readOnlyBetween: boolean): Promise<void> {
    this.#forgetMoments()
    // Takes out what has expired: it would be on the way, which takes sequences.
    this.#store.count()
    const before = this.#store.stats()
    await this.#store.close()
    if (readOnlyBetween) {
      const reader = this.#open(this.#directory, { readOnly: true, createIfMissing: false })
      this.#compareAll(reader)
      await reader.close()
    }
    this.#store = this.#open(this.#directory)
    this.#compareStats(before)
    this.#compareAll(this.#store)
  }

  /** A copy of the live directory is a store of another boot: everything comes from the log. */
  async #copy(sync: boolean, goOn: boolean): Promise<void> {
    // What a snapshot shows of a dropped keyspace still counts.
    if (goOn) this.#forgetMoments()
    this.#store.count()
    if (sync) await this.#store.sync()
    const before = this.#store.stats()
    const directory = `${this.#directory.replace(/\+\d+$/, '')}+${++this.#copies}`
    copyStore(this.#directory, directory)
    const copy = this.#open(directory)
    assert.equal(copy.stats().lastRecovery.kind, 'replay')
    assert.equal(copy.stats().lastRecovery.bytesDropped, 0)
    assert.equal(copy.stats().lastRecovery.checkpoint, this.#newest)
    assert.deepEqual(copy.stats().lastRecovery.passedOver, [])
    const discarded = goOn ? this.#directory : directory
    try {
      this.#compareAll(copy)
      if (goOn) {
        const old = this.#store
        this.#store = copy
        this.#directory = directory
        await old.close()
        // As a recovery does that may have lost something.
        const skipped = this.#store.stats().sequence - before.sequence
        assert.equal(skipped % layout.sequencesPerLoss, 0)
        this.#compareStats({ ...before, sequence: before.sequence + skipped })
      } else {
        await copy.close()
      }
    } finally {
      removeDirectory(discarded)
    }
  }

  #expectPut(place: Place, written: unknown, expiry: Expiry): void {
    if (expiry === 'past') this.#forget(place)
    else this.#expect(place, written, timesOf(expiry)?.expiresAtMs)
  }

  /** After a put: the entry's facts are the model's, and its numbers are above all before. */
  #expect(place: Place, written: unknown, expiresAtMs: number | undefined): void {
    const { encoding } = this.#spaces[place.space]
    const key = this.#key(place)
    const entries = this.#entries(place.space)
    const entry = this.#keyspace(this.#store, place.space).getEntry(key)
    assert.ok(entry !== undefined, 'a key that was put has an entry')
    assert.ok(entry.version > (entries.get(place.key)?.version ?? 0), 'the version of a key rises')
    assert.ok(entry.sequence > this.#sequence, 'a sequence is above all before')
    assert.ok(entry.version > this.#version, 'a version is above all before')
    const { version, sequence } = entry
    entries.set(place.key, { value: asRead(encoding, written), version, sequence, expiresAtMs })
  }

  #key(place: Place): StoreKey {
    return keyPools[this.#spaces[place.space].keyEncoding][place.key]
  }

  #compareKey(store: AnyStore, place: Place): void {
    if (this.#model[place.space] === undefined) return
    const keyspace = this.#keyspace(store, place.space)
    const { encoding } = this.#spaces[place.space]
    const key = this.#key(place)
    const expected = this.#model[place.space]?.get(place.key)
    requireEqual(keyspace.get(key), expected?.value, 'get')
    assert.equal(keyspace.has(key), expected !== undefined, 'has')
    const entry = keyspace.getEntry(key)
    if (expected === undefined) {
      assert.equal(entry, undefined)
      assert.equal(keyspace.getInto(key, Buffer.alloc(0)), -1)
      return
    }
    assert.ok(entry !== undefined)
    requireEqual(entry.value, expected.value, 'the value of getEntry')
    requireEqual(entry.key, key, 'the key of getEntry')
    assert.equal(entry.version, expected.version)
    assert.equal(entry.sequence, expected.sequence)
    assert.equal(entry.expiresAtMs, expected.expiresAtMs)
    assert.ok(entry.sizeBytes >= 48 && entry.sizeBytes % 8 === 0, 'the size of a record')
    assert.ok(Math.abs(Date.now() - entry.timestampMs) < 3_600_000, 'the time of a record')
    const target = Buffer.alloc(3 + 2 ** 21, 0xaa)
    const size = keyspace.getInto(key, target, 3)
    const structures = (): string[][] =>
      readStructures(keyspace.rangeSource().engine).map((fields) => [...fields])
    const alone = decodeAlone(encoding, target.subarray(3, 3 + size), structures)
    requireEqual(alone, expected.value, 'getInto')
    assert.ok(target.subarray(0, 3).equals(Buffer.alloc(3, 0xaa)), 'getInto stays in its place')
    assert.equal(target[3 + size], 0xaa, 'getInto stays in its place')
    if (size > 0) {
      const small = Buffer.alloc(size - 1, 0xbb)
      assert.throws(() => keyspace.getInto(key, small), RangeError)
      assert.ok(small.equals(Buffer.alloc(size - 1, 0xbb)), 'a target that is too small is left')
    }
  }

  #compareNames(): void {
    assert.deepEqual(this.#store.keyspaces(), this.#namesIn(this.#model))
  }

  #compareAll(store: AnyStore): void {
    let records = 0
    let keySizes: number | undefined = 0
    let valueSizes = 0
    const target = Buffer.alloc(2 ** 21)
    this.#spaces.forEach(({ keyEncoding }, space) => {
      const entries = this.#model[space]
      if (entries === undefined) return
      const keyspace = this.#keyspace(store, space)
      const pool = keyPools[keyEncoding]
      pool.forEach((_, key) => {
        this.#compareKey(store, { space, key })
      })
      const expected = pool.map((_, key) => entries.get(key)?.value)
      requireEqual(keyspace.getMany(pool), expected, 'getMany')
      assert.equal(keyspace.count(), entries.size, 'count')
      records += entries.size
      for (const place of entries.keys()) {
        const size = keySizeBytes(keyEncoding, pool[place])
        keySizes = size === undefined || keySizes === undefined ? undefined : keySizes + size
      }
      for (const key of pool) valueSizes += Math.max(0, keyspace.getInto(key, target))
    })
    const stats = store.stats()
    assert.equal(stats.records, records)
    assert.equal(stats.keyBytes, keySizes ?? stats.keyBytes)
    assert.equal(stats.valueBytes, valueSizes)
    assert.ok(stats.garbageBytes >= 0 && stats.garbageRatio >= 0 && stats.garbageRatio <= 1)
    assert.ok(stats.begin <= stats.durable && stats.durable <= stats.tail)
  }

  #compareStats(before: StoreStats): void {
    const after = this.#store.stats()
    assert.equal(after.records, before.records)
    assert.equal(after.liveBytes, before.liveBytes)
    assert.equal(after.sequence, before.sequence)
    assert.equal(after.version, before.version)
  }
}

const laterMs = 4_000_000_000_000

function timesOf(expiry: Expiry): { readonly expiresAtMs: number } | undefined {
  if (expiry === 'never') return undefined
  return { expiresAtMs: expiry === 'later' ? laterMs : 1 }
}

async function exportOf(snapshot: Snapshot<unknown, StoreKey>): Promise<Buffer> {
  const chunks: Buffer[] = []
  const target = new Writable({
    write(chunk: Buffer, _encoding, done) {
      chunks.push(Buffer.from(chunk))
      done()
    },
  })
  await snapshot.export(target)
  return Buffer.concat(chunks)
}

/** A stream of many small pieces takes long; its end comes in one. */
function* piecesOf(stream: Buffer, sizeBytes: number): Generator<Buffer> {
  const pieces = Math.min(200, Math.floor(stream.length / sizeBytes))
  for (let piece = 0; piece < pieces; piece++) {
    yield stream.subarray(piece * sizeBytes, (piece + 1) * sizeBytes)
  }
  yield stream.subarray(pieces * sizeBytes)
}

function encodingsOf(space: Space): Pick<StoreOptions<unknown>, 'encoding' | 'keyEncoding'> {
  const { encoding, keyEncoding } = space
  return { encoding: encoding === 'custom' ? reversing : encoding, keyEncoding }
}

function samePlace(a: Place, b: Place): boolean {
  return a.space === b.space && a.key === b.key
}

function tombstonesOf(engine: Engine): number {
  return engine.control.read(layout.tombstones)
}

function requireEqualEntry(actual: Entry, expected: Entry): void {
  requireEqual(actual[0], expected[0], 'the key of an entry')
  requireEqual(actual[1], expected[1], 'the value of an entry')
}

/** As deepStrictEqual, without printing a megabyte of it. */
function requireEqual(actual: unknown, expected: unknown, what: string): void {
  if (actual instanceof Buffer && expected instanceof Uint8Array) {
    const at = firstDifference(actual, expected)
    assert.equal(at, undefined, `${what}: ${actual.length} bytes for ${expected.length}`)
    return
  }
  if (isDeepStrictEqual(actual, expected)) return
  assert.fail(`${what} gives ${summary(actual)}, expected ${summary(expected)}`)
}

function firstDifference(a: Uint8Array, b: Uint8Array): number | undefined {
  if (Buffer.compare(a, b) === 0) return undefined
  const at = a.findIndex((byte, index) => byte !== b[index])
  return at === -1 ? a.byteLength : at
}

function summary(value: unknown): string {
  const text = value instanceof Uint8Array ? `${value.byteLength} bytes` : JSON.stringify(value)
  return (text ?? String(value)).slice(0, 200)
}
