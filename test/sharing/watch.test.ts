/**
 * Goal: whoever watches a store that others write to, and die in, is told of every change once, in order.
 * Method: processes and threads raise one number, so that its values are all numbers from 1 on; some are
 *   killed and replaced. One consumer takes changes as they come, one slowly, one ends and goes on behind the
 *   last sequence it has, again and again.
 * Properties checked: each of them has every number once, in order, up to the last; the sequences ascend; a
 *   read that follows a change finds it or a later one.
 */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { type Change, open, type Store } from '../../src/store/index.js'
import { temporaryDirectory } from '../support/directory.js'
import { atEnd } from '../support/ending.js'
import { Random } from '../support/random.js'
import { seed } from '../support/seed.js'
import { isThorough } from '../support/thorough.js'
import { HostGone, hostsFor } from './hosts.js'
import { smallOptions } from './options.js'

const total = isThorough ? 200_000 : 6000
const ways = ['ifVersion', 'increment', 'update'] as const
const last = -1

interface Told {
  readonly values: number[]
  lastSequence: number
}

function tell(store: Store<number>, told: Told, change: Change<number, string>): void {
  assert.ok(change.sequence > told.lastSequence)
  told.lastSequence = change.sequence
  assert.ok((store.getEntry('counter')?.sequence ?? 0) >= change.sequence)
  told.values.push(change.value ?? 0)
}

async function follow(store: Store<number>, pauseEvery: number): Promise<Told> {
  const told: Told = { values: [], lastSequence: 0 }
  for await (const change of store.watch({ sinceSequence: 0 })) {
    if (change.value === last) return told
    tell(store, told, change)
    if (told.values.length % pauseEvery === 0) await delay(5)
  }
  return assert.fail('the watcher ended')
}

async function followAgainAndAgain(store: Store<number>, random: Random): Promise<Told> {
  const told: Told = { values: [], lastSequence: 0 }
  for (;;) {
    let left = 1 + random.below(300)
    for await (const change of store.watch({ sinceSequence: told.lastSequence })) {
      if (change.value === last) return told
      tell(store, told, change)
      if (--left === 0) break
    }
  }
}

test(`changes by clients that die are told once and in order (seed ${seed})`, async (t) => {
  const pool = hostsFor(t)
  const directory = temporaryDirectory(t)
  const path = join(directory, 'store')
  const random = new Random(seed)
  const store = open<number>(path, { ...smallOptions, encoding: 'json' })
  // Ends the watchers, too.
  atEnd(t, () => store.close())
  // From before the first change: nothing of it is updated in place.
  const consumers = [
    follow(store, Number.POSITIVE_INFINITY),
    follow(store, 100),
    followAgainAndAgain(store, random),
  ]
  let files = 0
  let kills = 0
  const value = (): number => store.get('counter') ?? 0
  const raise = async (kind: 'process' | 'thread', isKilled: boolean): Promise<void> => {
    while (value() < total) {
      const host = pool.take(kind)
      await host.ready
      const file = join(directory, `count-${files++}`)
      const times = isKilled ? total : Math.ceil(total / 10)
      const by = random.pick(ways)
      const setup = { path, options: smallOptions, key: 'counter', times, by, file }
      const raising = host.call('raiseCounter', setup, 60_000)
      if (isKilled) {
        kills++
        await Promise.race([delay(20 + random.below(100)), raising])
        await host.kill()
      }
      try {
        await raising
        pool.giveBack(host)
      } catch (error) {
        if (!(error instanceof HostGone)) throw error
      }
    }
  }
  await Promise.all([raise('process', true), raise('thread', true), raise('process', false)])
  const highest = value()
  store.put('counter', last)
  const numbers = Array.from({ length: highest }, (_, index) => index + 1)
  for (const told of await Promise.all(consumers)) assert.deepEqual(told.values, numbers)
  t.diagnostic(`${kills} clients were killed, ${highest} changes`)
})
