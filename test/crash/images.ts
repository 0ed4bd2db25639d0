/** Which images of a crashed disk are looked at: all of them where they are few, else a sample. */
import { basename } from 'node:path'
import { volatileFileNames } from '../../src/format/file-names.js'
import type { Pick, SimulatedDisk, Uncertainty } from '../../src/testing/index.js'
import type { Random } from '../support/random.js'

/** Files that another boot does not believe; a part of them tells it how far syncs had come. */
const volatileNames = new Set(volatileFileNames)
/** Files that are there to be locked. */
const lockPattern = /^(lock|lifecycle|background|build|checkpoint|compact|attachment-\d+)$/

type Part = 'log' | 'volatile' | 'lock'

function partOf({ path }: Uncertainty): Part {
  const name = basename(path)
  if (volatileNames.has(name)) return 'volatile'
  return lockPattern.test(name) ? 'lock' : 'log'
}

const keyOf = ({ kind, inode, sector }: Uncertainty): string => `${kind} ${inode} ${sector}`

/** How files that no other boot believes are found: `past` as they were at some moment before. */
const volatileWays = ['old', 'new', 'past', 'torn', 'absent'] as const
type VolatileWay = (typeof volatileWays)[number]

export interface ImageLimits {
  /** Up to so many ways are all looked at … */
  readonly enumeratedMax: number
  /** … and so many where there are more. */
  readonly sampled: number
  /** Steps within the last operation at which the process is killed. */
  readonly kills: number
}

export interface Image {
  readonly pick: Pick
  readonly description: string
}

/** Every image of the disk as it is now that is to be looked at; none twice. */
export function* imagesOf(
  disk: SimulatedDisk,
  random: Random,
  { enumeratedMax, sampled }: Omit<ImageLimits, 'kills'>,
): Generator<Image> {
  const all = disk.uncertainties()
  const ofLog = all.filter((uncertainty) => partOf(uncertainty) === 'log')
  const ofVolatile = all.filter((uncertainty) => partOf(uncertainty) === 'volatile')
  const ways = ofLog.reduce((product, { count }) => Math.min(product * count, 1e9), 1)
  const isEnumerated = ways <= enumeratedMax
  // Where all is certain but what no other boot believes, that is still found in many ways.
  const total = isEnumerated ? Math.max(ways, sampled) : sampled
  for (let index = 0; index < total; index++) {
    const picks = isEnumerated ? decoded(ofLog, index) : sample(ofLog, random)
    const way = volatileWays[random.below(volatileWays.length)]
    const moment = pickMoment(ofVolatile, random)
    for (const uncertainty of all) {
      const part = partOf(uncertainty)
      if (part === 'lock') picks.set(keyOf(uncertainty), uncertainty.count - 1)
      else if (part === 'volatile') {
        picks.set(keyOf(uncertainty), pickVolatile(uncertainty, way, moment, random))
      }
    }
    yield imageOf(all, picks, way)
  }
}

function imageOf(
  all: readonly Uncertainty[],
  picks: ReadonlyMap<string, number>,
  way: VolatileWay,
): Image {
  const pick: Pick = (uncertainty) => picks.get(keyOf(uncertainty)) ?? 0
  const old = all.filter((uncertainty) => partOf(uncertainty) === 'log')
  return {
    pick,
    get description() {
      const parts = old.map((uncertainty) => {
        const { kind, path, sector, count } = uncertainty
        return `${kind} ${basename(path)} ${sector}: ${pick(uncertainty)} of ${count - 1}`
      })
      return `control ${way}; ${parts.join(', ')}`
    },
  }
}

/** The picks of a number: one digit for each uncertainty. */
function decoded(uncertainties: readonly Uncertainty[], index: number): Map<string, number> {
  const picks = new Map<string, number>()
  let rest = index
  for (const uncertainty of uncertainties) {
    picks.set(keyOf(uncertainty), rest % uncertainty.count)
    rest = Math.floor(rest / uncertainty.count)
  }
  return picks
}

/**
 * One of several kinds: all as it was written last but one thing, which is as the last sync left it, or
 * only a little older than the rest; all as it was at one moment, and a part of what came later; anything.
 */
function sample(uncertainties: readonly Uncertainty[], random: Random): Map<string, number> {
  const picks = new Map<string, number>()
  const kind = random.pick(['lost', 'older', 'older', 'moment', 'any', 'any'] as const)
  const odd = random.below(uncertainties.length)
  const part = random.pick([0, 0.1, 0.5, 0.9])
  const moment = pickMoment(uncertainties, random)
  for (const [at, uncertainty] of uncertainties.entries()) {
    const newest = uncertainty.count - 1
    let picked = newest
    if (kind === 'moment' && !random.chance(part)) picked = wayAt(uncertainty, moment)
    else if (kind === 'any') picked = random.chance(part) ? random.below(newest + 1) : newest
    else if (at === odd) picked = kind === 'lost' ? 0 : newest - 1
    picks.set(keyOf(uncertainty), picked)
  }
  return picks
}

/** A moment at which something came to be that no sync covered. */
function pickMoment(uncertainties: readonly Uncertainty[], random: Random): number {
  const moments = uncertainties.flatMap(({ moments }) => moments)
  return moments.length === 0 ? 0 : random.pick(moments)
}

/** How something was found at a moment. */
function wayAt({ moments }: Uncertainty, moment: number): number {
  return moments.findLastIndex((at) => at <= moment)
}

/** `torn`: most as at that moment, the rest anyhow. */
function pickVolatile(
  uncertainty: Uncertainty,
  way: VolatileWay,
  moment: number,
  random: Random,
): number {
  const { count, kind } = uncertainty
  if (kind === 'name') return way === 'absent' ? 0 : 1
  if (way === 'old' || way === 'absent') return 0
  if (way === 'new') return count - 1
  if (way === 'torn' && random.chance(0.3)) return random.below(count)
  return wayAt(uncertainty, moment)
}
