/**
 * Is there one order of all operations on a key that explains what every client was told?
 *
 * The search is just-in-time linearization: events are taken in the order of time, and an operation
 * takes its place in the order no later than its response. A configuration is the state of the key
 * and the set of operations, among those without a response yet, that took their place already; all
 * configurations that are possible at a moment are kept, each once. An operation whose client died
 * stays open for ever: it may take its place at any time after its invocation, or never.
 *
 * Algorithms: Jeannette Wing and Chun Gong, "Testing and verifying concurrent objects", JPDC 1993;
 * Gavin Lowe, "Testing for linearizability", CCPE 2017.
 *
 * Beyond the order of one key, versions must rise along it: that is a promise of the store, and it
 * keeps the number of configurations small.
 */

/** What a write asked for: nothing, that the key be missing, or that it have this version. */
export type Condition = undefined | 'absent' | number

interface Timed {
  readonly client: string
  readonly key: string
  readonly invokedAtNs: number
  /** Infinity where the client died before it was told. */
  readonly respondedAtNs: number
}

export interface Found {
  readonly value: string
  /** Undefined where it was read without. */
  readonly version: number | undefined
}

export interface Get extends Timed {
  readonly kind: 'get'
  readonly found: Found | undefined
}

/** One operation of a batch has the batch's name, and no answer of its own. */
export interface Put extends Timed {
  readonly kind: 'put'
  /** Unlike every other value that is ever put. */
  readonly value: string
  readonly condition: Condition
  readonly done: boolean | undefined
  readonly batch: string | undefined
}

export interface Delete extends Timed {
  readonly kind: 'delete'
  readonly condition: Condition
  readonly done: boolean | undefined
  readonly batch: string | undefined
}

export type Operation = Get | Put | Delete

export interface Violation {
  readonly key: string
  readonly what: string
  /** The operation that cannot be explained, behind those that came before it. */
  readonly operations: readonly Operation[]
}

const absent = 0
/** The expected state of an operation that asks for nothing. */
const anyState = -1
/** An operation that can never take place. */
const impossible = -2

/** An operation as the search sees it: states are small numbers, 0 for a missing key. */
interface Step {
  readonly operation: Operation
  readonly isPending: boolean
  readonly isRead: boolean
  /** The state that a read saw, or that a write leaves. */
  readonly target: number
  /** The state that a write asks for, or `anyState`. */
  readonly expected: number
  /** True for a delete that asks for any state but a missing key. */
  readonly isDelete: boolean
  readonly done: boolean | undefined
}

/** Every violation of a history of any number of keys, at most one for each key. */
export function checkHistory(operations: readonly Operation[]): Violation[] {
  const byKey = new Map<string, Operation[]>()
  for (const operation of operations) {
    const ofKey = byKey.get(operation.key)
    if (ofKey === undefined) byKey.set(operation.key, [operation])
    else ofKey.push(operation)
  }
  const violations: Violation[] = []
  for (const ofKey of byKey.values()) {
    const violation = checkKey(ofKey)
    if (violation !== undefined) violations.push(violation)
  }
  return violations
}

/**
 * Keys that are only ever written together, each batch with one value for all of them or deleting
 * all of them, are one register: whoever reads any of them reads that. A reader who sees a half of
 * a batch sees the register go back.
 */
export function checkGroup(
  operations: readonly Operation[],
  keys: readonly string[],
): Violation | undefined {
  const group = keys.join('+')
  const batches = new Set<string>()
  const merged: Operation[] = []
  for (const operation of operations) {
    if (!keys.includes(operation.key)) continue
    if (operation.kind === 'get') {
      // Versions are the keys' own.
      const { found } = operation
      const value = found === undefined ? undefined : { value: found.value, version: undefined }
      merged.push({ ...operation, key: group, found: value })
    } else {
      const { batch } = operation
      if (batch === undefined) throw new TypeError(`${operation.key} was written alone`)
      if (batches.has(batch)) continue
      batches.add(batch)
      merged.push({ ...operation, key: group, condition: undefined, done: undefined })
    }
  }
  return checkKey(merged)
}

/**
 * Sequences are the order of commits in the whole store: of two writes of any keys, one of which
 * had returned before the other was called, the later one has the greater sequence.
 */
export function checkCommitOrder(
  operations: readonly Operation[],
  sequences: ReadonlyMap<string, number>,
): Violation | undefined {
  const writes = operations.filter(
    (operation): operation is Put => operation.kind === 'put' && sequences.has(operation.value),
  )
  const bySequence = [...writes].sort(
    (one, other) => (sequences.get(one.value) ?? 0) - (sequences.get(other.value) ?? 0),
  )
  // Backwards: the earliest response among those with a greater sequence.
  let earliest: Put | undefined
  for (const write of bySequence.reverse()) {
    if (earliest !== undefined && earliest.respondedAtNs < write.invokedAtNs) {
      const what = `sequence ${sequences.get(write.value)} was given after ${sequences.get(earliest.value)}`
      return { key: write.key, what, operations: [earliest, write] }
    }
    if (earliest === undefined || write.respondedAtNs < earliest.respondedAtNs) earliest = write
  }
  return undefined
}

export function checkKey(operations: readonly Operation[]): Violation | undefined {
  const values = new Values()
  const problem = values.learn(operations)
  if (problem !== undefined) return problem
  const steps = operations
    .filter((operation) => !(isPending(operation) && operation.kind === 'get'))
    .map((operation) => values.stepOf(operation))
  return search(steps, values.versions)
}

function isPending(operation: Operation): boolean {
  return operation.respondedAtNs === Number.POSITIVE_INFINITY
}

/** The values of one key as small numbers, and the versions that they were seen to have. */
class Values {
  /** By number of the value; 0 where no reader saw its version. */
  readonly versions: number[] = [0]
  readonly #numbers = new Map<string, number>()
  readonly #byVersion = new Map<number, number>()

  learn(operations: readonly Operation[]): Violation | undefined {
    for (const operation of operations) {
      if (operation.kind !== 'put') continue
      if (this.#numbers.has(operation.value)) {
        throw new TypeError(`${operation.value} is put twice: values must be unique`)
      }
      this.#numbers.set(operation.value, this.versions.length)
      this.versions.push(0)
    }
    for (const operation of operations) {
      if (operation.kind !== 'get' || operation.found === undefined) continue
      const what = this.#learnFound(operation.found)
      if (what !== undefined) return { key: operation.key, what, operations: [operation] }
    }
    return undefined
  }

  #learnFound({ value, version }: Found): string | undefined {
    const number = this.#numbers.get(value)
    if (number === undefined) return `value ${value} is from nowhere`
    if (version === undefined) return undefined
    const known = this.versions[number]
    const other = this.#byVersion.get(version)
    if (known !== 0 && known !== version) return `${value} has versions ${known} and ${version}`
    if (other !== undefined && other !== number) return `version ${version} is that of two values`
    this.versions[number] = version
    this.#byVersion.set(version, number)
    return undefined
  }

  stepOf(operation: Operation): Step {
    const common = { operation, isPending: isPending(operation) }
    if (operation.kind === 'get') {
      const { found } = operation
      const target = found === undefined ? absent : (this.#numbers.get(found.value) as number)
      return {
        ...common,
        ...{ isRead: true, target, expected: anyState, isDelete: false, done: undefined },
      }
    }
    const isDelete = operation.kind === 'delete'
    const target = isDelete ? absent : (this.#numbers.get(operation.value) as number)
    const expected = this.#expectedBy(operation.condition)
    return { ...common, isRead: false, target, expected, isDelete, done: operation.done }
  }

  #expectedBy(condition: Condition): number {
    if (condition === undefined) return anyState
    if (condition === 'absent') return absent
    // A version that nobody saw is that of no value.
    return this.#byVersion.get(condition) ?? impossible
  }
}

/** True where a write with this step, in this state, changes the key. */
function takesPlace(step: Step, state: number): boolean {
  if (step.isDelete && state === absent) return false
  return step.expected === anyState || step.expected === state
}

/** True where the step is right in this state, and leaves it, and nothing is lost by its having a place here. */
function settlesIn(step: Step, state: number): boolean {
  if (step.isRead) return step.target === state
  // Without an answer it might just as well take place later.
  return step.done === false && !takesPlace(step, state)
}

interface Event {
  readonly atNs: number
  readonly isResponse: boolean
  readonly step: Step
}

function eventsOf(steps: readonly Step[]): Event[] {
  const events: Event[] = []
  for (const step of steps) {
    const { invokedAtNs, respondedAtNs } = step.operation
    events.push({ atNs: invokedAtNs, isResponse: false, step })
    if (!step.isPending) events.push({ atNs: respondedAtNs, isResponse: true, step })
  }
  // Those that touch are taken for concurrent.
  return events.sort(
    (one, other) => one.atNs - other.atNs || Number(one.isResponse) - Number(other.isResponse),
  )
}

/** Steps open at one time: bits of a set. */
const openMax = 30
const setSize = 2 ** openMax

/**
 * A configuration is one number: the state, and the set of open steps that have their place. What
 * has the response behind it has its place in every one.
 */
function search(steps: readonly Step[], versions: readonly number[]): Violation | undefined {
  const open: (Step | undefined)[] = []
  const slotOf = new Map<Step, number>()
  let pendingSet = 0
  /** The highest version among steps that have their place in every configuration. */
  let settledVersion = 0
  let configurations: number[] = [0]
  const done: Operation[] = []

  const highestVersion = (set: number): number => {
    let highest = settledVersion
    for (let slot = 0; slot < open.length; slot++) {
      const step = open[slot]
      if ((set & (1 << slot)) === 0 || step === undefined) continue
      highest = Math.max(highest, versionLeftBy(step))
    }
    return highest
  }
  const versionLeftBy = (step: Step): number =>
    step.isRead || step.done === false ? 0 : versions[step.target]

  /** The state behind the step, or -1 where it cannot have its place here. */
  const stateBehind = (step: Step, state: number, set: number): number => {
    if (step.isRead || step.done === false) return -1
    if (!takesPlace(step, state)) {
      // A delete in a batch, of a key that is missing.
      return step.done === undefined && !step.isPending ? state : -1
    }
    const version = versionLeftBy(step)
    if (version !== 0 && version <= highestVersion(set)) return -1
    return step.target
  }

  const canFollow = (step: Step, state: number, set: number): boolean =>
    settlesIn(step, state) || stateBehind(step, state, set) >= 0

  /**
   * What a dead client asked for explains something only if the operation next to it could not have
   * its place without it.
   */
  const opensWay = (state: number, next: number, set: number): boolean => {
    for (let slot = 0; slot < open.length; slot++) {
      const step = open[slot]
      if (step === undefined || (set & (1 << slot)) !== 0) continue
      if (canFollow(step, next, set) && !canFollow(step, state, set)) return true
    }
    return false
  }

  /** All configurations in which `slot` has its place, reached from those before. */
  const settle = (slot: number): number[] => {
    const reached = new Set<number>()
    const seen = new Set<number>()
    const stack = [...configurations]
    for (let found = stack.pop(); found !== undefined; found = stack.pop()) {
      const state = Math.floor(found / setSize)
      let set = found % setSize
      for (let other = 0; other < open.length; other++) {
        const step = open[other]
        if (step !== undefined && (set & (1 << other)) === 0 && settlesIn(step, state)) {
          set |= 1 << other
        }
      }
      const configuration = state * setSize + set
      if (seen.has(configuration)) continue
      seen.add(configuration)
      if ((set & (1 << slot)) !== 0) {
        reached.add(configuration - 2 ** slot)
        continue
      }
      for (let other = 0; other < open.length; other++) {
        const step = open[other]
        if (step === undefined || (set & (1 << other)) !== 0) continue
        const next = stateBehind(step, state, set)
        if (next < 0 || (step.isPending && !opensWay(state, next, set))) continue
        stack.push(next * setSize + (set | (1 << other)))
      }
    }
    return [...reached]
  }

  for (const { step, isResponse } of eventsOf(steps)) {
    if (!isResponse) {
      let slot = open.indexOf(undefined)
      if (slot === -1) slot = open.length
      if (slot >= openMax) throw new RangeError('too many operations are open at one time')
      open[slot] = step
      slotOf.set(step, slot)
      if (step.isPending) pendingSet |= 1 << slot
      continue
    }
    const slot = slotOf.get(step) as number
    const before = configurations
    configurations = settle(slot)
    done.push(step.operation)
    if (configurations.length === 0) return violationAt(step, before, done, open, steps)
    settledVersion = Math.max(settledVersion, versionLeftBy(step))
    open[slot] = undefined
    configurations = withoutDominated(configurations, pendingSet)
  }
  return undefined
}

/**
 * What a dead client asked for need never take its place: of two configurations with the same state
 * and the same steps of the living, the one in which fewer of the dead's are used up can do
 * whatever the other can.
 */
function withoutDominated(configurations: number[], pendingSet: number): number[] {
  if (pendingSet === 0 || configurations.length < 2) return configurations
  const groups = new Map<number, number[]>()
  for (const configuration of configurations) {
    const set = configuration % setSize
    const group = configuration - (set & pendingSet)
    const pendings = groups.get(group)
    if (pendings === undefined) groups.set(group, [set & pendingSet])
    else pendings.push(set & pendingSet)
  }
  const kept: number[] = []
  for (const [group, pendings] of groups) {
    for (const pending of pendings) {
      const isDominated = pendings.some((less) => less !== pending && (less & pending) === less)
      if (!isDominated) kept.push(group + pending)
    }
  }
  return kept
}

const shownBefore = 25

function violationAt(
  step: Step,
  before: readonly number[],
  done: readonly Operation[],
  open: readonly (Step | undefined)[],
  steps: readonly Step[],
): Violation {
  const states = new Set(before.map((configuration) => Math.floor(configuration / setSize)))
  const shown = [...states].map((state) => {
    if (state === absent) return 'missing'
    const put = steps.find(({ isRead, target }) => !isRead && target === state)
    return put?.operation.kind === 'put' ? put.operation.value : String(state)
  })
  const alsoOpen = open
    .filter((other): other is Step => other !== undefined && other !== step)
    .map(({ operation }) => operation)
  return {
    key: step.operation.key,
    what: `no order explains the last of these; before it the key was ${shown.join(' or ')}`,
    operations: [...alsoOpen, ...done.slice(-shownBefore)],
  }
}

/** A violation as text, one operation in a line. */
export function describeViolation({ key, what, operations }: Violation): string {
  return [
    `key ${key}: ${what}`,
    ...operations.map((operation) => `  ${shownOperation(operation)}`),
  ].join('\n')
}

function shownOperation(operation: Operation): string {
  const { client, invokedAtNs, respondedAtNs, kind } = operation
  const times = `${(invokedAtNs / 1000).toFixed(1)}..${(respondedAtNs / 1000).toFixed(1)} us`
  const batch = operation.kind !== 'get' && operation.batch !== undefined ? ' (batch)' : ''
  return `${times} ${client}: ${kind}${batch} ${operation.key} ${shownAnswer(operation)}`
}

function shownAnswer(operation: Operation): string {
  if (operation.kind === 'get') {
    const { found } = operation
    return found === undefined ? '-> missing' : `-> ${found.value} @${found.version ?? '?'}`
  }
  const value = operation.kind === 'put' ? ` ${operation.value}` : ''
  const condition = operation.condition === undefined ? '' : ` if ${operation.condition}`
  return `${value}${condition} -> ${operation.done ?? '?'}`
}
