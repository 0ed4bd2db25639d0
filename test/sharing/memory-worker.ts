/** A thread that opens a handle and does what it is told, one message at a time. */
import { parentPort, workerData } from 'node:worker_threads'
import { open, StoreError, type StoreHandle } from '../../src/store/index.js'

export type Order =
  | { readonly do: 'put'; readonly key: string; readonly value: unknown }
  | { readonly do: 'get'; readonly key: string }
  | { readonly do: 'count' }
  /** Puts `count` keys that begin with `prefix`, with values of this many characters. */
  | {
      readonly do: 'load'
      readonly prefix: string
      readonly count: number
      readonly valueLength: number
    }
  /** Adds 1 to the number under `key`, `count` times, whoever else does so too. */
  | { readonly do: 'increment'; readonly key: string; readonly count: number }
  /** Writes until it is terminated; answers before it begins. */
  | { readonly do: 'write-on'; readonly prefix: string }
  | { readonly do: 'close' }

export interface Answer {
  readonly result?: unknown
  /** Code, or name, and message of what was thrown. */
  readonly error?: string
}

const store = open<unknown>(workerData as StoreHandle)
parentPort?.postMessage({ result: store.stats().mapping } satisfies Answer)

parentPort?.on('message', async (order: Order) => {
  let answer: Answer
  try {
    answer = { result: await follow(order) }
  } catch (error) {
    answer = { error: error instanceof StoreError ? `${error.code} ${error.message}` : `${error}` }
  }
  parentPort?.postMessage(answer)
  if (order.do === 'close') parentPort?.close()
})

function follow(order: Order): unknown {
  switch (order.do) {
    case 'put':
      return store.put(order.key, order.value)
    case 'get':
      return store.get(order.key)
    case 'count':
      return store.count()
    case 'load':
      for (let index = 0; index < order.count; index++) {
        store.put(`${order.prefix}${index}`, 'x'.repeat(order.valueLength))
      }
      return order.count
    case 'increment':
      for (let done = 0; done < order.count; ) if (increment(order.key)) done++
      return store.get(order.key)
    case 'write-on':
      parentPort?.postMessage({ result: 'writing' } satisfies Answer)
      for (let index = 0; ; index++) {
        store.put(`${order.prefix}${index % 20_000}`, { index, text: 'y'.repeat(index % 300) })
      }
    case 'close':
      return store.close()
  }
}

function increment(key: string): boolean {
  const entry = store.getEntry(key)
  if (entry === undefined) return store.put(key, 1, { ifAbsent: true })
  return store.put(key, (entry.value as number) + 1, { ifVersion: entry.version })
}
