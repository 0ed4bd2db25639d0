/** Small closed stores to be damaged, what they hold, and what opening a damaged one comes to. */
import { join } from 'node:path'
import { abandon } from '../../src/engine/close.js'
import { open, type StoreOptions } from '../../src/store/index.js'
import { copyStore, temporaryDirectory } from '../support/directory.js'
import type { Ending } from '../support/ending.js'
import { engineOf } from '../support/engine-of.js'
import {
  applyChange,
  type BinaryStore,
  type Change,
  differenceOf,
  emptyState,
  type Part,
  type State,
  stateAfter,
} from '../support/state.js'
import { isDamageError } from '../support/store-error.js'

export const segmentSizeBytes = 2 ** 20
export const largeSizeBytes = segmentSizeBytes / 4 + 1

export interface Fixture {
  /** Closed properly; a copy, so that it is a store of another boot. */
  readonly directory: string
  readonly state: State
  readonly mapping: 'mmap' | 'file'
}

const part = (key: string, size: number, seed: number, space = ''): Part => ({
  space,
  key,
  value: { size, seed },
})
const put = (key: string, size: number, seed: number, space = ''): Change => ({
  do: 'set',
  parts: [part(key, size, seed, space)],
})

const first: readonly Change[] = [
  put('a', 20, 1),
  put('empty', 0, 2),
  put('b', 90, 3),
  { do: 'make', space: 'one' },
  put('a', 33, 4, 'one'),
  { do: 'sync' },
  put('b', 90, 5),
  put('c', 64, 6),
  put('c', 40, 7),
  { do: 'set', parts: [{ space: '', key: 'a', value: undefined }] },
  { do: 'write', parts: [part('d', 10, 8), part('e', 17, 9), part('a', 3, 10, 'one')] },
  put('large', largeSizeBytes, 11),
  { do: 'sync' },
  put('f', 12, 12),
  put('d', 10, 13),
]

const second: readonly Change[] = [
  put('g', 50, 20),
  put('a', 21, 21),
  { do: 'sync' },
  { do: 'set', parts: [{ space: '', key: 'e', value: undefined }] },
  put('h', 7, 22),
]

async function write(
  directory: string,
  changes: readonly Change[],
  before: { readonly state: State; readonly mapping: 'mmap' | 'file' },
): Promise<State> {
  const options = { encoding: 'binary', segmentSizeBytes, syncIntervalMs: 0 } as const
  const store = open<Buffer>(directory, { ...options, mapping: before.mapping })
  let { state } = before
  for (const change of changes) {
    await applyChange(store, change)
    state = stateAfter(state, change)
  }
  await store.close()
  return state
}

/**
 * `closed`: its segments are of the epoch in which it was made, and the manifest does not name them.
 * `recovered`: opened on another boot in between; the manifest names what was there before.
 */
export async function makeFixture(
  cleanup: Ending,
  kind: 'closed' | 'recovered',
  mapping: 'mmap' | 'file' = 'mmap',
): Promise<Fixture> {
  const parent = temporaryDirectory(cleanup)
  let state = await write(join(parent, '1'), first, { state: emptyState, mapping })
  copyStore(join(parent, '1'), join(parent, '2'))
  if (kind === 'closed') return { directory: join(parent, '2'), state, mapping }
  state = await write(join(parent, '2'), second, { state, mapping })
  copyStore(join(parent, '2'), join(parent, '3'))
  return { directory: join(parent, '3'), state, mapping }
}

/** 'right', 'refused', or what went wrong. */
export function outcomeOf(
  directory: string,
  fixture: Fixture,
  options: StoreOptions<Buffer> = { readOnly: true },
): string {
  let store: BinaryStore
  try {
    store = open<Buffer>(directory, { mapping: fixture.mapping, syncIntervalMs: 0, ...options })
  } catch (error) {
    return isDamageError(error) ? 'refused' : `opening fails: ${String(error)}`
  }
  try {
    const difference = differenceOf(store, fixture.state)
    return difference === undefined ? 'right' : `a wrong answer: ${difference}`
  } catch (error) {
    return isDamageError(error) ? 'refused' : `reading fails: ${String(error)}`
  } finally {
    abandon(engineOf(store))
  }
}

export function isAcceptable(outcome: string): boolean {
  return outcome === 'right' || outcome === 'refused'
}

/** The outcomes that are neither right nor a refusal, the same ones counted together. */
export class Outcomes {
  readonly wrong = new Map<string, string[]>()
  right = 0
  refused = 0

  add(place: string, outcome: string): void {
    if (outcome === 'right') this.right++
    else if (outcome === 'refused') this.refused++
    else this.wrong.set(outcome, [...(this.wrong.get(outcome) ?? []), place])
  }

  /** For an assertion: [] where nothing was wrong. */
  summary(): string[] {
    return [...this.wrong].map(
      ([outcome, places]) =>
        `${outcome} (${places.length} times: ${places.slice(0, 6).join(', ')})`,
    )
  }
}
