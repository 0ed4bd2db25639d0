/** Seeded random numbers: the same seed gives the same run. */

export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed | 0
  }

  /** A whole number from 0 to 2^32 - 1 (Tommy Ettinger's mulberry32). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return (mixed ^ (mixed >>> 14)) >>> 0
  }

  /** A whole number from 0 to `limit - 1`. */
  below(limit: number): number {
    return Math.floor((this.next() / 2 ** 32) * limit)
  }

  /** True in `part` of all cases. */
  chance(part: number): boolean {
    return this.next() < part * 2 ** 32
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)]
  }

  bytes(sizeBytes: number): Buffer {
    const words = new Int32Array(Math.ceil(sizeBytes / 4))
    for (let index = 0; index < words.length; index++) words[index] = this.next()
    return Buffer.from(words.buffer, 0, sizeBytes)
  }
}
