/**
 * What a client does to several keys at one moment: transactions, renames, copies and moves.
 *
 * Keys beside those of client.ts: `a-n` are accounts, between which transactions move amounts, so that they
 * always add up to nothing. `t-n` are places of tokens: each client brings one, all rename whatever is there
 * to places that are free, so that every state of the store has each token once. `m-client` and `n-client`
 * are the client's own: what it puts there is renamed, or copied, to a register. In `other`, a second store,
 * the client moves its own key to and fro.
 */
import type { Store, StoreEntry, Transaction } from '../../src/store/index.js'
import type { Random } from '../support/random.js'
import { groupKeys, registerKey } from './client.js'
import type { HistoryWriter, Told } from './history-file.js'
import { bytesOfValue, nameOfBytes } from './values.js'

type BinaryStore = Store<Buffer>

export interface CombinedSetup {
  readonly client: string
  readonly registers: number
  readonly groups: number
}

export const accountKeys: readonly string[] = ['a-0', 'a-1', 'a-2', 'a-3']
/** More than there are ever clients. */
const tokenPlaces: readonly string[] = Array.from({ length: 16 }, (_, place) => `t-${place}`)
/** Those with which all others' begin. */
export const combinedPrefixes = ['a-', 't-', 'm-', 'n-'] as const
export const renamedKey = (client: string): string => `m-${client}`
const copiedKey = (client: string): string => `n-${client}`
export const movedKey = (client: string): string => `o-${client}`

/** Thrown by what is given to a transaction, or read from, to be told from every other error. */
export class Intended extends Error {}

export class CombinedWrites {
  readonly #setup: CombinedSetup
  readonly #random: Random
  readonly #history: HistoryWriter
  readonly #newValue: (key: string) => string
  #hasToken = false
  #movedTo: 'store' | 'other' | undefined

  constructor(
    setup: CombinedSetup,
    random: Random,
    history: HistoryWriter,
    newValue: (key: string) => string,
  ) {
    this.#setup = setup
    this.#random = random
    this.#history = history
    this.#newValue = newValue
  }

  /** Tokens that this client knows to be there. */
  get tokens(): readonly string[] {
    return this.#hasToken ? [this.#setup.client] : []
  }

  step(store: BinaryStore, other: BinaryStore | undefined): void {
    const roll = this.#random.below(100)
    if (roll < 40) this.#transact(store)
    else if (roll < 60) this.#moveAmount(store)
    else if (roll < 75) this.#moveToken(store)
    else if (roll < 87) this.#transfer(store, true)
    else if (roll < 95 || other === undefined) this.#transfer(store, false)
    else this.#moveBetween(store, other)
  }

  /** A group, some registers, or both, read and written; or nothing of it. */
  #transact(store: BinaryStore): void {
    const random = this.#random
    const isOfGroup = random.chance(0.6)
    const keys = isOfGroup ? groupKeys(random.below(this.#setup.groups)) : []
    const groupCount = keys.length
    if (!isOfGroup || random.chance(0.5)) {
      const first = random.below(this.#setup.registers)
      const last = Math.min(this.#setup.registers, first + 1 + random.below(3))
      for (let register = first; register < last; register++) keys.push(registerKey(register))
    }
    const ofGroup = random.chance(0.15) ? null : this.#newValue('g-0')
    const values = keys.map((key, index): string | null => {
      if (index < groupCount) return ofGroup
      return random.chance(0.2) ? null : `${key}.${this.#newValue(key)}`
    })
    const found: Told[] = []
    const answer = () => ({ sequence: undefined, found })
    const write = (tx: Transaction<Buffer>): void => {
      keys.forEach((key, index) => {
        found.push(toldBy(key, tx.getEntry(key)))
        writeAndRead(tx, key, values[index])
      })
      const names = new Set(found.slice(0, groupCount).map((told) => told?.[0]))
      if (names.size > 1)
        throw new Error(`a transaction saw a group as ${[...names].join(' and ')}`)
    }
    if (random.chance(0.75)) {
      const run = (): void => store.transaction(write)
      this.#history.run({ kind: 'transaction', keys, values }, run, answer)
      return
    }
    // What it wrote is from nowhere, if anybody ever sees it.
    const run = (): void =>
      failAsIntended((intended) => {
        store.transaction((tx) => {
          write(tx)
          throw intended
        })
      })
    this.#history.run({ kind: 'look', keys }, run, answer)
  }

  #moveAmount(store: BinaryStore): void {
    const random = this.#random
    const from = random.pick(accountKeys)
    const to = random.pick(accountKeys)
    const amount = random.below(100)
    const isFailing = random.chance(0.2)
    const change = (tx: Transaction<Buffer>, key: string, by: number): void => {
      const sum = amountOf(tx.get(key)) + by
      if (sum === 0) tx.delete(key)
      else tx.put(key, Buffer.from(String(sum)))
    }
    const move = (intended: Error | undefined): void =>
      store.transaction((tx) => {
        change(tx, from, -amount)
        change(tx, to, amount)
        requireNoSum(accountKeys.map((key) => tx.get(key)))
        if (intended !== undefined) throw intended
      })
    if (isFailing) failAsIntended(move)
    else move(undefined)
  }

  #moveToken(store: BinaryStore): void {
    if (!this.#hasToken) {
      this.#bringToken(store)
      return
    }
    const from = this.#random.pick(tokenPlaces)
    const to = this.#random.pick(tokenPlaces)
    if (this.#random.chance(0.5)) store.rename(from, to, { ifAbsent: true })
    else store.move(from, store, to, { ifAbsent: true })
  }

  #bringToken(store: BinaryStore): void {
    const token = this.#setup.client
    const start = this.#random.below(tokenPlaces.length)
    const bring = (): void => {
      for (let place = start; ; place++) {
        const key = tokenPlaces[place % tokenPlaces.length]
        if (store.put(key, Buffer.from(token), { ifAbsent: true })) return
      }
    }
    this.#history.run({ kind: 'token', token }, bring, () => undefined)
    this.#hasToken = true
  }

  /** To a register, over what is there or only where nothing is. */
  #transfer(store: BinaryStore, removes: boolean): void {
    const { client, registers } = this.#setup
    const from = removes ? renamedKey(client) : copiedKey(client)
    const to = registerKey(this.#random.below(registers))
    const value = this.#newValue(from)
    const put = (): boolean => store.put(from, bytesOfValue(value))
    this.#history.run({ kind: 'put', key: from, value }, put, (done) => done)
    const ifAbsent = this.#random.chance(0.3)
    const condition = ifAbsent ? { condition: 'absent' as const } : {}
    const done = this.#history.run(
      { kind: 'transfer', from, to, value, removes, ...condition },
      () => {
        if (!removes) return store.copy(from, store, to, { ifAbsent })
        return store.rename(from, to, { ifAbsent })
      },
      (isDone) => isDone,
    )
    if (!done && !ifAbsent) throw new Error(`${from} was there, and did not go to ${to}`)
    const read = (): Buffer | undefined => store.get(from)
    this.#history.run({ kind: 'get', key: from }, read, (bytes) =>
      bytes === undefined ? null : [nameOfBytes(bytes)],
    )
  }

  /** Nobody else has this key: it is in the one store, or in the other. */
  #moveBetween(store: BinaryStore, other: BinaryStore): void {
    const key = movedKey(this.#setup.client)
    const value = bytesOfValue(`${key}.1.${key.length + 20}`)
    if (this.#movedTo === undefined) {
      const put = (): boolean => store.put(key, value)
      this.#history.run({ kind: 'moved', key }, put, () => undefined)
    }
    const [from, to] = this.#movedTo === 'other' ? [other, store] : [store, other]
    if (!from.move(key, to)) throw new Error(`${key} was there, and was not moved`)
    this.#movedTo = this.#movedTo === 'other' ? 'store' : 'other'
    if (from.has(key)) throw new Error(`${key} was moved, and is there`)
    if (to.get(key)?.equals(value) !== true) throw new Error(`${key} was moved, and did not come`)
  }
}

/** Groups have one value, and each of their keys a sequence of its own. */
function toldBy(key: string, entry: StoreEntry<Buffer, string> | undefined): Told {
  if (entry === undefined) return null
  const { sequence, value, version } = entry
  const name = nameOfBytes(value)
  return key.startsWith('g-') ? [name, version] : [name, version, sequence]
}

function writeAndRead(tx: Transaction<Buffer>, key: string, value: string | null): void {
  if (value === null) tx.delete(key)
  else tx.put(key, bytesOfValue(value))
  const bytes = tx.get(key)
  const name = bytes === undefined ? null : nameOfBytes(bytes)
  if (name === value && tx.has(key) === (value !== null)) return
  throw new Error(`a transaction wrote ${value} to ${key}, and read ${name}`)
}

/** Runs what throws the error that it is given, and nothing else. */
function failAsIntended(action: (intended: Error) => void): void {
  const intended = new Intended()
  try {
    action(intended)
  } catch (error) {
    if (error === intended) return
    throw error
  }
  throw new Error('a transaction returned, whose function threw')
}

const amountOf = (bytes: Buffer | undefined): number =>
  bytes === undefined ? 0 : Number(bytes.toString())

function requireNoSum(values: readonly (Buffer | undefined)[]): void {
  const sum = values.reduce((before, bytes) => before + amountOf(bytes), 0)
  if (sum !== 0) throw new Error(`the accounts add up to ${sum}`)
}

/**
 * What is so of these keys in every state of a store; throws where it is not. `tokens` must be there, and may
 * be among others.
 */
export function requireCombined(
  byKey: ReadonlyMap<string, Buffer>,
  tokens: readonly string[],
): void {
  requireNoSum(accountKeys.map((key) => byKey.get(key)))
  const found = tokenPlaces.flatMap((key) => byKey.get(key)?.toString() ?? [])
  if (new Set(found).size !== found.length) throw new Error(`tokens ${found.join()} are there`)
  const lost = tokens.find((token) => !found.includes(token))
  if (lost !== undefined) throw new Error(`token ${lost} is lost, ${found.join()} are there`)
  const registers = new Map<string, string>()
  for (const [key, value] of byKey) {
    if (key.startsWith('r-')) registers.set(nameOfBytes(value), key)
  }
  for (const [key, value] of byKey) {
    const register = key.startsWith('m-') ? registers.get(nameOfBytes(value)) : undefined
    if (register !== undefined) throw new Error(`${key} was renamed to ${register}, and is there`)
  }
}
