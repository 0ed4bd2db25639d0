/** A small run of a harness; returns what it noticed. */
import { SimulatedDisk } from '../../src/testing/index.js'
import type { Plan } from './canaries.js'
import { callCounts, runOn } from './every-call.js'
import { type Exploration, explore, makeBases } from './explore.js'
import { operations } from './operations.js'
import { believedSectors, describeSector, makeSectorFixture, tryDamage } from './sectors.js'

/** One failure is enough. */
export async function runPlan(plan: Plan): Promise<string[]> {
  if (plan.harness === 'states') return exploreSome(plan)
  if (plan.harness === 'calls') return failSome(plan)
  return damageSome(plan)
}

async function exploreSome(plan: Plan & { harness: 'states' }): Promise<string[]> {
  const exploration: Exploration = {
    limits: { enumeratedMax: 16, sampled: 8, kills: 4 },
    tally: { states: 0, nested: 0 },
    failuresMax: 1,
    failures: [],
  }
  // A broken store may not even get through its preparation.
  const bases = await makeBases(plan.mapping)
  for (let repeat = 0; repeat < plan.repeats; repeat++) {
    for (const names of plan.sequences) {
      const sequence = names.map((name) => {
        const operation = operations.find((known) => known.name === name)
        if (operation === undefined) throw new Error(`no operation ${name}`)
        return operation
      })
      for (const base of bases) {
        await explore(base, sequence, repeat, exploration)
        if (exploration.failures.length > 0) return exploration.failures
      }
    }
  }
  return exploration.failures
}

async function failSome({ call, mapping }: Plan & { harness: 'calls' }): Promise<string[]> {
  const count = (await callCounts(mapping)).get(call) ?? 0
  for (let at = 1; at <= count; at++) {
    const disk = new SimulatedDisk({ mapping })
    disk.faults.set({ call, at })
    try {
      await runOn(disk, () => disk.faults.clear())
    } catch (error) {
      return [`${call} ${at}: ${String(error)}`]
    }
  }
  return []
}

async function damageSome({ mapping }: Plan & { harness: 'sectors' }): Promise<string[]> {
  const fixture = await makeSectorFixture(mapping)
  const outcomes = { right: 0, refused: 0, wrong: [] }
  const sectors = believedSectors(fixture.disk)
  for (const [index, a] of sectors.entries()) {
    const b = sectors[(index + 7) % sectors.length]
    const what = `${describeSector(a)} and ${describeSector(b)} swapped`
    tryDamage(fixture, { what, damage: (disk) => disk.swap(a, b) }, outcomes)
  }
  return outcomes.wrong
}
