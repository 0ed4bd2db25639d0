/** Sectors of a closed store that hold what belongs elsewhere, or what was there before. */
import { basename } from 'node:path'
import { StoreError } from '../../src/store/index.js'
import { openOn, type Sector, SimulatedDisk, sectorSizeBytes } from '../../src/testing/index.js'
import { Random } from '../support/random.js'
import { areEqual, described, readContents } from './contents.js'
import { openOptions, openStore, Run } from './run.js'

export interface SectorDamage {
  readonly what: string
  readonly damage: (disk: SimulatedDisk) => void
}

export interface SectorOutcomes {
  right: number
  refused: number
  readonly wrong: string[]
}

/** Believed on another boot; what else there is does not matter there. */
const believedPattern = /^(superblock|manifest|segment-\d+|value-\d+)$/

export interface SectorFixture {
  /** Closed properly. */
  readonly disk: SimulatedDisk
  /** The same disk when an earlier sync had ended. */
  readonly former: SimulatedDisk
  readonly run: Run
}

export async function makeSectorFixture(mapping: 'mmap' | 'file'): Promise<SectorFixture> {
  const run = new Run(new SimulatedDisk({ mapping }), new Random(5), new Map())
  run.reopen()
  run.put('a', 100)
  run.put('k', 600, 'one')
  run.put('l', 4500)
  await run.close()
  run.losePower(({ count }) => count - 1)
  run.put('u', 700)
  run.put('b', 300)
  await run.sync()
  const former = run.disk.crash(() => 0)
  run.put('c', 200)
  run.delete('b')
  run.put('u', 701)
  run.put('u', 702)
  await run.sync()
  run.write([
    { key: 'd', value: run.value(400) },
    { key: 'a', value: undefined },
  ])
  await run.close()
  return { disk: run.disk.crash(() => 0), former, run }
}

/** The sectors of all files that another boot believes, as far as anything was written. */
export function believedSectors(disk: SimulatedDisk): Sector[] {
  return disk.paths().flatMap((path) => {
    if (!believedPattern.test(basename(path))) return []
    const used = disk.contentOf(path).findLastIndex((byte) => byte !== 0) + 1
    const count = Math.ceil(used / sectorSizeBytes)
    return Array.from({ length: count }, (_, sector) => ({ path, sector }))
  })
}

export function describeSector({ path, sector }: Sector): string {
  return `${basename(path)} ${sector}`
}

export function sectorBytes(disk: SimulatedDisk, { path, sector }: Sector): Uint8Array {
  const start = sector * sectorSizeBytes
  return disk.contentOf(path).slice(start, start + sectorSizeBytes)
}

/** Opens the damaged disk, to read and to write. */
export function tryDamage(
  { disk, run }: SectorFixture,
  { damage, what }: SectorDamage,
  outcomes: SectorOutcomes,
): void {
  for (const readOnly of [true, false]) {
    const image = disk.crash(() => 0)
    damage(image)
    const before = fingerprint(image)
    try {
      const store = readOnly
        ? openOn<Buffer>(image, { ...openOptions, readOnly })
        : openStore(image)
      const { contents, surplus } = readContents(store, run.universe)
      const isRight = surplus === undefined && areEqual(contents, run.contents)
      if (isRight) outcomes.right++
      else outcomes.wrong.push(`${what}: ${surplus ?? described(contents)}`)
    } catch (error) {
      const code = error instanceof StoreError ? error.code : undefined
      if (code !== 'STORE_CORRUPT' && code !== 'STORE_FORMAT') {
        outcomes.wrong.push(`${what}: ${String(error)}`)
      } else if (fingerprint(image) !== before) {
        outcomes.wrong.push(`${what}: it was refused, and modified`)
      } else {
        outcomes.refused++
      }
    }
    image.dispose()
  }
}

/** Files that are only there to be locked are made before anything is known. */
function fingerprint(disk: SimulatedDisk): string {
  return disk
    .paths()
    .filter((path) => believedPattern.test(basename(path)) || path.endsWith('.next'))
    .map((path) => `${path} ${Buffer.from(disk.contentOf(path)).toString('base64')}`)
    .join()
}
