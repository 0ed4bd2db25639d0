/** The three iterators of abstract-level: each gives one kind of item of a range. */
import {
  AbstractIterator,
  type AbstractIteratorOptions,
  AbstractKeyIterator,
  type AbstractKeyIteratorOptions,
  type AbstractLevel,
  AbstractValueIterator,
  type AbstractValueIteratorOptions,
} from 'abstract-level'
import type { RangeSteps } from './range-steps.js'
import type { Data } from './records.js'

type Database = AbstractLevel<Data, unknown, unknown>

export class EntryIterator extends AbstractIterator<Database, unknown, unknown> {
  readonly #steps: RangeSteps

  constructor(db: Database, options: object, steps: RangeSteps) {
    super(db, options as AbstractIteratorOptions<unknown, unknown>)
    this.#steps = steps
  }

  _next(): Promise<unknown> {
    return this.#steps.next()
  }

  _nextv(size: number): Promise<unknown[]> {
    return this.#steps.nextMany(size)
  }

  _all(): Promise<unknown[]> {
    return this.#steps.all()
  }

  _seek(target: Data): void {
    this.#steps.seek(target, this.count)
  }

  async _close(): Promise<void> {
    this.#steps.close()
  }
}

export class KeyIterator extends AbstractKeyIterator<Database, unknown> {
  readonly #steps: RangeSteps

  constructor(db: Database, options: object, steps: RangeSteps) {
    super(db, options as AbstractKeyIteratorOptions<unknown>)
    this.#steps = steps
  }

  _next(): Promise<unknown> {
    return this.#steps.next()
  }

  _nextv(size: number): Promise<unknown[]> {
    return this.#steps.nextMany(size)
  }

  _all(): Promise<unknown[]> {
    return this.#steps.all()
  }

  _seek(target: Data): void {
    this.#steps.seek(target, this.count)
  }

  async _close(): Promise<void> {
    this.#steps.close()
  }
}

export class ValueIterator extends AbstractValueIterator<Database, unknown, unknown> {
  readonly #steps: RangeSteps

  constructor(db: Database, options: object, steps: RangeSteps) {
    super(db, options as AbstractValueIteratorOptions<unknown, unknown>)
    this.#steps = steps
  }

  _next(): Promise<unknown> {
    return this.#steps.next()
  }

  _nextv(size: number): Promise<unknown[]> {
    return this.#steps.nextMany(size)
  }

  _all(): Promise<unknown[]> {
    return this.#steps.all()
  }

  _seek(target: Data): void {
    this.#steps.seek(target, this.count)
  }

  async _close(): Promise<void> {
    this.#steps.close()
  }
}
