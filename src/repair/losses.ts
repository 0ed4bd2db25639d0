/** What could not be saved. */
import { defaultKeyspaceId } from '../engine/keyspaces.js'
import { type Problem, Problems } from '../verify/problems.js'
import type { RecordName } from './saved-record.js'

export interface Loss extends Problem {
  /**
   * Of the record, where it can be told. What is damaged says of itself what stands there, which may be
   * damaged too.
   */
  readonly key?: string
  /** Of the key, where it is not the default one. */
  readonly keyspace?: string
}

/** Repair is to name every one; more than these, a list does not help any more. */
const listedMax = 100_000

export class Losses extends Problems {
  readonly #names = new Map<Problem, RecordName>()

  constructor() {
    super(listedMax)
  }

  /** `name`: whose record it is, where that is known. */
  addRecord(file: string, address: number, what: string, name: RecordName | undefined): void {
    const problem = this.add(file, address, what)
    if (problem !== undefined && name !== undefined) this.#names.set(problem, name)
  }

  /** The list, with the names of keyspaces that are known by now. */
  listNamed(keyspaces: ReadonlyMap<number, string>): Loss[] {
    return this.list().map((problem) => {
      const name = this.#names.get(problem)
      if (name === undefined) return problem
      const { key, keyspaceId } = name
      if (keyspaceId === defaultKeyspaceId) return { ...problem, key }
      return { ...problem, key, keyspace: keyspaces.get(keyspaceId) ?? `number ${keyspaceId}` }
    })
  }
}
