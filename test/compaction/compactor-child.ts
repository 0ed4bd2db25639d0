/** Overwrites, deletes and compacts until it is killed: see sharing.test.ts. */
import { open } from '../../src/store/index.js'
import { Random } from '../support/random.js'
import { ownKeys, ownValue, sharedOptions } from './sharing-data.js'

const [directory, seed] = process.argv.slice(2)
const random = new Random(Number(seed))
const store = open<Buffer>(directory, sharedOptions)
process.send?.('ready')
for (;;) {
  for (let index = 0; index < 120; index++) {
    const key = random.below(ownKeys)
    if (random.chance(0.2)) store.delete(`own ${key}`)
    else store.put(`own ${key}`, ownValue(key, random.below(3000)))
  }
  await store.compact({ minGarbageRatio: 0.05 })
  process.send?.('compacted')
}
