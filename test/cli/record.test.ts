/**
 * Goal: single records can be read, written and removed from a shell.
 * Method: get, put and delete on stores with each encoding of keys and values.
 * Properties checked: exit codes, the exact bytes on stdout, what conditions refuse.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { open } from '../../src/store/index.js'
import { temporaryDirectory } from '../support/directory.js'
import { mainPath, varve } from './command.js'

const done = { exitCode: 0, stdout: '', stderr: '' }

describe('put, get and delete', () => {
  test('put makes a store and says nothing; get prints the text and a line break', (t) => {
    const path = join(temporaryDirectory(t), 'store')
    assert.deepEqual(varve(['put', path, 'greeting', 'hello, wörld']), done)
    assert.deepEqual(varve(['get', path, 'greeting']), { ...done, stdout: 'hello, wörld\n' })
  })

  test('put takes the value from stdin where it is left out, to the last byte', (t) => {
    const path = join(temporaryDirectory(t), 'store')
    const value = Uint8Array.from({ length: 256 }, (_, byte) => byte)
    const options = ['--encoding', 'binary']
    assert.deepEqual(varve(['put', path, 'bytes', ...options], { input: value }), done)
    const { stdout } = spawnSync(process.execPath, [mainPath, 'get', path, 'bytes'])
    assert.deepEqual(Uint8Array.from(stdout), value)
  })

  test('a value that is not UTF-8 is refused where values are text', (t) => {
    const path = join(temporaryDirectory(t), 'store')
    const { exitCode, stderr } = varve(['put', path, 'key'], { input: Buffer.from([0xff]) })
    assert.equal(exitCode, 2)
    assert.match(stderr, /the value is not UTF-8/)
  })

  test('--json-value stores what the JSON says, without it the same argument is text', (t) => {
    const path = join(temporaryDirectory(t), 'store')
    assert.deepEqual(varve(['put', path, 'a', '{"b":[1,null]}', '--json-value']), done)
    assert.deepEqual(varve(['put', path, 'c', '{"b":[1,null]}']), done)
    assert.equal(varve(['get', path, 'a']).stdout, '{"b":[1,null]}\n')
    const store = open(path, { readOnly: true })
    assert.deepEqual(store.get('a'), { b: [1, null] })
    assert.equal(store.get('c'), '{"b":[1,null]}')
    return store.close()
  })

  test('--json-value with anything but JSON is misuse', (t) => {
    const path = join(temporaryDirectory(t), 'store')
    const { exitCode, stderr } = varve(['put', path, 'a', '{b', '--json-value'])
    assert.equal(exitCode, 2)
    assert.match(stderr, /^varve: the value is not JSON: .*\n$/)
  })

  test('--json-value is misuse where values are text or bytes', (t) => {
    const path = join(temporaryDirectory(t), 'store')
    const args = ['put', path, 'a', '1', '--json-value', '--encoding', 'utf8']
    assert.equal(varve(args).exitCode, 2)
  })

  test('--ttl-ms stores what expires; get --json tells when', (t) => {
    const path = join(temporaryDirectory(t), 'store')
    const before = Date.now()
    assert.deepEqual(varve(['put', path, 'soon', 'v', '--ttl-ms', '1']), done)
    assert.deepEqual(varve(['put', path, 'later', 'v', '--ttl-ms', '3600000']), done)
    assert.equal(varve(['get', path, 'soon']).exitCode, 1)
    const { expiresAtMs } = JSON.parse(varve(['get', path, 'later', '--json']).stdout)
    assert.ok(expiresAtMs >= before + 3_600_000 && expiresAtMs <= Date.now() + 3_600_000)
    assert.equal(varve(['count', path]).stdout, '1\n')
    assert.deepEqual(varve(['put', path, 'later', 'v']), done)
    assert.equal('expiresAtMs' in JSON.parse(varve(['get', path, 'later', '--json']).stdout), false)
    const wrong = varve(['put', path, 'never', 'v', '--ttl-ms', '0'])
    assert.equal(wrong.exitCode, 2)
    assert.match(wrong.stderr, /ttlMs/)
  })

  test('get of a missing key exits with 1, silent on stdout', (t) => {
    const path = join(temporaryDirectory(t), 'store')
    varve(['put', path, 'here', 'v'])
    const { exitCode, stderr, stdout } = varve(['get', path, 'gone'])
    assert.equal(exitCode, 1)
    assert.equal(stdout, '')
    assert.equal(stderr, 'varve: there is no key "gone"\n')
  })

  test('get --json prints one object with version, sequence, time and size', (t) => {
    const path = join(temporaryDirectory(t), 'store')
    varve(['put', path, 'key', '7', '--json-value'])
    const { stdout } = varve(['get', path, 'key', '--json'])
    const { version, sequence, timestampMs, sizeBytes, ...rest } = JSON.parse(stdout)
    assert.deepEqual(rest, { key: 'key', value: 7 })
    for (const number of [version, sequence, timestampMs, sizeBytes]) assert.ok(number > 0)
  })

  test('get --json gives bytes as base64, under a name of their own', (t) => {
    const path = join(temporaryDirectory(t), 'store')
    varve(['put', path, 'key', '--encoding', 'binary'], { input: Buffer.from([0, 255]) })
    const entry = JSON.parse(varve(['get', path, 'key', '--json']).stdout)
    assert.equal(entry.valueBase64, 'AP8=')
    assert.equal('value' in entry, false)
  })

  test('--if-absent stores a missing key only', (t) => {
    const path = join(temporaryDirectory(t), 'store')
    assert.deepEqual(varve(['put', path, 'key', 'first', '--if-absent']), done)
    const { exitCode, stderr } = varve(['put', path, 'key', 'second', '--if-absent'])
    assert.equal(exitCode, 1)
    assert.match(stderr, /nothing was stored: key "key" has version \d+/)
    assert.equal(varve(['get', path, 'key']).stdout, 'first\n')
  })

  test('--if-version stores and deletes over that version only', (t) => {
    const path = join(temporaryDirectory(t), 'store')
    varve(['put', path, 'key', 'first'])
    const { version } = JSON.parse(varve(['get', path, 'key', '--json']).stdout)
    assert.deepEqual(varve(['put', path, 'key', 'second', '--if-version', `${version}`]), done)
    assert.equal(varve(['put', path, 'key', 'third', '--if-version', `${version}`]).exitCode, 1)
    assert.equal(varve(['delete', path, 'key', '--if-version', `${version}`]).exitCode, 1)
    assert.equal(varve(['get', path, 'key']).stdout, 'second\n')
  })

  test('delete removes a key once', (t) => {
    const path = join(temporaryDirectory(t), 'store')
    varve(['put', path, 'key', 'value'])
    assert.deepEqual(varve(['delete', path, 'key']), done)
    const { exitCode, stderr } = varve(['delete', path, 'key'])
    assert.equal(exitCode, 1)
    assert.match(stderr, /nothing was removed: key "key" is missing/)
  })

  test('delete makes no store where there is none', (t) => {
    const path = join(temporaryDirectory(t), 'store')
    const { exitCode, stderr } = varve(['delete', path, 'key'])
    assert.equal(exitCode, 1)
    assert.match(stderr, /^varve: STORE_NOT_FOUND: /)
    assert.equal(existsSync(path), false)
  })

  test('binary keys are hexadecimal digits', (t) => {
    const path = join(temporaryDirectory(t), 'store')
    assert.deepEqual(varve(['put', path, '00ff', 'v', '--key-encoding', 'binary']), done)
    assert.equal(varve(['get', path, '00FF']).stdout, 'v\n')
    assert.equal(varve(['scan', path, '--keys']).stdout, '00ff\n')
    const { exitCode, stderr } = varve(['get', path, 'name'])
    assert.equal(exitCode, 2)
    assert.match(stderr, /hexadecimal/)
  })

  test('ordered keys are JSON', (t) => {
    const path = join(temporaryDirectory(t), 'store')
    assert.deepEqual(varve(['put', path, '["a",-5]', 'v', '--key-encoding', 'ordered']), done)
    assert.deepEqual(varve(['put', path, '-5', 'w']), done)
    assert.equal(varve(['get', path, '["a", -5]']).stdout, 'v\n')
    assert.equal(
      varve(['scan', path, '--json']).stdout,
      '{"key":-5,"value":"w"}\n{"key":["a",-5],"value":"v"}\n',
    )
    assert.deepEqual(varve(['put', path, '"5"', 'x']), done)
    assert.equal(varve(['scan', path, '--keys']).stdout, '-5\n"5"\n["a",-5]\n')
    assert.equal(varve(['get', path, 'bare']).exitCode, 2)
    assert.equal(varve(['get', path, 'null']).exitCode, 2)
  })

  test('put --keyspace makes the keyspace with its encodings; keys of others are not in it', (t) => {
    const path = join(temporaryDirectory(t), 'store')
    varve(['put', path, 'key', 'default'])
    varve(['put', path, 'key', 'users', '--keyspace', 'users', '--encoding', 'utf8'])
    assert.equal(varve(['get', path, 'key', '--keyspace', 'users']).stdout, 'users\n')
    assert.equal(varve(['get', path, 'key']).stdout, 'default\n')
  })

  test('a keyspace that is not there is named, with those that are', (t) => {
    const path = join(temporaryDirectory(t), 'store')
    varve(['put', path, 'key', 'v', '--keyspace', 'users'])
    const { exitCode, stderr } = varve(['get', path, 'key', '--keyspace', 'user'])
    assert.equal(exitCode, 1)
    assert.match(stderr, /there is no keyspace "user" in .*store; it has users/)
  })

  test('an encoding other than the one of the store is misuse', (t) => {
    const path = join(temporaryDirectory(t), 'store')
    varve(['put', path, 'key', 'v', '--encoding', 'utf8'])
    const { exitCode, stderr } = varve(['put', path, 'key', 'v', '--encoding', 'json'])
    assert.equal(exitCode, 2)
    assert.match(stderr, /was written with "utf8"/)
  })

  test('what MessagePack has and JSON has not is shown in words of JSON', async (t) => {
    const path = temporaryDirectory(t)
    const store = open(path)
    store.put('all', {
      bytes: Buffer.from('hi'),
      map: new Map([['a', new Set([1])]]),
      pairs: new Map([[1, 'one']]),
      date: new Date(0),
      big: 2n ** 64n,
      none: Number.NaN,
      floats: new Float32Array([0.5]),
    })
    store.put('bytes', Buffer.from('raw'))
    await store.close()
    assert.deepEqual(JSON.parse(varve(['get', path, 'all']).stdout), {
      bytes: 'aGk=',
      map: { a: [1] },
      pairs: [[1, 'one']],
      date: '1970-01-01T00:00:00.000Z',
      big: '18446744073709551616',
      none: 'NaN',
      floats: [0.5],
    })
    assert.equal(varve(['get', path, 'bytes']).stdout, 'raw')
  })

  test("values of a program's own encoding are read as bytes and not written", async (t) => {
    const path = temporaryDirectory(t)
    const store = open<string>(path, {
      encoding: { encode: (text) => Buffer.from(`<${text}>`), decode: String },
    })
    store.put('key', 'value')
    await store.close()
    assert.equal(varve(['get', path, 'key']).stdout, '<value>')
    const { exitCode, stderr } = varve(['put', path, 'key', 'other'])
    assert.equal(exitCode, 1)
    assert.match(stderr, /encoded by a program of its own/)
  })
})
