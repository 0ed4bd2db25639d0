// The two engines as the threads of the sharing benchmark use them.
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

/**
 * @param {string} name
 * @param {string} directory
 */
export async function openEngine(name, directory) {
  return name === 'varve' ? openVarve(directory) : openLmdb(directory)
}

async function openVarve(directory) {
  const { open } = await import('../../dist/store/index.js')
  const store = open(directory, { encoding: 'binary' })
  return {
    load: async (keys, makeValue) => {
      for (const key of keys) store.put(key, makeValue(key))
      await store.sync()
    },
    get: (key) => store.get(key),
    put: (key, value) => store.put(key, value),
    settle: () => undefined,
    close: () => store.close(),
  }
}

// Its puts of one turn of the event loop share a commit, as its documentation recommends.
async function openLmdb(directory) {
  const require = createRequire(new URL('../compare/package.json', import.meta.url))
  const { open } = await import(pathToFileURL(require.resolve('lmdb')).href)
  const database = open({ path: directory, encoding: 'binary' })
  let committed
  return {
    load: async (keys, makeValue) => {
      database.transactionSync(() => {
        for (const key of keys) database.put(key, makeValue(key))
      })
      await database.flushed
    },
    get: (key) => database.get(key),
    put: (key, value) => {
      committed = database.put(key, value)
    },
    settle: () => committed,
    close: () => database.close(),
  }
}
