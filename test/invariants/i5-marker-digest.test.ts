/**
 * Goal: I5, recovery after a lost page cache stops at the last marker up to which everything is as it
 *   was written, an update in place included; what had been synced is never cut, but reported.
 * Method: copies of a store, without its control file, in the states that a power loss can leave: a
 *   page that kept its old content, a page that never arrived, markers with and without their flush.
 * Properties checked: the state of a marker, or STORE_CORRUPT where a later one tells of a completed
 *   sync. (Hazards C1 and C2.)
 * Kept by: the digest in `#takeMarker`, `#durable` and `#stop` of log-reader.ts.
 */
import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { abandon } from '../../src/engine/close.js'
import { open, type Store } from '../../src/store/index.js'
import { copyStore, overwrite, segmentNames, temporaryDirectory } from '../support/directory.js'
import { engineOf } from '../support/engine-of.js'
import { storeErrorOf } from '../support/store-error.js'

const options = { segmentSizeBytes: 2 ** 20, encoding: 'utf8', syncIntervalMs: 0 } as const

interface Bytes {
  readonly position: number
  readonly bytes: Buffer
}

/** What lies between two places of the tail segment now. */
function bytesBetween(store: Store<string>, from: number, to: number): Bytes {
  const { log } = engineOf(store)
  const bytes = Buffer.from(log.bytes[log.tailSlot].subarray(from * 8, to * 8))
  return { position: from * 8, bytes }
}

const tailOffset = (store: Store<string>): number => engineOf(store).log.tailOffset

/** The store as it is now, as another boot would find it, with some bytes that are not as in memory. */
function crash(live: string, to: string, differing: readonly Bytes[], keepControl = false): string {
  copyStore(live, to)
  if (!keepControl) rmSync(join(to, 'control'))
  const [name] = segmentNames(to)
  for (const { position, bytes } of differing) overwrite(join(to, name), position, bytes)
  return to
}

function contents(directory: string): Record<string, string | undefined> {
  const store = open<string>(directory, { readOnly: true })
  const found = Object.fromEntries(
    ['synced', 'a', 'b', 'c'].flatMap((key) => (store.has(key) ? [[key, store.get(key)]] : [])),
  )
  assert.equal(store.count(), Object.keys(found).length)
  abandon(engineOf(store))
  return found
}

async function synced(live: string): Promise<Store<string>> {
  const store = open<string>(live, options)
  store.put('synced', 'yes')
  await store.sync()
  return store
}

describe('I5: after a power loss', () => {
  test('a marker does not count if an update in place before it was lost', async (t) => {
    const parent = temporaryDirectory(t)
    const live = join(parent, 'live')
    const store = await synced(live)
    const start = tailOffset(store)
    store.put('a', 'old')
    const old = bytesBetween(store, start, tailOffset(store))
    store.put('a', 'new')
    assert.notDeepEqual(bytesBetween(store, start, tailOffset(store)), old, 'updated in place')
    store.put('c', 'later')
    // The marker is written at once; the flush is under way.
    const flush = store.sync()
    const whole = crash(live, join(parent, 'whole'), [])
    const torn = crash(live, join(parent, 'torn'), [old])
    await flush
    assert.deepEqual(contents(whole), { synced: 'yes', a: 'new', c: 'later' })
    // The old record verifies by itself: only the sum over all of them tells.
    assert.deepEqual(contents(torn), { synced: 'yes' })
    await store.close()
  })

  test('an old control file does not vouch for an update in place that was lost', async (t) => {
    const parent = temporaryDirectory(t)
    const live = join(parent, 'live')
    const store = await synced(live)
    const start = tailOffset(store)
    store.put('a', 'old')
    const old = bytesBetween(store, start, tailOffset(store))
    store.put('a', 'new')
    store.put('c', 'later')
    // The control file arrived, and it names the tail.
    const whole = crash(live, join(parent, 'whole'), [], true)
    const torn = crash(live, join(parent, 'torn'), [old], true)
    assert.deepEqual(contents(whole), { synced: 'yes', a: 'new', c: 'later' })
    assert.deepEqual(contents(torn), { synced: 'yes' })
    await store.close()
  })

  test('a marker whose flush did not end is no evidence against the sync before', async (t) => {
    const parent = temporaryDirectory(t)
    const live = join(parent, 'live')
    const store = await synced(live)
    const start = tailOffset(store)
    store.put('a', 'lost')
    const end = tailOffset(store)
    store.put('b', 'arrived')
    const flush = store.sync()
    const lost = { position: start * 8, bytes: Buffer.alloc((end - start) * 8) }
    const torn = crash(live, join(parent, 'torn'), [lost])
    await flush
    assert.deepEqual(contents(torn), { synced: 'yes' })
    const goingOn = open<string>(torn, options)
    goingOn.put('c', 'new')
    await goingOn.close()
    assert.deepEqual(contents(torn), { synced: 'yes', c: 'new' })
    await store.close()
  })

  test('a stretch whose sync had ended is reported when it is damaged, never cut', async (t) => {
    const parent = temporaryDirectory(t)
    const live = join(parent, 'live')
    const store = await synced(live)
    const start = tailOffset(store)
    store.put('a', 'synced')
    const end = tailOffset(store)
    await store.sync()
    store.put('b', 'later')
    // This marker says how far the sync before it had come.
    const flush = store.sync()
    const sizeBytes = (end - start) * 8
    // Zeros look like the end of the log; anything else is a bad record.
    for (const byte of [0, 7]) {
      const lost = { position: start * 8, bytes: Buffer.alloc(sizeBytes, byte) }
      const torn = crash(live, join(parent, `torn-${byte}`), [lost])
      for (const readOnly of [true, false]) {
        storeErrorOf(() => open(torn, { readOnly }), 'STORE_CORRUPT')
      }
    }
    await flush
    await store.close()
  })

  test('writes behind the last marker are gone, and their remains never come back', async (t) => {
    const parent = temporaryDirectory(t)
    const live = join(parent, 'live')
    const store = await synced(live)
    for (let index = 0; index < 20; index++) store.put('a', `not synced ${index}`)
    const cut = crash(live, join(parent, 'cut'), [])
    assert.deepEqual(contents(cut), { synced: 'yes' })
    const second = open<string>(cut, options)
    second.put('b', 'second time')
    await second.sync()
    second.put('c', 'not synced')
    const again = crash(cut, join(parent, 'again'), [])
    assert.deepEqual(contents(again), { synced: 'yes', b: 'second time' })
    await second.close()
    await store.close()
  })
})
