/**
 * Goal: what is published, dist/, is the store that the other tests test module by module.
 * Method: programs that import the package by its name, with the class of threads replaced by one that keeps
 *   account; the command as package.json names it; the imports of each file of dist/, followed.
 * Properties checked: the helper threads run from their files; entry points share their classes; what each entry
 *   point and each thread loads; the files that package.json names.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, test } from 'node:test'
import { temporaryDirectory } from '../support/directory.js'
import { runExample } from '../support/example.js'

interface Manifest {
  readonly version: string
  readonly bin: { readonly varve: string }
  readonly exports: Record<string, string | { readonly types: string; readonly default: string }>
}

const root = process.cwd()
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Manifest
const { bin, exports, version } = manifest

/** The files of dist/ that a file loads, itself among them, and the packages. */
function loadedBy(entry: string): { files: string[]; packages: string[] } {
  const files = new Set([join('dist', entry)])
  const packages = new Set<string>()
  for (const file of files) {
    const text = readFileSync(join(root, file), 'utf8')
    for (const [, name] of text.matchAll(/^(?:import|export) [^"';]*["']([^"']+)["'];$/gm)) {
      if (name.startsWith('.')) files.add(join(dirname(file), name))
      else if (!name.startsWith('node:')) packages.add(name)
    }
  }
  return { files: [...files].sort(), packages: [...packages].sort() }
}

const inDist = (...names: string[]) => names.map((name) => join('dist', name)).sort()

const threadsProgram = `
import { syncBuiltinESMExports } from 'node:module'
import { setTimeout } from 'node:timers/promises'
import threads from 'node:worker_threads'

const seen = {}
threads.Worker = class extends threads.Worker {
  constructor(file, options) {
    super(file, options)
    const facts = { isOnline: false, errors: [] }
    seen[options.name] = facts
    this.on('online', () => { facts.isOnline = true })
    this.on('error', (error) => facts.errors.push(error.message))
  }
}
syncBuiltinESMExports()
const { open } = await import('varve')
const store = open('./data', { encoding: 'binary', segmentSizeBytes: 2 ** 20, autoCompact: true })
let attached = 1
for (let round = 0; store.stats().compactions === 0; round++) {
  if (round === 1000) throw new Error('nothing was compacted')
  for (let key = 0; key < 100; key++) store.put(String(key), Buffer.alloc(5000, round))
  await store.sync()
  await setTimeout(10)
  attached = Math.max(attached, store.attachments().length)
}
await store.close()
console.log(JSON.stringify({ attached, seen }))
`

const classesProgram = `
import { open, Store, StoreError } from 'varve'
import { LevelError, VarveLevel } from 'varve/level'
import { ModelStore, openOn, SimulatedDisk, sectorSizeBytes } from 'varve/testing'

const caught = (action) => {
  try {
    return action()
  } catch (error) {
    return error
  }
}
const closed = open(':memory:')
await closed.close()
const simulated = openOn(new SimulatedDisk())
const isStore = simulated instanceof Store
await simulated.close()
const model = new ModelStore()
await model.close()
const refused = await new VarveLevel('./missing', { createIfMissing: false }).open().catch((error) => error)
console.log(JSON.stringify({
  closed: caught(() => closed.get('a')) instanceof StoreError,
  simulated: isStore && caught(() => simulated.get('a')) instanceof StoreError,
  model: caught(() => model.get('a')) instanceof StoreError,
  level: refused.code === 'LEVEL_DATABASE_NOT_OPEN' && refused.cause instanceof LevelError,
  levelCause: refused.cause.cause instanceof StoreError,
  sectorSizeBytes,
}))
`

describe('the package', () => {
  test('runs its helper threads: the preparer, and the one that compacts', (t) => {
    const { attached, seen } = JSON.parse(runExample(temporaryDirectory(t), threadsProgram))
    const runs = { isOnline: true, errors: [] }
    assert.deepEqual(seen, { 'varve-preparer': runs, 'varve-compactor': runs })
    assert.equal(attached, 2)
  })

  test('has one StoreError and one Store in all its entry points', (t) => {
    assert.deepEqual(JSON.parse(runExample(temporaryDirectory(t), classesProgram)), {
      closed: true,
      simulated: true,
      model: true,
      level: true,
      levelCause: true,
      sectorSizeBytes: 512,
    })
  })

  test('has the files that package.json names', () => {
    const files = Object.values(exports).flatMap((entry) =>
      typeof entry === 'string' ? [entry] : [entry.types, entry.default],
    )
    assert.equal(files.length, 7)
    for (const file of [...files, bin.varve]) assert.ok(existsSync(join(root, file)), file)
  })

  test('has the command, which puts and gets', (t) => {
    const path = join(temporaryDirectory(t), 'store')
    const varve = (...args: string[]): string => {
      const { status, stderr, stdout } = spawnSync(
        process.execPath,
        [join(root, bin.varve), ...args],
        { encoding: 'utf8' },
      )
      assert.equal(status, 0, stderr)
      return stdout
    }
    assert.equal(varve('--version'), `${version}\n`)
    varve('put', path, 'a', '"b"')
    assert.match(varve('get', path, 'a'), /b/)
  })

  test('loads for each entry point and thread what it needs', () => {
    const store = ['store.js', 'engine.js', 'preparer.js']
    const packages = ['msgpackr', 'ordered-binary']
    assert.deepEqual(loadedBy('store/index.js'), {
      files: inDist('store/index.js', ...store),
      packages,
    })
    assert.deepEqual(loadedBy('level/index.js'), {
      files: inDist('level/index.js', ...store),
      packages: ['abstract-level', ...packages],
    })
    assert.deepEqual(loadedBy('testing/index.js'), {
      files: inDist('testing/index.js', ...store),
      packages,
    })
    assert.deepEqual(loadedBy('compactor-thread.js'), {
      files: inDist('compactor-thread.js', 'engine.js', 'preparer.js'),
      packages: [],
    })
    assert.deepEqual(loadedBy('preparer-thread.js'), {
      files: inDist('preparer-thread.js', 'preparer.js'),
      packages: [],
    })
  })
})
