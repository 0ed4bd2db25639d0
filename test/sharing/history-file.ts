/**
 * The history of one client, in a file of its own: a line before every operation and one behind it,
 * written at once, so that whatever kills the client leaves what it had been told.
 */
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs'
import type { Condition, Get, Operation } from './linearizability.js'

/** What is written before an operation. */
export type Intent =
  | { readonly kind: 'get'; readonly key: string }
  | {
      readonly kind: 'put'
      readonly key: string
      readonly value: string
      readonly condition?: Condition
    }
  | { readonly kind: 'delete'; readonly key: string; readonly condition?: Condition }
  /** One value, or none, for all keys. */
  | { readonly kind: 'batch'; readonly keys: readonly string[]; readonly value: string | undefined }
  /** Keys of the client's own that are written once and never changed. */
  | { readonly kind: 'fill'; readonly from: number; readonly to: number }
  /** All of these keys at one moment. */
  | { readonly kind: 'look'; readonly keys: readonly string[] }
  /** Each of these keys is deleted at a moment of its own. */
  | { readonly kind: 'clear'; readonly keys: readonly string[] }
  /** All of these keys are read, and each gets its own value, or none, at one moment. */
  | {
      readonly kind: 'transaction'
      readonly keys: readonly string[]
      readonly values: readonly (string | null)[]
    }
  /** What the client has under `from` goes to `to`, as one change; `removes` it from there. */
  | {
      readonly kind: 'transfer'
      readonly from: string
      readonly to: string
      readonly value: string
      readonly condition?: Condition
      readonly removes: boolean
    }
  /** A token comes to the store, or a key that goes to another one and back: see combined-writes.ts. */
  | { readonly kind: 'token'; readonly token: string }
  | { readonly kind: 'moved'; readonly key: string }

/** What a read was told: null for a missing key; version and sequence where it asked for them. */
export type Told = readonly [value: string, version?: number, sequence?: number] | null

/** What was seen of the keys of a look, in order; of a snapshot, with its sequence. */
export interface Seen {
  readonly sequence: number | undefined
  readonly found: readonly Told[]
}

export type Answer = Told | Seen | boolean | undefined

/** An operation that is over; what it was told is still to come. */
export interface Begun {
  answer(answer: Answer): void
}

export class HistoryWriter {
  readonly #fd: number
  #count = 0

  constructor(file: string) {
    this.#fd = openSync(file, 'a')
  }

  /** Runs an operation, and keeps when and what it was told. */
  run<T>(intent: Intent, action: () => T, answerOf: (result: T) => Answer): T {
    const { begun, result } = this.begin(intent, action)
    begun.answer(answerOf(result))
    return result
  }

  /** The same, where what it was told is found out later. */
  begin<T>(intent: Intent, action: () => T): { readonly begun: Begun; readonly result: T } {
    const id = this.#count++
    this.#write(['i', id, String(process.hrtime.bigint()), intent])
    const invokedAt = process.hrtime.bigint()
    const result = action()
    const respondedAt = process.hrtime.bigint()
    const answer = (told: Answer): void => {
      this.#write(['r', id, String(invokedAt), String(respondedAt), told])
    }
    return { begun: { answer }, result }
  }

  /** As {@link run}, of what is done when it resolves. */
  async runAsync<T>(
    intent: Intent,
    action: () => Promise<T>,
    answerOf: (result: T) => Answer,
  ): Promise<void> {
    const id = this.#count++
    this.#write(['i', id, String(process.hrtime.bigint()), intent])
    const invokedAt = process.hrtime.bigint()
    const result = await action()
    const respondedAt = process.hrtime.bigint()
    this.#write(['r', id, String(invokedAt), String(respondedAt), answerOf(result)])
  }

  close(): void {
    closeSync(this.#fd)
  }

  #write(line: readonly unknown[]): void {
    writeSync(this.#fd, `${JSON.stringify(line)}\n`)
  }
}

export interface Fill {
  readonly client: string
  readonly from: number
  readonly to: number
  readonly isAcknowledged: boolean
}

/** A snapshot that was read. */
export interface Look {
  readonly client: string
  /** When it was made. */
  readonly invokedAtNs: number
  readonly respondedAtNs: number
  readonly sequence: number
  readonly keys: readonly string[]
  readonly found: readonly Told[]
}

export interface History {
  readonly operations: Operation[]
  readonly fills: Fill[]
  readonly looks: Look[]
  /** Of which the store is known to have them. */
  readonly tokens: string[]
  readonly moved: string[]
  /** Of values that were read with their entry. */
  readonly sequences: Map<string, number>
  readonly problems: string[]
}

export function emptyHistory(): History {
  return {
    ...{ operations: [], fills: [], looks: [], tokens: [], moved: [] },
    ...{ sequences: new Map(), problems: [] },
  }
}

type Line = readonly ['i', number, string, Intent] | readonly ['r', number, string, string, Answer]

interface Entry {
  readonly intent: Intent
  invokedAtNs: number
  respondedAtNs: number
  answer: Answer
}

/** Adds the history in `file` to `history`; times count from `originNs`. */
export function readHistory(
  history: History,
  file: string,
  client: string,
  originNs: bigint,
): void {
  const entries = new Map<number, Entry>()
  const sinceOrigin = (time: string): number => Number(BigInt(time) - originNs)
  const lines = readFileSync(file, 'utf8').split('\n')
  // The last one has no end where the client died in the middle of it, and is empty elsewhere.
  for (const text of lines.slice(0, -1)) {
    const line = JSON.parse(text) as Line
    if (line[0] === 'i') {
      const [, id, time, intent] = line
      const invokedAtNs = sinceOrigin(time)
      entries.set(id, {
        intent,
        invokedAtNs,
        respondedAtNs: Number.POSITIVE_INFINITY,
        answer: undefined,
      })
    } else {
      const [, id, invokedAt, respondedAt, answer] = line
      const entry = entries.get(id) as Entry
      entry.invokedAtNs = sinceOrigin(invokedAt)
      entry.respondedAtNs = sinceOrigin(respondedAt)
      entry.answer = answer
    }
  }
  for (const [id, entry] of entries) addEntry(history, entry, client, `${client}:${id}`)
}

function addEntry(history: History, entry: Entry, client: string, batch: string): void {
  const { intent, invokedAtNs, respondedAtNs, answer } = entry
  const timed = { client, invokedAtNs, respondedAtNs }
  if (intent.kind === 'fill') {
    const isAcknowledged = respondedAtNs !== Number.POSITIVE_INFINITY
    history.fills.push({ client, from: intent.from, to: intent.to, isAcknowledged })
  } else if (intent.kind === 'batch') {
    const facts = { ...timed, condition: undefined, done: undefined, batch }
    const { keys, value } = intent
    for (const key of keys) {
      history.operations.push(
        value === undefined
          ? { ...facts, key, kind: 'delete' }
          : { ...facts, key, kind: 'put', value },
      )
    }
  } else if (intent.kind === 'clear') {
    const facts = { ...timed, condition: undefined, done: undefined, batch }
    for (const key of intent.keys) history.operations.push({ ...facts, key, kind: 'delete' })
  } else if (intent.kind === 'look') {
    if (answer === undefined) return
    const { found, sequence } = answer as Seen
    intent.keys.forEach((key, index) => {
      addGet(history, { ...timed, key }, found[index])
    })
    if (sequence !== undefined) history.looks.push({ ...timed, sequence, keys: intent.keys, found })
  } else if (intent.kind === 'transaction') {
    addTransaction(history, intent, timed, answer as Seen | undefined, batch)
  } else if (intent.kind === 'transfer') {
    addTransfer(history, intent, timed, answer as boolean | undefined, batch)
  } else if (intent.kind === 'token' || intent.kind === 'moved') {
    if (respondedAtNs === Number.POSITIVE_INFINITY) return
    if (intent.kind === 'token') history.tokens.push(intent.token)
    else history.moved.push(intent.key)
  } else if (intent.kind === 'get') {
    addGet(history, { ...timed, key: intent.key }, (answer ?? null) as Told)
  } else {
    const facts = { ...timed, condition: intent.condition, batch: undefined }
    const done = answer as boolean | undefined
    history.operations.push({ ...facts, ...intent, condition: intent.condition, done })
  }
}

type TimedClient = Omit<Get, 'kind' | 'found' | 'key'>

/** What it read it found where it wrote: each of its writes is one on condition that that was there. */
function addTransaction(
  history: History,
  { keys, values }: Extract<Intent, { kind: 'transaction' }>,
  timed: TimedClient,
  seen: Seen | undefined,
  batch: string,
): void {
  keys.forEach((key, index) => {
    const value = values[index]
    const told = seen?.found[index]
    if (told !== undefined) addGet(history, { ...timed, key }, told)
    // Nothing was there to be deleted.
    if (value === null && told === null) return
    const condition: Condition = told === null ? 'absent' : told?.[1]
    const facts = { ...timed, key, condition, done: seen && true, batch }
    history.operations.push(
      value === null ? { ...facts, kind: 'delete' } : { ...facts, kind: 'put', value },
    )
  })
}

function addTransfer(
  history: History,
  { condition, from, removes, to, value }: Extract<Intent, { kind: 'transfer' }>,
  timed: TimedClient,
  done: boolean | undefined,
  batch: string,
): void {
  history.operations.push({ ...timed, key: to, kind: 'put', value, condition, done, batch })
  if (!removes || done === false) return
  history.operations.push({
    ...{ ...timed, key: from, kind: 'delete' },
    ...{ condition: undefined, done, batch },
  })
}

function addGet(history: History, timed: Omit<Get, 'kind' | 'found'>, told: Told): void {
  const found = told === null ? undefined : { value: told[0], version: told[1] }
  history.operations.push({ ...timed, kind: 'get', found })
  if (told !== null) addSequence(history, told)
}

function addSequence(
  { sequences, problems }: History,
  [value, , sequence]: NonNullable<Told>,
): void {
  if (sequence === undefined) return
  const known = sequences.get(value)
  if (known !== undefined && known !== sequence) {
    problems.push(`${value} was seen with sequences ${known} and ${sequence}`)
  }
  sequences.set(value, sequence)
}
