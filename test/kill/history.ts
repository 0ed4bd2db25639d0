/**
 * An endless run of changes that depends on nothing but its seed: writer and checker make the same
 * one, each for itself, and a count of acknowledged changes says everything.
 */
import { Random } from '../support/random.js'
import {
  type Change,
  emptyState,
  type Part,
  type State,
  stateAfter,
  type Value,
} from '../support/state.js'

export interface HistoryOptions {
  readonly seed: number
  readonly keyCount: number
  readonly segmentSizeBytes: number
  /** Also batches that no segment can hold. */
  readonly hugeBatches: boolean
}

const spaces = ['', '', '', 'one', 'two']

/** The state after so many changes, and the change that comes next. */
export class History {
  readonly #options: HistoryOptions
  state: State = stateAfter(emptyState, { do: 'make', space: '' })
  count = 0

  constructor(options: HistoryOptions) {
    this.#options = options
  }

  next(): Change {
    const random = new Random(Math.imul(this.#options.seed, 0x9e3779b1) ^ (this.count * 0x85ebca77))
    const roll = random.below(1000)
    if (roll < 15) return { do: 'sync' }
    if (roll < 18) return this.#drop(random)
    const space = random.pick(spaces)
    if (!this.state.has(space)) return { do: 'make', space }
    if (roll < 120) return this.#batch(random)
    return { do: 'set', parts: [this.#part(random, space)] }
  }

  /** The change took place. */
  advance(): void {
    const next = mutable(this.state)
    this.state = applyTo(next, this.next())
    this.count++
  }

  #drop(random: Random): Change {
    const space = random.pick(['one', 'two'])
    return this.state.has(space) ? { do: 'drop', space } : { do: 'make', space }
  }

  #batch(random: Random): Change {
    const { hugeBatches, segmentSizeBytes } = this.#options
    if (hugeBatches && random.chance(0.02)) {
      const size = segmentSizeBytes / 4 - 100
      const parts = Array.from({ length: 5 }, () => ({
        space: '',
        key: this.#key(random),
        value: { size, seed: random.next() },
      }))
      return { do: 'write', parts }
    }
    const parts: Part[] = []
    for (let left = 1 + random.below(6); left > 0; left--) {
      const space = random.pick(spaces)
      if (this.state.has(space)) parts.push(this.#part(random, space))
    }
    return { do: 'write', parts }
  }

  #part(random: Random, space: string): Part {
    const key = this.#key(random)
    if (random.chance(0.2)) return { space, key, value: undefined }
    const former = this.state.get(space)?.get(key)
    const value = { size: this.#size(random, former), seed: random.next() }
    return { space, key, value }
  }

  #key(random: Random): string {
    const number = random.below(this.#options.keyCount)
    return number % 50 === 0 ? `${number}-${'k'.repeat(number % 3000)}` : `key-${number}`
  }

  #size(random: Random, former: Value | undefined): number {
    const { segmentSizeBytes } = this.#options
    // The same size again is an update in place, if the record is young enough.
    if (former !== undefined && former.size < 20_000 && random.chance(0.6)) return former.size
    if (random.chance(0.003)) return segmentSizeBytes / 4 + 1 + random.below(5000)
    if (random.chance(0.01)) return random.below(20_000)
    return random.chance(0.1) ? 0 : random.below(200)
  }
}

type MutableState = Map<string, Map<string, Value>>

function mutable(state: State): MutableState {
  return state as MutableState
}

/** As `stateAfter`, without a copy for every one of many thousand changes. */
function applyTo(state: MutableState, change: Change): MutableState {
  if (change.do === 'set' || change.do === 'write') {
    for (const { space, key, value } of change.parts) {
      const entries = state.get(space) as Map<string, Value>
      if (value === undefined) entries.delete(key)
      else entries.set(key, value)
    }
    return state
  }
  return stateAfter(state, change) as MutableState
}
