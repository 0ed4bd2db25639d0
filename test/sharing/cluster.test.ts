/**
 * Goal: the examples of sharing that the pages show run as they stand there, and print what they say.
 * Method: the code is taken out of README.md and docs/sharing.md and run in a directory that has the
 *   package installed; then the store that it left is opened.
 * Properties checked: the output; that no write of any process or thread is missing.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { open } from '../../src/store/index.js'
import { temporaryDirectory } from '../support/directory.js'
import { codeBlockOf, runExample } from '../support/example.js'

describe('the example of a cluster in README.md', () => {
  const code = codeBlockOf('README.md', 'node:cluster')

  test('is examples/cluster.mjs', () => {
    const file = join(process.cwd(), 'examples', 'cluster.mjs')
    assert.equal(code, readFileSync(file, 'utf8'))
  })

  test('counts every visit of every process', async (t) => {
    const directory = temporaryDirectory(t)
    assert.equal(runExample(directory, code), '4000 done\n')
    await using store = open(join(directory, 'cluster-store'), { createIfMissing: false })
    assert.equal(store.stats().lastRecovery.kind, 'clean', 'the last one marked a proper end')
    assert.equal(store.get('visits'), 4000)
    const workers = [1, 2, 3, 4].map((worker) => store.get(`worker ${worker}`))
    assert.deepEqual(workers, ['done', 'done', 'done', 'done'])
    assert.equal(store.count(), 5)
  })
})

describe('the example of threads in docs/sharing.md', () => {
  test('gives every job to one thread', async (t) => {
    const directory = temporaryDirectory(t)
    const code = codeBlockOf('docs/sharing.md', 'threadId, Worker')
    assert.equal(runExample(directory, code), '0 100\n')
    await using store = open(join(directory, 'jobs'), { createIfMissing: false })
    const done = store.keyspace<number>('done')
    assert.equal(done.count(), 100)
    for (let job = 0; job < 100; job++) assert.ok((done.get(`job ${job}`) ?? 0) > 0, `job ${job}`)
  })
})
