/**
 * Goal: a value that moves from one store to another is in one of them at every moment, and on its medium.
 * Method: a process is killed at every step of a move, and both stores are opened; in a process of its
 *   own, what the other store has synced is looked at when this one removes.
 * Properties checked: the value is in one store or both, whole; it is synced there before it is gone here.
 * Kept by: the order of `transferBetween`.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { open } from '../../src/store/index.js'
import { copyStore, temporaryDirectory } from '../support/directory.js'
import { engineOf } from '../support/engine-of.js'
import { seed } from '../support/seed.js'
import { isThorough } from '../support/thorough.js'
import { options } from './move-stores.js'

const child = fileURLToPath(new URL('./move-child.linked.cjs', import.meta.url))
const value = 'value '.repeat(20)
const stepsMax = 1000
const stride = isThorough ? 1 : 3

function moveUntil(directory: string, step: number): Promise<{ output: string; errors: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [child, directory, String(step)], (_, output, errors) =>
      resolve({ output, errors }),
    )
  })
}

test('a process may be killed at every step of a move between two stores', async (t) => {
  const parent = temporaryDirectory(t)
  const one = open<string>(join(parent, 'one'), options)
  one.put('a', value)
  await one.close()
  await open<string>(join(parent, 'two'), options).close()
  const found = new Set<string>()
  for (let step = 1 + (seed % stride); ; step += stride) {
    assert.ok(step < stepsMax, 'no end of steps')
    const directory = join(parent, `step-${step}`)
    mkdirSync(directory)
    for (const name of ['one', 'two']) copyStore(join(parent, name), join(directory, name))
    const { errors, output } = await moveUntil(directory, step)
    assert.equal(errors, '')
    const stores = ['one', 'two'].map((name) => open<string>(join(directory, name), options))
    const values = stores.map((store) => store.get('a'))
    for (const store of stores) await store.close()
    const places = values.map((held) => (held === undefined ? 'nothing' : 'the value'))
    assert.ok(values.includes(value), `step ${step}: ${places}, VARVE_SEED=${seed}`)
    for (const held of values) assert.ok(held === undefined || held === value, `step ${step}`)
    found.add(String(places))
    if (output === 'moved') break
  }
  // It was stopped before, between and behind.
  assert.equal(found.size, 3)
})

test('a value that was moved is synced there before it is gone here', async (t) => {
  const parent = temporaryDirectory(t)
  const one = open<string>(join(parent, 'one'), options)
  const two = open<string>(join(parent, 'two'), options)
  one.put('a', value)
  await one.sync()
  const { control } = engineOf(one)
  let commits = 0
  const commit = control.commit.bind(control)
  control.commit = () => {
    const { durable, tail } = two.stats()
    assert.equal(two.get('a'), value)
    assert.equal(durable, tail)
    commits++
    commit()
  }
  assert.equal(one.move('a', two), true)
  assert.ok(commits > 0)
  assert.equal(one.has('a'), false)
  Reflect.deleteProperty(control, 'commit')
  await one.close()
  await two.close()
})
