/** Goal: the example of the API runs, under the name that users import, and prints what it shows. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { temporaryDirectory } from '../support/directory.js'
import { varve } from './command.js'

const examplePath = fileURLToPath(new URL('../../../examples/quick-start.mjs', import.meta.url))

test('the quick start runs twice on one store', (t) => {
  const path = join(temporaryDirectory(t), 'store')
  for (let round = 0; round < 2; round++) {
    const { stderr, stdout } = spawnSync(process.execPath, [examplePath, path], {
      encoding: 'utf8',
    })
    assert.equal(stderr, '')
    assert.equal(stdout, 'hello false 1\ntrue\n1815 undefined\n')
  }
  assert.equal(varve(['count', path, '--keyspace', 'users']).stdout, '1\n')
})
