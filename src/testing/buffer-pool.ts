/**
 * Memory of simulated files, used again from one disk to the next: most of a mapping is never touched,
 * and getting a mebibyte of zeros for each would be most of the work.
 */
export class BufferPool {
  readonly #free = new Map<number, Uint8Array[]>()

  /** Zeros. */
  take(sizeBytes: number): Uint8Array {
    return this.#free.get(sizeBytes)?.pop() ?? new Uint8Array(sizeBytes)
  }

  /** Takes memory back of which at most the first `usedBytes` are not zero. */
  give(bytes: Uint8Array, usedBytes: number): void {
    bytes.fill(0, 0, usedBytes)
    const free = this.#free.get(bytes.byteLength)
    if (free === undefined) this.#free.set(bytes.byteLength, [bytes])
    else free.push(bytes)
  }
}
