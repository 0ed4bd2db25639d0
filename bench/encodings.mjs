// What an encoding makes of objects of one shape, and what it takes: bytes of a value, and time of a put and of
// a get, in a store in memory. The encodings take turns, round by round.
//
//   node bench/encodings.mjs [--records 50000] [--rounds 5] [--json]
import { parseArgs } from 'node:util'
import { open } from 'varve'
import { median } from './compare/statistics.mjs'

const { values: options } = parseArgs({
  options: {
    records: { type: 'string', default: '50000' },
    rounds: { type: 'string', default: '5' },
    json: { type: 'boolean', default: false },
  },
})
const recordCount = Number(options.records)

function userOf(index) {
  return {
    id: index,
    name: `user ${index}`,
    email: `user${index}@example.org`,
    visits: index * 7,
    isActive: index % 3 === 0,
    createdAtMs: 1_795_316_325_048 + index,
    address: { street: `Street ${index}`, city: 'Town', zip: `${10_000 + index}` },
  }
}

const users = Array.from({ length: recordCount }, (_, index) => userOf(index))
const keys = users.map(({ id }) => `user${String(id).padStart(12, '0')}`)

function nsEach(action) {
  const start = process.hrtime.bigint()
  for (let index = 0; index < recordCount; index++) action(index)
  return Number(process.hrtime.bigint() - start) / recordCount
}

const rows = ['msgpack', 'msgpack-shared', 'json'].map((encoding) => {
  const store = open(':memory:', { encoding })
  for (let index = 0; index < recordCount; index++) store.put(keys[index], users[index])
  return { encoding, store, put: [], get: [] }
})
for (let round = 0; round < Number(options.rounds); round++) {
  for (const { get, put, store } of rows) {
    put.push(nsEach((index) => store.put(keys[index], users[index])))
    get.push(nsEach((index) => store.get(keys[index])))
  }
}
const results = rows.map(({ encoding, get, put, store }) => ({
  encoding,
  sizeBytes: store.view(keys[recordCount >>> 1], Uint8Array).byteLength,
  putNs: Math.round(median(put)),
  getNs: Math.round(median(get)),
}))
if (options.json) console.log(JSON.stringify(results))
else console.table(results)
for (const { store } of rows) await store.close()
