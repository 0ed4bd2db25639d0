/** Raising a number that others raise, too: by compare-and-set, as any client would. */
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { open } from '../../src/store/index.js'
import type { SharedOptions } from './options.js'

export interface CounterSetup {
  readonly path: string
  readonly options: SharedOptions
  readonly key: string
  readonly times: number
  /** Says how often the counter was raised, also when the client is no more. */
  readonly file: string
}

const turnEvery = 100

/** Returns how many times another client was faster. */
export async function raiseCounter(setup: CounterSetup): Promise<number> {
  const { path, options, key, times, file } = setup
  const store = open<number>(path, { ...options, encoding: 'json' })
  const fd = openSync(file, 'w')
  const acknowledged = Buffer.alloc(8)
  let conflicts = 0
  for (let done = 0; done < times; ) {
    const entry = store.getEntry(key)
    const isRaised =
      entry === undefined
        ? store.put(key, 1, { ifAbsent: true })
        : store.put(key, entry.value + 1, { ifVersion: entry.version })
    if (!isRaised) {
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

/** How often the client that wrote `file` was told that it had raised the counter. */
export function raisesIn(file: string): number {
  const bytes = readFileSync(file)
  return bytes.byteLength < 8 ? 0 : bytes.readDoubleLE(0)
}
