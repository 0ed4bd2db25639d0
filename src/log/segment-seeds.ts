/**
 * What the checksums of a segment's records start from, by place. Each part of an oversized segment has a seed of its
 * own: that of the part looked at last is kept, as records are read in order.
 * Hot path: `bench/recovery.mjs`, `bench/compaction.mjs`.
 */
import { recordSeed } from '../format/record-checksum.js'
import { segmentSeed } from '../format/segment-header.js'

/** Which segment it is. */
export interface SegmentIdentity {
  readonly storeId: Uint8Array
  readonly epoch: number
  readonly segmentNumber: number
  /** log2 of the 8-byte words in a segment of ordinary size. */
  readonly shift: number
}

export class SegmentSeeds {
  readonly #identity: SegmentIdentity
  #partStart = 0
  #partEnd = 0
  #partSeed = 0

  constructor(identity: SegmentIdentity) {
    this.#identity = identity
  }

  /** Of the record that begins at `offset`, in 8-byte words of the file. */
  at(offset: number, isInBatch: boolean): number {
    if (offset < this.#partStart || offset >= this.#partEnd) this.#enterPart(offset)
    return recordSeed(this.#partSeed, offset - this.#partStart, isInBatch)
  }

  #enterPart(offset: number): void {
    const { epoch, segmentNumber, shift, storeId } = this.#identity
    const partDoubles = 2 ** shift
    const part = Math.floor(offset / partDoubles)
    this.#partSeed = segmentSeed(storeId, epoch, segmentNumber + part)
    this.#partStart = part * partDoubles
    this.#partEnd = this.#partStart + partDoubles
  }
}
