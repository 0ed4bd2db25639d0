/**
 * Runs one workload in a directory and stops it before every store to shared memory: see
 * every-store.test.ts. Prints one line for each place it looked at, and one for each problem.
 */
import { renameSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { abandon } from '../../src/engine/close.js'
import { open } from '../../src/store/index.js'
import { removeDirectory } from '../support/directory.js'
import { engineOf } from '../support/engine-of.js'
import {
  applyChange,
  applyChangeNow,
  type BinaryStore,
  type Change,
  differenceOrRefusal,
  type State,
  stateAfter,
} from '../support/state.js'
import { copyAsKilled, moveToOtherBoot } from './memory-image.js'
import { trapStores } from './store-traps.js'
import {
  compactionWorkloads,
  operationWorkloads,
  orderedWorkloads,
  prepareWorkload,
  segmentSizeBytes,
  workloads,
} from './workloads.js'

/** It takes longer to look at a store of another boot, and there is less that could go wrong. */
const otherBootEvery = 3

const [directory, name, ...numbers] = process.argv.slice(2)
const [stride, seed] = numbers.map(Number)
const options = {
  encoding: 'binary',
  segmentSizeBytes,
  syncIntervalMs: 0,
  autoCompact: false,
} as const
const live = join(directory, 'live')
// The places are others with each seed.
let place = seed % stride
let images = seed % otherBootEvery
let looking = 0
let problems = 0

function report(line: string): void {
  writeSync(1, `${line}\n`)
}

function problem(what: string): void {
  report(`problem at store ${looking}: ${what}`)
  // One defect shows at many places: enough of them were seen.
  if (++problems >= 5) process.exit(0)
}

function withStore(path: string, readOnly: boolean, use: (store: BinaryStore) => void): void {
  let store: BinaryStore
  try {
    store = open<Buffer>(path, { ...options, readOnly })
  } catch (error) {
    problem(`opening ${readOnly ? 'read-only ' : ''}fails: ${String(error)}`)
    return
  }
  use(store)
  abandon(engineOf(store))
}

/** The store must be in one of the states; undefined where it is in none. */
function stateOf(store: BinaryStore, states: readonly State[], what: string): State | undefined {
  const differences = states.map((state) => differenceOrRefusal(store, state))
  const index = differences.lastIndexOf(undefined)
  if (index === -1) problem(`${what}: ${[...new Set(differences)].join(' / ')}`)
  return states[index]
}

/** What the store is after a kill: whole, and able to go on. */
function checkKilled(image: Image, states: readonly State[]): void {
  let state: State | undefined
  const more: Change = {
    do: 'set',
    parts: [{ space: '', key: 'more', value: { size: 9, seed: 9 } }],
  }
  withStore(image.directory, false, (store) => {
    const { kind } = store.stats().lastRecovery
    if (kind !== 'same-boot') problem(`the store was opened by "${kind}", not "same-boot"`)
    state = stateOf(store, states, 'after a kill')
    if (state === undefined) return
    applyChangeNow(store, more)
    state = stateAfter(state, more)
    stateOf(store, [state], 'after a kill and one more put')
  })
  if (state === undefined) return
  const expected = state
  moveToOtherBoot(image.directory)
  withStore(image.directory, true, (store) => {
    stateOf(store, [expected], 'after a kill, one more put, and replay')
  })
}

/** On another boot: what was synced, and of the rest a prefix. Leaves the image as it was. */
function checkOtherBoot(image: Image, states: readonly State[]): void {
  const moveBack = moveToOtherBoot(image.directory)
  withStore(image.directory, true, (store) => {
    stateOf(store, states, 'on another boot')
  })
  const control = join(image.directory, 'control')
  renameSync(control, join(directory, 'control'))
  withStore(image.directory, true, (store) => {
    stateOf(store, states, 'on another boot without the control file')
  })
  renameSync(join(directory, 'control'), control)
  moveBack()
}

/**
 * The store before one of the stores of a change. It is looked at when the change is done: the
 * engine keeps the operation at hand in its modules, so that another store must not be used in
 * the middle of one.
 */
interface Image {
  readonly place: number
  readonly directory: string
}

function takeImage(): Image {
  const image = { place, directory: join(directory, `image-${place}`) }
  copyAsKilled(live, image.directory)
  return image
}

async function imagesOf(store: BinaryStore, change: Change): Promise<Image[]> {
  const images: Image[] = []
  const release = trapStores(engineOf(store), () => {
    if (place++ % stride === 0) images.push(takeImage())
  })
  try {
    await applyChange(store, change)
  } finally {
    release()
  }
  return images
}

async function run(): Promise<void> {
  const all = [...workloads, ...orderedWorkloads, ...operationWorkloads, ...compactionWorkloads]
  const workload = all.find((candidate) => candidate.name === name)
  if (workload === undefined) throw new Error(`no workload ${name}`)
  const store = open<Buffer>(live, options)
  let { state, sinceSync } = await prepareWorkload(workload, store)
  for (const [index, change] of workload.changes(store).entries()) {
    const after = stateAfter(state, change)
    for (const image of await imagesOf(store, change)) {
      report(`change ${index} store ${image.place}`)
      looking = image.place
      if (images++ % otherBootEvery === 0) checkOtherBoot(image, [...sinceSync, after])
      checkKilled(image, [state, after])
      removeDirectory(image.directory)
    }
    state = after
    // A compaction begins with one.
    const isSync = change.do === 'sync' || change.do === 'compact'
    sinceSync = isSync ? [state] : [...sinceSync, state]
  }
  const left = differenceOrRefusal(store, state)
  if (left !== undefined) problem(`at the end: ${left}`)
  await store.close()
  report(`done ${place}`)
}

await run()
