/**
 * The snapshots that this attachment has open, by the sequence that each shows. The lowest of them
 * stands in its entry of the table of attachments, so that it goes with the thread that made it.
 */
export class Pins {
  /** How many snapshots show a sequence. */
  readonly #counts = new Map<number, number>()
  /** Bytes of the log that were garbage then. */
  readonly #garbageBytes = new Map<number, number>()

  /** Infinity for none. */
  get lowest(): number {
    let lowest = Number.POSITIVE_INFINITY
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

  garbageBytesAt(sequence: number): number {
    return this.#garbageBytes.get(sequence) ?? 0
  }

  add(sequence: number, garbageBytes: number): void {
    const count = this.#counts.get(sequence) ?? 0
    this.#counts.set(sequence, count + 1)
    if (count === 0) this.#garbageBytes.set(sequence, garbageBytes)
  }

  remove(sequence: number): void {
    const count = this.#counts.get(sequence) ?? 0
    if (count > 1) this.#counts.set(sequence, count - 1)
    else {
      this.#counts.delete(sequence)
      this.#garbageBytes.delete(sequence)
    }
  }
}
