/**
 * Goal: no update is lost among writers that read, add one and write if nobody was faster.
 * Method: processes raise one number by `getEntry` and `put` with `ifVersion`, by `increment`, or by `update`; in the second test
 *   some are killed and replaced. Each keeps count of what it was told in a file.
 * Properties checked: the number is exactly what they were told; a client that was killed may have
 *   raised it once more than it was told.
 */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { open } from '../../src/store/index.js'
import { temporaryDirectory } from '../support/directory.js'
import { Random } from '../support/random.js'
import { isThorough } from '../support/thorough.js'
import { raisesIn } from './counter-tasks.js'
import { type Host, HostGone, hostsFor } from './hosts.js'
import { smallOptions } from './options.js'

const clientCount = 4
const total = isThorough ? 1_000_000 : 20_000
const msMax = 3_600_000
const ways = ['ifVersion', 'increment', 'update'] as const

async function counterIn(path: string): Promise<number> {
  const store = open<number>(path, { ...smallOptions, encoding: 'json' })
  const value = store.get('counter') ?? 0
  await store.close()
  return value
}

test(`a counter that ${clientCount} processes raise ${total} times ends exactly there`, async (t) => {
  const pool = hostsFor(t)
  const directory = temporaryDirectory(t)
  const path = join(directory, 'store')
  const conflicts = await Promise.all(
    Array.from({ length: clientCount }, (_, index) => {
      const file = join(directory, `count-${index}`)
      const times = total / clientCount
      const by = ways[index % ways.length]
      const setup = { path, options: smallOptions, key: 'counter', times, by, file }
      return pool.take('process').call('raiseCounter', setup, msMax)
    }),
  )
  t.diagnostic(`${conflicts.join(', ')} times another one was faster`)
  assert.equal(await counterIn(path), total)
})

test('of a counter whose clients are killed nothing acknowledged is missing', async (t) => {
  const pool = hostsFor(t)
  const directory = temporaryDirectory(t)
  const path = join(directory, 'store')
  const seed = Number(process.env.VARVE_SEED ?? Date.now() % 1_000_000)
  const random = new Random(seed)
  const files: string[] = []
  let kills = 0
  const acknowledged = (): number =>
    files.reduce((sum, file) => sum + (existsSync(file) ? raisesIn(file) : 0), 0)

  /** Takes the place of whoever was killed, until all is done. */
  const keepRaising = async (kind: Host['kind'], isKilled: boolean): Promise<void> => {
    while (acknowledged() < total / 2) {
      const host = pool.take(kind)
      await host.ready
      const file = join(directory, `count-${files.length}`)
      files.push(file)
      const times = isKilled ? total : Math.ceil(total / 20)
      const by = random.pick(ways)
      const setup = { path, options: smallOptions, key: 'counter', times, by, file }
      const raising = host.call('raiseCounter', setup, msMax)
      if (isKilled) {
        kills++
        await Promise.race([delay(20 + random.below(150)), raising])
        await host.kill()
      }
      try {
        await raising
        pool.giveBack(host)
      } catch (error) {
        if (!isKilled || !(error instanceof HostGone)) throw error
      }
    }
  }
  await Promise.all([
    keepRaising('process', false),
    keepRaising('process', true),
    keepRaising('thread', true),
  ])
  const told = acknowledged()
  const value = await counterIn(path)
  t.diagnostic(`seed ${seed}: ${kills} kills, ${told} acknowledged, the counter is at ${value}`)
  assert.ok(kills > 2)
  assert.ok(
    value >= told,
    `seed ${seed}: ${told} were acknowledged, and the counter is at ${value}`,
  )
  assert.ok(value <= told + kills, `seed ${seed}: ${value} of ${told} and ${kills} kills`)
})
