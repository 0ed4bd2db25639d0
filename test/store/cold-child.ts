/** Fills a store: in a process of its own, so that no mapping of it is left. */
import { open } from '../../src/store/index.js'

const store = open<Uint8Array>(process.argv[2], {
  encoding: 'binary',
  segmentSizeBytes: 2 ** 26,
  syncIntervalMs: 0,
})
for (let index = 0; index < 30; index++) store.put(`${index}`, Buffer.alloc(1_000_000, index))
store.put('large', Buffer.alloc(17_000_000, 7))
await store.close()
