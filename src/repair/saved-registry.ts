/**
 * The registry of keyspaces, as far as records of it were saved. Keyspaces that none of them knows get
 * names, so that what was saved of them can be read, as bytes.
 */
import {
  defaultKeyspaceId,
  defaultKeyspaceName,
  type KeyspaceEntry,
  type KeyspaceRegistry,
  parseRegistry,
  registryKey,
} from '../engine/keyspaces.js'
import { sequenceDouble, systemKeyspaceId, typePut } from '../format/record.js'
import {
  recordKeyspace,
  recordType,
  recordValueOffset,
  recordValueSize,
} from '../log/record-fields.js'
import { keyBytes, type SavedRecord } from './saved-record.js'

export class SavedRegistry {
  #newest: { readonly sequence: number; readonly text: string } | undefined
  /** Of all keyspaces that records were saved of. */
  readonly #ids = new Set<number>()

  note({ doubles, words }: SavedRecord): void {
    const keyspaceId = recordKeyspace(words, 0)
    if (keyspaceId !== systemKeyspaceId) {
      this.#ids.add(keyspaceId)
      return
    }
    const sequence = doubles[sequenceDouble]
    if (recordType(words, 0) !== typePut || sequence < (this.#newest?.sequence ?? 0)) return
    if (keyBytes(words, 0).toString('utf8') !== registryKey) return
    const valueStart = recordValueOffset(words, 0)
    const text = Buffer.from(words.buffer).toString(
      'utf8',
      valueStart,
      valueStart + recordValueSize(words, 0),
    )
    this.#newest = { sequence, text }
  }

  /** Names by id. */
  names(): Map<number, string> {
    const { keyspaces } = parseRegistry(this.#newest?.text)
    return new Map(Object.entries(keyspaces).map(([name, { id }]) => [id, name]))
  }

  /**
   * Gives names to keyspaces that have none. Returns how many, and the registry that has them. The
   * default one needs no name: whoever opens it says its encodings.
   */
  nameLost(): { readonly count: number; readonly isDefaultLost: boolean; readonly text: string } {
    const registry: KeyspaceRegistry = parseRegistry(this.#newest?.text)
    // An id below `nextId` without a name is that of a keyspace that was dropped.
    const lost = [...this.#ids].filter((id) => id !== defaultKeyspaceId && id >= registry.nextId)
    const keyspaces: Record<string, KeyspaceEntry> = Object.assign(
      Object.create(null),
      registry.keyspaces,
    )
    for (const id of lost) {
      let name = `salvaged-${id}`
      while (keyspaces[name] !== undefined) name += '-'
      keyspaces[name] = { id, encoding: 'binary', keyEncoding: 'binary' }
    }
    const nextId = Math.max(registry.nextId, ...lost.map((id) => id + 1))
    return {
      count: lost.length,
      isDefaultLost:
        this.#ids.has(defaultKeyspaceId) && keyspaces[defaultKeyspaceName] === undefined,
      text: JSON.stringify({ ...registry, nextId, keyspaces }),
    }
  }
}
