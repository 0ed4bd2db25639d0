/** Ends without a close as soon as the background compacts: see compactor.test.ts. */
import { open } from '../../src/store/index.js'
import { engineOf } from '../support/engine-of.js'
import { options } from './support.js'

const store = open<Buffer>(process.argv[2], { ...options, autoCompact: true })
const waiting = setInterval(() => {
  for (let key = 0; key < 100; key++) store.put(`${key}`, Buffer.alloc(10_000, key))
  void store.sync()
  if (engineOf(store).compacted.thread !== undefined) clearInterval(waiting)
}, 10)
