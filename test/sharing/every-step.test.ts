/**
 * Goal: a client that dies at any step of opening, writing or closing, while others have the store
 *   open, leaves it to them whole, and they need nobody to go on.
 * Method: a process kills itself at its n-th begin or commit of a control state or call that changes
 *   files, or before its n-th store to shared memory, for every n (a sample of them in everyday
 *   runs) until it comes to its end. Another process has the same store open from before.
 * Properties checked: the survivor reads every change that returned, and the one in flight whole or
 *   not at all; it writes on; who opens the store later, or a copy of it, finds the same.
 */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { copyStore, removeDirectory, temporaryDirectory } from '../support/directory.js'
import { isThorough } from '../support/thorough.js'
import {
  type Host,
  HostGone,
  type HostKind,
  type HostPool,
  hostsFor,
  RemoteError,
} from './hosts.js'
import type { SharedOptions } from './options.js'
import type { OwnerSetup } from './step-tasks.js'

const options: SharedOptions = { segmentSizeBytes: 2 ** 20, syncIntervalMs: 0 }
const stepsMax = 20_000

interface Scenario {
  readonly from: OwnerSetup['from']
  readonly every: OwnerSetup['every']
  readonly survivor: HostKind
  /** Writes, or only reads. */
  readonly writes: boolean
  /** Every how many steps a process is killed; at every one in a thorough run. */
  readonly stride: number
}

interface Outcome {
  readonly isFinished: boolean
  readonly readMs: number
  readonly writeMs: number
}

async function killOnce(
  pool: HostPool,
  owner: Host,
  directory: string,
  scenario: Scenario,
  step: number,
): Promise<Outcome> {
  const path = join(directory, 'store')
  const countFile = join(directory, 'count')
  const { from, every, writes } = scenario
  const what = `step ${step}`
  const survivor = pool.take(scenario.survivor)
  await survivor.call('prepareSteps', { path, options })
  const reader = writes ? undefined : pool.take(scenario.survivor)
  if (reader !== undefined) {
    await reader.call('openHeld', { path, options: { ...options, readOnly: true } })
    await survivor.call('closeHeld', { path })
  }
  const setup: OwnerSetup = { path, options, countFile, from, every, step, signal: 'SIGKILL' }
  const isFinished = await owner.call('runOwner', setup).then(
    () => true,
    (error: Error) => {
      if (error instanceof RemoteError) throw error
      assert.ok(error instanceof HostGone, `${what}: ${error.stack}`)
      return false
    },
  )
  await owner.kill()
  const witness = reader ?? survivor
  const finding = await witness.call('checkSurvivor', { path, countFile, others: [], writes })
  assert.equal(finding.problem, undefined, what)
  if (writes && step % 3 === 0) {
    // The next to come finds two who did not close.
    const other = pool.take('process')
    await other.call('openHeld', { path, options })
    await survivor.kill()
    await checkCopy(other, path, directory, what)
    await other.call('closeHeld', { path })
    pool.giveBack(other)
  } else {
    if (writes) await checkCopy(survivor, path, directory, what)
    await witness.call('closeHeld', { path })
    pool.giveBack(survivor)
    if (reader !== undefined) pool.giveBack(reader)
  }
  return { isFinished, readMs: finding.readMs, writeMs: finding.writeMs }
}

/** A copy of the directory, synced before, opens and holds the same. */
async function checkCopy(host: Host, path: string, directory: string, what: string): Promise<void> {
  await host.call('syncHeld', { path })
  const other = join(directory, 'copy')
  copyStore(path, other)
  const copyOptions = { ...options, readOnly: true }
  const problem = await host.call('compareWith', { path, other, options: copyOptions })
  assert.equal(problem, undefined, `${what}: in a copy of the directory`)
}

async function killAtEverySteps(t: TestContext, scenario: Scenario): Promise<number> {
  const pool = hostsFor(t)
  const parent = temporaryDirectory(t)
  const stride = isThorough ? 1 : scenario.stride
  const given = process.env.VARVE_SEED
  let kills = 0
  let readMs = 0
  let writeMs = 0
  const first = given === undefined ? 1 + (Date.now() % stride) : Number(given)
  let owner = pool.take('process')
  for (let step = first; step < stepsMax; step += stride) {
    // The next one starts while this one works.
    const next = pool.take('process')
    const directory = join(parent, `step-${step}`)
    const outcome = await killOnce(pool, owner, directory, scenario, step)
    removeDirectory(directory)
    readMs = Math.max(readMs, outcome.readMs)
    writeMs = Math.max(writeMs, outcome.writeMs)
    if (outcome.isFinished) {
      t.diagnostic(
        `${kills} kills; the first read took ${readMs.toFixed(1)} ms, the first write ` +
          `${writeMs.toFixed(1)} ms at most`,
      )
      return kills
    }
    owner = next
    kills++
    if (given !== undefined) return kills
  }
  return assert.fail('no end of steps')
}

const enough = (kills: number, wanted: number): void => {
  if (process.env.VARVE_SEED === undefined) assert.ok(kills >= wanted, `only ${kills} kills`)
}

describe('a client may be killed while others have the store open', () => {
  const base = { from: 'writing', every: 'step', survivor: 'process', writes: true } as const

  test('at every step of opening it', async (t) => {
    // Attaching to an open store is short; what follows it is covered below.
    enough(await killAtEverySteps(t, { ...base, from: 'opening', stride: 57 }), 2)
  })

  test('at every step of writing and closing, and a thread goes on', async (t) => {
    enough(await killAtEverySteps(t, { ...base, survivor: 'thread', stride: 33 }), 3)
  })

  test('before every store to shared memory', async (t) => {
    enough(await killAtEverySteps(t, { ...base, every: 'store', stride: 231 }), 3)
  })

  test('before every store to shared memory, and who is left may only read', async (t) => {
    enough(await killAtEverySteps(t, { ...base, every: 'store', writes: false, stride: 283 }), 3)
  })
})
