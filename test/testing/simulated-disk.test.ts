/**
 * Goal: the simulated disk keeps what a sync covered, and nothing else for certain.
 * Method: its platform is used as a store does; then crashes.
 * Properties checked: sectors, sizes and names after a crash, by what was picked; faults where they were
 *   asked for; a store on it, as the page of `varve/testing` shows.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { openOn, type Pick, SimulatedDisk } from '../../src/testing/index.js'

const path = '/d/file'
const oldest: Pick = () => 0
const newest: Pick = ({ count }) => count - 1

/** A file of two sectors, synced, with its name. */
function diskWithFile(): SimulatedDisk {
  const disk = new SimulatedDisk()
  const file = disk.platform.openFile(path, 'create')
  file.write(new Uint8Array(1024).fill(1), 0)
  file.syncNow()
  disk.platform.syncDirectory('/d')
  return disk
}

describe('a simulated disk', () => {
  test('keeps what a sync covered', () => {
    const disk = diskWithFile()
    const file = disk.platform.openFile(path, 'write')
    file.write(new Uint8Array(600).fill(2), 0)
    file.write(new Uint8Array(100).fill(3), 2000)
    assert.deepEqual(disk.crash(oldest).contentOf(path), new Uint8Array(1024).fill(1))
    assert.deepEqual(disk.crash(newest).contentOf(path), disk.contentOf(path))
  })

  test('loses and keeps sectors one by one, in every version that was looked at', () => {
    const disk = diskWithFile()
    const { buffer, byteOffset } = disk.platform.openFile(path, 'write').map(0, 1024, 'shared')
    const bytes = new Uint8Array(buffer, byteOffset, 1024)
    bytes.fill(2, 0, 600)
    disk.observe()
    bytes.fill(3, 0, 600)
    const counts = disk.uncertainties().map(({ count, kind, sector }) => ({ count, kind, sector }))
    assert.deepEqual(counts, [
      { count: 3, kind: 'sector', sector: 0 },
      { count: 3, kind: 'sector', sector: 1 },
    ])
    for (const first of [0, 1, 2]) {
      for (const second of [0, 1, 2]) {
        const content = disk.crash(({ sector }) => [first, second][sector]).contentOf(path)
        assert.equal(content[0], first + 1)
        assert.equal(content[511], first + 1)
        assert.equal(content[599], second + 1)
        assert.equal(content[600], 1)
      }
    }
  })

  test('covers with a sync what was there when it began', async () => {
    const disk = diskWithFile()
    const file = disk.platform.openFile(path, 'write')
    file.write(Uint8Array.of(2), 0)
    disk.holdsSyncs = true
    const sync = file.sync()
    file.write(Uint8Array.of(3), 0)
    assert.equal(disk.crash(oldest).contentOf(path)[0], 1)
    disk.releaseSyncs()
    await sync
    assert.equal(disk.crash(oldest).contentOf(path)[0], 2)
    assert.equal(disk.crash(newest).contentOf(path)[0], 3)
  })

  test('loses and keeps names one by one, and a rename whole', () => {
    const disk = diskWithFile()
    const { platform } = disk
    platform.openFile('/d/new', 'create')
    platform.rename(path, '/d/renamed')
    assert.deepEqual(disk.crash(oldest).paths(), [path])
    assert.deepEqual(disk.crash(newest).paths(), ['/d/new', '/d/renamed'])
    const onlyRenamed = disk.crash(({ kind, sector }) => (kind === 'name' && sector === 1 ? 1 : 0))
    assert.deepEqual(onlyRenamed.paths(), ['/d/renamed'])
    assert.equal(onlyRenamed.contentOf('/d/renamed').byteLength, 1024)
    platform.syncDirectory('/d')
    assert.deepEqual(disk.crash(oldest).paths(), ['/d/new', '/d/renamed'])
  })

  test('calls pages clean that a failed sync did not write', () => {
    const disk = diskWithFile()
    const file = disk.platform.openFile(path, 'write')
    file.write(Uint8Array.of(2), 0)
    disk.faults.set({ call: 'sync', at: 1 })
    assert.throws(() => file.syncNow(), { code: 'EIO' })
    file.syncNow()
    assert.equal(disk.contentOf(path)[0], 2)
    assert.equal(disk.crash(newest).contentOf(path)[0], 1)
  })

  test('fails the call that it was told to, once or from then on', () => {
    const disk = diskWithFile()
    const read = (): number => disk.platform.openFile(path, 'read').read(new Uint8Array(1), 0)
    disk.faults.set({ call: 'read', at: 2, code: 'ENXIO' })
    assert.equal(read(), 1)
    assert.throws(read, { code: 'ENXIO' })
    assert.equal(read(), 1)
    disk.faults.set({ call: 'read', at: 1, isLasting: true })
    for (let count = 0; count < 3; count++) assert.throws(read, { code: 'EIO' })
    disk.faults.clear()
    assert.equal(read(), 1)
  })

  test('is full at the byte that it was told, and takes what fits', () => {
    const disk = new SimulatedDisk({ capacityBytes: 700 })
    const file = disk.platform.openFile(path, 'create')
    assert.throws(() => file.write(new Uint8Array(1000).fill(1), 0), { code: 'STORE_FULL' })
    assert.equal(file.sizeBytes(), 700)
    assert.throws(() => file.reserve(701), { code: 'STORE_FULL' })
    disk.capacityBytes = 1000
    file.reserve(1000)
    assert.equal(file.sizeBytes(), 1000)
  })

  test('has a store, which a kill leaves as it was and a crash as it was synced', async () => {
    const disk = new SimulatedDisk()
    const store = openOn(disk)
    store.put('a', 1)
    await store.sync()
    store.put('b', 2)
    const crashed = openOn(disk.crash(oldest))
    assert.deepEqual([crashed.get('a'), crashed.get('b')], [1, undefined])
    const killed = openOn(disk.kill())
    assert.deepEqual([killed.get('a'), killed.get('b')], [1, 2])
    assert.equal(killed.stats().lastRecovery.kind, 'same-boot')
    assert.throws(() => openOn(new SimulatedDisk(), { segmentSizeBytes: 1000 }), RangeError)
  })
})
