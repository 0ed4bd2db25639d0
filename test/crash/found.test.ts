/**
 * Goal: what the crash states found stays mended.
 * Method: each in its smallest form, on a simulated disk.
 * Properties checked: the store opens, with the state that it must have.
 */
import assert from 'node:assert/strict'
import { basename } from 'node:path'
import { describe, test } from 'node:test'
import { openOn, type Pick, SimulatedDisk } from '../../src/testing/index.js'
import { engineOf } from '../support/engine-of.js'

const options = { encoding: 'utf8' } as const

/** Everything arrives but one sector of one file. */
function allBut(name: string, sector: number): Pick {
  return (uncertainty) =>
    uncertainty.kind === 'sector' &&
    basename(uncertainty.path) === name &&
    uncertainty.sector === sector
      ? 0
      : uncertainty.count - 1
}

describe('a crash', () => {
  test('in the first sync of a store is no damage, whichever sectors arrived', () => {
    const disk = new SimulatedDisk()
    const store = openOn<string>(disk, options)
    store.put('a', 'x'.repeat(600))
    store.put('b', 'x'.repeat(600))
    void store.sync()
    const after = openOn<string>(disk.crash(allBut('segment-0000000000000001', 1)), options)
    assert.equal(after.count(), 0)
  })

  test('in the second sync of a store, while the first one is under way, is no damage', () => {
    const disk = new SimulatedDisk()
    const store = openOn<string>(disk, options)
    store.put('a', 'x'.repeat(600))
    disk.holdsSyncs = true
    void store.sync()
    store.put('b', 'x'.repeat(600))
    for (const withControl of [true, false]) {
      const pick = allBut('segment-0000000000000001', 1)
      const after = disk.crash((uncertainty) =>
        !withControl && basename(uncertainty.path) === 'control' ? 0 : pick(uncertainty),
      )
      assert.equal(openOn<string>(after, options).count(), 0)
    }
  })

  test('in the first sync of a later session loses nothing of the sessions before', async () => {
    const disk = new SimulatedDisk()
    const first = openOn<string>(disk, options)
    first.put('a', 'kept')
    await first.close()
    const next = disk.crash(({ count }) => count - 1)
    const second = openOn<string>(next, options)
    second.put('b', 'x'.repeat(1000))
    void second.sync()
    const after = openOn<string>(next.crash(allBut('segment-0000000000000002', 1)), options)
    assert.deepEqual([...after.keys()], ['a'])
  })

  test('with a sync before it that a kill cut off leaves nothing behind what neither brought to the medium', async () => {
    const disk = new SimulatedDisk()
    const first = openOn<string>(disk, options)
    // What is left of the first segment takes no other one like these.
    const filler = 'x'.repeat(3000)
    for (let index = 0; index < 5; index++) first.put(`filler ${index}`, filler)
    await first.sync()
    first.put('lost', 'with the marker behind it')
    disk.holdsSyncs = true
    void first.sync()
    disk.killProcesses()
    const second = openOn<string>(disk, options)
    second.put('behind', filler)
    void second.sync()
    const after = disk.crash(({ count, kind, path }) =>
      kind === 'sector' && basename(path) === 'segment-0000000000000001' ? 0 : count - 1,
    )
    const found = openOn<string>(after, options)
    assert.equal(found.count(), 5)
    assert.ok(found.stats().lastRecovery.bytesDropped > 3000)
  })

  test('after a sync does not bring an update back that an older control file announces', async () => {
    const disk = new SimulatedDisk()
    const store = openOn<string>(disk, options)
    store.put('a', 'old')
    store.put('a', 'now')
    const moments = disk.uncertainties().flatMap((uncertainty) => uncertainty.moments)
    const arrived = Math.max(...moments)
    store.put('a', 'new')
    await store.sync()
    const after = disk.crash(({ path, moments: seen, count }) =>
      basename(path) === 'control' ? seen.findLastIndex((at) => at <= arrived) : count - 1,
    )
    assert.equal(openOn<string>(after, options).get('a'), 'new')
  })
})

describe('a failure of the system', () => {
  test('while a store is opened leaves nobody among those who have it open', () => {
    const disk = new SimulatedDisk()
    openOn<string>(disk, options).put('a', 'kept')
    disk.killProcesses()
    disk.faults.set({ call: 'list', at: 1 })
    assert.throws(() => openOn(disk, options), { code: 'EIO' })
    const store = openOn<string>(disk, options)
    assert.equal(store.attachments().length, 1)
    assert.equal(store.get('a'), 'kept')
  })

  test('where a segment cannot be opened is not called damage', async () => {
    const disk = new SimulatedDisk()
    const first = openOn<string>(disk, options)
    for (let index = 0; index < 20; index++) first.put(`k${index}`, 'x'.repeat(3000))
    await first.close()
    const store = openOn<string>(disk, options)
    disk.faults.set({ call: 'open', at: 1, code: 'EMFILE' })
    assert.throws(() => store.get('k7'), { code: 'EMFILE' })
    assert.equal(store.get('k7')?.length, 3000)
  })

  test('on one segment leads verify to no damage in others', async () => {
    const disk = new SimulatedDisk()
    const store = openOn<string>(disk, options)
    for (let index = 0; index < 10; index++) {
      store.put(`k${index}`, 'x'.repeat(3000))
      if (index === 1) await store.sync()
    }
    await store.sync()
    const blocked = '/store/segment-0000000000000001'
    const { platform } = disk
    const { openFile } = platform
    platform.openFile = (path, mode) => {
      const file = openFile(path, mode)
      if (path !== blocked) return file
      file.read = () => {
        throw Object.assign(new Error('EIO'), { code: 'EIO' })
      }
      return file
    }
    const { problems } = await store.verify()
    assert.deepEqual(
      problems.map(({ file }) => file),
      [blocked],
    )
  })
})

/** Nothing that no sync covered. */
const nothing: Pick = () => 0

describe('a sync that fails', () => {
  for (const mapping of ['mmap', 'file'] as const) {
    test(`while a store is recovered is not taken for done by the next opening (${mapping})`, () => {
      const disk = new SimulatedDisk({ mapping })
      openOn<string>(disk, options).put('a', 'written')
      disk.killProcesses()
      // As after a new mount: the control file is not believed, and the page cache is what it was.
      disk.mountId = 'another'
      disk.faults.set({ call: 'sync', at: 1 })
      assert.throws(() => openOn<string>(disk, options), { code: 'EIO' })
      assert.equal(openOn<string>(disk, options).get('a'), 'written')
      assert.equal(openOn<string>(disk.crash(nothing), options).get('a'), 'written')
    })
  }

  test('poisons beyond the process where nothing is mapped', async () => {
    const disk = new SimulatedDisk({ mapping: 'file' })
    const first = openOn<string>(disk, options)
    await first.sync()
    first.put('a', 'written')
    disk.faults.set({ call: 'sync', at: 1 })
    await assert.rejects(first.sync(), { code: 'STORE_POISONED' })
    disk.killProcesses()
    const second = openOn<string>(disk, options)
    assert.equal(second.get('a'), 'written')
    // What the system called clean, and never wrote, is in new files.
    assert.equal(openOn<string>(disk.crash(nothing), options).get('a'), 'written')
  })
})

test('a manifest names only segments whose names are on the medium', async () => {
  const disk = new SimulatedDisk({ mapping: 'file' })
  const first = openOn<string>(disk, options)
  await first.sync()
  for (let index = 0; index < 10; index++) first.put(`k${index}`, 'x'.repeat(3000))
  disk.killProcesses()
  let image: SimulatedDisk | undefined
  disk.onChange = ({ call }) => {
    // Before the name of the manifest is certain, it may be all that arrives.
    if (call !== 'syncDirectory' || !disk.paths().includes('/store/manifest')) return
    image ??= disk.crash(({ kind, path, count }) =>
      kind === 'name' && path.includes('segment') ? 0 : count - 1,
    )
  }
  openOn<string>(disk, options)
  assert.ok(image !== undefined)
  assert.equal(openOn<string>(image, options).count(), 0)
})

test('without a mapping, what a segment lost at its end is a gap that nothing behind it counts after', () => {
  const disk = new SimulatedDisk({ mapping: 'file' })
  const store = openOn<string>(disk, options)
  store.put('pad', '')
  // From here on every record begins with a sector: where sectors are lost, so are whole records.
  const { log } = engineOf(store)
  store.put('pad', 'x'.repeat(1024 - ((log.tailOffset * 8 + 56) % 512)))
  for (let index = 0; index < 8; index++) store.put(`k${index}`, 'x'.repeat(2504))
  // All arrives but the last sectors of the first of two segments: zeros, as if it ended there.
  for (let lost = 0; lost < 32; lost++) {
    const after = disk.crash(({ kind, path, sector, count }) =>
      // Of the first sector the header arrived.
      kind === 'sector' && path.endsWith('1') && sector >= lost
        ? sector === 0
          ? 1
          : 0
        : count - 1,
    )
    const kept = [...openOn<string>(after, options).keys({ prefix: 'k' })]
    const expected = Array.from(kept, (_, index) => `k${index}`)
    assert.deepEqual(kept, expected, `from sector ${lost} on`)
  }
})
