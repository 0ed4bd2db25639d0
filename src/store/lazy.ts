/**
 * A sequence that is made when it is asked for: every iteration begins anew. Synchronous and
 * asynchronous; the asynchronous one lets the event loop turn between batches.
 */
const entriesPerTurn = 256

export class Lazy<T> implements Iterable<T>, AsyncIterable<T> {
  readonly #begin: () => Iterator<T>

  /** @internal */
  constructor(begin: () => Iterator<T>) {
    this.#begin = begin
  }

  [Symbol.iterator](): IterableIterator<T> {
    return new Steps(this.#begin())
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    let count = 0
    for (const item of this) {
      yield item
      if (++count % entriesPerTurn === 0) await new Promise(setImmediate)
    }
  }

  /** What `change` makes of each item. */
  map<U>(change: (item: T) => U): Lazy<U> {
    return new Lazy(() => mapped(this, change))
  }

  /** The items for which `isWanted` is true. */
  filter(isWanted: (item: T) => boolean): Lazy<T> {
    return new Lazy(() => filtered(this, isWanted))
  }

  /** The first `count` items. */
  take(count: number): Lazy<T> {
    if (!(Number.isInteger(count) && count >= 0)) {
      throw new RangeError(`count is ${String(count)}; accepted: a whole number from 0`)
    }
    return new Lazy(() => taken(this, count))
  }

  toArray(): T[] {
    const items: T[] = []
    const steps = this.#begin()
    for (let step = steps.next(); step.done !== true; step = steps.next()) items.push(step.value)
    return items
  }
}

class Steps<T> implements IterableIterator<T> {
  readonly #steps: Iterator<T>

  constructor(steps: Iterator<T>) {
    this.#steps = steps
  }

  [Symbol.iterator](): IterableIterator<T> {
    return this
  }

  next(): IteratorResult<T> {
    return this.#steps.next()
  }

  return(value?: unknown): IteratorResult<T> {
    this.#steps.return?.()
    return { done: true, value: value as T }
  }
}

function* mapped<T, U>(items: Iterable<T>, change: (item: T) => U): Generator<U> {
  for (const item of items) yield change(item)
}

function* filtered<T>(items: Iterable<T>, isWanted: (item: T) => boolean): Generator<T> {
  for (const item of items) if (isWanted(item)) yield item
}

function* taken<T>(items: Iterable<T>, count: number): Generator<T> {
  if (count === 0) return
  let left = count
  for (const item of items) {
    yield item
    if (--left === 0) return
  }
}
