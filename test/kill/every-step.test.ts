/**
 * Goal: a process killed at any announced step of opening, recovering, writing, making a checkpoint or
 *   closing leaves a store that
 *   the next one opens (I7, and the crash arguments of recovery).
 * Method: a process kills itself at the n-th begin or commit of a control state or call that changes
 *   files (a write also half way), for every n until it comes to its end.
 * Properties checked: every change that returned is there, the one in flight is whole or absent, the
 *   store can go on, and a copy of it, which is another boot, holds the same.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import * as layout from '../../src/format/control-layout.js'
import {
  copyStore,
  readDoubles,
  removeDirectory,
  temporaryDirectory,
} from '../support/directory.js'
import { seed } from '../support/seed.js'
import { isThorough } from '../support/thorough.js'
import { copyAsKilled } from './memory-image.js'
import { heldChanges } from './step-changes.js'
import type { StepSetup } from './step-child.js'

const child = fileURLToPath(new URL('../../linked/test/kill/step-child.js', import.meta.url))
const msMax = 60_000
const stepsMax = 5000

interface End {
  readonly output: string
  readonly errors: string
  readonly hung: boolean
}

function run(setup: StepSetup): Promise<End> {
  return new Promise((resolve) => {
    const running = spawn(process.execPath, [child, JSON.stringify(setup)], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let output = ''
    let errors = ''
    let hung = false
    const timer = setTimeout(() => {
      hung = true
      running.kill('SIGKILL')
    }, msMax)
    running.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
    running.stderr.setEncoding('utf8').on('data', (text: string) => {
      errors += text
    })
    running.on('close', () => {
      clearTimeout(timer)
      resolve({ output, errors, hung })
    })
  })
}

interface Scenario {
  readonly mapping: StepSetup['mapping']
  readonly from: StepSetup['from']
  readonly held: number
  readonly mayLoseUnsynced: boolean
  /** Every how many steps a process is killed; at every one in a thorough run. */
  readonly stride: number
  /** Makes what the process finds. */
  readonly begin: (directory: string) => void
}

/** Returns how many processes were killed. */
async function killAtEverySteps(test: TestContext, scenario: Scenario): Promise<number> {
  const { begin, ...rest } = scenario
  const directory = temporaryDirectory(test)
  const stride = isThorough ? 1 : scenario.stride
  let former: string | undefined
  let kills = 0
  const first = 1 + (seed % stride)
  for (let step = first; step < stepsMax; step += stride) {
    const own = join(directory, `step-${step}`)
    mkdirSync(own)
    begin(own)
    const end = await run({ ...rest, step, directory: own, former })
    const at = step - (end.output.startsWith('checked') ? 0 : stride)
    const what = `step ${at}, VARVE_SEED=${seed}`
    assert.ok(!end.hung, `${what}: opening or reading never came back`)
    assert.equal(end.errors, '', what)
    assert.ok(end.output.startsWith('checked'), `${what}: ended without a word`)
    if (end.output.includes('finished')) {
      test.diagnostic(`${kills} kills, VARVE_SEED=${seed}`)
      return kills
    }
    former = own
    kills++
  }
  return assert.fail('no end of steps')
}

function putUnder(directory: string, template: string, copy: typeof copyStore): void {
  copy(join(template, 'store'), join(directory, 'store'))
  copyFileSync(join(template, 'count'), join(directory, 'count'))
}

/** True where a process died with a batch half applied. */
function isBatchUnfinished(directory: string): boolean {
  const doubles = readDoubles(join(directory, 'store', 'control'))
  const current = new Int32Array(doubles.buffer)[layout.currentWord] & 1
  const state = layout.stateDouble + current * layout.stateSizeDoubles
  return doubles[state + layout.batchFrame] !== 0
}

const base = { mapping: 'mmap', held: heldChanges, mayLoseUnsynced: false, stride: 5 } as const

/** Kills a process within a batch, and returns what it left. */
async function leaveUnfinishedBatch(parent: string): Promise<string> {
  for (let step = 20; step < stepsMax; step++) {
    const directory = join(parent, `step-${step}`)
    mkdirSync(directory)
    await run({ ...base, from: 'writing', step, directory, former: undefined })
    if (isBatchUnfinished(directory)) return directory
    removeDirectory(directory)
  }
  return assert.fail('no process died within a batch')
}

describe('a process may be killed at every step', () => {
  const templates = mkdtempSync(join(tmpdir(), 'varve-'))
  let unfinished = ''
  before(async () => {
    unfinished = await leaveUnfinishedBatch(templates)
  })
  after(() => removeDirectory(templates))

  test('of making a store', async (t) => {
    const kills = await killAtEverySteps(t, {
      ...{ ...base, from: 'opening', held: 0 },
      begin: () => undefined,
    })
    assert.ok(kills >= 4)
  })

  test('of writing, in mapped memory', async (t) => {
    const kills = await killAtEverySteps(t, {
      ...{ ...base, from: 'writing', stride: 14 },
      begin: () => undefined,
    })
    assert.ok(kills >= 10)
  })

  test('of writing without a mapping, also half way through a write', async (t) => {
    const kills = await killAtEverySteps(t, {
      ...{ ...base, mapping: 'file', from: 'writing', stride: 14 },
      begin: () => undefined,
    })
    assert.ok(kills >= 10)
  })

  for (const mapping of ['mmap', 'file'] as const) {
    test(`of making a checkpoint, and removing the one before (${mapping})`, async (t) => {
      const kills = await killAtEverySteps(t, {
        ...{ ...base, mapping, from: 'checkpointing', stride: 12 },
        begin: () => undefined,
      })
      assert.ok(kills > 2)
    })

    test(`of closing (${mapping})`, async (t) => {
      const kills = await killAtEverySteps(t, {
        ...{ ...base, mapping, from: 'closing', stride: 5 },
        begin: () => undefined,
      })
      assert.ok(kills > 3)
    })
  }

  test('of opening a store that a killed process left, with a batch half applied', async (t) => {
    const kills = await killAtEverySteps(t, {
      ...{ ...base, from: 'opening' },
      begin: (directory) => putUnder(directory, unfinished, copyAsKilled),
    })
    assert.ok(kills > 3)
  })

  test('of recovering it on another boot', async (t) => {
    const kills = await killAtEverySteps(t, {
      ...{ ...base, from: 'opening', mayLoseUnsynced: true, stride: 11 },
      begin: (directory) => putUnder(directory, unfinished, copyStore),
    })
    assert.ok(kills >= 4)
  })
})
