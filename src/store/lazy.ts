/**
 * A sequence that is made when it is asked for: every iteration begins anew, with what there is at
 * that moment. Synchronous and asynchronous; the asynchronous one lets the event loop turn between
 * batches.
 *
 * Iterators are classes and not generators: a generator runs nothing before its first step, so it
 * would begin too late, and would not end what it began where it is left before that.
 */
import { requireFunction } from './read-modify-write.js'

const itemsPerTurn = 256

export class Lazy<T> implements Iterable<T>, AsyncIterable<T> {
  readonly #begin: () => Iterator<T>

  /** @internal */
  constructor(begin: () => Iterator<T>) {
    this.#begin = begin
  }

  [Symbol.iterator](): IterableIterator<T> {
    const steps = this.#begin()
    return isIterable(steps) ? steps : new Steps(steps)
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<T> {
    return new AsyncSteps(this.#begin())
  }

  /** What `change` makes of each item. */
  map<U>(change: (item: T) => U): Lazy<U> {
    requireFunction('change', change)
    return new Lazy(() => new MappedSteps(this.#begin(), change))
  }

  /** The items for which `isWanted` is true. */
  filter(isWanted: (item: T) => boolean): Lazy<T> {
    requireFunction('isWanted', isWanted)
    return new Lazy(() => new FilteredSteps(this.#begin(), isWanted))
  }

  /** The first `count` items. */
  take(count: number): Lazy<T> {
    if (!(Number.isInteger(count) && count >= 0)) {
      throw new RangeError(`count is ${String(count)}; accepted: a whole number from 0`)
    }
    return new Lazy(() => new TakenSteps(this.#begin(), count))
  }

  toArray(): T[] {
    const items: T[] = []
    const steps = this.#begin()
    for (let step = steps.next(); step.done !== true; step = steps.next()) items.push(step.value)
    return items
  }
}

/** An iterator that can be iterated, and whose end can be told a value. */
function isIterable<T>(steps: Iterator<T>): steps is IterableIterator<T> {
  return Symbol.iterator in steps
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

class MappedSteps<T, U> implements Iterator<U> {
  readonly #steps: Iterator<T>
  readonly #change: (item: T) => U

  constructor(steps: Iterator<T>, change: (item: T) => U) {
    this.#steps = steps
    this.#change = change
  }

  next(): IteratorResult<U> {
    const step = this.#steps.next()
    if (step.done === true) return step
    try {
      return { done: false, value: this.#change(step.value) }
    } catch (error) {
      this.return()
      throw error
    }
  }

  return(): IteratorResult<U> {
    this.#steps.return?.()
    return { done: true, value: undefined }
  }
}

class FilteredSteps<T> implements Iterator<T> {
  readonly #steps: Iterator<T>
  readonly #isWanted: (item: T) => boolean

  constructor(steps: Iterator<T>, isWanted: (item: T) => boolean) {
    this.#steps = steps
    this.#isWanted = isWanted
  }

  next(): IteratorResult<T> {
    try {
      for (;;) {
        const step = this.#steps.next()
        if (step.done === true || this.#isWanted(step.value)) return step
      }
    } catch (error) {
      this.return()
      throw error
    }
  }

  return(): IteratorResult<T> {
    this.#steps.return?.()
    return { done: true, value: undefined }
  }
}

class TakenSteps<T> implements Iterator<T> {
  readonly #steps: Iterator<T>
  #left: number

  constructor(steps: Iterator<T>, count: number) {
    this.#steps = steps
    this.#left = count
  }

  next(): IteratorResult<T> {
    if (this.#left === 0) return this.return()
    this.#left--
    return this.#steps.next()
  }

  return(): IteratorResult<T> {
    this.#left = 0
    this.#steps.return?.()
    return { done: true, value: undefined }
  }
}

class AsyncSteps<T> implements AsyncIterableIterator<T> {
  readonly #steps: Iterator<T>
  #count = 0

  constructor(steps: Iterator<T>) {
    this.#steps = steps
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<T> {
    return this
  }

  async next(): Promise<IteratorResult<T>> {
    if (++this.#count % itemsPerTurn === 0) await new Promise(setImmediate)
    return this.#steps.next()
  }

  async return(value?: unknown): Promise<IteratorResult<T>> {
    this.#steps.return?.()
    return { done: true, value: value as T }
  }
}
