/**
 * Goal: a medium that puts sectors in the wrong place, or keeps old ones, never leads to a wrong answer.
 * Method: in a small closed store on a simulated disk every two sectors change places, each is written
 *   over every other one, by a write that went astray and left its own place as it was before, and each
 *   is found as an earlier sync had left it. The store is opened on another boot, to read and to write.
 * Properties checked: the right answers, or STORE_CORRUPT or STORE_FORMAT; a refused store is as it was
 *   (I2, I5, I12).
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Sector } from '../../src/testing/index.js'
import { seed } from '../support/seed.js'
import { isThorough } from '../support/thorough.js'
import {
  believedSectors,
  describeSector,
  makeSectorFixture,
  type SectorDamage,
  type SectorFixture,
  type SectorOutcomes,
  sectorBytes,
  tryDamage,
} from './sectors.js'

const isSame = (a: Sector, b: Sector): boolean => a.path === b.path && a.sector === b.sector

function* swaps(sectors: readonly Sector[]): Generator<SectorDamage> {
  for (const [index, a] of sectors.entries()) {
    for (const b of sectors.slice(index + 1)) {
      const what = `${describeSector(a)} and ${describeSector(b)} swapped`
      yield { what, damage: (disk) => disk.swap(a, b) }
    }
  }
}

function* astray(fixture: SectorFixture, sectors: readonly Sector[]): Generator<SectorDamage> {
  for (const from of sectors) {
    for (const to of sectors) {
      if (isSame(from, to)) continue
      const what = `${describeSector(from)} written to ${describeSector(to)}`
      yield { what, damage: (disk) => disk.misdirect(from, to) }
    }
  }
  for (const { sector, damage } of stale(fixture, sectors)) {
    for (const to of sectors) {
      if (isSame(sector, to)) continue
      const what = `${describeSector(sector)} written to ${describeSector(to)} alone`
      const both: SectorDamage['damage'] = (disk) => {
        disk.misdirect(sector, to)
        damage(disk)
      }
      yield { what, damage: both }
    }
  }
}

/**
 * Sectors that the second sync changed, as the first one left them. A manifest is a new file each time,
 * in whose place there was nothing of the one before.
 */
function* stale(
  { disk, former }: SectorFixture,
  sectors: readonly Sector[],
): Generator<SectorDamage & { readonly sector: Sector }> {
  for (const sector of sectors) {
    if (!former.paths().includes(sector.path)) continue
    const isReplaced = sector.path.endsWith('/manifest')
    const bytes = isReplaced ? new Uint8Array(512) : sectorBytes(former, sector)
    if (bytes.byteLength === 0 || Buffer.compare(bytes, sectorBytes(disk, sector)) === 0) continue
    const what = `${describeSector(sector)} as it was before`
    const start = sector.sector * 512
    yield { sector, what, damage: (image) => image.damage(sector.path, start, bytes) }
  }
}

for (const mapping of ['mmap', 'file'] as const) {
  describe(`the medium mixes sectors up (${mapping})`, () => {
    const check = (
      name: string,
      damagesOf: (fixture: SectorFixture, sectors: readonly Sector[]) => Iterable<SectorDamage>,
      every: number,
    ): void => {
      test(name, async (t) => {
        const fixture = await makeSectorFixture(mapping)
        const outcomes: SectorOutcomes = { right: 0, refused: 0, wrong: [] }
        let index = 0
        for (const damage of damagesOf(fixture, believedSectors(fixture.disk))) {
          if (isThorough || index++ % every === seed % every) tryDamage(fixture, damage, outcomes)
        }
        t.diagnostic(`${outcomes.right} right, ${outcomes.refused} refused`)
        const message = `${outcomes.wrong.length} wrong; VARVE_SEED=${seed}`
        assert.deepEqual(outcomes.wrong.slice(0, 10), [], message)
        assert.ok(outcomes.refused > 0)
      })
    }
    check('two sectors change places', (_, sectors) => swaps(sectors), 2)
    check('a write goes astray', astray, 5)
    check('a write never arrives', stale, 1)
  })
}
