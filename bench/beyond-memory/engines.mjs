// Each as its documentation has it for data that is larger than memory.
import { open as openVarve } from '../../dist/store/index.js'
import { ClassicLevel, openLmdb } from '../compare/peers.mjs'

const batchSize = 1000
const transactionSize = 50_000

/** @type {Record<string, (directory: string, budgetBytes: number) => object>} */
export const engines = {
  varve: (directory, budgetBytes) => varve(directory, { memoryBudgetBytes: budgetBytes }),
  // The system alone decides what stays.
  'varve-without-budget': (directory) => varve(directory, {}),
  // Without it each read brings in as much as the device reads ahead.
  lmdb: (directory) => {
    const database = openLmdb({ path: directory, encoding: 'binary', noReadAhead: true })
    return {
      get: (key) => database.get(key),
      prefetch: (keys) => database.prefetch(keys),
      load: async (count, entryOf) => {
        for (let start = 0; start < count; start += transactionSize) {
          // It waits for the medium.
          database.transactionSync(() => {
            for (let index = start; index < Math.min(count, start + transactionSize); index++) {
              const [key, value] = entryOf(index)
              database.put(key, value)
            }
          })
        }
        await database.flushed
      },
      close: () => database.close(),
    }
  },
  // Half of what there is for its own cache, the other half for the system's.
  'classic-level': async (directory, budgetBytes) => {
    const options = { valueEncoding: 'buffer', cacheSize: budgetBytes / 2 }
    const database = new ClassicLevel(directory, options)
    await database.open()
    return {
      get: (key) => database.getSync(key),
      load: async (count, entryOf) => {
        for (let start = 0; start < count; start += batchSize) {
          const batch = database.batch()
          for (let index = start; index < start + batchSize; index++) batch.put(...entryOf(index))
          await batch.write()
        }
        await database.compactRange('', '~')
      },
      close: () => database.close(),
    }
  },
}

function varve(directory, options) {
  const store = openVarve(directory, { encoding: 'binary', ...options })
  return {
    get: (key) => store.get(key),
    prefetch: (keys) => store.prefetch(keys),
    load: async (count, entryOf) => {
      for (let start = 0; start < count; start += batchSize) {
        for (let index = start; index < start + batchSize; index++) store.put(...entryOf(index))
        await new Promise(setImmediate)
      }
      await store.sync()
    },
    residentBytes: () => store.stats().residentBytes,
    close: () => store.close(),
  }
}
