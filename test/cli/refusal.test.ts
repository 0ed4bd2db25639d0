/**
 * Goal: a store that cannot be opened is named with its reason, and left as it is.
 * Method: every reading subcommand on paths that hold no store, a foreign one, or one in use.
 * Properties checked: exit code 1; one line on stderr with the error's code; nothing made or changed.
 */
import assert from 'node:assert/strict'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { open } from '../../src/store/index.js'
import { contentsOf, overwrite, segmentNames, temporaryDirectory } from '../support/directory.js'
import { type Outcome, varve } from './command.js'

const readers: readonly (readonly [string, ...string[]])[] = [
  ['get', 'key'],
  ['scan'],
  ['count'],
  ['info'],
  ['stats'],
  ['export', 'files'],
]

function assertRefused(outcome: Outcome, code: string): void {
  assert.equal(outcome.exitCode, 1)
  assert.equal(outcome.stdout, '')
  assert.match(outcome.stderr, new RegExp(`^varve: ${code}: [^\\n]+\\n$`))
}

describe('refusals', () => {
  for (const [name, ...rest] of readers) {
    test(`varve ${name} makes no store where there is none`, (t) => {
      const cwd = temporaryDirectory(t)
      assertRefused(varve([name, 'store', ...rest], { cwd }), 'STORE_NOT_FOUND')
      assert.equal(existsSync(join(cwd, 'store')), false)
    })

    test(`varve ${name} attaches to a store that is open elsewhere`, async (t) => {
      const cwd = temporaryDirectory(t)
      await using store = open(join(cwd, 'store'), { segmentSizeBytes: 2 ** 20 })
      store.put('key', 'value')
      const { exitCode, stderr } = varve([name, 'store', ...rest], { cwd })
      assert.equal(exitCode, 0, stderr)
      store.put('key', 'another')
    })

    test(`varve ${name} refuses a store that is open elsewhere without a mapping`, async (t) => {
      const cwd = temporaryDirectory(t)
      await using store = open(join(cwd, 'store'), { segmentSizeBytes: 2 ** 20, mapping: 'file' })
      store.put('key', 'value')
      const outcome = varve([name, 'store', ...rest], { cwd })
      assertRefused(outcome, 'STORE_LOCKED')
      assert.match(outcome.stderr, new RegExp(`by process ${process.pid}`))
    })
  }

  test('a directory with other files is no store', (t) => {
    const path = temporaryDirectory(t)
    writeFileSync(join(path, 'letter.txt'), 'Dear')
    const before = contentsOf(path)
    assertRefused(varve(['info', path]), 'STORE_NOT_FOUND')
    assert.deepEqual(contentsOf(path), before)
  })

  test('a foreign superblock is refused by readers and writers and left as it is', (t) => {
    const path = temporaryDirectory(t)
    writeFileSync(join(path, 'superblock'), 'not of Varve')
    const before = contentsOf(path)
    assertRefused(varve(['info', path]), 'STORE_FORMAT')
    assert.deepEqual(contentsOf(path), before)
    assertRefused(varve(['put', path, 'key', 'value']), 'STORE_FORMAT')
    assert.equal(readFileSync(join(path, 'superblock'), 'utf8'), 'not of Varve')
  })

  test('a file in the place of the store is refused', (t) => {
    const path = join(temporaryDirectory(t), 'store')
    writeFileSync(path, 'a file')
    assertRefused(varve(['put', path, 'key', 'value']), 'STORE_FORMAT')
  })

  test('a damaged store is refused with the file and what is wrong with it', async (t) => {
    const path = temporaryDirectory(t)
    await open(path, { segmentSizeBytes: 2 ** 20 }).close()
    overwrite(join(path, 'superblock'), 100, Buffer.from([1]))
    overwrite(join(path, 'superblock'), 4196, Buffer.from([1]))
    const outcome = varve(['count', path])
    assertRefused(outcome, 'STORE_CORRUPT')
    assert.match(outcome.stderr, /superblock/)
  })

  test('a value that cannot be decoded is an error that names its key', async (t) => {
    const path = temporaryDirectory(t)
    const store = open(path, { encoding: 'json', segmentSizeBytes: 2 ** 20 })
    store.put('odd', 'text to be found')
    await store.close()
    const segment = join(path, segmentNames(path)[0])
    overwrite(segment, readFileSync(segment).indexOf('"text to be found"'), Buffer.from('?'))
    const outcome = varve(['get', path, 'odd'])
    assertRefused(outcome, 'STORE_CORRUPT')
    assert.match(outcome.stderr, /the value of key "odd" cannot be decoded as json/)
  })

  test('a path that may not be read is a failure with the reason of the system', (t) => {
    const path = join(temporaryDirectory(t), 'file')
    writeFileSync(path, '')
    const { exitCode, stderr } = varve(['import', join(path, 'store'), join(path, 'tree')])
    assert.equal(exitCode, 1)
    assert.match(stderr, /^varve: ENOTDIR: [^\n]+\n$/)
  })
})
