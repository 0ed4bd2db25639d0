/**
 * The ranges and snapshots of a client. What each shows of registers and groups goes to the history as
 * reads of all these keys at one moment: that at which the snapshot was made, or the range begun,
 * however late it is read. Everything else that must be so in every state of the store is looked at here.
 */
import type { Snapshot, Store } from '../../src/store/index.js'
import type { Random } from '../support/random.js'
import { fillKey, groupKeys, registerKey } from './client.js'
import { type CombinedWrites, requireCombined } from './combined-writes.js'
import { preparedKey } from './final-reader.js'
import type { Begun, HistoryWriter, Told } from './history-file.js'
import { nameOfBytes } from './values.js'

type BinaryStore = Store<Buffer>
type Source = Pick<BinaryStore, 'range' | 'keys' | 'values' | 'count'>
type Entry = readonly [key: string, value: Buffer]

export interface ReadSetup {
  readonly client: string
  readonly registers: number
  readonly groups: number
  /** Keys that were there before all clients. */
  readonly prepared: number
}

/** What is read by and by. */
interface Held<T> {
  readonly source: T
  /** Of the client's own keys, how many there were. */
  readonly fills: number
  /** Tokens that the client knew to be there. */
  readonly tokens: readonly string[]
  readonly begun: Begun
}

interface HeldSnapshot extends Held<Snapshot<Buffer>> {
  /** What the first reading gave. */
  entries: Entry[] | undefined
}

interface HeldRange extends Held<Iterator<[string, Buffer]>> {
  readonly entries: Entry[]
}

const heldMax = 4

export class OrderedReads {
  readonly #setup: ReadSetup
  readonly #random: Random
  readonly #history: HistoryWriter
  readonly #combined: CombinedWrites
  /** Of the history. */
  readonly #keys: readonly string[]
  #snapshots: HeldSnapshot[] = []
  #ranges: HeldRange[] = []

  constructor(setup: ReadSetup, random: Random, history: HistoryWriter, combined: CombinedWrites) {
    this.#setup = setup
    this.#combined = combined
    this.#random = random
    this.#history = history
    this.#keys = [
      ...Array.from({ length: setup.registers }, (_, register) => registerKey(register)),
      ...Array.from({ length: setup.groups }, (_, group) => groupKeys(group)).flat(),
    ]
  }

  /** One read, or a step of one; `fills` of the client's own keys are there. */
  step(store: BinaryStore, fills: number): void {
    const roll = this.#random.below(100)
    if (roll < 15) this.#beginSnapshot(store, fills)
    else if (roll < 45) this.#readSnapshot()
    else if (roll < 55) this.#closeSnapshot(this.#random.below(heldMax))
    else if (roll < 65) this.#beginRange(store, fills)
    else if (roll < 80) this.#continueRange(1 + this.#random.below(200))
    else this.#readAtOnce(store, fills)
  }

  /** Reads what is held to its end, and lets it go. */
  end(): void {
    while (this.#ranges.length > 0) this.#continueRange(Number.POSITIVE_INFINITY)
    while (this.#snapshots.length > 0) this.#closeSnapshot(0)
  }

  #beginSnapshot(store: BinaryStore, fills: number): void {
    if (this.#snapshots.length === heldMax) return
    const { begun, result } = this.#begin(() => store.snapshot())
    const { tokens } = this.#combined
    this.#snapshots.push({ source: result, fills, tokens, begun, entries: undefined })
    if (this.#random.chance(0.5)) this.#readSnapshot(this.#snapshots.at(-1))
  }

  #readSnapshot(held = this.#anySnapshot()): void {
    if (held === undefined) return
    const { source: snapshot } = held
    const entries = this.#readSomehow(snapshot)
    if (held.entries === undefined) {
      held.entries = entries
      this.#check(entries, held, true)
      this.#tell(held, snapshot.sequence, (key) => {
        const entry = snapshot.getEntry(key)
        if (entry === undefined) return null
        const { sequence, value, version } = entry
        // The keys of a group have one value, and each a sequence of its own.
        return key.startsWith('g-')
          ? [nameOfBytes(value), version]
          : [nameOfBytes(value), version, sequence]
      })
    }
    const difference = differenceOf(entries, held.entries)
    if (difference === undefined) return
    throw new Error(`snapshot ${snapshot.sequence} read again: ${difference}`)
  }

  #anySnapshot(): HeldSnapshot | undefined {
    return this.#snapshots.length === 0 ? undefined : this.#random.pick(this.#snapshots)
  }

  #closeSnapshot(index: number): void {
    const held = this.#snapshots[index]
    if (held === undefined) return
    this.#readSnapshot(held)
    held.source.close()
    this.#snapshots.splice(index, 1)
  }

  #beginRange(store: BinaryStore, fills: number): void {
    if (this.#ranges.length === heldMax) return
    const { begun, result } = this.#begin(() => store.range()[Symbol.iterator]())
    const { tokens } = this.#combined
    this.#ranges.push({ source: result, fills, tokens, begun, entries: [] })
  }

  #continueRange(countMax: number): void {
    if (this.#ranges.length === 0) return
    const held = this.#random.pick(this.#ranges)
    const { entries, source } = held
    for (let count = 0; count < countMax; count++) {
      const step = source.next()
      if (step.done === true) {
        this.#ranges.splice(this.#ranges.indexOf(held), 1)
        this.#check(entries, held, true)
        this.#tellEntries(held, entries)
        return
      }
      entries.push(step.value)
    }
  }

  #readAtOnce(store: BinaryStore, fills: number): void {
    const { client, groups } = this.#setup
    const ownCount = store.count({ prefix: `f-${client}-` })
    if (ownCount !== fills)
      throw new Error(`${ownCount} keys of ${client} were counted, not ${fills}`)
    const [first] = groupKeys(this.#random.below(groups))
    const group = first.slice(0, -1)
    const counted = store.count({ prefix: group })
    if (counted !== 0 && counted !== groupKeys(0).length) {
      throw new Error(`${counted} keys of group ${group} were counted`)
    }
    const isPart = this.#random.chance(0.5)
    const { begun, result } = this.#begin(() =>
      isPart ? store.range({ lt: 's', gte: 'g' }).toArray() : this.#readSomehow(store),
    )
    this.#check(result, { fills, tokens: this.#combined.tokens }, !isPart)
    this.#tellEntries({ begun }, result)
  }

  /** All entries, in one of the ways to have them. */
  #readSomehow(source: Source): Entry[] {
    const roll = this.#random.below(source instanceof Object && 'sequence' in source ? 4 : 2)
    if (roll === 0) return source.range().toArray()
    if (roll === 1) return source.range({ reverse: true }).toArray().reverse()
    // A snapshot alone has the same in two readings.
    const keys = source.keys().toArray()
    const values =
      roll === 2 ? source.values().toArray() : (source as Snapshot<Buffer>).getMany(keys)
    if (values.length !== keys.length || source.count() !== keys.length) {
      throw new Error(`${keys.length} keys, ${values.length} values, ${source.count()} counted`)
    }
    return keys.map((key, index): Entry => {
      const value = values[index]
      if (value === undefined) throw new Error(`${key} is among the keys and has no value`)
      return [key, value]
    })
  }

  #begin<T>(action: () => T): { readonly begun: Begun; readonly result: T } {
    return this.#history.begin({ kind: 'look', keys: this.#keys }, action)
  }

  #tellEntries({ begun }: { readonly begun: Begun }, entries: readonly Entry[]): void {
    const byKey = new Map(entries)
    this.#tell({ begun }, undefined, (key) => {
      const value = byKey.get(key)
      return value === undefined ? null : [nameOfBytes(value)]
    })
  }

  #tell(
    { begun }: { readonly begun: Begun },
    sequence: number | undefined,
    toldOf: (key: string) => Told,
  ): void {
    begun.answer({ sequence, found: this.#keys.map(toldOf) })
  }

  /** What is so in every state of the store. */
  #check(
    entries: readonly Entry[],
    { fills, tokens }: Pick<Held<unknown>, 'fills' | 'tokens'>,
    isAll: boolean,
  ): void {
    const byKey = new Map(entries)
    entries.forEach(([key], index) => {
      if (index === 0 || entries[index - 1][0] < key) return
      throw new Error(`${key} comes behind ${entries[index - 1][0]}`)
    })
    for (let group = 0; group < this.#setup.groups; group++) {
      const names = new Set(
        groupKeys(group).map((key) => {
          const value = byKey.get(key)
          return value === undefined ? 'missing' : nameOfBytes(value)
        }),
      )
      if (names.size > 1) throw new Error(`group ${group} was ${[...names].join(' and ')}`)
    }
    if (!isAll) return
    requireCombined(byKey, tokens)
    for (let index = 0; index < this.#setup.prepared; index++) {
      if (byKey.has(preparedKey(index))) continue
      throw new Error(`${preparedKey(index)} was there all the time, and is missing`)
    }
    const counts = new Map<string, number>()
    for (const [key] of entries) {
      const [kind, client] = key.split('-')
      if (kind === 'f') counts.set(client, (counts.get(client) ?? 0) + 1)
    }
    for (const [client, count] of counts) {
      // Each was put when the one before was there.
      if (!byKey.has(fillKey(client, count - 1))) throw new Error(`keys of ${client} have a gap`)
    }
    const own = counts.get(this.#setup.client) ?? 0
    if (own !== fills) throw new Error(`${own} keys of the client itself, which put ${fills}`)
  }
}

function differenceOf(actual: readonly Entry[], expected: readonly Entry[]): string | undefined {
  if (actual.length !== expected.length) return `${actual.length} keys, not ${expected.length}`
  const at = actual.findIndex(
    ([key, value], index) => key !== expected[index][0] || !value.equals(expected[index][1]),
  )
  return at === -1 ? undefined : `${actual[at][0]} is another, was ${expected[at][0]}`
}
