/**
 * A store on a simulated disk, and every state that it was in: what may be found after a crash is one of
 * these, not older than what the last completed sync covered.
 */
import { openOn, type SimulatedDisk } from '../../src/testing/index.js'
import type { Random } from '../support/random.js'
import {
  areEqual,
  type BinaryStore,
  type Contents,
  described,
  makeValue,
  nameOf,
  readContents,
  withSpace,
} from './contents.js'

export interface Change {
  readonly space?: string
  readonly key: string
  /** Undefined: the key is deleted. */
  readonly value: Buffer | undefined
}

/** In the background nothing would happen in every run alike. */
export const openOptions = { encoding: 'binary', autoCompact: false } as const

export function openStore(disk: SimulatedDisk): BinaryStore {
  return openOn<Buffer>(disk, openOptions)
}

export class Run {
  disk: SimulatedDisk
  /** Opened by {@link reopen}. */
  store!: BinaryStore
  isOpen = false
  readonly random: Random
  /** In order; the last one is what the store holds, or will when the change at hand is made. */
  states: Contents[]
  /** The state that the last completed sync covered. */
  durable = 0
  /** The state of the last change that returned: what a killed process leaves is not older. */
  acknowledged = 0
  /** Every name that was ever used. */
  readonly universe: Set<string>
  /** Names written since the last sync: an update of them is made in place. */
  young = new Set<string>()
  /** A sync that was begun and not waited for. */
  begun: Promise<void> | undefined
  #seed = 1

  constructor(disk: SimulatedDisk, random: Random, contents: Contents) {
    this.disk = disk
    this.random = random
    this.states = [contents]
    this.universe = new Set(contents.keys())
  }

  get contents(): Contents {
    return this.states[this.states.length - 1]
  }

  /** A value that was never used before. */
  value(sizeBytes: number): Buffer {
    return makeValue(sizeBytes, this.#seed++)
  }

  put(key: string, sizeBytes: number, space: string = ''): void {
    const value = this.value(sizeBytes)
    const keyspace = this.#keyspace(space)
    this.#note([{ space, key, value }])
    keyspace.put(key, value)
  }

  delete(key: string, space: string = ''): void {
    const keyspace = this.#keyspace(space)
    this.#note([{ space, key, value: undefined }])
    keyspace.delete(key)
  }

  write(changes: readonly Change[]): void {
    for (const { space = '' } of changes) this.#keyspace(space)
    this.#note(changes)
    this.store.write(
      changes.map(({ space = '', key, value }) => {
        const place = space === '' ? { key } : { key, keyspace: space }
        return value === undefined ? { type: 'delete', ...place } : { type: 'put', value, ...place }
      }),
    )
  }

  clear(prefix: string): void {
    const names = [...this.contents.keys()].filter((name) => name.startsWith(nameOf('', prefix)))
    this.#note(names.map((name) => ({ key: name.slice(1), value: undefined })))
    this.store.clear({ prefix })
  }

  async sync(): Promise<void> {
    await this.finishSync()
    const covered = this.states.length - 1
    await this.store.sync()
    this.durable = Math.max(this.durable, covered)
    this.young.clear()
  }

  /** A sync of which nothing reaches the disk before {@link finishSync}. */
  beginSync(): void {
    if (this.begun !== undefined) return
    const covered = this.states.length - 1
    const { states } = this
    this.disk.holdsSyncs = true
    this.begun = this.store.sync().then(() => {
      // Where there was nothing to do it may end behind a crash.
      if (this.states === states) this.durable = Math.max(this.durable, covered)
    })
    this.young.clear()
  }

  async finishSync(): Promise<void> {
    if (this.begun === undefined) return
    this.disk.holdsSyncs = false
    this.disk.releaseSyncs()
    await this.begun
    this.begun = undefined
  }

  /** Syncs before it says how far it came. */
  async checkpoint(): Promise<void> {
    await this.finishSync()
    const covered = this.states.length - 1
    await this.store.checkpoint()
    this.durable = Math.max(this.durable, covered)
    this.young.clear()
  }

  /** Changes nothing that is stored. */
  async compact(): Promise<void> {
    await this.finishSync()
    await this.store.compact({ minGarbageRatio: 0.01 })
    // What was moved is not updated in place.
    this.young.clear()
  }

  async close(): Promise<void> {
    await this.finishSync()
    this.isOpen = false
    await this.store.close()
    this.durable = this.states.length - 1
    this.young.clear()
  }

  /** Opens what the disk has now. */
  reopen(): void {
    this.isOpen = false
    this.store = openStore(this.disk)
    this.isOpen = true
  }

  /** All processes are gone; what was written is in the page cache. */
  kill(): void {
    this.#forgetSync()
    this.isOpen = false
    this.disk.killProcesses()
    this.reopen()
  }

  /** The machine crashes, and the store is opened on the next boot. */
  losePower(pick: Parameters<SimulatedDisk['crash']>[0]): void {
    this.#forgetSync()
    const former = this.disk
    const next = former.crash(pick)
    next.faults = former.faults
    former.dispose()
    this.disk = next
    this.reopen()
    const { contents } = readContents(this.store, this.universe)
    const found = this.states.findLastIndex((state) => areEqual(state, contents))
    if (found < this.durable) {
      const what = `found ${found}, covered ${this.durable}: ${described(contents)}`
      throw new Error(`a state that is older than the last sync, or none: ${what}`)
    }
    // An opened store is settled: there is no way back, and none forward.
    this.states = [contents]
    this.durable = 0
    this.acknowledged = 0
    this.young.clear()
  }

  dispose(): void {
    this.#forgetSync()
    this.disk.dispose()
  }

  #forgetSync(): void {
    this.begun?.catch(() => undefined)
    this.begun = undefined
    this.disk.holdsSyncs = false
  }

  #keyspace(space: string): BinaryStore | ReturnType<BinaryStore['keyspace']> {
    if (space === '') return this.store
    if (!this.contents.has(nameOf(space, ''))) {
      this.acknowledged = this.states.length - 1
      this.states.push(withSpace(this.contents, space))
      this.universe.add(nameOf(space, ''))
    }
    return this.store.keyspace<Buffer>(space, { encoding: 'binary', keyEncoding: 'utf8' })
  }

  /** Before it happens: a crash in the middle may leave it done. */
  #note(changes: readonly Change[]): void {
    this.acknowledged = this.states.length - 1
    const next = new Map(this.contents)
    for (const { space = '', key, value } of changes) {
      const name = nameOf(space, key)
      this.universe.add(name)
      if (value === undefined) next.delete(name)
      else next.set(name, value)
      if (changes.length === 1) this.young.add(name)
    }
    this.states.push(next)
  }
}
