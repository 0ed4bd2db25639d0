// What the ordered index costs by itself, for four kinds of keys: nanoseconds for each key, and
// bytes for each key beyond the key's own.
//
// Goal: processor time (other work on the machine stretches the wall's), one thread, memory that is there already (a warm run on a small set goes before), keys made
// before the clock starts and lying in memory in the order in which they are used. An insert is
// planned and applied, as the store would, without the store's commit in between.
// Not a goal: the log, the hash index, values, keys that were made from strings.
//
//   node --expose-gc bench/ordered.mjs [--keys 1000000] [--rounds 3] [--sets sequential,paths] [--source <directory>] [--json]
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { build } from 'rolldown'
import { common } from '../rolldown.config.mjs'

const { values: options } = parseArgs({
  options: {
    keys: { type: 'string', default: '1000000' },
    rounds: { type: 'string', default: '3' },
    sets: { type: 'string', default: 'sequential,random,paths,integers' },
    source: { type: 'string', default: join(import.meta.dirname, '..', 'src') },
    json: { type: 'boolean', default: false },
  },
})
const keyCount = Number(options.keys)
// In one file, as in the package.
const bundle = join(import.meta.dirname, '..', 'build', 'bench')
const modules = [
  'index/ordered-index',
  'index/ordered-insert',
  'index/ordered-remove',
  'index/ordered-build',
  'index/ordered-apply',
  'index/key-list',
  'index/ordered-cursor',
  'format/ordered-page',
  'platform/memory-platform',
]
await build({
  ...common,
  input: Object.fromEntries(
    modules.map((name) => [name, join(resolve(options.source), `${name}.ts`)]),
  ),
  logLevel: 'warn',
  output: { dir: bundle, codeSplitting: { groups: [{ name: 'ordered' }] } },
})
const load = (module) => import(pathToFileURL(join(bundle, module)).href)
const { OrderedIndex } = await load('index/ordered-index.js')
const { planInsert } = await load('index/ordered-insert.js')
const { planRemove } = await load('index/ordered-remove.js')
const { planBuild } = await load('index/ordered-build.js')
const { applyOrderedChange } = await load('index/ordered-apply.js')
const { KeyList } = await load('index/key-list.js')
const { OrderedCursor, contains, seek, seekEdge, seekNext } = await load('index/ordered-cursor.js')
const { pageSizeBytes } = await load('format/ordered-page.js')
const { createMemoryPlatform } = await load('platform/memory-platform.js')

const keyspaceId = 1
const redo = new Int32Array(4096)

/** mulberry32, as in the tests: the same keys in every run. */
function createRandom(seed) {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return (mixed ^ (mixed >>> 14)) >>> 0
  }
}

const keySets = {
  sequential: (count) =>
    Array.from({ length: count }, (_, index) =>
      Buffer.from(`user${String(index).padStart(12, '0')}`),
    ),
  random(count) {
    const random = createRandom(1)
    return Array.from({ length: count }, () => {
      const bytes = Buffer.alloc(16)
      for (let word = 0; word < 16; word += 4) bytes.writeUInt32LE(random(), word)
      return bytes
    }).sort(Buffer.compare)
  },
  paths(count) {
    const random = createRandom(2)
    const pick = (choices) => choices[random() % choices.length]
    const words = Array.from({ length: 2000 }, () =>
      Array.from({ length: 3 + (random() % 8) }, () => pick('abcdefghiklmnoprstuvw')).join(''),
    )
    const paths = new Set()
    while (paths.size < count) {
      const site = `https://www.${words[random() % 300]}.${pick(['com', 'org', 'net'])}`
      const folders = Array.from({ length: 1 + (random() % 4) }, () => pick(words)).join('/')
      paths.add(
        `${site}/${folders}/${pick(words)}-${random() % 1000}.${pick(['html', 'jpg', 'js'])}`,
      )
    }
    return [...paths].map((path) => Buffer.from(path)).sort(Buffer.compare)
  },
  integers: (count) =>
    Array.from({ length: count }, (_, index) => {
      const bytes = Buffer.alloc(8)
      bytes.writeUInt32BE(index, 4)
      return bytes
    }),
}

/** Keys as words, one behind the other in the order given. */
function layOut(keys, order) {
  const starts = new Int32Array(keys.length)
  const sizesBytes = new Int32Array(keys.length)
  let wordCount = 0
  order.forEach((key, index) => {
    starts[index] = wordCount
    sizesBytes[index] = keys[key].byteLength
    wordCount += Math.ceil(keys[key].byteLength / 4)
  })
  const words = new Int32Array(wordCount)
  const bytes = Buffer.from(words.buffer)
  for (let index = 0; index < keys.length; index++) {
    bytes.set(keys[order[index]], starts[index] * 4)
  }
  return { count: keys.length, words, starts, sizesBytes }
}

function shuffled(count) {
  const order = Array.from({ length: count }, (_, index) => index)
  const random = createRandom(3)
  for (let index = count - 1; index > 0; index--) {
    const other = random() % (index + 1)
    const key = order[index]
    order[index] = order[other]
    order[other] = key
  }
  return order
}

function createTree() {
  const tree = new OrderedIndex(createMemoryPlatform().openFile('ordered', 'create'), 'shared')
  tree.initialize()
  return tree
}

function insertAll(tree, { count, words, starts, sizesBytes }, from, to = count) {
  for (let key = from; key < to; key++) {
    planInsert(tree, keyspaceId, words, starts[key], sizesBytes[key], redo)
    applyOrderedChange(tree, redo)
  }
}

function removeAll(tree, { count, words, starts, sizesBytes }) {
  for (let key = 0; key < count; key++) {
    planRemove(tree, keyspaceId, words, starts[key], sizesBytes[key], redo)
    applyOrderedChange(tree, redo)
  }
}

function containsAll(tree, cursor, { count, words, starts, sizesBytes }) {
  let found = 0
  for (let key = 0; key < count; key++) {
    found += contains(tree, cursor, keyspaceId, words, starts[key], sizesBytes[key])
  }
  return found
}

function seekAll(tree, cursor, { count, words, starts, sizesBytes }) {
  let found = 0
  for (let key = 0; key < count; key++) {
    found += seek(tree, cursor, keyspaceId, words, starts[key], sizesBytes[key], true, false)
  }
  return found
}

function scanAll(tree, cursor, isReverse) {
  let count = 0
  let found = seekEdge(tree, cursor, keyspaceId, isReverse)
  while (found === 1) {
    for (let key = 0; key < cursor.count; key++) count += cursor.sizesBytes[key] >= 0 ? 1 : 0
    found = seekNext(tree, cursor)
  }
  return count
}

function timed(count, action) {
  const start = process.cpuUsage()
  const result = action()
  const { user, system } = process.cpuUsage(start)
  return { ns: ((user + system) * 1000) / count, result }
}

function expect(condition, what) {
  if (!condition) throw new Error(`${what}: the index answers wrongly`)
}

/** The keys in both orders. As buffers they are garbage then, which nobody collects on the clock. */
function prepare(keys) {
  const keyBytes = keys.reduce((sum, key) => sum + key.byteLength, 0)
  const inOrder = layOut(
    keys,
    keys.map((_, index) => index),
  )
  const atRandom = layOut(keys, shuffled(keys.length))
  return { length: keys.length, keyBytes, inOrder, atRandom }
}

function measure({ length, keyBytes, inOrder, atRandom }) {
  const beyondKeys = (tree) => (tree.pageEnd * pageSizeBytes - keyBytes) / length
  const cursor = new OrderedCursor()
  const rows = {}

  const random = createTree()
  const most = Math.floor(length * 0.9)
  rows['random insert'] = timed(most, () => insertAll(random, atRandom, 0, most)).ns * 0.9
  rows['random insert, last tenth'] = timed(length - most, () =>
    insertAll(random, atRandom, most),
  ).ns
  rows['random insert'] += rows['random insert, last tenth'] * 0.1
  expect(random.keyCount === length, 'random insert')
  rows['bytes beyond the key, random'] = beyondKeys(random)
  // V8 drops compiled code that knew the trees of the round before: not the scan's cost.
  scanAll(random, cursor, false)
  const forward = timed(length, () => scanAll(random, cursor, false))
  expect(forward.result === length, 'scan')
  rows.scan = forward.ns
  const reverse = timed(length, () => scanAll(random, cursor, true))
  expect(reverse.result === length, 'reverse scan')
  rows['reverse scan'] = reverse.ns
  const contained = timed(length, () => containsAll(random, cursor, atRandom))
  expect(contained.result === length, 'contains')
  rows['random contains'] = contained.ns
  const seeks = Math.floor(length / 10)
  const sought = timed(seeks, () => seekAll(random, cursor, { ...atRandom, count: seeks }))
  expect(sought.result === seeks, 'seek')
  rows['random seek, a leaf copied'] = sought.ns
  rows['random remove'] = timed(length, () => removeAll(random, atRandom)).ns
  expect(random.keyCount === 0, 'remove')

  const sequential = createTree()
  rows['sequential insert'] = timed(length, () => insertAll(sequential, inOrder, 0)).ns
  expect(sequential.keyCount === length, 'sequential insert')
  rows['bytes beyond the key, sequential'] = beyondKeys(sequential)

  const list = new KeyList()
  rows.collect = timed(length, () => {
    for (let key = 0; key < length; key++) {
      list.add(keyspaceId, atRandom.words, atRandom.starts[key], atRandom.sizesBytes[key])
    }
  }).ns
  rows.sort = timed(length, () => list.sort()).ns
  const built = createTree()
  rows.build = timed(length, () => {
    planBuild(built, list, redo)
    applyOrderedChange(built, redo)
  }).ns
  expect(built.keyCount === length && scanAll(built, cursor, false) === length, 'build')
  rows['bytes beyond the key, built'] = beyondKeys(built)
  return rows
}

function median(numbers) {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)]
}

const results = {}
const names = options.sets.split(',')
for (const name of names) measure(prepare(keySets[name](Math.min(keyCount, 50_000))))
for (const name of names) {
  const prepared = prepare(keySets[name](keyCount))
  const rounds = []
  for (let round = 0; round < Number(options.rounds); round++) {
    globalThis.gc?.()
    rounds.push(measure(prepared))
  }
  results[name] = { 'bytes of a key': prepared.keyBytes / keyCount }
  for (const row of Object.keys(rounds[0])) {
    results[name][row] = median(rounds.map((round) => round[row]))
  }
}
console.log(options.json ? JSON.stringify(results, null, 2) : formatTable())

function formatTable() {
  const rows = Object.keys(results[names[0]])
  const lines = rows.map((row) => {
    const digits = row.startsWith('bytes') ? 1 : 0
    return `| ${row} | ${names.map((name) => results[name][row].toFixed(digits)).join(' | ')} |`
  })
  return `Node ${process.version}, ${keyCount} keys, pages of ${pageSizeBytes} bytes, \
medians of ${options.rounds}; ns a key, or bytes a key

| | ${names.join(' | ')} |
| --- |${' ---: |'.repeat(names.length)}
${lines.join('\n')}`
}
