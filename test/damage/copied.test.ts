/**
 * Goal: files that are copied one by one while the store is written to are a moment of the store, or
 *   are refused.
 * Method: the files of an open store are copied in random order and piece by piece, with changes between
 *   the pieces: updates in place, deletes, batches, syncs, segments that fill. The copy is opened, which
 *   is a store of another boot to whoever opens it.
 * Properties checked: the contents are those of one moment since the last sync before the copy began, and
 *   verify() finds nothing; or STORE_CORRUPT or STORE_FORMAT.
 */
import assert from 'node:assert/strict'
import { closeSync, mkdirSync, openSync, readdirSync, readSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { open, type Store } from '../../src/store/index.js'
import { removeDirectory, temporaryDirectory } from '../support/directory.js'
import { Random } from '../support/random.js'
import { seed } from '../support/seed.js'
import { isDamageError } from '../support/store-error.js'
import { isThorough } from '../support/thorough.js'

const options = { encoding: 'utf8', segmentSizeBytes: 2 ** 20, syncIntervalMs: 0 } as const
const rounds = isThorough ? 1000 : 40
const pieceSizeBytes = 64 * 1024

/** A store, and every state that it was in since the last sync. */
class Subject {
  readonly store: Store<string>
  readonly #random: Random
  readonly #contents = new Map<string, string>()
  states: string[] = []
  #count = 0

  constructor(path: string, random: Random) {
    this.store = open<string>(path, options)
    this.#random = random
    this.#note()
  }

  change(): void {
    const random = this.#random
    const key = `key ${random.below(12)}`
    const size = random.chance(0.2) ? 40_000 : random.below(40)
    const value = `${this.#count++} ${'v'.repeat(size)}`
    const which = random.below(10)
    if (which < 7) {
      this.store.put(key, value)
      this.#contents.set(key, value)
    } else if (which < 8) {
      this.store.delete(key)
      this.#contents.delete(key)
    } else {
      this.store.write([
        { type: 'put', key, value },
        { type: 'put', key: 'pair', value },
      ])
      this.#contents.set(key, value).set('pair', value)
    }
    this.#note()
  }

  async sync(): Promise<void> {
    await this.store.sync()
  }

  forgetStates(): void {
    this.states = this.states.slice(-1)
  }

  #note(): void {
    this.states.push(shown(this.#contents))
  }
}

function shown(contents: Iterable<readonly [string, string]>): string {
  return JSON.stringify([...contents].sort(([a], [b]) => (a < b ? -1 : 1)))
}

async function copyWhile(
  from: string,
  to: string,
  random: Random,
  change: () => Promise<void>,
): Promise<void> {
  mkdirSync(to)
  const names = readdirSync(from)
  for (let left = names.length; left > 0; left--) {
    const [name] = names.splice(random.below(left), 1)
    const source = openSync(join(from, name), 'r')
    const target = openSync(join(to, name), 'w')
    const piece = new Uint8Array(pieceSizeBytes)
    for (let at = 0; ; ) {
      const count = readSync(source, piece, 0, piece.byteLength, at)
      if (count === 0) break
      writeSync(target, piece, 0, count, at)
      at += count
      await change()
    }
    closeSync(source)
    closeSync(target)
  }
}

test('files copied while the store is written to are one moment of it, or refused', async (t) => {
  const parent = temporaryDirectory(t)
  let opened = 0
  let refused = 0
  for (let round = 0; round < rounds; round++) {
    const random = new Random(seed * 7919 + round)
    const what = `round ${round}, VARVE_SEED=${seed}`
    const path = join(parent, 'store')
    const subject = new Subject(path, random)
    for (let count = random.below(40); count > 0; count--) subject.change()
    await subject.sync()
    subject.forgetStates()
    const busy = random.pick([0.02, 0.2, 0.6])
    const copy = join(parent, 'copy')
    await copyWhile(path, copy, random, async () => {
      if (random.chance(busy)) subject.change()
      if (random.chance(busy / 8)) await subject.sync()
    })
    try {
      const store = open<string>(copy, options)
      const found = shown([...store.keys()].map((key) => [key, store.get(key) ?? '']))
      assert.ok(subject.states.includes(found), `a state that never was: ${what}`)
      assert.deepEqual((await store.verify()).problems, [], what)
      await store.close()
      opened++
    } catch (error) {
      if (!isDamageError(error)) throw error
      refused++
    }
    await subject.store.close()
    removeDirectory(copy)
    removeDirectory(path)
  }
  t.diagnostic(`${opened} opened, ${refused} refused; VARVE_SEED=${seed}`)
  assert.ok(opened > 0)
})
