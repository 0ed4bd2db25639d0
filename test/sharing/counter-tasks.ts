/** Raising a number that others raise, too: by compare-and-set, as any client would, or by one call. */
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { open, type Store } from '../../src/store/index.js'
import type { SharedOptions } from './options.js'

export interface CounterSetup {
  readonly path: string
  readonly options: SharedOptions
  readonly key: string
  readonly times: number
  readonly by: 'ifVersion' | 'increment' | 'update'
  /** Says how often the counter was raised, also when the client is no more. */
  readonly file: string
}

const turnEvery = 100

/** Returns how many times another client was faster. */
export async function raiseCounter(setup: CounterSetup): Promise<number> {
  const { by, path, options, key, times, file } = setup
  const store = open<number>(path, { ...options, encoding: 'json' })
  const fd = openSync(file, 'w')
  const acknowledged = Buffer.alloc(8)
  let conflicts = 0
  for (let done = 0; done < times; ) {
    if (!raise(store, key, by)) {
      conflicts++
      continue
    }
    done++
    acknowledged.writeDoubleLE(done)
    writeSync(fd, acknowledged, 0, 8, 0)
    if (done % turnEvery === 0) await nextTurn()
  }
  closeSync(fd)
  await store.close()
  return conflicts
}

/** False where another one was faster. */
function raise(store: Store<number>, key: string, by: CounterSetup['by']): boolean {
  if (by === 'increment') return store.increment(key) > 0
  if (by === 'update') return store.update(key, (value = 0) => value + 1) > 0
  const entry = store.getEntry(key)
  if (entry === undefined) return store.put(key, 1, { ifAbsent: true })
  return store.put(key, entry.value + 1, { ifVersion: entry.version })
}

/** How often the client that wrote `file` was told that it had raised the counter. */
export function raisesIn(file: string): number {
  const bytes = readFileSync(file)
  return bytes.byteLength < 8 ? 0 : bytes.readDoubleLE(0)
}
