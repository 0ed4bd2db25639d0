/**
 * What all parts of a verification share: the store at the moment when it began, and what was found.
 *
 * Others go on writing. The moment is a snapshot: no record below the tail of then is updated in place
 * any more, every record that was live then can be reached, and the counts were read with the
 * writer's word in hand. What lies in shared memory and changes, the indexes, is looked at without a
 * lock; what looks wrong there is looked at again with the writer's word, and only then believed.
 *
 * One that may not write among others that do cannot pin anything: it verifies files and records, and
 * leaves out what it could not tell from a change.
 */
import { StoreError } from '../base/errors.js'
import type { Engine } from '../engine/engine.js'
import { enter, leave } from '../engine/exclusive.js'
import { holdLog } from '../engine/hold.js'
import { defaultKeyspaceId, defaultKeyspaceName, readRegistry } from '../engine/keyspaces.js'
import { closeSnapshot, openSnapshot } from '../engine/snapshot.js'
import * as layout from '../format/control-layout.js'
import { systemKeyspaceId } from '../format/record.js'
import { Problems } from './problems.js'

export interface KeyspaceTally {
  readonly id: number
  readonly name: string
  /** As the store counts them, and as they were found. */
  readonly counted: Tally
  readonly found: Tally
}

export interface Tally {
  records: number
  keyBytes: number
  valueBytes: number
}

export class Verification {
  readonly engine: Engine
  readonly problems: Problems = new Problems()
  /** Of what was then: see `format/control-layout.ts`. */
  state: Float64Array = new Float64Array(0)
  /** The snapshot; without one, what is newest counts. */
  sequence: number = Number.POSITIVE_INFINITY
  /** Keyspaces that had a name then, by id. */
  readonly keyspaces: Map<number, KeyspaceTally> = new Map()
  /** True where entries of a dropped keyspace were left, which are swept out. */
  hasOrphans = false
  /** Nothing that was live then can become unreachable. */
  readonly isPinned: boolean
  /** Damaged records: what is missing elsewhere because of them is not said twice. */
  hasDamagedLog = false
  /** False where a lookup could be led out of memory: none is made then. */
  isIndexUsable = true
  /** Bytes that are read and that there are to be read. */
  bytes = 0
  totalBytes = 0
  foundLiveBytes = 0
  readonly #release: () => void

  constructor(engine: Engine) {
    this.engine = engine
    const isPrivate = engine.log.access === 'private'
    this.isPinned = !isPrivate || engine.isCopy
    // Before anything is read: from here on no file goes, and no record moves.
    this.#release = holdLog(engine)
    if (isPrivate) this.#capture()
    else this.sequence = openSnapshot(engine, () => this.#capture())
    this.#nameKeyspaces()
  }

  close(): void {
    this.#release()
    if (this.engine.log.access !== 'private') closeSnapshot(this.engine, this.sequence)
  }

  /** Runs `look` while nobody writes. */
  exclusively<T>(look: () => T): T {
    if (this.engine.log.access === 'private') return look()
    enter(this.engine)
    try {
      return look()
    } finally {
      leave(this.engine)
    }
  }

  /** True where what was counted then can be held against what is found now. */
  isComparable(): boolean {
    if (this.isPinned) return true
    // Memory cannot have changed under those who looked at it.
    const state = this.engine.control.readState()
    return [layout.sequence, layout.movedRecords].every(
      (field) => state[field] === this.state[field],
    )
  }

  readonly #counts: Tally[] = []

  #capture(): void {
    const { control, counts } = this.engine
    this.state = control.readState()
    const idEnd = this.#idEnd()
    for (let id = 0; id < idEnd; id++) {
      this.#counts.push({
        records: counts.get(id, 0),
        keyBytes: counts.get(id, 1),
        valueBytes: counts.get(id, 2),
      })
    }
  }

  /** The state's own is raised by recoveries only. */
  #idEnd(): number {
    const { counts } = this.engine
    return Math.min(counts.region.reservedSoFar(), 65_536)
  }

  /** A keyspace that is made or dropped a moment later does not matter: {@link dropUnnamed}. */
  #nameKeyspaces(): void {
    const named = this.#readNames()
    named.set(systemKeyspaceId, 'of the system')
    this.#counts.forEach((counted, id) => {
      const name = named.get(id)
      if (name === undefined) {
        if (counted.records > 0) this.hasOrphans = true
        return
      }
      const found = { records: 0, keyBytes: 0, valueBytes: 0 }
      this.keyspaces.set(id, { id, name, counted, found })
    })
  }

  /** Keyspaces that were dropped meanwhile: their entries go whatever snapshots there are. */
  dropUnnamed(): void {
    const named = this.#readNames()
    for (const id of this.keyspaces.keys()) {
      if (id === systemKeyspaceId || named.has(id)) continue
      this.keyspaces.delete(id)
      this.hasOrphans = true
    }
  }

  /** Names by id. Where they cannot be read their record is damaged, which the log will show. */
  #readNames(): Map<number, string> {
    try {
      const { keyspaces } = readRegistry(this.engine)
      // The default one is there also where nothing is registered of it.
      const named = new Map([[defaultKeyspaceId, defaultKeyspaceName]])
      for (const [name, { id }] of Object.entries(keyspaces)) named.set(id, name)
      return named
    } catch (error) {
      if (!(error instanceof SyntaxError || error instanceof StoreError)) throw error
      this.hasDamagedLog = true
      return new Map()
    }
  }
}
