/**
 * Goal: the demo shows on real files that what goes in comes out, again and again, and harms nothing.
 * Method: runs on a small tree, with directories in the way that are not the demo's.
 * Properties checked: exit codes, the summary, the store left behind, the directories left alone.
 */
import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { listTree } from '../../src/cli/file-tree.js'
import { compareFiles, importFiles } from '../../src/cli/transfer.js'
import { open, type StoreKey } from '../../src/store/index.js'
import { contentsOf, temporaryDirectory } from '../support/directory.js'
import { varve } from './command.js'

function makeFiles(directory: string, count: number): void {
  mkdirSync(join(directory, 'sub'), { recursive: true })
  for (let index = 0; index < count; index++) {
    writeFileSync(
      join(directory, index % 2 === 0 ? 'sub' : '', `file ${index}`),
      `content ${index}`,
    )
  }
}

describe('demo', () => {
  test('it takes node_modules and leaves a store to look into, twice in a row', (t) => {
    const cwd = temporaryDirectory(t)
    makeFiles(join(cwd, 'node_modules'), 30)
    for (let round = 0; round < 2; round++) {
      const { exitCode, stderr, stdout } = varve(['demo'], { cwd })
      assert.equal(exitCode, 0, stderr)
      assert.match(stdout, /^ {2}records +30$/m)
      assert.match(stdout, /^ {2}then updated +3$/m)
      assert.match(stdout, /^ {2}write +[\d,]+ records\/s, /m)
      assert.match(stdout, /^ {2}reopen +[\d.]+ m?s$/m)
      assert.equal(varve(['count', 'demo-store'], { cwd }).stdout, '27\n')
    }
  })

  test('the example commands that it prints work', (t) => {
    const cwd = temporaryDirectory(t)
    makeFiles(join(cwd, 'tree'), 10)
    const { stdout } = varve(['demo', 'tree', '--store', 'my store'], { cwd })
    const examples = stdout.split('\n').filter((line) => line.startsWith('  node '))
    assert.equal(examples.length, 4)
    for (const example of examples) {
      const words = [...example.matchAll(/'([^']*)'|(\S+)/g)].map((match) => match[1] ?? match[2])
      assert.equal(varve(words.slice(2), { cwd }).exitCode, 0, example)
    }
    assert.equal(varve(['get', 'my store', 'greeting'], { cwd }).stdout, 'hello')
  })

  test('a store inside the tree is no part of it', (t) => {
    const cwd = temporaryDirectory(t)
    makeFiles(cwd, 10)
    for (let round = 0; round < 2; round++) {
      const { exitCode, stdout } = varve(['demo', '.'], { cwd })
      assert.equal(exitCode, 0)
      assert.match(stdout, /^ {2}records +10$/m)
    }
  })

  test('a directory that no demo made is left as it is', async (t) => {
    const cwd = temporaryDirectory(t)
    makeFiles(join(cwd, 'tree'), 3)
    makeFiles(join(cwd, 'letters'), 1)
    await open(join(cwd, 'store'), { segmentSizeBytes: 2 ** 20 }).close()
    for (const name of ['letters', 'store']) {
      const before = contentsOf(join(cwd, name === 'letters' ? 'letters/sub' : name))
      const { exitCode, stderr } = varve(['demo', 'tree', '--store', name], { cwd })
      assert.equal(exitCode, 1)
      assert.match(stderr, /left as it is/)
      assert.deepEqual(contentsOf(join(cwd, name === 'letters' ? 'letters/sub' : name)), before)
    }
  })

  test("a file that somebody put into the demo's store keeps it from being replaced", (t) => {
    const cwd = temporaryDirectory(t)
    makeFiles(join(cwd, 'tree'), 3)
    assert.equal(varve(['demo', 'tree'], { cwd }).exitCode, 0)
    writeFileSync(join(cwd, 'demo-store', 'notes.txt'), 'mine')
    const { exitCode, stderr } = varve(['demo', 'tree'], { cwd })
    assert.equal(exitCode, 1)
    assert.match(stderr, /has a file notes\.txt in it/)
    assert.equal(varve(['count', 'demo-store'], { cwd }).stdout, '2\n')
  })

  test("the demo's store is not replaced while somebody has it open", async (t) => {
    const cwd = temporaryDirectory(t)
    makeFiles(join(cwd, 'tree'), 3)
    assert.equal(varve(['demo', 'tree'], { cwd }).exitCode, 0)
    await using store = open<Buffer>(join(cwd, 'demo-store'))
    const { exitCode, stderr } = varve(['demo', 'tree'], { cwd })
    assert.equal(exitCode, 1)
    assert.match(stderr, /^varve: demo-store is open elsewhere/m)
    assert.equal(store.count(), 2)
  })

  test('a damaged store of a demo is replaced', (t) => {
    const cwd = temporaryDirectory(t)
    makeFiles(join(cwd, 'tree'), 3)
    assert.equal(varve(['demo', 'tree'], { cwd }).exitCode, 0)
    writeFileSync(join(cwd, 'demo-store', 'superblock'), 'damaged')
    assert.equal(varve(['demo', 'tree'], { cwd }).exitCode, 0)
  })

  test('a tree without files is a failure', (t) => {
    const cwd = temporaryDirectory(t)
    mkdirSync(join(cwd, 'tree'))
    const { exitCode, stderr } = varve(['demo', 'tree'], { cwd })
    assert.equal(exitCode, 1)
    assert.match(stderr, /there are no files to read in tree/)
  })

  test('files that differ from the store are named, one by one', async (t) => {
    const directory = temporaryDirectory(t)
    makeFiles(directory, 4)
    const { files } = listTree(directory, '')
    await using store = open<unknown, StoreKey>(':memory:', { encoding: 'binary' })
    await importFiles(store, files)
    assert.deepEqual((await compareFiles(store, files)).problems, [])
    store.put('file 1', Buffer.from('content 2'))
    store.delete('sub/file 2')
    const { problems, records } = await compareFiles(store, files)
    assert.equal(records, 4)
    assert.deepEqual(problems, [
      { key: 'file 1', what: 'another value in the store' },
      { key: 'sub/file 2', what: 'not in the store' },
    ])
  })
})
