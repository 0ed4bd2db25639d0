/**
 * Crashing in and after the last operation of a workload: in every moment in which a sync is about to
 * make something certain, and at the end. What else could be found in between is among what these
 * moments leave, because nothing becomes less uncertain but by a sync.
 */
import { Control } from '../../src/control/control.js'
import { SimulatedDisk } from '../../src/testing/index.js'
import { Random } from '../support/random.js'
import { checkImage, type Tally } from './check.js'
import type { Contents } from './contents.js'
import { type ImageLimits, imagesOf } from './images.js'
import type { Operation } from './operations.js'
import { openStore, Run } from './run.js'

/** What a workload begins with. */
export interface Base {
  readonly name: string
  readonly mapping: 'mmap' | 'file'
  readonly disk: SimulatedDisk
  readonly contents: Contents
}

export interface Exploration {
  readonly limits: ImageLimits
  readonly tally: Tally
  /** Ends when so many were found. */
  readonly failuresMax: number
  readonly failures: string[]
}

interface Moment {
  readonly image: SimulatedDisk
  readonly durable: number
  readonly stateCount: number
  readonly isKill: boolean
  readonly what: string
}

let onStep: (() => void) | undefined

for (const name of ['begin', 'commit'] as const) {
  const original = Control.prototype[name]
  Control.prototype[name] = function around(this: Control): void {
    onStep?.()
    original.call(this)
    onStep?.()
  }
}

/** Of so many steps that an operation takes, more or less, one is drawn by lot. */
const stepsOfOperation = 12

export async function explore(
  base: Base,
  sequence: readonly Operation[],
  caseSeed: number,
  exploration: Exploration,
): Promise<void> {
  const random = new Random(caseSeed)
  const moments: Moment[] = []
  const title = `${base.name} ${base.mapping} [${sequence.map(({ name }) => name).join(' ')}]`
  try {
    const run = new Run(
      base.disk.crash(({ count }) => count - 1),
      random,
      base.contents,
    )
    run.reopen()
    const seen = new Set<string>()
    const look = (what: string): void => {
      for (const { pick, description } of imagesOf(run.disk, random, exploration.limits)) {
        const key = run.disk.crashKey(pick)
        if (seen.has(key)) continue
        seen.add(key)
        const { durable, states } = run
        const image = run.disk.crash(pick)
        moments.push({
          ...{ image, durable, isKill: false, stateCount: states.length },
          what: `${what}: ${description}`,
        })
      }
    }
    const watch = (what: string): void => {
      run.disk.onChange = ({ call }) => {
        if (call === 'sync' || call === 'syncDirectory') look(`${what}, before ${call}`)
      }
    }
    let killsLeft = 0
    let step = 0
    onStep = () => {
      // The medium may have what memory held between any two steps of a change.
      run.disk.observe()
      if (killsLeft === 0 || !random.chance(1 / stepsOfOperation)) return
      killsLeft--
      const { acknowledged, disk, states } = run
      const what = `killed at step ${++step}`
      const image = disk.kill()
      moments.push({ image, durable: acknowledged, isKill: true, stateCount: states.length, what })
    }
    for (const operation of sequence.slice(0, -1)) await operation.run(run)
    const last = sequence[sequence.length - 1]
    watch(last.name)
    killsLeft = exploration.limits.kills
    const statesBefore = run.states
    await last.run(run)
    killsLeft = 0
    // What was noted before a crash within the workload does not apply any more.
    if (run.states !== statesBefore) dropAll(moments)
    watch('sync at the end')
    look('end')
    await run.sync()
    look('synced')
    onStep = undefined
    run.disk.onChange = undefined
    const { universe, states } = run
    for (const { durable, image, isKill, stateCount, what } of moments) {
      const permitted = { universe, durable, isKill, states: states.slice(0, stateCount) }
      await guarded(exploration, `${title} seed ${caseSeed}, ${what}`, () =>
        checkImage(image, permitted, random, exploration.tally),
      )
      if (exploration.failures.length >= exploration.failuresMax) return
    }
    run.dispose()
  } catch (error) {
    exploration.failures.push(`${title} seed ${caseSeed}: ${messageOf(error)}`)
  } finally {
    onStep = undefined
  }
}

function dropAll(moments: Moment[]): void {
  for (const { image } of moments) image.dispose()
  moments.length = 0
}

async function guarded(
  { failures }: Exploration,
  title: string,
  action: () => Promise<void>,
): Promise<void> {
  try {
    await action()
  } catch (error) {
    failures.push(`${title}: ${messageOf(error)}`)
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? `${error.message}\n${error.stack}` : String(error)
}

/** A disk without a store, one with a store that was closed, and one whose machine crashed. */
export async function makeBases(mapping: 'mmap' | 'file'): Promise<Base[]> {
  const empty = new SimulatedDisk({ mapping })
  const disk = new SimulatedDisk({ mapping })
  const run = new Run(disk, new Random(1), new Map())
  run.reopen()
  run.put('a', 100)
  run.put('c', 700)
  run.put('n0', 50)
  run.put('k', 40, 'one')
  await run.sync()
  run.delete('c')
  run.put('d', 300)
  const crashed = { disk: disk.crash(({ count }) => count - 1), contents: run.contents }
  await run.close()
  const closed = { disk: disk.crash(({ count }) => count - 1), contents: run.contents }
  // What was not synced is proved by the control file, which arrived.
  const bases = { empty: { disk: empty, contents: new Map() }, closed, crashed }
  return Object.entries(bases).map(([name, base]) => ({ name, mapping, ...base }))
}

/** Opens the store of a base and says whether it holds what it must. */
export function contentsAreRight({ disk, contents }: Base): boolean {
  const store = openStore(disk.crash(({ count }) => count - 1))
  return [...contents].every(
    ([name, value]) => !name.startsWith('/') || store.get(name.slice(1))?.equals(value) === true,
  )
}
