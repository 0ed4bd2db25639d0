/**
 * A client of a shared store: seeded random operations on a few keys, every one with what it was
 * told kept in a file. It may be killed at any instruction.
 *
 * Keys: `r-n` are registers, read and written one at a time, also by compare-and-set, sometimes
 * within a batch. `g-n-m` are groups, only ever written together. `f-client-n` are the client's own,
 * written once, so that the index grows. `w-client` is its own, too, large and overwritten, so that there is
 * something to compact, which the client asks for now and then. `x-client-n` are its
 * own, too, and cleared by a range. Ranges and snapshots are read beside, and held meanwhile (ordered-reads.ts);
 * checkpoints, compactions, backups and verifications are made beside (upkeep.ts).
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { open, type Store, type StoreEntry, type WriteOperation } from '../../src/store/index.js'
import { Random } from '../support/random.js'
import { HistoryWriter, type Told } from './history-file.js'
import type { SharedOptions } from './options.js'
import { OrderedReads } from './ordered-reads.js'
import { Upkeep } from './upkeep.js'
import { bytesOfValue, nameOfBytes, nameOfValue } from './values.js'

export interface ClientSetup {
  readonly path: string
  readonly options: SharedOptions
  /** Where its history goes. */
  readonly file: string
  readonly client: string
  readonly seed: number
  readonly durationMs: number
  readonly operationsMax: number
  readonly registers: number
  readonly groups: number
  /** Keys that were there before. */
  readonly prepared: number
  /** Puts, not only reads. */
  readonly writes: boolean
}

export const keysPerGroup = 3

export const registerKey = (register: number): string => `r-${register}`
export const fillKey = (client: string, index: number): string => `f-${client}-${index}`
export const clearedPrefix = (client: string): string => `x-${client}-`
export const groupKeys = (group: number): string[] =>
  Array.from({ length: keysPerGroup }, (_, index) => `g-${group}-${index}`)

/** On a busy machine, however long they take. */
const operationsMin = 60

type BinaryStore = Store<Buffer>

export function toldOfEntry(entry: StoreEntry<Buffer, string> | undefined): Told {
  if (entry === undefined) return null
  return [nameOfBytes(entry.value), entry.version, entry.sequence]
}

export function toldOfBytes(bytes: Buffer | undefined): Told {
  return bytes === undefined ? null : [nameOfBytes(bytes)]
}

export async function runClient(setup: ClientSetup): Promise<number> {
  const client = new Client(setup)
  try {
    await client.run()
  } finally {
    client.history.close()
  }
  return client.operationCount
}

class Client {
  readonly history: HistoryWriter
  operationCount = 0
  readonly #setup: ClientSetup
  readonly #random: Random
  /** The version that this client saw last, by key. */
  readonly #versions = new Map<string, number>()
  #store: BinaryStore
  /** Syncs and other work that was begun and not waited for. */
  #begun: Promise<void>[] = []
  #fillCount = 0
  readonly #reads: OrderedReads
  readonly #upkeep: Upkeep

  constructor(setup: ClientSetup) {
    this.#setup = setup
    this.#random = new Random(setup.seed)
    this.history = new HistoryWriter(setup.file)
    this.#reads = new OrderedReads(setup, this.#random, this.history)
    this.#upkeep = new Upkeep(setup, this.#random)
    this.#store = this.#open()
  }

  async run(): Promise<void> {
    const { durationMs, operationsMax } = this.#setup
    const endMs = performance.now() + durationMs
    const isWanted = (): boolean =>
      this.operationCount < operationsMin ||
      (performance.now() < endMs && this.operationCount < operationsMax)
    while (isWanted()) {
      const slow = this.#step()
      if (slow !== undefined) await slow
      // Background syncs have their turn.
      else if (this.#random.chance(0.03)) await nextTurn()
    }
    await this.#close()
  }

  #open(): BinaryStore {
    const { options, path } = this.#setup
    return open<Buffer>(path, { ...options, encoding: 'binary' })
  }

  async #close(): Promise<void> {
    this.#reads.end()
    await Promise.all(this.#begun)
    this.#begun = []
    await this.#store.close()
  }

  #step(): Promise<void> | undefined {
    const random = this.#random
    this.operationCount++
    if (random.chance(0.1)) return this.#reads.step(this.#store, this.#fillCount) as undefined
    if (this.#setup.writes && random.chance(0.015)) {
      return this.#aside(this.#upkeep.step(this.#store, this.#fillCount))
    }
    const roll = random.below(1000)
    if (roll < 4) return this.#reopen()
    if (!this.#setup.writes) return roll < 500 ? this.#readRegister() : this.#readGroup()
    if (roll < 14) return this.#aside(this.#store.sync())
    if (roll < 18) return this.#clearOwn()
    if (roll < 22) return this.#clearRegisters()
    if (roll < 30) return this.#compact()
    if (roll < 42) return this.#fill()
    if (roll < 64) return this.#checkFill()
    if (roll < 290) return this.#readRegister()
    if (roll < 420) return this.#readGroup()
    if (roll < 530) return this.#writeGroup()
    if (roll < 720) return this.#put()
    if (roll < 890) return this.#compareAndSet()
    return this.#remove()
  }

  async #reopen(): Promise<void> {
    await this.#close()
    this.#store = this.#open()
  }

  /** Waits for it, or goes on meanwhile. */
  #aside(work: Promise<void>): Promise<void> | undefined {
    if (this.#random.chance(0.5)) return work
    this.#begun.push(work)
    return undefined
  }

  /** Half a segment of garbage, and what others left. */
  #compact(): Promise<void> | undefined {
    const random = this.#random
    const key = `w-${this.#setup.client}`
    const mark = random.below(256)
    for (let size = 100_000; size < 200_000; size += 25_000) {
      this.#store.put(key, Buffer.alloc(size, mark))
    }
    const store = this.#store
    const compacted = store.compact({ minGarbageRatio: 0.01 }).then(() => {
      if (this.#store !== store) return
      const found = store.get(key)
      if (found === undefined || found.some((byte) => byte !== found[0])) {
        throw new Error(`${key} is ${found === undefined ? 'missing' : 'of two writes'}`)
      }
    })
    if (random.chance(0.5)) return compacted
    this.#begun.push(compacted)
    return undefined
  }

  #register(): string {
    return registerKey(this.#random.below(this.#setup.registers))
  }

  #readRegister(key: string = this.#register()): undefined {
    const read = (): StoreEntry<Buffer, string> | undefined => this.#store.getEntry(key)
    const entry = this.history.run({ kind: 'get', key }, read, toldOfEntry)
    if (entry === undefined) this.#versions.delete(key)
    else this.#versions.set(key, entry.version)
  }

  #put(): undefined {
    const key = this.#register()
    const value = this.#newValue(key)
    const bytes = bytesOfValue(value)
    if (this.#random.chance(0.15)) {
      const put = (): boolean => this.#store.put(key, bytes, { ifAbsent: true })
      this.history.run({ kind: 'put', key, value, condition: 'absent' }, put, (done) => done)
    } else {
      const put = (): boolean => this.#store.put(key, bytes)
      this.history.run({ kind: 'put', key, value }, put, (done) => done)
    }
  }

  #compareAndSet(): undefined {
    const key = this.#register()
    if (this.#random.chance(0.7)) this.#readRegister(key)
    const ifVersion = this.#versions.get(key)
    if (ifVersion === undefined) return
    const value = this.#newValue(key)
    const bytes = bytesOfValue(value)
    const put = (): boolean => this.#store.put(key, bytes, { ifVersion })
    this.history.run({ kind: 'put', key, value, condition: ifVersion }, put, (done) => done)
  }

  #remove(): undefined {
    const key = this.#register()
    const ifVersion = this.#random.chance(0.5) ? this.#versions.get(key) : undefined
    const remove = (): boolean =>
      ifVersion === undefined ? this.#store.delete(key) : this.#store.delete(key, { ifVersion })
    const condition = ifVersion === undefined ? {} : { condition: ifVersion }
    this.history.run({ kind: 'delete', key, ...condition }, remove, (done) => done)
  }

  #readGroup(): undefined {
    const keys = groupKeys(this.#random.below(this.#setup.groups))
    for (let count = 2 + this.#random.below(3); count > 0; count--) {
      const key = this.#random.pick(keys)
      const read = (): Buffer | undefined => this.#store.get(key)
      this.history.run({ kind: 'get', key }, read, toldOfBytes)
    }
  }

  #writeGroup(): undefined {
    const random = this.#random
    const keys = groupKeys(random.below(this.#setup.groups))
    if (random.chance(0.3)) keys.splice(random.below(keys.length + 1), 0, this.#register())
    const value = random.chance(0.1) ? undefined : this.#newValue(keys[0])
    const bytes = value === undefined ? undefined : bytesOfValue(value)
    const operations = keys.map(
      (key): WriteOperation<Buffer, string> =>
        bytes === undefined ? { type: 'delete', key } : { type: 'put', key, value: bytes },
    )
    this.history.run({ kind: 'batch', keys, value }, () => this.#store.write(operations), nothing)
  }

  #fill(): undefined {
    const from = this.#fillCount
    const to = from + 1 + this.#random.below(60)
    this.#fillCount = to
    const { client } = this.#setup
    const keys = Array.from({ length: to - from }, (_, index) => fillKey(client, from + index))
    const isBatch = this.#random.chance(0.5)
    const write = (): void => {
      if (isBatch) {
        this.#store.write(keys.map((key) => ({ type: 'put', key, value: Buffer.from(key) })))
      } else {
        for (const key of keys) this.#store.put(key, Buffer.from(key))
      }
    }
    this.history.run({ kind: 'fill', from, to }, write, nothing)
  }

  /** Keys of its own, some hundreds, that nobody else writes: none is left. */
  #clearOwn(): undefined {
    const prefix = clearedPrefix(this.#setup.client)
    const count = this.#random.below(600)
    for (let index = 0; index < count; index++) {
      this.#store.put(`${prefix}${index}`, Buffer.from('x'))
    }
    const counted = this.#store.count({ prefix })
    if (counted !== count) throw new Error(`${counted} of ${count} keys ${prefix} are there`)
    this.#store.clear({ prefix })
    const left = this.#store.keys({ prefix }).toArray()
    if (left.length > 0) throw new Error(`${left.join()} were cleared, and are there`)
  }

  #clearRegisters(): undefined {
    const { registers } = this.#setup
    const first = this.#random.below(registers)
    const keys = Array.from({ length: registers - first }, (_, index) => registerKey(first + index))
    const clear = (): void => this.#store.clear({ gte: keys[0], lt: 'r-~' })
    this.history.run({ kind: 'clear', keys }, clear, nothing)
  }

  /** A key of its own that was acknowledged is there, whatever the table does meanwhile. */
  #checkFill(): undefined {
    if (this.#fillCount === 0) return
    const key = fillKey(this.#setup.client, this.#random.below(this.#fillCount))
    const found = this.#store.get(key)?.toString()
    if (found === key) return
    throw new Error(`${key} was written by this client, and is ${found ?? 'missing'}`)
  }

  #newValue(key: string): string {
    const random = this.#random
    const segmentSizeBytes = this.#setup.options.segmentSizeBytes ?? 2 ** 20
    let size = 40 + (key.charCodeAt(2) % 8) * 24
    if (random.chance(0.3)) size = random.below(300)
    if (random.chance(0.05)) size = random.below(20_000)
    if (random.chance(0.003)) size = segmentSizeBytes / 4 + 1 + random.below(5000)
    return nameOfValue(this.#setup.client, this.operationCount, size)
  }
}

const nothing = (): undefined => undefined
