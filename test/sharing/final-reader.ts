/** Reads everything that the clients of a run wrote, as one more client. */
import { open, type Store } from '../../src/store/index.js'
import { fillKey, groupKeys, otherPath, registerKey, toldOfBytes, toldOfEntry } from './client.js'
import { combinedPrefixes, movedKey, renamedKey, requireCombined } from './combined-writes.js'
import { type Fill, HistoryWriter } from './history-file.js'
import type { SharedOptions } from './options.js'
import { problemsOfBackup } from './upkeep.js'

export interface FinalSetup {
  readonly path: string
  readonly options: SharedOptions
  readonly file: string
  readonly registers: number
  readonly groups: number
  readonly fills: readonly Fill[]
  readonly prepared: readonly string[]
  /** Directories in which there may be a backup. */
  readonly backups: readonly string[]
  readonly clients: readonly string[]
  /** Tokens that clients were told to be there. */
  readonly tokens: readonly string[]
  /** Keys that clients moved to the other store, and back. */
  readonly moved: readonly string[]
}

export const preparedKey = (index: number): string => `p-${index}`

/** What is wrong beyond what the history says: keys that are gone, counts that do not add up. */
export async function readAll(setup: FinalSetup): Promise<string[]> {
  const { path, options, file, registers, groups, fills, prepared } = setup
  const store = open<Buffer>(path, { ...options, encoding: 'binary' })
  const history = new HistoryWriter(file)
  const problems: string[] = []
  let found = 0
  for (let register = 0; register < registers; register++) {
    const key = registerKey(register)
    const entry = history.run({ kind: 'get', key }, () => store.getEntry(key), toldOfEntry)
    if (entry !== undefined) found++
  }
  for (let group = 0; group < groups; group++) {
    for (const key of groupKeys(group)) {
      const bytes = history.run({ kind: 'get', key }, () => store.get(key), toldOfBytes)
      if (bytes !== undefined) found++
    }
  }
  const checkOwn = (key: string, isAcknowledged: boolean): void => {
    const value = store.get(key)?.toString()
    if (value !== undefined) found++
    if (value === key || (value === undefined && !isAcknowledged)) return
    problems.push(`${key} is ${value ?? 'missing'}`)
  }
  for (const { client, from, to, isAcknowledged } of fills) {
    for (let index = from; index < to; index++) checkOwn(fillKey(client, index), isAcknowledged)
  }
  for (const key of prepared) checkOwn(key, true)
  for (const client of setup.clients) {
    const key = renamedKey(client)
    history.run({ kind: 'get', key }, () => store.get(key), toldOfBytes)
  }
  found += combinedPrefixes.reduce((sum, prefix) => sum + store.count({ prefix }), 0)
  requireCombined(new Map(store.range().toArray()), setup.tokens)
  // Of those who were killed before they had cleared them.
  found += store.count({ prefix: 'x-' })
  for (const [key, value] of store.range({ prefix: 'w-' })) {
    found++
    if (value.some((byte) => byte !== value[0])) problems.push(`${key} is of two writes`)
  }
  found += store.count({ prefix: movedKey('') })
  problems.push(...(await problemsOfMoved(setup, store)))
  const keys = store.keys().toArray()
  if (keys.length !== found) problems.push(`there are ${keys.length} keys in order, not ${found}`)
  const unordered = keys.findIndex((key, index) => index > 0 && keys[index - 1] >= key)
  if (unordered !== -1) problems.push(`${keys[unordered]} is not in order`)
  if (store.count() !== found) problems.push(`count() is ${store.count()}, but ${found} were found`)
  const { records } = store.stats()
  if (records !== found) problems.push(`stats().records is ${records}, but ${found} were found`)
  history.close()
  const { problems: unverified } = await store.verify()
  problems.push(...unverified.map((problem) => `verify finds ${JSON.stringify(problem)}`))
  await store.close()
  for (const backup of setup.backups) problems.push(...(await problemsOfBackup(backup, groups)))
  return problems
}

/** A key that is moved to and fro is in one of two stores; in both where its client was killed. */
async function problemsOfMoved(
  { moved, options, path }: FinalSetup,
  store: Store<Buffer>,
): Promise<string[]> {
  if (moved.length === 0) return []
  await using other = open<Buffer>(otherPath(path), { ...options, encoding: 'binary' })
  return moved.flatMap((key) =>
    store.has(key) || other.has(key) ? [] : [`${key} was moved, and is in neither store`],
  )
}
