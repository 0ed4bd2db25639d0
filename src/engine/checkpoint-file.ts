/**
 * Writing the file of a checkpoint: chunks one behind the other, those of segments last, into the
 * place that was left for them, because only then it is known what leads where; and then the header.
 */
import { bucketWords, entriesPerBucket, entryWords, linkWordInBucket } from '../format/bucket.js'
import {
  type CheckpointExpiry,
  type CheckpointHeader,
  type CheckpointKeyspace,
  type CheckpointSegment,
  checkpointHeaderSizeBytes,
  chunkElementsMax,
  chunkHeaderSizeBytes,
  chunkHeaderWords,
  chunkOfExpiries,
  chunkOfHomes,
  chunkOfKeyspaces,
  chunkOfOverflows,
  chunkOfSegments,
  chunkSeed,
  elementSizeBytes,
  elementWords,
  encodeCheckpointExpiry,
  encodeCheckpointHeader,
  encodeCheckpointKeyspace,
  encodeCheckpointSegment,
  sealChunk,
} from '../format/checkpoint.js'
import type { PlatformFile } from '../platform/platform.js'
import type { ImageTarget } from './checkpoint-image.js'

/** Elements of one kind, until they fill a chunk. */
class ChunkDraft {
  readonly words = new Int32Array(chunkHeaderWords + chunkElementsMax * elementWords)
  readonly kind: number
  first = 0
  count = 0

  constructor(kind: number) {
    this.kind = kind
  }
}

export type CheckpointIdentity = Pick<CheckpointHeader, 'storeId' | 'address' | 'createdAtMs'>

export class CheckpointFile implements ImageTarget {
  readonly #file: PlatformFile
  readonly #seed: number
  readonly #segmentChunks: number
  readonly #homes = new ChunkDraft(chunkOfHomes)
  readonly #overflows = new ChunkDraft(chunkOfOverflows)
  #position: number
  #chunkCount: number
  #keyspaceCount = 0
  #expiryCount = 0
  // The bucket that takes the next entry.
  #words: Int32Array
  #start = 0
  #entries = 0

  constructor(file: PlatformFile, identity: CheckpointIdentity, slotCount: number) {
    this.#file = file
    this.#seed = chunkSeed(identity)
    this.#segmentChunks = Math.ceil(slotCount / chunkElementsMax)
    this.#chunkCount = this.#segmentChunks
    this.#position = positionOfChunks(this.#segmentChunks, slotCount)
    this.#words = this.#homes.words
    // Bucket 0 of the overflow buckets is never used.
    this.#next(this.#overflows)
  }

  /** Bytes written so far. */
  get sizeBytes(): number {
    return this.#position
  }

  writeKeyspaces(keyspaces: readonly CheckpointKeyspace[]): void {
    this.#writeElements(chunkOfKeyspaces, keyspaces, encodeCheckpointKeyspace)
    this.#keyspaceCount = keyspaces.length
  }

  writeExpiries(expiries: readonly CheckpointExpiry[]): void {
    this.#writeElements(chunkOfExpiries, expiries, encodeCheckpointExpiry)
    this.#expiryCount = expiries.length
  }

  beginHome(): void {
    this.#start = this.#next(this.#homes)
    this.#words = this.#homes.words
    this.#entries = 0
  }

  addEntry(low: number, high: number): void {
    if (this.#entries === entriesPerBucket) {
      const overflows = this.#overflows
      // Before the next one is begun, which may send this one off.
      this.#words[this.#start + linkWordInBucket] = overflows.first + overflows.count
      this.#start = this.#next(overflows)
      this.#words = overflows.words
      this.#entries = 0
    }
    const entry = this.#start + this.#entries * entryWords
    this.#words[entry] = low
    this.#words[entry + 1] = high
    this.#entries++
  }

  /** Ends the buckets and writes what stands in front of them. Returns the header. */
  finish(
    segments: readonly CheckpointSegment[],
    rest: Omit<
      CheckpointHeader,
      | 'chunkCount'
      | 'expiryCount'
      | 'sizeBytes'
      | 'slotCount'
      | 'keyspaceCount'
      | 'bucketCount'
      | 'overflowCount'
    >,
  ): CheckpointHeader {
    const { first: homeFirst, count: homeCount } = this.#homes
    const { first: overflowFirst, count: overflowCount } = this.#overflows
    this.#send(this.#homes)
    this.#send(this.#overflows)
    const header = {
      ...rest,
      chunkCount: this.#chunkCount,
      sizeBytes: this.#position,
      slotCount: segments.length,
      keyspaceCount: this.#keyspaceCount,
      expiryCount: this.#expiryCount,
      bucketCount: homeFirst + homeCount,
      overflowCount: overflowFirst + overflowCount,
    }
    this.#position = checkpointHeaderSizeBytes
    this.#chunkCount = 0
    this.#writeElements(chunkOfSegments, segments, encodeCheckpointSegment)
    this.#file.write(encodeCheckpointHeader(header), 0)
    return header
  }

  #writeElements<T>(
    kind: number,
    elements: readonly T[],
    encode: (view: DataView, offset: number, element: T) => void,
  ): void {
    const draft = new ChunkDraft(kind)
    const view = new DataView(draft.words.buffer)
    for (const element of elements) encode(view, this.#next(draft) * 4, element)
    this.#send(draft)
  }

  /** The first word of the next element, all zeros. */
  #next(draft: ChunkDraft): number {
    if (draft.count === chunkElementsMax) this.#send(draft)
    const start = chunkHeaderWords + draft.count * elementWords
    draft.words.fill(0, start, start + bucketWords)
    draft.count++
    return start
  }

  #send(draft: ChunkDraft): void {
    const { count, first, kind, words } = draft
    if (count === 0) return
    sealChunk(words, { kind, index: this.#chunkCount, first, count }, this.#seed)
    const sizeBytes = chunkHeaderSizeBytes + count * elementSizeBytes
    this.#file.write(new Uint8Array(words.buffer, 0, sizeBytes), this.#position)
    this.#position += sizeBytes
    this.#chunkCount++
    draft.first += count
    draft.count = 0
  }
}

function positionOfChunks(chunkCount: number, elementCount: number): number {
  return (
    checkpointHeaderSizeBytes + chunkCount * chunkHeaderSizeBytes + elementCount * elementSizeBytes
  )
}
