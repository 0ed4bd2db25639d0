/**
 * The snapshots that this attachment has open, by the sequence that each shows. The lowest of them
 * stands in its entry of the table of attachments, so that it goes with the thread that made it.
 *
 * Invariant: the sequences ascend. A new one belongs at the end, and most often there is no other.
 */
export class Pins {
  readonly #sequences: number[] = []
  /** How many snapshots show each. */
  readonly #counts: number[] = []
  /** What a checkpoint that is being made needs; Infinity for none. It is no snapshot of a user's. */
  ofCheckpoint: number = Number.POSITIVE_INFINITY

  /** Infinity for none. */
  get lowest(): number {
    return this.#sequences.length === 0
      ? this.ofCheckpoint
      : Math.min(this.#sequences[0], this.ofCheckpoint)
  }

  get count(): number {
    return this.#counts.reduce((sum, count) => sum + count, 0)
  }

  add(sequence: number): void {
    const place = this.#placeOf(sequence)
    if (this.#sequences[place] === sequence) {
      this.#counts[place]++
    } else {
      insertAt(this.#sequences, place, sequence)
      insertAt(this.#counts, place, 1)
    }
  }

  remove(sequence: number): void {
    const place = this.#placeOf(sequence)
    if (this.#sequences[place] !== sequence) return
    if (--this.#counts[place] > 0) return
    removeAt(this.#sequences, place)
    removeAt(this.#counts, place)
  }

  /** Where it is, or belongs. */
  #placeOf(sequence: number): number {
    let low = 0
    let high = this.#sequences.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#sequences[middle] < sequence) low = middle + 1
      else high = middle
    }
    return low
  }
}

// `splice` makes an array of what it removes: more than the rest of a pin costs.

function insertAt(list: number[], place: number, value: number): void {
  if (place === list.length) list.push(value)
  else list.splice(place, 0, value)
}

function removeAt(list: number[], place: number): void {
  if (place === list.length - 1) list.pop()
  else list.splice(place, 1)
}
