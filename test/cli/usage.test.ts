/**
 * Goal: whoever misuses the command learns it from exit code 2 and a line on stderr.
 * Method: every subcommand with --help, with wrong arguments, and with values out of range.
 * Properties checked: exit codes; help on stdout; nothing but help there.
 */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { temporaryDirectory } from '../support/directory.js'
import { varve } from './command.js'

const subcommands = [
  ...[
    'get',
    'put',
    'delete',
    'scan',
    'count',
    'info',
    'stats',
    'verify',
    'compact',
    'checkpoint',
    'backup',
    'restore',
    'repair',
  ],
  ...['import', 'export', 'bench', 'demo'],
]

describe('usage', () => {
  for (const name of subcommands) {
    test(`varve ${name} --help explains itself on stdout and exits with 0`, () => {
      const { exitCode, stderr, stdout } = varve([name, '--help'])
      assert.equal(exitCode, 0)
      assert.match(stdout, new RegExp(`^Usage: varve ${name} `))
      assert.equal(stderr, '')
    })
  }

  test('varve --help names every subcommand and the exit codes', () => {
    const { exitCode, stdout } = varve(['--help'])
    assert.equal(exitCode, 0)
    for (const name of subcommands) assert.match(stdout, new RegExp(`^  ${name} `, 'm'))
    assert.match(stdout, /0 done, 1 failed, 2 misused/)
  })

  test('varve --version prints the version of the package', () => {
    const { exitCode, stdout } = varve(['--version'])
    assert.equal(exitCode, 0)
    assert.match(stdout, /^\d+\.\d+\.\d+\n$/)
  })

  test('varve without a subcommand prints its help on stderr and exits with 2', () => {
    const { exitCode, stderr, stdout } = varve([])
    assert.equal(exitCode, 2)
    assert.equal(stdout, '')
    assert.match(stderr, /^Usage: varve /)
  })

  const misuses: readonly (readonly [string, readonly string[], RegExp])[] = [
    ['an unknown subcommand', ['fetch'], /unknown command 'fetch'/],
    ['a missing argument', ['get', 'store'], /missing required argument 'key'/],
    ['an argument too many', ['count', 'store', 'more'], /too many arguments/],
    ['an unknown option', ['count', 'store', '--quick'], /unknown option '--quick'/],
    ['a limit that is no number', ['scan', 'store', '--limit', 'ten'], /whole number/],
    ['a limit below zero', ['scan', 'store', '--limit', '-1'], /whole number/],
    ['an unknown encoding', ['put', 'store', 'k', 'v', '--encoding', 'xml'], /msgpack, json/],
    [
      'conditions that exclude each other',
      ['put', 'store', 'k', 'v', '--if-absent', '--if-version', '1'],
      /cannot be used with/,
    ],
    ['a store in memory', ['put', ':memory:', 'k', 'v'], /PATH must be a directory/],
    ['an empty path', ['get', '', 'k'], /PATH is empty/],
    ['a benchmark of nothing', ['bench', '--records', '0'], /--records must be 1 or more/],
    ['a demo without a tree', ['demo'], /there is no node_modules here/],
  ]
  for (const [what, args, message] of misuses) {
    test(`${what} is misuse: exit code 2, a message, nothing on stdout, nothing made`, (t) => {
      const directory = temporaryDirectory(t)
      const { exitCode, stderr, stdout } = varve(args, { cwd: directory })
      assert.equal(exitCode, 2)
      assert.match(stderr, message)
      assert.equal(stdout, '')
      assert.equal(existsSync(join(directory, 'store')), false)
    })
  }
})
