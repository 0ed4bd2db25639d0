/**
 * Checks the directory that the run before left, then does something and kills itself at the n-th
 * step of it: see every-step.test.ts.
 */
import fs, { appendFileSync, existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { open, type StoreOptions } from '../../src/store/index.js'
import { copyStore, removeDirectory } from '../support/directory.js'
import {
  applyChange,
  type BinaryStore,
  differenceOrRefusal,
  emptyState,
  type State,
  stateAfter,
} from '../support/state.js'
import { changes, put } from './step-changes.js'
import { killAtStep } from './steps.js'
import { segmentSizeBytes } from './workloads.js'

export interface StepSetup {
  readonly mapping: 'mmap' | 'file'
  /** Where the run begins to count: with the opening, the changes, a checkpoint, or the close. */
  readonly from: 'opening' | 'writing' | 'checkpointing' | 'closing'
  readonly step: number
  /** Holds the store, and the count of changes that returned. */
  readonly directory: string
  /** The same of the run before, to be checked first. */
  readonly former: string | undefined
  /** Changes that the store held, synced, before the run. */
  readonly held: number
  /** Another boot: what was not synced may be gone. */
  readonly mayLoseUnsynced: boolean
}

const states: State[] = [emptyState]
for (const change of changes) states.push(stateAfter(states[states.length - 1], change))

const setup = JSON.parse(process.argv[2]) as StepSetup
const options: StoreOptions<Buffer> = {
  encoding: 'binary',
  segmentSizeBytes,
  syncIntervalMs: 0,
  mapping: setup.mapping,
}

// Not one of the calls that are counted later.
const writeNow = fs.writeSync

const countFile = (directory: string): string => join(directory, 'count')

function countOf(directory: string): number {
  return existsSync(countFile(directory)) ? readFileSync(countFile(directory)).byteLength : 0
}

function requireState(store: BinaryStore, allowed: readonly State[], what: string): State {
  const differences = allowed.map((state) => differenceOrRefusal(store, state))
  const index = differences.lastIndexOf(undefined)
  if (index >= 0) return allowed[index]
  throw new Error(`${what}: ${[...new Set(differences)].join(' / ')}`)
}

async function checkFormer(directory: string): Promise<void> {
  const done = countOf(directory)
  const lowest = setup.mayLoseUnsynced ? setup.held : done
  const store = open<Buffer>(join(directory, 'store'), options)
  const allowed = states.slice(lowest, done + 2)
  const state = requireState(store, allowed, `with ${done} changes acknowledged`)
  const more = put('more', 10, 99)
  await applyChange(store, more)
  const last = stateAfter(state, more)
  requireState(store, [last], 'after one more put')
  const { problems } = await store.verify()
  if (problems.length > 0) throw new Error(`verify finds ${JSON.stringify(problems[0])}`)
  await store.close()
  copyStore(join(directory, 'store'), join(directory, 'copy'))
  const copy = open<Buffer>(join(directory, 'copy'), { ...options, readOnly: true })
  requireState(copy, [last], 'in a copy of the directory')
  const { checkpoint, passedOver } = copy.stats().lastRecovery
  if (setup.from === 'checkpointing' && (checkpoint === undefined || passedOver.length > 0)) {
    throw new Error(`of ${copy.checkpoints().length} checkpoints ${passedOver.length} are no good`)
  }
  await copy.close()
}

async function run(): Promise<void> {
  if (setup.former !== undefined) {
    await checkFormer(setup.former)
    removeDirectory(setup.former)
  }
  writeNow(1, 'checked\n')
  const { directory, held } = setup
  if (setup.from === 'opening') killAtStep(setup.step)
  const store = open<Buffer>(join(directory, 'store'), options)
  if (setup.from === 'opening') {
    writeNow(1, 'finished\n')
    return process.kill(process.pid, 'SIGKILL') as unknown as Promise<void>
  }
  for (const [index, change] of changes.entries()) {
    if (setup.from === 'writing' && index === held) killAtStep(setup.step)
    await applyChange(store, change)
    appendFileSync(countFile(directory), '.')
  }
  if (setup.from === 'checkpointing') {
    // One that is there before, and one that is made while the log grows.
    await store.checkpoint()
    killAtStep(setup.step)
    // The last change once more.
    await Promise.all([store.checkpoint(), applyChange(store, changes[changes.length - 1])])
    store.pruneCheckpoints(1)
  }
  if (setup.from === 'closing') killAtStep(setup.step)
  await store.close()
  writeNow(1, 'finished\n')
}

run().catch((error: unknown) => {
  writeNow(2, `${String((error as Error).stack)}\n`)
  process.exit(1)
})
