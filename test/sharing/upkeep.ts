/**
 * What a client does for the store as a whole while others write and die: checkpoints, compactions,
 * verifications, and backups, each of which is opened, verified, and held against what the client knows to
 * be in it. Half of the time it goes on meanwhile, so that a kill finds it in the middle.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { open, type Store } from '../../src/store/index.js'
import type { Random } from '../support/random.js'
import { fillKey, groupKeys } from './client.js'

type BinaryStore = Store<Buffer>

export interface UpkeepSetup {
  readonly path: string
  readonly client: string
  readonly groups: number
}

/** Where a client's backups go, one after the other. */
export const backupOf = (path: string, client: string): string => `${path}-backup-${client}`

export class Upkeep {
  readonly #setup: UpkeepSetup
  readonly #random: Random
  #isBackupUnderWay = false

  constructor(setup: UpkeepSetup, random: Random) {
    this.#setup = setup
    this.#random = random
  }

  /** One of them. `fills`: of the client's own keys, how many there are. */
  step(store: BinaryStore, fills: number): Promise<void> {
    const roll = this.#random.below(5)
    if (roll < 2) return this.#checkpoint(store)
    if (roll === 2) return this.#compact(store)
    if (roll === 3) return requireVerified(store, 'the store')
    return this.#backup(store, fills)
  }

  async #checkpoint(store: BinaryStore): Promise<void> {
    const { address } = await store.checkpoint()
    const newest = store.checkpoints().at(-1)
    // Another's may be newer, or have pruned it.
    if (newest === undefined || newest.address < address) {
      throw new Error(`the checkpoint at ${address} was made, and ${newest?.address} is the newest`)
    }
  }

  async #compact(store: BinaryStore): Promise<void> {
    await store.compact({ minGarbageRatio: 0.05 })
  }

  async #backup(store: BinaryStore, fills: number): Promise<void> {
    if (this.#isBackupUnderWay) return
    this.#isBackupUnderWay = true
    const { client, groups, path } = this.#setup
    await store.backup(backupOf(path, client))
    const problems = await problemsOfBackup(backupOf(path, client), groups)
    if (problems.length > 0) throw new Error(problems.join('; '))
    await using backup = open<Buffer>(backupOf(path, client), {
      encoding: 'binary',
      readOnly: true,
    })
    for (let index = 0; index < fills; index++) {
      const key = fillKey(client, index)
      if (backup.get(key)?.toString() !== key) throw new Error(`${key} is not in the backup`)
    }
    this.#isBackupUnderWay = false
  }
}

export const hasBackup = (directory: string): boolean => existsSync(join(directory, 'superblock'))

/** What is wrong with a backup. One that was killed before its end is none, or the one before. */
export async function problemsOfBackup(directory: string, groups: number): Promise<string[]> {
  if (!hasBackup(directory)) return []
  await using backup = open<Buffer>(directory, { encoding: 'binary', readOnly: true })
  await requireVerified(backup, directory)
  return Array.from({ length: groups }, (_, group) => groupKeys(group)).flatMap((keys) => {
    const values = new Set(keys.map((key) => backup.get(key)?.toString('latin1')))
    return values.size === 1 ? [] : [`${keys.join()} are of several batches in ${directory}`]
  })
}

async function requireVerified(store: BinaryStore, what: string): Promise<void> {
  const { problems } = await store.verify()
  if (problems.length > 0) throw new Error(`verify of ${what}: ${JSON.stringify(problems[0])}`)
}
