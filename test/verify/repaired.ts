/** Repairing a damaged store in a test, and what is damaged there. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type SalvageReport, salvage } from '../../src/repair/salvage.js'
import { open, type Store } from '../../src/store/index.js'
import { contentsOf, overwrite, temporaryDirectory } from '../support/directory.js'
import type { Ending } from '../support/ending.js'
import { engineOf } from '../support/engine-of.js'

const segmentSizeBytes = 2 ** 20
export const options = { encoding: 'binary', segmentSizeBytes, syncIntervalMs: 0 } as const

export interface Repaired {
  readonly report: SalvageReport
  readonly directory: string
}

/** Repairs, and sees to it that the damaged store stays as it was. */
export async function repair(t: Ending, damaged: string): Promise<Repaired> {
  const directory = join(temporaryDirectory(t), 'repaired')
  const before = contentsOf(damaged)
  const report = await salvage(damaged, directory)
  assert.deepEqual(contentsOf(damaged), before, 'the damaged store is not changed')
  const store = open<Buffer>(directory, { createIfMissing: false })
  assert.deepEqual((await store.verify()).problems, [])
  await store.close()
  return { report, directory }
}

export async function openRepaired(t: Ending, damaged: string) {
  const { report, directory } = await repair(t, damaged)
  return { report, store: open<Buffer>(directory, { encoding: 'binary' }) }
}

export function flip(path: string, at: number): void {
  overwrite(path, at, Uint8Array.of(readFileSync(path)[at] ^ 8))
}

/** Keys of several segments; the last file of which is the tail. */
export async function filled(t: Ending): Promise<Store<Buffer>> {
  const store = open<Buffer>(join(temporaryDirectory(t), 'store'), options)
  store.keyspace<Buffer>('users', { encoding: 'binary' }).put('user', Buffer.from('1'))
  for (let index = 0; index < 3000; index++) store.put(`key ${index}`, Buffer.alloc(1000, index))
  store.put('large', Buffer.alloc(2 ** 18 + 1, 7))
  return store
}

/** Where the record of a key lies: its file and byte. */
export function placeOf(store: Store<Buffer>, key: string): { path: string; at: number } {
  assert.ok(store.has(key))
  const { log, lookup } = engineOf(store)
  const number = Math.floor(log.starts[lookup.slot] / log.segmentWords)
  const path = join(store.path, `segment-${String(number).padStart(16, '0')}`)
  return { path, at: lookup.offset * 8 }
}
