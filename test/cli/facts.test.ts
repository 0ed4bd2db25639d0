/**
 * Goal: what info, stats and bench print can be read by people and by programs.
 * Method: the same facts as text and with --json.
 * Properties checked: shapes and values of the JSON; rows of the text.
 */
import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { open } from '../../src/store/index.js'
import { temporaryDirectory } from '../support/directory.js'
import { varve } from './command.js'

const segmentSizeBytes = 2 ** 20

async function makeStore(path: string): Promise<void> {
  const store = open(path, { encoding: 'json', segmentSizeBytes })
  store.put('key', 'value')
  store.keyspace('users', { encoding: 'utf8', keyEncoding: 'binary' })
  await store.close()
}

describe('facts', () => {
  test('info --json says who a store is and what it holds', async (t) => {
    const path = temporaryDirectory(t)
    await makeStore(path)
    const { exitCode, stderr, stdout } = varve(['info', path, '--json'])
    assert.equal(exitCode, 0)
    assert.equal(stderr, '')
    const { createdAtMs, fileBytes, lastRecovery, storeId, ...info } = JSON.parse(stdout)
    assert.deepEqual(info, {
      directory: path,
      formatVersion: 1,
      segmentSizeBytes,
      keyspaces: [
        { name: '', encoding: 'json', keyEncoding: 'utf8', records: 1 },
        { name: 'users', encoding: 'utf8', keyEncoding: 'binary', records: 0 },
      ],
      records: 1,
      keyBytes: 3,
      valueBytes: 7,
    })
    assert.match(storeId, /^[0-9a-f]{32}$/)
    assert.ok(Math.abs(Date.now() - createdAtMs) < 60_000)
    assert.ok(fileBytes >= segmentSizeBytes)
    assert.equal(typeof lastRecovery.durationMs, 'number')
  })

  test('info prints one fact a line', async (t) => {
    const path = temporaryDirectory(t)
    await makeStore(path)
    const { stdout } = varve(['info', path])
    assert.match(stdout, /^segment size {6}1\.0 MiB$/m)
    assert.match(stdout, /^default keyspace {2}1 record, json values, utf8 keys$/m)
    assert.match(stdout, /^keyspace users {4}0 records, utf8 values, binary keys$/m)
  })

  test('stats --json is what store.stats() gives', async (t) => {
    const path = temporaryDirectory(t)
    await makeStore(path)
    const printed = JSON.parse(varve(['stats', path, '--json']).stdout)
    await using store = open(path, { readOnly: true })
    const stats = store.stats()
    // What is undefined, as the sequence of no snapshot, JSON leaves out.
    assert.deepEqual(Object.keys(printed), Object.keys(JSON.parse(JSON.stringify(stats))))
    assert.equal(printed.records, 1)
    assert.equal(printed.sequence, stats.sequence)
  })

  test('stats prints every number under its name', async (t) => {
    const path = temporaryDirectory(t)
    await makeStore(path)
    const { stdout } = varve(['stats', path])
    const names = stdout.split('\n').map((line) => line.split(' ')[0])
    for (const name of ['records', 'tail', 'garbageRatio', 'poisoned', 'lastRecovery.kind']) {
      assert.ok(names.includes(name), name)
    }
    assert.match(stdout, /^segmentSizeBytes +1,048,576 +1\.0 MiB$/m)
  })

  test('bench measures three operations and leaves nothing behind', (t) => {
    const path = temporaryDirectory(t)
    const { exitCode, stderr, stdout } = varve(['bench', path, '--records', '1000', '--json'])
    assert.equal(exitCode, 0)
    assert.equal(stderr, '')
    const { node, records, rows, valueSizeBytes } = JSON.parse(stdout)
    assert.deepEqual(
      { node, records, valueSizeBytes },
      { node: process.version, records: 1000, valueSizeBytes: 100 },
    )
    assert.deepEqual(
      rows.map((row: { operation: string }) => row.operation),
      ['load', 'random get', 'random update'],
    )
    for (const row of rows) assert.ok(row.perSecond > 0 && row.nanosecondsEach > 0)
    assert.deepEqual(readdirSync(path), [])
  })

  test('bench prints a table and says that it is indicative', (t) => {
    const { stdout } = varve(['bench', temporaryDirectory(t), '--records', '1000'])
    assert.match(stdout, /^random get +[\d,]+ +[\d,]+$/m)
    assert.match(stdout, /^Indicative only/m)
  })

  test('bench of a directory that is not there fails', (t) => {
    const { exitCode, stderr } = varve(['bench', join(temporaryDirectory(t), 'none')])
    assert.equal(exitCode, 1)
    assert.match(stderr, /^varve: ENOENT/)
  })
})
