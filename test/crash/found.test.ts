/**
 * Goal: what the crash states found stays mended.
 * Method: each in its smallest form, on a simulated disk.
 * Properties checked: the store opens, with the state that it must have.
 */
import assert from 'node:assert/strict'
import { basename } from 'node:path'
import { describe, test } from 'node:test'
import { openOn, type Pick, SimulatedDisk } from '../../src/testing/index.js'

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
