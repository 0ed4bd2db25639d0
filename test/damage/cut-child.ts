/**
 * Opens copies of a store with one file cut to each of several lengths and prints what came of it:
 * a process of its own, because touching mapped memory behind the end of a file would end it.
 */
import { truncateSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { contentsOf, copyStore, removeDirectory } from '../support/directory.js'
import { type Fixture, outcomeOf } from './fixture.js'

export interface CutSetup {
  /** As JSON; the maps of the state as lists of entries. */
  readonly directory: string
  readonly mapping: Fixture['mapping']
  readonly state: readonly (readonly [
    string,
    readonly (readonly [string, { size: number; seed: number }])[],
  ])[]
  readonly parent: string
  readonly name: string
  readonly lengths: readonly number[]
}

const setup = JSON.parse(process.argv[2]) as CutSetup
const { directory, mapping, name, parent } = setup
const state = new Map(setup.state.map(([space, entries]) => [space, new Map(entries)]))
const fixture: Fixture = { directory, mapping, state }

function report(length: number, outcome: string): void {
  writeSync(1, `${JSON.stringify([`${name} cut to ${length}`, outcome])}\n`)
}

for (const length of setup.lengths) {
  const damaged = join(parent, 'cut')
  copyStore(directory, damaged)
  truncateSync(join(damaged, name), length)
  const before = { ...contentsOf(damaged), lock: '' }
  report(length, 'opening')
  report(length, outcomeOf(damaged, fixture))
  report(length, 'opening for writing')
  const outcome = outcomeOf(damaged, fixture, { readOnly: false })
  const now = { ...contentsOf(damaged), lock: '' }
  const isSame = JSON.stringify(now) === JSON.stringify(before)
  report(length, outcome === 'refused' && !isSame ? 'refused and modified' : outcome)
  removeDirectory(damaged)
}
