/**
 * Goal: the same commands, in any order and any of them again, end in the same store, whatever happens to
 *   it in between.
 * Method: the rules one by one; then random commands with few keys and few versions, in an order of its
 *   own on each of two stores, with syncs, snapshots, closings, kills and other boots among them.
 * Properties checked: each outcome against a model; keys, values and versions of both stores; that all
 *   commands are stale when they come again; what the indexes hold of forgotten deletes.
 */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import * as layout from '../../src/format/control-layout.js'
import {
  type Change,
  type Command,
  type Keyspace,
  type Outcome,
  open,
  type Store,
  type StoreOptions,
} from '../../src/store/index.js'
import { copyAsKilled } from '../kill/memory-image.js'
import { copyStore, temporaryDirectory } from '../support/directory.js'
import { engineOf } from '../support/engine-of.js'
import { Random } from '../support/random.js'
import { seed } from '../support/seed.js'
import { refused } from '../support/store-error.js'
import { isThorough } from '../support/thorough.js'

const options = { segmentSizeBytes: 2 ** 20, syncIntervalMs: 0, encoding: 'binary' } as const
type Bytes = Store<Buffer>

const put = (key: string, text: string, version: number): Command<Buffer, string> => ({
  type: 'put',
  key,
  value: Buffer.from(text),
  version,
})
const remove = (key: string, version: number): Command<Buffer, string> => ({
  type: 'delete',
  key,
  version,
})

function ownClock(t: TestContext): { nowMs: number } {
  const clock = { nowMs: Date.now() }
  t.mock.method(Date, 'now', () => clock.nowMs)
  return clock
}

describe('apply', () => {
  test('the highest version wins; of equal ones a delete, else the greater bytes', async () => {
    const store: Bytes = open(':memory:', options)
    const steps: [Command<Buffer, string>, Outcome, string | undefined][] = [
      [put('a', 'five', 5), 'applied', 'five'],
      [put('a', 'five', 5), 'stale', 'five'],
      [put('a', 'four', 4), 'stale', 'five'],
      [put('a', 'fiva', 5), 'stale', 'five'],
      [put('a', 'fivf', 5), 'applied', 'fivf'],
      [put('a', 'fivf and more', 5), 'applied', 'fivf and more'],
      [remove('a', 4), 'stale', 'fivf and more'],
      [remove('a', 5), 'removed', undefined],
      [remove('a', 5), 'stale', undefined],
      [put('a', 'zzz', 5), 'stale', undefined],
      [put('a', 'six', 6), 'applied', 'six'],
      [remove('a', 9), 'removed', undefined],
      [remove('a', 12), 'removed', undefined],
      [put('a', 'late', 11), 'stale', undefined],
      [put('a', '', 13), 'applied', ''],
      [remove('never there', 7), 'removed', undefined],
      [put('never there', 'late', 6), 'stale', undefined],
      [put('never there', 'in time', 8), 'applied', 'in time'],
      [put('zero', 'version', 0), 'applied', 'version'],
    ]
    for (const [command, outcome, value] of steps) {
      assert.equal(store.apply(command), outcome, JSON.stringify(command))
      assert.equal(store.get(command.key)?.toString(), value)
      if (outcome === 'applied') assert.equal(store.getEntry(command.key)?.version, command.version)
    }
    assert.equal(store.count(), 3)
    assert.deepEqual(store.keys().toArray(), ['a', 'never there', 'zero'])
    assert.deepEqual(store.apply([]), [])
    assert.deepEqual((await store.verify()).problems, [])
    await store.close()
  })

  test('commands of an array see those before them', async () => {
    const store: Bytes = open(':memory:', options)
    const outcomes = store.apply([
      put('a', 'one', 1),
      put('a', 'two', 2),
      remove('a', 1),
      remove('b', 3),
    ])
    assert.deepEqual(outcomes, ['applied', 'applied', 'stale', 'removed'])
    assert.equal(store.get('a')?.toString(), 'two')
    await store.close()
  })

  test('the time of a put is that of the command; its own writes draw versions above all seen', async () => {
    const store: Bytes = open(':memory:', options)
    const version = 2 ** 53 - 2 ** 40
    const future = { ...put('a', 'x', version), timestampMs: 5 } as Command<Buffer, string>
    assert.equal(store.apply(future), 'applied')
    assert.equal(store.getEntry('a')?.timestampMs, 5)
    store.put('b', Buffer.from('x'))
    assert.ok((store.getEntry('b')?.version ?? 0) > version)
    assert.equal(store.delete('a'), true)
    assert.equal(store.apply(put('a', 'y', version)), 'stale')
    const { timestampMs } = store.getEntry('b') ?? { timestampMs: 0 }
    assert.ok(Math.abs(timestampMs - Date.now()) < 3_600_000)
    await store.close()
  })

  test('a command that cannot be one is refused before the first is applied', async () => {
    const store: Bytes = open(':memory:', options)
    const good = put('a', 'x', 1)
    const wrong: [unknown, typeof TypeError | typeof RangeError, string][] = [
      [null, TypeError, 'command'],
      ['put', TypeError, 'command'],
      [{ ...good, type: 'set' }, TypeError, 'type'],
      [{ type: 'put', key: 'a', version: 1 }, TypeError, 'value'],
      [{ type: 'put', key: 'a', value: Buffer.alloc(1) }, TypeError, 'version'],
      [{ ...good, version: -1 }, RangeError, 'version'],
      [{ ...good, version: 1.5 }, RangeError, 'version'],
      [{ ...good, version: 2 ** 53 - 2 ** 40 + 2 }, RangeError, '2^53 - 2^40'],
      [{ ...good, version: Number.POSITIVE_INFINITY }, RangeError, 'version'],
      [{ ...good, timestampMs: -1 }, RangeError, 'timestampMs'],
      [{ ...good, timestampMs: 'now' }, TypeError, 'timestampMs'],
      [{ ...good, ttlMs: 5 }, TypeError, 'ttlMs'],
      [{ ...good, expiresAtMs: -1 }, RangeError, 'expiresAtMs'],
      [{ ...good, expiresAtMs: new Date() }, TypeError, 'expiresAtMs'],
      [{ ...remove('a', 1), expiresAtMs: 5 }, TypeError, 'expiresAtMs'],
      [{ ...good, key: 5 }, TypeError, 'key'],
      [{ ...good, value: 'text' }, TypeError, 'value'],
    ]
    store.put('there', Buffer.alloc(1))
    for (const [command, type, word] of wrong) {
      const { sequence } = store.stats()
      refused(() => store.apply([good, command as Command<Buffer, string>]), type, word)
      refused(() => store.apply(command as Command<Buffer, string>), type, word)
      assert.equal(store.stats().sequence, sequence)
    }
    assert.equal(store.has('a'), false)
    await store.close()
  })

  test('deletes are remembered from the first command on, by all keyspaces and other boots', async (t) => {
    const parent = temporaryDirectory(t)
    const store: Bytes = open(join(parent, 'live'), options)
    const other = store.keyspace<Buffer>('other', { encoding: 'binary' })
    for (const key of ['before', 'long before']) {
      store.put(key, Buffer.alloc(1))
      store.delete(key)
    }
    assert.equal(store.apply(put('before', 'it was forgotten', 1)), 'applied')
    const doomed = store.keyspace<Buffer>('doomed', { encoding: 'binary' })
    for (const keyspace of [store, other, doomed]) {
      keyspace.put('gone', Buffer.alloc(1))
      keyspace.put('of a batch', Buffer.alloc(1))
      assert.equal(keyspace.delete('gone'), true)
    }
    store.write([
      { type: 'delete', key: 'of a batch' },
      { type: 'delete', key: 'of a batch', keyspace: 'other' },
      { type: 'delete', key: 'never there' },
    ])
    store.dropKeyspace('doomed')
    const late = ['gone', 'of a batch', 'never there'].map((key) => put(key, 'late', 1000))
    const requireStale = (one: Bytes): void => {
      assert.deepEqual(one.apply(late), ['stale', 'stale', 'stale'])
      const its = one.keyspace<Buffer>('other', { encoding: 'binary' })
      assert.deepEqual(its.apply(late.slice(0, 2)), ['stale', 'stale'])
      assert.deepEqual(one.keys().toArray(), ['before'])
      assert.equal(one.count(), 1)
    }
    requireStale(store)
    await store.sync()
    copyAsKilled(join(parent, 'live'), join(parent, 'killed'))
    copyStore(join(parent, 'live'), join(parent, 'copied'))
    await store.close()
    for (const name of ['live', 'killed', 'copied']) {
      const again: Bytes = open(join(parent, name), options)
      requireStale(again)
      assert.equal(again.apply(put('long before', 'it was forgotten', 1)), 'applied')
      assert.equal(again.apply(remove('long before', 2)), 'removed')
      assert.deepEqual((await again.verify()).problems, [])
      await again.close()
    }
  })

  test('for as long as rememberDeletesMs says, and then they leave the indexes', async (t) => {
    const clock = ownClock(t)
    const directory = join(temporaryDirectory(t), 'store')
    let store: Bytes = open(directory, { ...options, rememberDeletesMs: 1000 })
    for (let index = 0; index < 600; index++) store.put(`key ${index}`, Buffer.alloc(1))
    for (let index = 0; index < 600; index++) store.delete(`key ${index}`)
    clock.nowMs += 999
    for (let turn = 0; turn < 10; turn++) {
      // A sweep leaves them.
      store.snapshot().close()
      await new Promise(setImmediate)
    }
    assert.equal(store.apply(put('key 0', 'late', 1)), 'stale')
    await store.close()
    store = open(directory, { ...options, rememberDeletesMs: 1000 })
    assert.equal(store.apply(put('key 0', 'late', 1)), 'stale')
    clock.nowMs += 1
    const { control } = engineOf(store)
    assert.equal(control.read(layout.tombstones), 600)
    for (let turn = 0; turn < 300 && control.read(layout.tombstones) > 0; turn++) {
      // What gives a snapshot back sweeps.
      store.snapshot().close()
      await new Promise(setImmediate)
    }
    assert.equal(control.read(layout.tombstones), 0)
    assert.equal(store.apply(put('key 0', 'late', 1)), 'applied')
    assert.deepEqual(store.keys().toArray(), ['key 0'])
    assert.deepEqual((await store.verify()).problems, [])
    await store.close()
    const wrong = { ...options, rememberDeletesMs: -1 } as StoreOptions<Buffer>
    refused(() => open(':memory:', wrong), RangeError, 'rememberDeletesMs')
  })

  test('what has expired is deleted by its own version', async (t) => {
    const clock = ownClock(t)
    for (const isTakenOut of [false, true]) {
      const store: Bytes = open(':memory:', options)
      store.apply(put('first', 'x', 1))
      store.put('a', Buffer.from('z'), { ttlMs: 10 })
      const version = store.getEntry('a')?.version ?? 0
      clock.nowMs += 10
      if (isTakenOut) assert.equal(store.count(), 1)
      assert.equal(store.apply(put('a', 'zz', version)), 'stale')
      assert.equal(store.apply(remove('a', version)), 'stale')
      assert.equal(store.apply(put('a', 'a', version + 1)), 'applied')
      assert.equal(store.get('a')?.toString(), 'a')
      await store.close()
    }
  })
})

describe('a command with expiresAtMs', () => {
  const text = (store: Bytes): string | undefined => store.get('a')?.toString()

  test('expires like a put; of equal versions what expires first wins', async (t) => {
    const clock = ownClock(t)
    const store: Bytes = open(':memory:', options)
    const at = (value: string, version: number, ms: number): Command<Buffer, string> => ({
      ...(put('a', value, version) as Command<Buffer, string> & { type: 'put' }),
      expiresAtMs: clock.nowMs + ms,
    })
    const steps: [Command<Buffer, string>, Outcome, string | undefined][] = [
      [put('a', 'for good', 5), 'applied', 'for good'],
      [at('a', 5, 2000), 'applied', 'a'],
      [at('zz', 5, 3000), 'stale', 'a'],
      [put('a', 'zz', 5), 'stale', 'a'],
      [at('b', 5, 2000), 'applied', 'b'],
      [at('b', 5, 2000), 'stale', 'b'],
      [at('a', 5, 1000), 'applied', 'a'],
      [at('past', 4, -1000), 'stale', 'a'],
      [at('past', 5, -1000), 'applied', undefined],
      [at('zz', 5, 9000), 'stale', undefined],
      [remove('a', 5), 'stale', undefined],
      [at('c', 6, 1000), 'applied', 'c'],
    ]
    for (const [command, outcome, value] of steps) {
      assert.equal(store.apply(command), outcome, JSON.stringify(command))
      assert.equal(text(store), value)
    }
    assert.equal(store.getEntry('a')?.expiresAtMs, clock.nowMs + 1000)
    assert.equal(store.count(), 1)
    clock.nowMs += 1000
    assert.equal(text(store), undefined)
    assert.equal(store.count(), 0)
    assert.equal(store.apply(put('a', 'zz', 6)), 'stale')
    assert.deepEqual((await store.verify()).problems, [])
    await store.close()
  })

  test('comes of watch: what follows a store expires when it does', async (t) => {
    const clock = ownClock(t)
    const store: Bytes = open(':memory:', options)
    const follower: Bytes = open(':memory:', options)
    const watch = store.watch()
    store.put('a', Buffer.from('x'), { ttlMs: 1000 })
    store.put('b', Buffer.from('y'))
    store.write([{ type: 'put', key: 'c', value: Buffer.from('z'), ttlMs: 2000 }])
    for (const expiresAtMs of [clock.nowMs + 1000, undefined, clock.nowMs + 2000]) {
      const { value: change } = (await watch.next()) as IteratorYieldResult<Change<Buffer, string>>
      assert.equal(change.type === 'put' && change.expiresAtMs, expiresAtMs)
      assert.equal('expiresAtMs' in change, expiresAtMs !== undefined)
      const { keyspace: _, sequence: __, ...command } = change
      assert.equal(follower.apply(command), 'applied')
    }
    assert.deepEqual(stateOf(follower), stateOf(store))
    clock.nowMs += 1000
    // Nothing was told meanwhile.
    assert.deepEqual(follower.keys().toArray(), ['b', 'c'])
    assert.deepEqual(stateOf(follower), stateOf(store))
    await watch.return()
    await Promise.all([store.close(), follower.close()])
  })
})

interface ModelEntry {
  readonly version: number
  /** Undefined where it was deleted, or had expired when it came. */
  readonly value: Buffer | undefined
  readonly expiresAtMs: number
}

/** What the rules make of commands, by key. */
class Model {
  readonly entries = new Map<string, ModelEntry>()

  apply(command: Command<Buffer, string>): Outcome {
    const { key, type, version } = command
    const there = this.entries.get(key)
    const expiresAtMs = (type === 'put' && command.expiresAtMs) || Number.POSITIVE_INFINITY
    const isThere = type === 'put' && expiresAtMs > Date.now()
    const next = { version, value: isThere ? command.value : undefined, expiresAtMs }
    if (there !== undefined && !this.#wins(next, there)) return 'stale'
    this.entries.set(key, next)
    return type === 'put' ? 'applied' : 'removed'
  }

  #wins(next: ModelEntry, there: ModelEntry): boolean {
    if (next.version !== there.version) return next.version > there.version
    if (there.value === undefined || next.value === undefined) return there.value !== undefined
    if (next.expiresAtMs !== there.expiresAtMs) return next.expiresAtMs < there.expiresAtMs
    return Buffer.compare(next.value, there.value) > 0
  }
}

function stateOf(store: Keyspace<Buffer>): unknown {
  const entries = store.range().map(([key, value]) => {
    const { expiresAtMs, version } = store.getEntry(key) ?? {}
    return [key, value.toString('latin1'), version, expiresAtMs]
  })
  return { entries: entries.toArray(), count: store.count() }
}

for (const mapping of ['mmap', 'file'] as const) {
  test(`the same commands in any order, with repeats, end in equal stores (${mapping})`, async (t) => {
    const random = new Random(seed)
    const hourMs = 3_600_000
    const expiries = [1000, 2000, Date.now() + hourMs, Date.now() + 2 * hourMs]
    const runs = mapping === 'mmap' ? 3 : 1
    for (let run = 0; run < (isThorough ? 200 : runs); run++) {
      const parent = temporaryDirectory(t)
      const commands = Array.from({ length: 90 }, () => {
        const key = `key ${random.below(12)}`
        const version = 1 + random.below(20)
        if (random.chance(0.35)) return remove(key, version)
        const size = random.chance(0.02) ? 300_000 : random.pick([0, 1, 2, 2, 2, 600])
        const expiry = random.chance(0.3) ? { expiresAtMs: random.pick(expiries) } : {}
        const value = random.bytes(size)
        return { ...put(key, '', version), value, ...expiry } as Command<Buffer, string>
      })
      const states: unknown[] = []
      const versions: unknown[] = []
      for (const name of ['one', 'two']) {
        const order = [...commands, ...commands.slice(0, 40)]
        order.sort(() => random.below(3) - 1)
        let path = join(parent, name)
        let store: Bytes = open(path, { ...options, mapping })
        const model = new Model()
        let pinned = store.snapshot()
        for (const [index, command] of order.entries()) {
          const outcome = model.apply(command)
          const what = `${name}, run ${run}, command ${index}, VARVE_SEED=${seed}`
          assert.equal(store.apply(command), outcome, what)
          const step = random.below(12)
          if (step === 0) await store.sync()
          if (step === 1) store.keys().toArray()
          if (step === 2) {
            pinned.close()
            pinned = store.snapshot()
          }
          if (step === 3 && random.chance(0.5)) {
            pinned.close()
            await store.close()
            store = open(path, { ...options, mapping })
            pinned = store.snapshot()
          }
          if (step === 4 && random.chance(0.5)) {
            // The store goes on as a copy of what is there now: killed, or on another boot.
            const next = `${path}+`
            if (random.chance(0.5) && mapping === 'mmap') {
              copyAsKilled(path, next)
            } else {
              await store.sync()
              copyStore(path, next)
            }
            pinned.close()
            await store.close()
            path = next
            store = open(path, { ...options, mapping })
            pinned = store.snapshot()
          }
        }
        pinned.close()
        const live = [...model.entries].filter(([, { value }]) => value !== undefined)
        assert.equal(store.count(), live.length)
        for (const [key, { value, version }] of live) {
          assert.ok(store.get(key)?.equals(value as Buffer))
          assert.equal(store.getEntry(key)?.version, version)
        }
        states.push(stateOf(store))
        assert.ok(store.apply(commands).every((outcome) => outcome === 'stale'))
        versions.push([...model.entries].map(([key, { version }]) => `${key} ${version}`).sort())
        assert.deepEqual((await store.verify()).problems, [])
        await store.close()
      }
      assert.deepEqual(states[0], states[1], `VARVE_SEED=${seed}`)
      assert.deepEqual(versions[0], versions[1], `VARVE_SEED=${seed}`)
    }
  })
}
