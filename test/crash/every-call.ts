/**
 * One workload that touches everything, on a disk on which something fails: see every-call.test.ts.
 */
import assert from 'node:assert/strict'
import { StoreError } from '../../src/store/index.js'
import { type DiskCall, diskCalls, SimulatedDisk } from '../../src/testing/index.js'
import { Random } from '../support/random.js'
import { seed } from '../support/seed.js'
import { areEqual, described, readContents } from './contents.js'
import { operations } from './operations.js'
import { openStore, Run } from './run.js'

interface Step {
  readonly name: string
  readonly run: (run: Run) => void | Promise<void>
}

const operation = (name: string): Step => {
  const found = operations.find((known) => known.name === name)
  if (found === undefined) throw new Error(`no operation ${name}`)
  return found
}

const open: Step = { name: 'open', run: (run) => run.reopen() }
const close: Step = { name: 'close', run: (run) => run.close() }
const kill: Step = { name: 'kill', run: (run) => run.kill() }
/** Another boot finds everything. */
const restart: Step = {
  name: 'restart',
  run: (run) => run.losePower(({ count }) => count - 1),
}
const verify: Step = {
  name: 'verify',
  run: async ({ disk, store }) => {
    const { problems } = await store.verify()
    const { lastCode } = disk.faults
    const [unread] = problems.filter(({ what }) => what === `it cannot be read: ${lastCode}`)
    assert.ok(
      problems.every(({ what }) => what === unread?.what),
      JSON.stringify(problems),
    )
    if (unread !== undefined) throw Object.assign(new Error(unread.what), { code: lastCode })
  },
}

const names = ['put', 'update', 'batch', 'keyspace', 'large', 'replace', 'roll', 'delete', 'clear']

const workload: readonly Step[] = [
  open,
  ...names.map(operation),
  operation('sync'),
  ...['update', 'large', 'roll', 'batch'].map(operation),
  operation('sync'),
  ...['checkpoint', 'compact', 'put'].map(operation),
  close,
  open,
  ...['put', 'roll'].map(operation),
  kill,
  operation('batch'),
  verify,
  restart,
  ...['large', 'update', 'compact'].map(operation),
  operation('sync'),
  close,
]

/** What became of a run: how often a step failed, and how often that poisoned the store. */
export interface Outcome {
  failures: number
  poisoned: number
}

/** A crash now leaves a state from the one that the last completed sync covered on. */
function requireCrashSafe(run: Run): void {
  const picks = [
    () => 0,
    ({ count }: { count: number }) => count - 1,
    ({ count }: { count: number }) => run.random.below(count),
  ]
  for (const pick of picks) {
    const image = run.disk.crash(pick)
    // Opening on another boot takes a new segment.
    image.capacityBytes = Number.POSITIVE_INFINITY
    const { contents, surplus } = readContents(openStore(image), run.universe)
    assert.equal(surplus, undefined)
    const found = run.states.findLastIndex((state) => areEqual(state, contents))
    assert.ok(
      found >= run.durable,
      `found ${found}, covered ${run.durable}: ${described(contents)}`,
    )
    image.dispose()
  }
}

/** What processes see now is a state from `acknowledged` on; from here on it is that one. */
function adoptLive(run: Run, acknowledged: number): void {
  const { contents, surplus } = readContents(run.store, run.universe)
  assert.equal(surplus, undefined)
  const found = run.states.findLastIndex((state) => areEqual(state, contents))
  assert.ok(found >= acknowledged, `found ${found}, acknowledged ${acknowledged}`)
  run.states = [...run.states.slice(0, acknowledged + 1), contents]
}

function requireTyped(error: unknown, code: string): void {
  const isOfSystem = error instanceof Error && 'code' in error && error.code === code
  assert.ok(error instanceof StoreError || isOfSystem, `not a typed error: ${String(error)}`)
  if (!(error instanceof StoreError)) return
  const isAllowed = ['STORE_FULL', 'STORE_POISONED'].includes(error.code)
  assert.ok(isAllowed, `${error.code}: ${error.message}\n${error.stack}`)
}

async function attempt(run: Run, step: Step, mend: Mend, outcome: Outcome): Promise<void> {
  const acknowledged = run.states.length - 1
  try {
    await step.run(run)
    return
  } catch (error) {
    if (error instanceof assert.AssertionError) throw error
    requireTyped(error, run.disk.faults.lastCode ?? '')
  }
  outcome.failures++
  requireCrashSafe(run)
  mend(run.disk)
  if (run.isOpen) adoptLive(run, acknowledged)
  if (run.isOpen && run.store.stats().poisoned) {
    outcome.poisoned++
    run.isOpen = false
    assert.throws(() => run.store.put('x', Buffer.alloc(3)), { code: 'STORE_POISONED' })
    await assert.rejects(run.store.close(), { code: 'STORE_POISONED' })
  }
  if (!run.isOpen) {
    run.reopen()
    adoptLive(run, run.states.length - 1)
  }
  // It is open by now.
  if (step === open || step === kill || step === restart) return
  await step.run(run)
}

/** Ends what is wrong with a disk. */
export type Mend = (disk: SimulatedDisk) => void

/** The whole workload on a disk on which something fails until it is mended, after the first failure. */
export async function runOn(disk: SimulatedDisk, mend: Mend): Promise<Outcome> {
  const outcome = { failures: 0, poisoned: 0 }
  const run = new Run(disk, new Random(seed), new Map())
  for (const step of workload) {
    try {
      await attempt(run, step, mend, outcome)
    } catch (error) {
      throw new Error(`at "${step.name}": ${String(error)}`, { cause: error })
    }
  }
  const last = run.disk.crash(() => 0)
  last.capacityBytes = Number.POSITIVE_INFINITY
  const store = openStore(last)
  const { contents } = readContents(store, run.universe)
  assert.ok(areEqual(contents, run.contents), 'everything is there in the end')
  assert.ok((await store.verify()).ok)
  last.dispose()
  run.dispose()
  return outcome
}

/** How often a workload that nothing disturbs makes each kind of call. */
export async function callCounts(mapping: 'mmap' | 'file'): Promise<Map<DiskCall, number>> {
  const disk = new SimulatedDisk({ mapping })
  const outcome = await runOn(disk, () => undefined)
  assert.equal(outcome.failures, 0)
  return new Map(diskCalls.map((call) => [call, disk.faults.count(call)]))
}

/** With what each kind of call fails. */
export const codes: Readonly<Record<DiskCall, readonly string[]>> = {
  open: ['EIO', 'EMFILE'],
  read: ['EIO'],
  write: ['EIO', 'ENOSPC'],
  reserve: ['ENOSPC', 'EIO'],
  map: ['ENOMEM'],
  sync: ['EIO'],
  directory: ['EIO', 'ENOSPC'],
  syncDirectory: ['EIO'],
  list: ['EIO'],
}
