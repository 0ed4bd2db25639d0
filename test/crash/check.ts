/** What opening an image of a crashed disk comes to, and what is then left of another crash. */
import type { SimulatedDisk } from '../../src/testing/index.js'
import type { Random } from '../support/random.js'
import {
  areEqual,
  type BinaryStore,
  type Contents,
  described,
  differenceInOrder,
  makeValue,
  readContents,
} from './contents.js'
import { imagesOf } from './images.js'
import { openStore } from './run.js'

/** What may be found: one of the states from `durable` on. */
export interface Permitted {
  /** The page cache outlives it: nothing is settled when the store was opened. */
  readonly isKill: boolean
  readonly states: readonly Contents[]
  readonly durable: number
  readonly universe: ReadonlySet<string>
}

export interface Tally {
  /** Images that were opened and compared. */
  states: number
  /** Those of them that a crash within a recovery left. */
  nested: number
}

/** More changes of the disk than a recovery makes. */
const recoveryChangesMax = 60

/**
 * Opens an image, compares and verifies; crashes within this recovery and opens what that leaves; goes
 * on writing, crashes again, and opens that. The image is used up. Throws where anything is not as it
 * must be.
 */
export async function checkImage(
  image: SimulatedDisk,
  permitted: Permitted,
  random: Random,
  tally: Tally,
): Promise<void> {
  const crashed = crashWithinRecovery(image, random)
  const { contents, store } = await openAndCompare(image, permitted, tally, random.chance(0.2))
  // A crash of the machine, where before there was none, takes back what no sync covered.
  const inner = permitted.isKill ? undefined : crashed()
  if (inner !== undefined) {
    tally.nested++
    await openAndCompare(inner, permitted, tally, false)
    inner.dispose()
  }
  if (random.chance(0.2)) await goOn(image, store, contents, permitted, tally)
  image.dispose()
}

/** From now on: one moment of the recovery, drawn by lot, and what a crash would leave of it. */
function crashWithinRecovery(
  image: SimulatedDisk,
  random: Random,
): () => SimulatedDisk | undefined {
  let crashed: SimulatedDisk | undefined
  let left = 1 + random.below(recoveryChangesMax)
  image.onChange = () => {
    if (--left !== 0) return
    const [first] = imagesOf(image, random, { enumeratedMax: 0, sampled: 3 })
    const chosen = [...imagesOf(image, random, { enumeratedMax: 0, sampled: 5 })].at(-1) ?? first
    crashed = image.crash(chosen.pick)
  }
  return () => {
    image.onChange = undefined
    return crashed
  }
}

async function openAndCompare(
  image: SimulatedDisk,
  { durable, states, universe }: Permitted,
  tally: Tally,
  withOrder: boolean,
): Promise<{ readonly contents: Contents; readonly store: BinaryStore }> {
  tally.states++
  const store = openStore(image)
  image.onChange = undefined
  const { contents, surplus } = readContents(store, universe)
  if (surplus !== undefined) throw new Error(`there is more than was written: ${surplus}`)
  const found = states.findLastIndex((state) => areEqual(state, contents))
  if (found === -1) throw new Error(`a state that never was: ${described(contents)}`)
  if (found < durable) {
    throw new Error(`what a sync covered is lost: found ${found}, covered ${durable}`)
  }
  const report = await store.verify()
  if (!report.ok) throw new Error(`verify finds ${JSON.stringify(report.problems)}`)
  const difference = withOrder ? differenceInOrder(store, contents) : undefined
  if (difference !== undefined) throw new Error(difference)
  return { contents, store }
}

/** An opened store is settled; and what is written and synced from then on is found after a crash. */
async function goOn(
  disk: SimulatedDisk,
  store: BinaryStore,
  contents: Contents,
  permitted: Permitted,
  tally: Tally,
): Promise<void> {
  if (!permitted.isKill) {
    const settled = disk.crash(() => 0)
    await openAndCompare(settled, { ...permitted, states: [contents], durable: 0 }, tally, false)
    settled.dispose()
  }
  const value = makeValue(333, 7)
  store.put('later', value)
  await store.sync()
  store.put('lost', value)
  const after = disk.crash(() => 0)
  const states = [new Map([...contents, ['/later', value]])]
  const universe = new Set([...permitted.universe, '/later', '/lost'])
  await openAndCompare(after, { isKill: false, states, durable: 0, universe }, tally, false)
  after.dispose()
}
