// Puts that have reached the medium when they are answered, by each engine's own means for that.
import { closeSync, fdatasync, openSync, write } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { open as openVarve } from '../../dist/store/index.js'

/**
 * @typedef {object} DurableEngine
 * @property {(key: string, value: Uint8Array) => Promise<void> | void} put resolves when it is durable
 * @property {() => Promise<void> | void} close
 */

/** @type {Record<string, (directory: string) => Promise<DurableEngine>>} */
export const engines = {
  // What the device takes at the least: the bytes at the end of one file, and fdatasync.
  async file(directory) {
    const fd = openSync(join(directory, 'file'), 'w')
    const writeAt = promisify(write)
    const sync = promisify((callback) => fdatasync(fd, callback))
    let offset = 0
    return {
      async put(_key, value) {
        offset += value.length
        await writeAt(fd, value, 0, value.length, offset - value.length)
        await sync()
      },
      close: () => closeSync(fd),
    }
  },

  async varve(directory) {
    const store = openVarve(join(directory, 'varve'), { encoding: 'binary', syncIntervalMs: 0 })
    return {
      put(key, value) {
        store.put(key, value)
        return store.sync()
      },
      close: () => store.close(),
    }
  },

  // A put resolves when its commit is visible; `flushed` of that commit when it is on the medium.
  async lmdb(directory) {
    const { openLmdb: open } = await import('../compare/peers.mjs')
    const database = open({ path: join(directory, 'lmdb'), encoding: 'binary' })
    return {
      async put(key, value) {
        await database.put(key, value)
        await database.flushed
      },
      close: () => database.close(),
    }
  },

  async 'classic-level'(directory) {
    const { ClassicLevel } = await import('../compare/peers.mjs')
    const database = new ClassicLevel(join(directory, 'level'), { valueEncoding: 'buffer' })
    await database.open()
    return {
      put: (key, value) => database.put(key, value, { sync: true }),
      close: () => database.close(),
    }
  },

  // It has no asynchronous calls: each put blocks the thread, and none share a flush.
  async 'better-sqlite3'(directory) {
    const home = Number.parseInt(process.versions.node, 10) < 22 ? 'node20/' : ''
    const { Database } = await import(`../compare/${home}better-sqlite3.mjs`)
    const database = new Database(join(directory, 'sqlite'))
    for (const pragma of ['journal_mode = WAL', 'synchronous = FULL']) database.pragma(pragma)
    database.exec('CREATE TABLE record (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID')
    const put = database.prepare('INSERT OR REPLACE INTO record VALUES (?, ?)')
    return {
      put: (key, value) => void put.run(key, value),
      close: () => void database.close(),
    }
  },
}
