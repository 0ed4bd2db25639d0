/** What a verification found wrong. */
import { systemErrorCode } from '../base/errors.js'

export interface Problem {
  readonly file: string
  /** Byte offset in the file where it begins. */
  readonly address: number
  /** In a few words. */
  readonly what: string
}

/** A store of which everything is wrong must not fill memory with saying so. */
const listedMaxDefault = 1000

export class Problems {
  readonly #list: Problem[] = []
  readonly #listedMax: number
  #count = 0

  constructor(listedMax = listedMaxDefault) {
    this.#listedMax = listedMax
  }

  get count(): number {
    return this.#count
  }

  /** Undefined where it is only counted. */
  add(file: string, address: number, what: string): Problem | undefined {
    if (++this.#count > this.#listedMax) return undefined
    const problem = { file, address, what }
    this.#list.push(problem)
    return problem
  }

  /** For what the system says when a file is read. Anything else is thrown on. */
  addFailure(file: string, address: number, error: unknown): void {
    const code = systemErrorCode(error)
    if (code === undefined) throw error
    this.add(
      file,
      address,
      code === 'ENOENT' ? 'the file is missing' : `it cannot be read: ${code}`,
    )
  }

  list(): Problem[] {
    const more = this.#count - this.#list.length
    if (more === 0) return this.#list
    const { file } = this.#list[this.#list.length - 1]
    return [...this.#list, { file, address: 0, what: `and ${more} problems more` }]
  }
}
