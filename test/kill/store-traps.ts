/**
 * Makes every single store to a store's shared memory call back first: the tables of numbers over
 * control file, redo areas, both indexes, slots, counts and log are replaced by proxies that do so.
 */
import { Control } from '../../src/control/control.js'
import type { Engine } from '../../src/engine/engine.js'

type Numbers = Int32Array | Float64Array | Buffer

const targets = new WeakMap<object, Numbers>()

/** From now on `onStore` runs before every store, until the function that is returned is called. */
export function trapStores(engine: Engine, onStore: () => void): () => void {
  const restore: (() => void)[] = [trapAtomics()]
  const wrap = <T extends Numbers>(numbers: T): T => trapped(numbers, onStore)
  const { control, counts, expiries, index, log, order } = engine
  const replace = (owner: object, name: string, value: unknown): void => {
    const former = Object.getOwnPropertyDescriptor(owner, name)
    if (former === undefined) throw new Error(`${name} is not there to be trapped`)
    Object.defineProperty(owner, name, { ...former, value })
    restore.push(() => Object.defineProperty(owner, name, former))
  }
  for (const name of ['words', 'doubles', 'bytes'] as const) {
    replace(control, name, wrap(control[name]))
  }
  for (const name of ['redo', 'nextRedo'] as const) {
    const { get } = Object.getOwnPropertyDescriptor(Control.prototype, name) ?? {}
    if (get === undefined) throw new Error(`${name} is not there to be trapped`)
    const trap = (): Int32Array => wrap(get.call(control) as Int32Array)
    Object.defineProperty(control, name, { configurable: true, get: trap })
    restore.push(() => Reflect.deleteProperty(control, name))
  }
  replace(order, 'words', trappedList(order.words, wrap))
  replace(index, 'homeWords', trappedList(index.homeWords, wrap))
  replace(index, 'overflowWords', trappedList(index.overflowWords, wrap))
  replace(log.slots.region, 'doubles', trappedList(log.slots.region.doubles, wrap))
  replace(counts.region, 'doubles', trappedList(counts.region.doubles, wrap))
  replace(expiries.region, 'doubles', trappedList(expiries.region.doubles, wrap))
  replace(log, 'words', trappedList(log.words, wrap))
  replace(log, 'doubles', trappedList(log.doubles, wrap))
  replace(log, 'bytes', trappedList(log.bytes, wrap))
  return () => {
    for (const action of restore) action()
  }
}

/** The same list; what is read from it is trapped, also what is added later. */
function trappedList<T extends Numbers>(list: T[], wrap: (numbers: T) => T): T[] {
  return new Proxy(list, {
    get(target, property): unknown {
      const value: unknown = Reflect.get(target, property, target)
      if (isNumbers(value)) return wrap(value as T)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

const known = new WeakMap<Numbers, object>()

function trapped<T extends Numbers>(numbers: T, onStore: () => void): T {
  const former = known.get(numbers)
  if (former !== undefined) return former as T
  const changing = new Set(['fill', 'set', 'copyWithin', 'write'])
  const proxy = new Proxy(numbers, {
    get(target, property): unknown {
      const value: unknown = Reflect.get(target, property, target)
      if (typeof value !== 'function') return value
      if (!changing.has(property as string)) return value.bind(target)
      return (...args: unknown[]): unknown => {
        onStore()
        return value.apply(target, args)
      }
    },
    set(target, property, value): boolean {
      onStore()
      return Reflect.set(target, property, value, target)
    },
  })
  targets.set(proxy, numbers)
  known.set(numbers, proxy)
  return proxy
}

function isNumbers(value: unknown): value is Numbers {
  return ArrayBuffer.isView(value) && !(value instanceof DataView)
}

/** `Atomics` refuses proxies. */
function trapAtomics(): () => void {
  const { add, compareExchange, load, store } = Atomics
  const plain = (numbers: Int32Array): Int32Array =>
    (targets.get(numbers) as Int32Array | undefined) ?? numbers
  Object.assign(Atomics, {
    add: (numbers: Int32Array, index: number, value: number) => {
      const former = load(plain(numbers), index)
      numbers[index] = former + value
      return former
    },
    compareExchange: (numbers: Int32Array, index: number, expected: number, value: number) => {
      const former = load(plain(numbers), index)
      if (former === expected) numbers[index] = value
      return former
    },
    load: (numbers: Int32Array, index: number) => load(plain(numbers), index),
    store: (numbers: Int32Array, index: number, value: number) => {
      // Through the proxy, so that it counts.
      numbers[index] = value
      return store(plain(numbers), index, value)
    },
  })
  return () => {
    Object.assign(Atomics, { add, compareExchange, load, store })
  }
}
