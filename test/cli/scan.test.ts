/**
 * Goal: a scan gives every live record of its range once, in key order, and nothing else.
 * Method: stores with updates, deletes, batches, large values and several segments; a reader that
 *   goes away; a write during the scan.
 * Properties checked: the lines printed, against what was written; exit codes.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { open, type StoreKey } from '../../src/store/index.js'
import { keysInLog } from '../../src/store/scan.js'
import { copyStore, temporaryDirectory } from '../support/directory.js'
import { storeErrorOf } from '../support/store-error.js'
import { mainPath, varve } from './command.js'

const segmentSizeBytes = 2 ** 20

describe('scan', () => {
  test('records come in the order of their keys', async (t) => {
    const path = temporaryDirectory(t)
    const store = open(path, { encoding: 'utf8', segmentSizeBytes })
    for (const key of ['d', 'c', 'b', 'a']) store.put(key, `first ${key}`)
    store.put('a', 'again')
    store.delete('b')
    store.put('c', 'a value that does not fit the place of the one before')
    await store.close()
    const { exitCode, stderr, stdout } = varve(['scan', path])
    assert.equal(exitCode, 0)
    assert.equal(stderr, '')
    assert.equal(
      stdout,
      'a\tagain\nc\ta value that does not fit the place of the one before\nd\tfirst d\n',
    )
  })

  test('--prefix, --gt, --gte, --lt, --lte and --reverse choose a range', async (t) => {
    const path = temporaryDirectory(t)
    const store = open(path, { segmentSizeBytes })
    for (const key of ['a', 'b', 'ba', 'bb', 'c']) store.put(key, 1)
    const numbers = store.keyspace<number, StoreKey>('numbers', { keyEncoding: 'ordered' })
    for (const key of [-2, 3, 10, ['a', 1], ['a', 2], ['b']]) numbers.put(key, 0)
    const bytes = store.keyspace<number, Buffer>('bytes', { keyEncoding: 'binary' })
    for (const key of ['00', '01ff', '02']) bytes.put(Buffer.from(key, 'hex'), 0)
    await store.close()
    const scan = (...args: string[]): string[] => {
      const { exitCode, stderr, stdout } = varve(['scan', path, '--keys', ...args])
      assert.equal(exitCode, 0, stderr)
      const bounds = args.filter((arg) => arg !== '--reverse')
      const lines = stdout.split('\n').slice(0, -1)
      assert.equal(varve(['count', path, ...bounds]).stdout, `${lines.length}\n`)
      return lines
    }
    assert.deepEqual(scan('--prefix', 'b'), ['b', 'ba', 'bb'])
    assert.deepEqual(scan('--gt', 'a', '--lt', 'bb'), ['b', 'ba'])
    assert.deepEqual(scan('--gte', 'ba', '--lte', 'bb', '--reverse'), ['bb', 'ba'])
    assert.deepEqual(scan('--gt', 'c'), [])
    const inNumbers = ['--keyspace', 'numbers']
    assert.deepEqual(scan(...inNumbers, '--gte', '-2', '--lt', '10'), ['-2', '3'])
    assert.deepEqual(scan(...inNumbers, '--prefix', '["a"]'), ['["a",1]', '["a",2]'])
    assert.deepEqual(scan('--keyspace', 'bytes', '--gt', '00', '--reverse'), ['02', '01ff'])
    const limited = varve(['scan', path, '--keys', '--reverse', '--limit', '2'])
    assert.equal(limited.stdout, 'c\nbb\n')
    const asJson = varve(['scan', path, '--prefix', 'c', '--json'])
    assert.equal(asJson.stdout, '{"key":"c","value":1}\n')
    for (const command of ['scan', 'count']) {
      const wrong = varve([command, path, ...inNumbers, '--gt', 'text'])
      assert.equal(wrong.exitCode, 2)
      assert.match(wrong.stderr, /JSON/)
    }
  })

  test('--limit, --keys and --keyspace choose what is printed', async (t) => {
    const path = temporaryDirectory(t)
    const store = open(path, { segmentSizeBytes })
    for (const key of ['a', 'b', 'c']) store.put(key, 1)
    store.keyspace('more').put('d', 2)
    await store.close()
    assert.equal(varve(['scan', path, '--keys', '--limit', '2']).stdout, 'a\nb\n')
    assert.equal(varve(['scan', path, '--limit', '0']).stdout, '')
    assert.equal(varve(['scan', path, '--keyspace', 'more']).stdout, 'd\t2\n')
    assert.equal(varve(['count', path]).stdout, '3\n')
    assert.equal(varve(['count', path, '--keyspace', 'more', '--json']).stdout, '{"count":1}\n')
  })

  test('--json prints one object a line, bytes as base64', async (t) => {
    const path = temporaryDirectory(t)
    const store = open<Buffer>(path, { encoding: 'binary', segmentSizeBytes })
    store.put('key', Buffer.from([0]))
    await store.close()
    assert.equal(varve(['scan', path, '--json']).stdout, '{"key":"key","valueBase64":"AA=="}\n')
    assert.equal(varve(['scan', path, '--json', '--keys']).stdout, '{"key":"key"}\n')
  })

  test('no record breaks its line or acts on the terminal', async (t) => {
    const path = temporaryDirectory(t)
    const store = open(path, { encoding: 'utf8', segmentSizeBytes })
    store.put('', '')
    store.put('two\nlines', '\u001b[31m')
    store.put('next', 'csi \u009b31m')
    store.put('"quoted"', 'plain "quotes" within')
    await store.close()
    assert.deepEqual(varve(['scan', path]).stdout.split('\n'), [
      '""\t""',
      '"\\"quoted\\""\tplain "quotes" within',
      'next\t"csi \\u009b31m"',
      '"two\\nlines"\t"\\u001b[31m"',
      '',
    ])
  })

  test('an empty store has no lines', async (t) => {
    const path = temporaryDirectory(t)
    await open(path, { segmentSizeBytes }).close()
    assert.deepEqual(varve(['scan', path]), { exitCode: 0, stdout: '', stderr: '' })
    assert.equal(varve(['count', path]).stdout, '0\n')
  })

  for (const mapping of ['mmap', 'file'] as const) {
    test(`every live record of many segments is met once, with mapping "${mapping}"`, async (t) => {
      const directory = temporaryDirectory(t)
      const [path, copy] = [join(directory, 'store'), join(directory, 'copy')]
      const store = open<string>(path, { encoding: 'utf8', mapping, segmentSizeBytes })
      const expected = new Set<string>()
      for (let index = 0; index < 20_000; index++) {
        store.put(`key ${index}`, 'x'.repeat(100 + (index % 50)))
        expected.add(`key ${index}`)
      }
      for (let index = 0; index < 20_000; index += 3) store.put(`key ${index}`, 'y'.repeat(200))
      for (let index = 0; index < 20_000; index += 4) {
        store.delete(`key ${index}`)
        expected.delete(`key ${index}`)
      }
      store.put('large', 'z'.repeat(segmentSizeBytes))
      // The batch does not fit a segment, and gets one of several parts.
      const batch = Array.from({ length: 5000 }, (_, index) => `batch ${index}`)
      store.write(batch.map((key) => ({ type: 'put', key, value: 'v'.repeat(300) })))
      for (const key of ['large', ...batch]) expected.add(key)
      assert.deepEqual(sorted(keysInLog(store)), sorted(expected))
      await store.sync()

      copyStore(path, copy)
      await using replayed = open(copy, { readOnly: true })
      assert.equal(replayed.stats().lastRecovery.kind, 'replay')
      assert.deepEqual(sorted(keysInLog(replayed)), sorted(expected))
      await store.close()
      await using reopened = open(path)
      assert.deepEqual(sorted(keysInLog(reopened)), sorted(expected))
    })
  }

  test('a scan of a store that was closed meanwhile ends with an error', async () => {
    const store = open(':memory:')
    for (const key of ['a', 'b']) store.put(key, 1)
    const keys = keysInLog(store)
    keys.next()
    await store.close()
    storeErrorOf(() => keys.next(), 'STORE_CLOSED')
  })

  test('keys of every encoding come back as they were put', async () => {
    await using store = open(':memory:')
    const ordered: StoreKey[] = [-1.5, 'text', '', true, ['a', 1, false]]
    const numbers = store.keyspace<number, StoreKey>('ordered', { keyEncoding: 'ordered' })
    for (const key of ordered) numbers.put(key, 1)
    assert.deepEqual([...keysInLog(numbers)], ordered)
    const bytes = store.keyspace<number, Buffer>('bytes', { keyEncoding: 'binary' })
    bytes.put(Buffer.from([0, 255]), 1)
    assert.deepEqual([...keysInLog(bytes)], [Buffer.from([0, 255])])
  })

  test('a reader that has seen enough ends the command quietly', async (t) => {
    const path = temporaryDirectory(t)
    const store = open(path, { encoding: 'utf8', segmentSizeBytes })
    for (let index = 0; index < 5000; index++) store.put(`key ${index}`, 'x'.repeat(200))
    await store.close()
    const child = spawn(process.execPath, [mainPath, 'scan', path])
    let stderr = ''
    child.stderr.on('data', (chunk) => {
      stderr += chunk
    })
    child.stdout.once('data', () => child.stdout.destroy())
    const [exitCode] = await once(child, 'close')
    assert.equal(stderr, '')
    assert.equal(exitCode, 0)
  })
})

function sorted(keys: Iterable<string>): string[] {
  return [...keys].sort()
}
