/**
 * Goal: a tree of files comes out of a store as it went in, and no key gets a file elsewhere.
 * Method: import and export of trees with files of all sizes, and of stores with hostile keys.
 * Properties checked: equal trees; what is left out, refused and listed; nothing outside DIR.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import {
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, test } from 'node:test'
import { open } from '../../src/store/index.js'
import { temporaryDirectory } from '../support/directory.js'
import { varve } from './command.js'

type Files = Readonly<Record<string, string | Uint8Array>>

const sample: Files = {
  'readme.txt': 'hello',
  empty: '',
  'a/b/c/deep file.bin': Uint8Array.from({ length: 100_000 }, (_, index) => index % 251),
  'a/naïve 名.txt': 'name',
  'a/large': Buffer.alloc(400_000, 'large '),
  '.hidden/-dash': '\0\0',
}

function makeTree(directory: string, files: Files): string {
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, name)), { recursive: true })
    writeFileSync(join(directory, name), content)
  }
  return directory
}

async function makeStore(path: string, records: Files): Promise<void> {
  const store = open<Uint8Array>(path, { encoding: 'binary', segmentSizeBytes: 2 ** 20 })
  for (const [key, value] of Object.entries(records)) store.put(key, Buffer.from(value))
  await store.close()
}

function assertSameTree(a: string, b: string): void {
  const { stdout, status } = spawnSync('diff', ['-r', a, b], { encoding: 'utf8' })
  assert.equal(stdout, '')
  assert.equal(status, 0)
}

describe('import and export', () => {
  test('a tree that goes in and out is the same tree', (t) => {
    const directory = temporaryDirectory(t)
    const [store, output] = [join(directory, 'store'), join(directory, 'output')]
    const tree = makeTree(join(directory, 'tree'), sample)
    const imported = varve(['import', store, tree])
    assert.equal(imported.exitCode, 0)
    assert.equal(imported.stdout, '')
    assert.match(imported.stderr, /^6 files stored, 488\.\d KiB, in /)
    const exported = varve(['export', store, output])
    assert.equal(exported.exitCode, 0)
    assert.match(exported.stderr, /^6 files written, 488\.\d KiB, in /)
    assertSameTree(tree, output)
  })

  test('keys are relative paths with forward slashes, in any keyspace', (t) => {
    const directory = temporaryDirectory(t)
    const store = join(directory, 'store')
    const tree = makeTree(join(directory, 'tree'), { 'a/b/c': 'x', d: 'y' })
    assert.equal(varve(['import', store, `${tree}/`, '--keyspace', 'files']).exitCode, 0)
    assert.equal(varve(['scan', store, '--keys', '--keyspace', 'files']).stdout, 'a/b/c\nd\n')
    assert.equal(varve(['count', store]).stdout, '0\n')
  })

  test('--json says what was stored and what was left out', (t) => {
    const directory = temporaryDirectory(t)
    const tree = makeTree(join(directory, 'tree'), { file: 'content' })
    symlinkSync('file', join(tree, 'link'))
    symlinkSync(directory, join(tree, 'outside'))
    const { exitCode, stderr, stdout } = varve(['import', join(directory, 'store'), tree, '--json'])
    assert.equal(exitCode, 0)
    assert.match(stderr, /left out 2 symbolic links/)
    const { durationMs, ...facts } = JSON.parse(stdout)
    assert.equal(typeof durationMs, 'number')
    assert.deepEqual(facts, {
      records: 1,
      valueBytes: 7,
      symbolicLinks: 2,
      specialFiles: 0,
      problems: [],
    })
  })

  test('a store inside the tree is not imported into itself', (t) => {
    const tree = makeTree(temporaryDirectory(t), { 'a/file': 'x' })
    const store = join(tree, 'a', 'store')
    for (let round = 0; round < 2; round++) {
      assert.equal(varve(['import', store, tree]).exitCode, 0)
      assert.equal(varve(['scan', store, '--keys']).stdout, 'a/file\n')
    }
  })

  test('the tree itself cannot be the store', (t) => {
    const tree = makeTree(temporaryDirectory(t), { file: 'x' })
    const { exitCode, stderr } = varve(['import', tree, tree])
    assert.equal(exitCode, 2)
    assert.match(stderr, /the same directory/)
    assert.deepEqual(readdirSync(tree), ['file'])
  })

  test('import of a tree that is not there, or is a file, makes no store', (t) => {
    const directory = makeTree(temporaryDirectory(t), { file: 'x' })
    const store = join(directory, 'store')
    assert.equal(varve(['import', store, join(directory, 'none')]).exitCode, 1)
    assert.equal(varve(['import', store, join(directory, 'file')]).exitCode, 1)
    assert.equal(existsSync(store), false)
  })

  test('a store with another encoding takes no files', (t) => {
    const directory = makeTree(temporaryDirectory(t), { 'tree/file': 'x' })
    const store = join(directory, 'store')
    varve(['put', store, 'key', 'value'])
    const { exitCode, stderr } = varve(['import', store, join(directory, 'tree')])
    assert.equal(exitCode, 2)
    assert.match(stderr, /was written with "msgpack"/)
  })

  test('keys that would lead outside are refused and listed, the others written', async (t) => {
    const directory = temporaryDirectory(t)
    const output = join(directory, 'a', 'output')
    const refused = [
      '',
      '.',
      '..',
      '../out',
      '/etc/out',
      'a/../../out',
      'a//b',
      'a/',
      './a',
      'a\0b',
    ]
    await makeStore(join(directory, 'store'), {
      ...Object.fromEntries(refused.map((key) => [key, 'escaped'])),
      'in/file': 'x',
      '..dots..': 'y',
    })
    const { exitCode, stderr, stdout } = varve([
      'export',
      join(directory, 'store'),
      output,
      '--json',
    ])
    assert.equal(exitCode, 1)
    const { problems, records } = JSON.parse(stdout)
    assert.equal(records, 2)
    assert.deepEqual(
      problems.map((problem: { key: string }) => problem.key).sort(),
      [...refused].sort(),
    )
    assert.match(stderr, /^not written: "\.\.\/out": the key has a part "\.\."$/m)
    assert.deepEqual(readdirSync(directory).sort(), ['a', 'store'])
    assert.deepEqual(readdirSync(join(directory, 'a')), ['output'])
    assert.deepEqual(readdirSync(output).sort(), ['..dots..', 'in'])
  })

  test('keys that are no text are refused', async (t) => {
    const directory = temporaryDirectory(t)
    const store = open<string, number | string>(join(directory, 'store'), {
      encoding: 'utf8',
      keyEncoding: 'ordered',
    })
    store.put(5, 'number')
    store.put('five', 'text')
    await store.close()
    const { exitCode, stderr } = varve(['export', join(directory, 'store'), join(directory, 'out')])
    assert.equal(exitCode, 1)
    assert.match(stderr, /^not written: 5: the key is no text$/m)
    assert.equal(readFileSync(join(directory, 'out', 'five'), 'utf8'), 'text')
  })

  test('export follows no symbolic link out of the directory, not even to overwrite', async (t) => {
    const directory = temporaryDirectory(t)
    const outside = makeTree(join(directory, 'outside'), {
      victim: 'untouched',
      linked: 'untouched',
    })
    const output = makeTree(join(directory, 'output'), {})
    mkdirSync(output)
    symlinkSync(outside, join(output, 'way'))
    symlinkSync(join(outside, 'victim'), join(output, 'file'))
    linkSync(join(outside, 'linked'), join(output, 'hard'))
    const store = join(directory, 'store')
    await makeStore(store, { 'way/victim': 'new', 'way/more': 'new', file: 'new', hard: 'new' })

    const first = varve(['export', store, output])
    assert.equal(first.exitCode, 1)
    assert.match(first.stderr, /^0 files written/)
    const second = varve(['export', store, output, '--overwrite'])
    assert.equal(second.exitCode, 1)
    assert.match(second.stderr, /^2 files written/)
    assert.deepEqual(readdirSync(outside).sort(), ['linked', 'victim'])
    for (const name of readdirSync(outside)) {
      assert.equal(readFileSync(join(outside, name), 'utf8'), 'untouched')
    }
    assert.equal(readFileSync(join(output, 'file'), 'utf8'), 'new')
    assert.equal(readFileSync(join(output, 'hard'), 'utf8'), 'new')
  })

  test('a file that is there is kept, and replaced with --overwrite', async (t) => {
    const directory = temporaryDirectory(t)
    const output = makeTree(join(directory, 'output'), { file: 'old' })
    const store = join(directory, 'store')
    await makeStore(store, { file: 'new' })
    const { exitCode, stderr } = varve(['export', store, output])
    assert.equal(exitCode, 1)
    assert.match(stderr, /^not written: "file": there is such a file already$/m)
    assert.equal(readFileSync(join(output, 'file'), 'utf8'), 'old')
    assert.equal(varve(['export', store, output, '--overwrite']).exitCode, 0)
    assert.equal(readFileSync(join(output, 'file'), 'utf8'), 'new')
  })

  test('a key that is a file and a directory to others is refused for one of them', async (t) => {
    const directory = temporaryDirectory(t)
    await makeStore(join(directory, 'store'), { a: 'file', 'a/b': 'below it' })
    const { exitCode, stderr } = varve(['export', join(directory, 'store'), join(directory, 'out')])
    assert.equal(exitCode, 1)
    assert.match(stderr, /^not written: "a\/b": .*a is not a directory$/m)
  })

  test('export never writes into the store that it reads', async (t) => {
    const directory = temporaryDirectory(t)
    const store = join(directory, 'store')
    await makeStore(store, { 'store/superblock': 'overwritten' })
    assert.equal(varve(['export', store, store]).exitCode, 2)
    assert.equal(varve(['export', store, join(store, 'new', 'below')]).exitCode, 2)
    assert.equal(existsSync(join(store, 'new')), false)
    const { exitCode, stderr } = varve(['export', store, directory, '--overwrite'])
    assert.equal(exitCode, 1)
    assert.match(stderr, /is the store itself/)
    assert.equal(varve(['count', store]).stdout, '1\n')
  })
})
