/** Histories of an atomic register, for the tests of their checker. */
import type { Random } from '../support/random.js'
import type { Condition, Found, Operation } from './linearizability.js'

export interface SimulationSetup {
  readonly clients: number
  readonly operations: number
  /** How many clients die in the middle of an operation; each has a successor. */
  readonly kills: number
  /** Whether reads see versions, which keep the search short, and writes ask for them. */
  readonly versions: boolean
}

interface State {
  found: Found | undefined
  version: number
}

/**
 * Clients that work side by side; every operation takes effect at one moment between invocation
 * and response, or, where its client dies, at one after the invocation, or not at all.
 */
export function simulate(random: Random, setup: SimulationSetup): Operation[] {
  const state: State = { found: undefined, version: 0 }
  const ready = Array.from({ length: setup.clients }, () => random.below(50))
  const seen: (number | undefined)[] = ready.map(() => undefined)
  const effects: { readonly atNs: number; readonly index: number }[] = []
  const spans: { invokedAtNs: number; respondedAtNs: number; dies: boolean; client: number }[] = []
  for (let index = 0; index < setup.operations; index++) {
    const client = random.below(setup.clients)
    const invokedAtNs = ready[client] + 1 + random.below(60)
    const durationNs = 1 + random.below(40)
    const dies = random.below(setup.operations) < setup.kills
    const atNs = invokedAtNs + random.below(durationNs) + (dies ? random.below(500) : 0)
    ready[client] = invokedAtNs + durationNs
    const respondedAtNs = dies ? Number.POSITIVE_INFINITY : ready[client]
    spans.push({ invokedAtNs, respondedAtNs, dies, client })
    if (!dies || random.chance(0.6)) effects.push({ atNs, index })
  }
  const operations: Operation[] = []
  const took = new Set(effects.map(({ index }) => index))
  for (const { index } of effects.sort((one, other) => one.atNs - other.atNs)) {
    operations[index] = effectOf(random, state, setup.versions ? seen : [], {
      index,
      ...spans[index],
    })
  }
  for (const [index, span] of spans.entries()) {
    if (took.has(index)) continue
    operations[index] = {
      ...common(span),
      ...writeFacts(undefined, undefined),
      kind: 'put',
      value: `v${index}`,
    }
  }
  return setup.versions ? operations : operations.map(withoutVersion)
}

function withoutVersion(operation: Operation): Operation {
  if (operation.kind !== 'get' || operation.found === undefined) return operation
  return { ...operation, found: { value: operation.found.value, version: undefined } }
}

interface Span {
  readonly invokedAtNs: number
  readonly respondedAtNs: number
  readonly dies: boolean
  readonly client: number
}

function common(span: Span) {
  const { invokedAtNs, respondedAtNs, client } = span
  return { key: 'k', client: `c${client}`, invokedAtNs, respondedAtNs }
}

function writeFacts(condition: Condition, done: boolean | undefined) {
  return { condition, done, batch: undefined }
}

function effectOf(
  random: Random,
  state: State,
  seen: (number | undefined)[],
  span: Span & { readonly index: number },
): Operation {
  const { index, client, dies } = span
  const facts = common(span)
  const kind = random.below(10)
  if (kind < 4 && !dies) {
    seen[client] = state.found?.version
    return { ...facts, kind: 'get', found: state.found }
  }
  const version = seen[client]
  const condition: Condition =
    version !== undefined && random.chance(0.6)
      ? version
      : random.pick([undefined, undefined, 'absent'] as const)
  const isMet =
    condition === undefined ||
    (condition === 'absent' ? state.found === undefined : state.found?.version === condition)
  if (kind < 9) {
    const value = `v${index}`
    if (isMet) state.found = { value, version: ++state.version }
    return { ...facts, ...writeFacts(condition, dies ? undefined : isMet), kind: 'put', value }
  }
  const deletes = isMet && condition !== 'absent' && state.found !== undefined
  if (deletes) state.found = undefined
  const asked = condition === 'absent' ? undefined : condition
  const done = condition === 'absent' ? removeNow(state) : deletes
  return { ...facts, ...writeFacts(asked, dies ? undefined : done), kind: 'delete' }
}

function removeNow(state: State): boolean {
  const wasThere = state.found !== undefined
  state.found = undefined
  return wasThere
}

/** The history with another answer to one operation than the register gave. */
export function withOneAnswerChanged(random: Random, history: readonly Operation[]): Operation[] {
  const finds = history.filter((one) => one.kind === 'get' && one.found !== undefined)
  for (;;) {
    const index = random.below(history.length)
    const operation = history[index]
    const changed = withOtherAnswer(random, operation, finds)
    if (changed !== undefined) return history.map((one, at) => (at === index ? changed : one))
  }
}

function withOtherAnswer(
  random: Random,
  operation: Operation,
  finds: readonly Operation[],
): Operation | undefined {
  if (operation.respondedAtNs === Number.POSITIVE_INFINITY) return undefined
  if (operation.kind !== 'get') {
    if (operation.kind === 'put' && operation.condition === undefined) return undefined
    return { ...operation, done: !operation.done }
  }
  const other = random.pick(finds)
  if (other.kind !== 'get' || other.found?.value === operation.found?.value) return undefined
  return { ...operation, found: random.chance(0.2) ? undefined : other.found }
}
