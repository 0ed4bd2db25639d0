// Nearest neighbours by brute force: a store of embeddings, searched over views and over copies.
// Run it with: node examples/vectors.mjs [count] [directory]
// The default takes 32 MB and some seconds; a million vectors of 384 floats take 1.6 GB.
import { rmSync } from 'node:fs'
import { open } from 'varve'

const count = Number(process.argv[2] ?? 20_000)
if (!(Number.isInteger(count) && count >= 10)) {
  console.error(`count is ${process.argv[2]}; accepted: a whole number from 10`)
  process.exit(1)
}
const directory = process.argv[3] ?? 'vectors-store'
const dimensions = 384
const store = open(directory, { encoding: 'binary' })

const keyOf = (index) => `vector:${index}`
const random = (vector) => vector.map(() => Math.random() - 0.5)

const batchSize = 1000
for (let first = store.count(); first < count; first += batchSize) {
  const operations = Array.from({ length: Math.min(batchSize, count - first) }, (_, index) => {
    const value = random(new Float32Array(dimensions))
    return { type: 'put', key: keyOf(first + index), value }
  })
  store.write(operations)
}

/** The keys of the vectors with the greatest dot products. */
function search(query, vectorOf) {
  const best = Array.from({ length: 10 }, () => ({ score: -Infinity, key: undefined }))
  for (let index = 0; index < count; index++) {
    const key = keyOf(index)
    const vector = vectorOf(key)
    let score = 0
    for (let place = 0; place < dimensions; place++) score += query[place] * vector[place]
    if (score <= best[9].score) continue
    best[9] = { score, key }
    best.sort((a, b) => b.score - a.score)
  }
  return best.map(({ key }) => key)
}

const byView = (key) => store.view(key, Float32Array)
const byCopy = (key) => {
  const bytes = store.get(key)
  // The copy begins where it begins, which need not be a multiple of 4.
  return bytes.byteOffset % 4 === 0
    ? new Float32Array(bytes.buffer, bytes.byteOffset, dimensions)
    : new Float32Array(Uint8Array.from(bytes).buffer)
}

const query = random(new Float32Array(dimensions))
const found = {}
for (const round of ['first', 'second']) {
  for (const [name, vectorOf] of [
    ['copies', byCopy],
    ['views', byView],
  ]) {
    const startedAtMs = performance.now()
    found[name] = search(query, vectorOf)
    const perVectorNs = Math.round(((performance.now() - startedAtMs) * 1e6) / count)
    console.log(`${round} search over ${name}: ${perVectorNs} ns a vector`)
  }
}
console.log(`same result: ${found.views.join() === found.copies.join()}`)

await store.close()
if (process.argv[3] === undefined) rmSync(directory, { recursive: true })
