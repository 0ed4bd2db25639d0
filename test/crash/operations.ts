/** The operations of which short workloads are made: every sequence of up to three of them. */
import { engineOf } from '../support/engine-of.js'
import type { Run } from './run.js'

export interface Operation {
  readonly name: string
  readonly run: (run: Run) => void | Promise<void>
}

/** From nothing to more than a sector. */
const sizes = [30, 0, 700, 200, 440]

function sizeOf(run: Run): number {
  return sizes[run.states.length % sizes.length]
}

/** More than a quarter of the smallest segment. */
const largeSizeBytes = 4500
const fillerSizeBytes = 3000

function segmentOf(run: Run): number {
  const { log } = engineOf(run.store)
  return log.starts[log.firstSlotOf(log.tailSlot)]
}

/** A new operation needs only a line here; what it may leave is what {@link Run} notes of it. */
export const operations: readonly Operation[] = [
  { name: 'put', run: (run) => run.put(`n${run.universe.size}`, sizeOf(run)) },
  {
    name: 'update',
    run: (run) => {
      // In place: the records were written since the last sync, and the values fit. The small one lies
      // within a sector, and changes when what follows it there is written.
      if (!run.young.has('/v')) run.put('v', 20)
      if (!run.young.has('/u')) run.put('u', 400)
      run.put('u', 400)
      run.put('u', 390)
      run.put('v', 20)
    },
  },
  { name: 'replace', run: (run) => run.put('a', 100 + 40 * run.states.length) },
  {
    name: 'delete',
    run: (run) => {
      const [name] = [...run.contents.keys()].filter((known) => /^\/./.test(known))
      if (name !== undefined) run.delete(name.slice(1))
    },
  },
  {
    name: 'batch',
    run: (run) =>
      run.write([
        { key: 'b', value: run.value(sizeOf(run)) },
        { key: 'a', value: undefined },
        { space: 'one', key: 'a', value: run.value(300) },
        { key: `n${run.universe.size}`, value: run.value(250) },
      ]),
  },
  { name: 'keyspace', run: (run) => run.put('k', sizeOf(run), 'two') },
  { name: 'clear', run: (run) => run.clear('n') },
  { name: 'large', run: (run) => run.put('l', largeSizeBytes + run.states.length) },
  {
    name: 'roll',
    run: (run) => {
      const before = segmentOf(run)
      for (let index = 0; segmentOf(run) === before; index++) run.put(`f${index}`, fillerSizeBytes)
    },
  },
  { name: 'sync', run: (run) => run.sync() },
  { name: 'begin-sync', run: (run) => run.beginSync() },
  { name: 'checkpoint', run: (run) => run.checkpoint() },
  { name: 'compact', run: (run) => run.compact() },
  {
    name: 'reopen',
    run: async (run) => {
      await run.close()
      run.reopen()
    },
  },
  { name: 'kill', run: (run) => run.kill() },
  {
    name: 'power',
    run: (run) => {
      const { random } = run
      run.losePower(({ count }) => random.below(count))
    },
  },
]
