/**
 * Goal: verify finds all damage, names its file and address, and takes nothing else for damage.
 * Method: whole stores of every kind, and the same with one thing wrong: bits of their files flipped
 *   while they are open, records zeroed, entries and counts of the indexes changed in memory.
 * Properties checked: no problem in a whole store; one in the damaged file, at the damaged record;
 *   every file byte for byte as it was.
 */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, renameSync, truncateSync } from 'node:fs'
import { basename, join } from 'node:path'
import { describe, test } from 'node:test'
import { abandon } from '../../src/engine/close.js'
import * as layout from '../../src/format/control-layout.js'
import { segmentFileName } from '../../src/format/file-names.js'
import { wordOf } from '../../src/index/hash-index.js'
import { recordSpan } from '../../src/log/record-fields.js'
import { slotNumber, slotTombstoneBytes } from '../../src/log/slot-table.js'
import type { Platform } from '../../src/platform/platform.js'
import { salvage } from '../../src/repair/salvage.js'
import { open, type Store, StoreError } from '../../src/store/index.js'
import { makeFixture, segmentSizeBytes } from '../damage/fixture.js'
import { contentsOf, overwrite, segmentNames, temporaryDirectory } from '../support/directory.js'
import { engineOf } from '../support/engine-of.js'
import { Random } from '../support/random.js'
import { seed } from '../support/seed.js'
import { differenceOf } from '../support/state.js'
import { storeErrorOf } from '../support/store-error.js'
import { isThorough } from '../support/thorough.js'

const options = {
  encoding: 'binary',
  segmentSizeBytes,
  syncIntervalMs: 0,
  autoCompact: false,
} as const

/** Several segments, batches, deletes, a large value, two keyspaces, two ranges. */
async function fill(store: Store<Buffer>): Promise<void> {
  const random = new Random(7)
  const users = store.keyspace<Buffer>('users', { encoding: 'binary' })
  for (let index = 0; index < 3000; index++) {
    store.put(`key ${index % 2000}`, random.bytes(random.below(1200)))
    if (index % 100 === 0) users.put(`user ${index}`, random.bytes(30))
    if (index % 500 === 0) await store.sync()
    if (index % 700 === 0) store.count({ gte: 'key 1' })
  }
  for (let index = 0; index < 200; index++) store.delete(`key ${index * 3}`)
  store.write([
    { type: 'put', key: 'batch 1', value: Buffer.from('one') },
    { type: 'delete', key: 'key 1' },
    { type: 'put', keyspace: 'users', key: 'batch 2', value: Buffer.from('two') },
  ])
  store.put('large', random.bytes(segmentSizeBytes / 2))
  store.keyspace('gone').put('key', 1)
  store.dropKeyspace('gone')
}

describe('a whole store', () => {
  for (const mapping of ['mmap', 'file'] as const) {
    test(`has no problems (${mapping}), and all its records are verified`, async (t) => {
      const directory = temporaryDirectory(t)
      const store = open<Buffer>(directory, { ...options, mapping })
      await fill(store)
      const report = await store.verify()
      assert.deepEqual(report, { ok: true, records: store.stats().records, problems: [] })
      await store.close()
      for (const readOnly of [false, true]) {
        const again = open<Buffer>(directory, { mapping, readOnly })
        assert.deepEqual(await again.verify(), report)
        await again.close()
      }
    })
  }

  test('is verified as it was, also where the log goes on in the slot of a segment that was dropped', async (t) => {
    const store = open<Buffer>(temporaryDirectory(t), options)
    const { log, platform } = engineOf(store)
    const large = Buffer.alloc(segmentSizeBytes / 5)
    for (let count = 0; count < 20; count++) store.put('large', large)
    await store.sync()
    await store.compact({ minGarbageRatio: 0.1 })
    const before = new Set(segmentNames(log.directory))
    const { openFile } = platform
    const opened = new Set<string>()
    // The superblock is the first file that is read, when the moment is taken.
    const trap: Platform['openFile'] = (path, how) => {
      const isFirst = opened.size === 0
      opened.add(basename(path))
      if (isFirst) {
        for (let count = 0; count < 12; count++) store.put('large', large)
        opened.clear()
        opened.add('superblock')
      }
      return openFile.call(platform, path, how)
    }
    Object.assign(platform, { openFile: trap })
    const { problems } = await store.verify()
    Object.assign(platform, { openFile })
    const behind = segmentNames(log.directory).filter((name) => !before.has(name))
    assert.ok(behind.length > 0)
    assert.deepEqual(problems, [])
    assert.deepEqual(
      behind.filter((name) => opened.has(name)),
      [],
    )
    await store.close()
  })

  test('has no problems in memory, and none while it is empty', async () => {
    const store = open<Buffer>(':memory:', options)
    assert.deepEqual(await store.verify(), { ok: true, records: 0, problems: [] })
    await fill(store)
    assert.deepEqual((await store.verify()).problems, [])
    await store.close()
  })

  for (const kind of ['closed', 'recovered'] as const) {
    for (const mapping of ['mmap', 'file'] as const) {
      test(`has no problems on another boot: ${kind}, ${mapping}`, async (t) => {
        const { directory } = await makeFixture(t, kind, mapping)
        const before = contentsOf(directory)
        const reader = open(directory, { mapping, readOnly: true })
        const report = await reader.verify()
        assert.deepEqual(report.problems, [])
        assert.equal(report.records, reader.stats().records)
        abandon(engineOf(reader))
        const { lock: _before, lifecycle: _first, ...files } = before
        const { lock: _after, lifecycle: _second, ...now } = contentsOf(directory)
        assert.deepEqual(now, files, 'nothing is changed')
        const writer = open(directory, { mapping })
        assert.deepEqual((await writer.verify()).problems, [])
        await writer.close()
      })
    }
  }

  test('is verified while it is written to: what changes is not damage', async (t) => {
    const store = open<Buffer>(temporaryDirectory(t), options)
    await fill(store)
    const random = new Random(seed)
    let isDone = false
    let writes = 0
    const write = (): void => {
      if (isDone) return
      for (let count = 0; count < 20; count++) {
        const key = `key ${random.below(2500)}`
        if (random.chance(0.2)) store.delete(key)
        else store.put(key, random.bytes(random.below(300)))
        writes++
      }
      setImmediate(write)
    }
    write()
    store.count({ gte: 'a' })
    for (let round = 0; round < 5; round++) {
      const { problems } = await store.verify()
      assert.deepEqual(problems, [], `VARVE_SEED=${seed}`)
    }
    isDone = true
    assert.ok(writes > 100, 'the event loop turned meanwhile')
    await store.close()
  })

  test('tells how far it is, and ends with STORE_CLOSED where the store is closed', async (t) => {
    const store = open<Buffer>(temporaryDirectory(t), options)
    await fill(store)
    const seen: number[] = []
    let total = 0
    await store.verify({
      maxBytesPerSecond: 20e6,
      onProgress: ({ bytes, totalBytes }) => {
        seen.push(bytes)
        total = totalBytes
      },
    })
    assert.ok(seen.length > 1 && seen.every((bytes, index) => bytes >= (seen[index - 1] ?? 0)))
    assert.ok(seen[seen.length - 1] <= total && total > 0)
    const verifying = store.verify({ maxBytesPerSecond: 1e6 })
    const closing = store.close()
    await assert.rejects(verifying, { code: 'STORE_CLOSED' })
    await closing
    await assert.rejects(store.verify(), { code: 'STORE_CLOSED' })
  })

  test('options that are none are refused', async () => {
    const store = open(':memory:')
    await assert.rejects(store.verify({ maxBytesPerSecond: 0 }), RangeError)
    await assert.rejects(store.verify({ onProgress: 1 as never }), TypeError)
    await assert.rejects(store.verify({ onProgres: 1 } as never), /accepted/)
    await store.close()
  })
})

/** Where the bytes of a file that have a checksum end. */
function usedEnd(bytes: Buffer): number {
  return bytes.findLastIndex((byte) => byte !== 0) + 1
}

for (const kind of ['closed', 'recovered'] as const) {
  test(`one flipped bit of an open store (${kind}) is found in its file or is harmless`, async (t) => {
    const { directory, mapping, state } = await makeFixture(t, kind)
    const store = open<Buffer>(directory, { mapping, syncIntervalMs: 0, autoCompact: false })
    store.put('tail', Buffer.from('of this session'))
    store.delete('tail')
    store.count({ gte: 'a' })
    assert.deepEqual((await store.verify()).problems, [])
    const random = new Random(seed)
    const missed: string[] = []
    let found = 0
    for (const name of ['superblock', 'manifest', ...segmentNames(directory)]) {
      const path = join(directory, name)
      const bytes = readFileSync(path)
      const end = usedEnd(bytes)
      for (let count = 0; count < (isThorough ? 600 : 40); count++) {
        const at = random.below(end)
        const bit = 1 << random.below(8)
        overwrite(path, at, Uint8Array.of(bytes[at] ^ bit))
        const { ok, problems } = await store.verify()
        // Space that an update left behind a record has no checksum, and no meaning.
        const isHarmless = ok && differenceOf(store, state) === undefined
        overwrite(path, at, Uint8Array.of(bytes[at]))
        const isFound = problems.some(({ file, address }) => file === path && address <= at)
        if (isFound) found++
        else if (!isHarmless)
          missed.push(`${name} byte ${at} bit ${bit}: ${JSON.stringify(problems)}`)
        assert.equal(ok, problems.length === 0)
      }
    }
    assert.deepEqual((await store.verify()).problems, [], 'all is well again')
    assert.deepEqual(missed, [], `VARVE_SEED=${seed}`)
    assert.ok(found > 0)
    await store.close()
  })
}

for (const kind of ['closed', 'recovered'] as const) {
  for (const mapping of ['mmap', 'file'] as const) {
    test(`damage of a store that is not open (${kind}, ${mapping}) is named by opening or by verify`, async (t) => {
      const fixture = await makeFixture(t, kind, mapping)
      const { directory, state } = fixture
      const random = new Random(seed)
      const missed: string[] = []
      let found = 0
      for (const name of ['superblock', 'manifest', ...segmentNames(directory)]) {
        const path = join(directory, name)
        const bytes = readFileSync(path)
        const end = usedEnd(bytes)
        for (let count = 0; count < (isThorough ? 300 : 20); count++) {
          const at = random.below(end)
          const change = random.chance(0.3)
            ? Buffer.alloc(Math.min(64, end - at))
            : Buffer.of(bytes[at] ^ (1 << random.below(8)))
          const before = bytes.subarray(at, at + change.length)
          if (change.equals(before)) continue
          overwrite(path, at, change)
          const where = `${name} byte ${at}, ${change.length} bytes`
          try {
            const store = open<Buffer>(directory, { mapping, readOnly: true, syncIntervalMs: 0 })
            const { problems } = await store.verify()
            const isHarmless = differenceOf(store, state) === undefined
            abandon(engineOf(store))
            if (problems.some(({ file }) => file === path)) found++
            else if (!isHarmless) missed.push(`${where}: ${JSON.stringify(problems)}`)
          } catch (error) {
            const details = error instanceof StoreError ? error.details : undefined
            if (details?.file === undefined) missed.push(`${where}: ${String(error)}`)
            else found++
          }
          overwrite(path, at, before)
        }
      }
      assert.deepEqual(missed, [], `VARVE_SEED=${seed}`)
      assert.ok(found > 20)
    })
  }
}

describe('damage of an open store', () => {
  async function openFilled(t: Parameters<typeof temporaryDirectory>[0]): Promise<Store<Buffer>> {
    const store = open<Buffer>(temporaryDirectory(t), options)
    await fill(store)
    return store
  }

  /** The record of a key: its slot, offset, and file. */
  function placeOf(store: Store<Buffer>, key: string) {
    const engine = engineOf(store)
    assert.ok(store.has(key))
    const { offset, slot } = engine.lookup
    const number = Math.floor(engine.log.starts[slot] / engine.log.segmentWords)
    const name = `segment-${String(number).padStart(16, '0')}`
    return { engine, slot, offset, path: join(store.path, name) }
  }

  test('names the record whose bytes are wrong, and goes on behind it', async (t) => {
    const store = await openFilled(t)
    for (const keys of [['key 700'], ['key 700', 'key 1999', 'batch 1']]) {
      const places = keys.map((key) => placeOf(store, key))
      for (const { engine, offset, slot } of places) engine.log.words[slot][offset * 2 + 13] ^= 64
      const { ok, problems } = await store.verify()
      for (const { engine, offset, slot } of places) engine.log.words[slot][offset * 2 + 13] ^= 64
      assert.equal(ok, false)
      for (const { path, offset } of places) {
        assert.ok(
          problems.some(({ file, address }) => file === path && address === offset * 8),
          JSON.stringify(problems),
        )
      }
      assert.ok(problems.length <= 2 * keys.length, JSON.stringify(problems))
    }
    await store.close()
  })

  test('finds a record that reads as zeros', async (t) => {
    const store = await openFilled(t)
    for (const key of ['key 700', 'key 1999']) {
      const { engine, offset, path, slot } = placeOf(store, key)
      const words = engine.log.words[slot]
      const end = (offset + recordSpan(words, offset * 2)) * 2
      const saved = words.slice(offset * 2, end)
      words.fill(0, offset * 2, end)
      const { problems } = await store.verify()
      words.set(saved, offset * 2)
      assert.ok(problems.length > 0)
      assert.ok(
        problems.some(({ file, what }) => file === path || what.includes(path)),
        JSON.stringify(problems),
      )
    }
    assert.ok((await store.verify()).ok)
    await store.close()
  })

  test('finds an entry of the hash index that is gone, wrong, old, or there twice', async (t) => {
    const store = await openFilled(t)
    const { engine, offset, path, slot } = placeOf(store, 'key 700')
    const { entryIndex, entryWords } = engine.lookup
    const low = entryWords[entryIndex]
    const high = entryWords[entryIndex + 1]
    const set = (newLow: number, newHigh: number): void => {
      entryWords[entryIndex] = newLow
      entryWords[entryIndex + 1] = newHigh
    }
    set(0, 0)
    assert.deepEqual(
      (await store.verify()).problems,
      [
        {
          file: path,
          address: offset * 8,
          what: 'the index does not lead to this record, which is live',
        },
        {
          file: join(store.path, 'order'),
          address: 0,
          what: 'it has a key that the hash index does not know',
        },
      ].reverse(),
    )
    for (const [wrongLow, wrongHigh] of [
      [low ^ 0x100, high],
      [low, high + 1],
      [low, high ^ 0x40000],
      [low | 0xff, -1],
    ]) {
      set(wrongLow, wrongHigh)
      const { problems } = await store.verify()
      assert.ok(
        problems.some(({ file }) => /(buckets|overflow)$/.test(file)),
        JSON.stringify(problems),
      )
    }
    set(low, high)
    store.put('key 700', Buffer.from('newer, and longer than the one before'.repeat(40)))
    placeOf(store, 'key 700')
    const newLow = entryWords[entryIndex]
    const newHigh = entryWords[entryIndex + 1]
    assert.ok(newHigh !== high || newLow !== low)
    set(low, high)
    const old = await store.verify()
    assert.ok(
      old.problems.some(({ what }) => what === 'the index leads to an older record of its key'),
      JSON.stringify(old.problems),
    )
    set(newLow, newHigh)
    assert.deepEqual((await store.verify()).problems, [])
    assert.ok(slot >= 0)
    await store.close()
  })

  test('finds counts that are wrong', async (t) => {
    const store = await openFilled(t)
    const { control, counts } = engineOf(store)
    const [records, keyBytes, valueBytes] = ([0, 1, 2] as const).map((field) =>
      counts.get(0, field),
    )
    counts.set(0, records + 1, keyBytes, valueBytes - 1)
    const { problems } = await store.verify()
    assert.deepEqual(
      problems.map(({ file }) => file),
      [join(store.path, 'keyspaces'), join(store.path, 'keyspaces')],
    )
    counts.set(0, records, keyBytes, valueBytes)
    control.doubles[control.state + layout.liveBytes] += 8
    const { problems: ofTotals } = await store.verify()
    assert.deepEqual(
      ofTotals.map(({ file }) => file),
      [join(store.path, 'control')],
    )
    control.doubles[control.state + layout.liveBytes] -= 8
    // Of a sealed segment, and of the tail.
    const { log } = engineOf(store)
    log.slots.add(0, slotTombstoneBytes, 56)
    control.doubles[control.state + layout.tailTombstoneBytes] += 56
    const tail = log.slots.get(log.firstSlotOf(log.tailSlot), slotNumber)
    const { problems: ofTombstones } = await store.verify()
    assert.deepEqual(
      ofTombstones.map(({ file }) => file),
      [log.slots.get(0, slotNumber), tail].map((number) =>
        log.path(segmentFileName('log', number)),
      ),
    )
    await store.close()
  })

  test('finds a link of the hash index that leads nowhere', async (t) => {
    const store = await openFilled(t)
    const { index } = engineOf(store)
    const link = wordOf(5) + 15
    const words = index.wordsOf(5)
    const saved = words[link]
    words[link] = 1_000_000
    const { problems } = await store.verify()
    words[link] = saved
    assert.ok(
      problems.some(({ file, address }) => /buckets$/.test(file) && address === 5 * 64 + 60),
    )
    await store.close()
  })

  test('finds files that are missing, cut, or of another name', async (t) => {
    const store = await openFilled(t)
    await store.close()
    const reader = open<Buffer>(store.path, { readOnly: true })
    const names = readdirSync(store.path).filter((name) =>
      /^(superblock|manifest|value-)/.test(name),
    )
    assert.equal(names.length, 3)
    for (const name of names) {
      const path = join(store.path, name)
      renameSync(path, `${path}.away`)
      const { problems } = await reader.verify()
      renameSync(`${path}.away`, path)
      assert.ok(
        problems.some(({ file, what }) => file === path && what === 'the file is missing'),
        JSON.stringify(problems),
      )
    }
    const [first] = segmentNames(store.path)
    const size = readFileSync(join(store.path, first)).length
    // Nothing lies in the last page of the first segment, and memory behind it is not touched.
    truncateSync(join(store.path, first), size - 4096)
    const { problems } = await reader.verify()
    truncateSync(join(store.path, first), size)
    assert.ok(problems.some(({ what }) => what === 'the file is cut short'))
    await reader.close()
  })
})

test('a store that is closed is not verified', async (t) => {
  const store = open(temporaryDirectory(t), { segmentSizeBytes })
  await store.close()
  storeErrorOf(() => store.stats(), 'STORE_CLOSED')
  await assert.rejects(store.verify(), { code: 'STORE_CLOSED' })
})

test('records larger than what is read at once are verified, backed up and repaired', async (t) => {
  const parent = temporaryDirectory(t)
  const path = join(parent, 'store')
  const store = open<Buffer>(path, { ...options, segmentSizeBytes: 2 ** 24 })
  const random = new Random(3)
  const sizes = [300_000, 2 ** 18 - 64, 2 ** 18 - 48, 2 ** 18, 2_000_001, 4_000_000, 10]
  for (const [index, size] of sizes.entries()) store.put(`key ${index}`, random.bytes(size))
  store.write(
    sizes.map((size, index) => ({ type: 'put', key: `batch ${index}`, value: random.bytes(size) })),
  )
  assert.deepEqual(await store.verify(), { ok: true, records: 14, problems: [] })
  await store.backup(join(parent, 'backup'))
  for (const key of ['key 4', 'batch 5']) {
    store.has(key)
    const { log, lookup } = engineOf(store)
    const { offset, slot } = lookup
    const bytes = log.bytes[slot]
    bytes[offset * 8 + 1_500_000] ^= 1
    const { problems } = await store.verify()
    bytes[offset * 8 + 1_500_000] ^= 1
    assert.ok(problems.length >= 1)
    assert.equal(problems[0].address, offset * 8)
  }
  const values = [...store.values()]
  await store.close()
  assert.deepEqual((await salvage(path, join(parent, 'repaired'))).lost, [])
  for (const name of ['backup', 'repaired']) {
    const copy = open<Buffer>(join(parent, name))
    assert.ok([...copy.values()].every((value, index) => value.equals(values[index])))
    assert.deepEqual((await copy.verify()).problems, [])
    await copy.close()
  }
})
