/**
 * The snapshots that this attachment has open, by the sequence that each shows. The lowest of them
 * stands in its entry of the table of attachments, so that it goes with the thread that made it.
 */
export class Pins {
  /** How many snapshots show a sequence. */
  readonly #counts = new Map<number, number>()
  /** What a checkpoint that is being made needs; Infinity for none. It is no snapshot of a user's. */
  ofCheckpoint: number = Number.POSITIVE_INFINITY

  /** Infinity for none. */
  get lowest(): number {
    let lowest = this.ofCheckpoint
    for (const sequence of this.#counts.keys()) {
      if (sequence < lowest) lowest = sequence
    }
    return lowest
  }

  get count(): number {
    let sum = 0
    for (const count of this.#counts.values()) sum += count
    return sum
  }

  add(sequence: number): void {
    this.#counts.set(sequence, (this.#counts.get(sequence) ?? 0) + 1)
  }

  remove(sequence: number): void {
    const count = this.#counts.get(sequence) ?? 0
    if (count > 1) this.#counts.set(sequence, count - 1)
    else this.#counts.delete(sequence)
  }
}
