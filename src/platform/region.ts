/**
 * A file of equal elements that only grows: the buckets of the index, the segment slots.
 *
 * Mapped in pieces that double in size, so that an element never moves: piece 0 holds the first
 * 2^firstShift elements, piece p > 0 the elements from 2^(firstShift+p-1) on. A piece is mapped
 * whole when its first element is needed; blocks are reserved behind it in small steps, so growth
 * never pauses and never takes much more than it uses.
 *
 * Invariant: elements below `reservedCount` have real blocks behind them. Others may have reserved
 * more, in the same file; their pieces are mapped when one of their elements is first asked for.
 */
import { StoreError } from '../base/errors.js'
import type { MapAccess, Mapping, MappingSpace, PlatformFile } from './platform.js'

const reserveStepMinBytes = 65_536
/** Reserving in steps of this part of the size keeps the unused rest below 2 percent. */
const reserveStepPart = 64

export class Region {
  /** The pieces as 32-bit words and as doubles; index them as {@link pieceOf} says. */
  readonly words: Int32Array[] = []
  readonly doubles: Float64Array[] = []
  readonly file: PlatformFile
  readonly #mappings: Mapping[] = []
  readonly #firstShift: number
  readonly #elementSizeBytes: number
  readonly #access: MapAccess
  readonly #space: MappingSpace | undefined
  #reservedCount: number

  constructor(
    file: PlatformFile,
    layout: { readonly firstShift: number; readonly elementSizeBytes: number },
    access: MapAccess,
    space: MappingSpace | undefined,
  ) {
    this.#space = space
    this.file = file
    this.#firstShift = layout.firstShift
    this.#elementSizeBytes = layout.elementSizeBytes
    this.#access = access
    this.#reservedCount = Math.floor(file.reservedBytes() / layout.elementSizeBytes)
    // Hot paths read piece 0 without asking.
    this.#mapPiece(0)
    for (let piece = 1; this.#firstElement(piece) < this.#reservedCount; piece++) {
      this.#mapPiece(piece)
    }
  }

  get reservedCount(): number {
    return this.#reservedCount
  }

  get reservedBytes(): number {
    return this.#reservedCount * this.#elementSizeBytes
  }

  /** Makes elements up to `count` usable. Throws `STORE_FULL`. */
  reserve(count: number): void {
    if (count <= this.#reservedCount) return
    if (this.#access === 'private') {
      this.#requireReserved(count)
      this.ensure(count)
      return
    }
    const usedBytes = count * this.#elementSizeBytes
    const step = Math.max(reserveStepMinBytes, Math.floor(usedBytes / reserveStepPart))
    const wanted = Math.ceil((usedBytes + step) / 4096) * 4096
    this.#reserveBytes(this.#reservedCount === 0 ? Math.ceil(usedBytes / 4096) * 4096 : wanted)
    while (this.#firstElement(this.words.length) < this.#reservedCount) {
      this.#mapPiece(this.words.length)
    }
  }

  /** How many elements have blocks by now, those that others reserved included. */
  reservedSoFar(): number {
    return Math.floor(this.file.reservedBytes() / this.#elementSizeBytes)
  }

  /** Maps the pieces of elements up to `count`, which somebody reserved. */
  ensure(count: number): void {
    if (count <= this.#reservedCount) return
    while (this.#firstElement(this.words.length) < count) this.#mapPiece(this.words.length)
  }

  /** False where reading an element may have to wait for the medium; its piece is mapped. */
  isResident(index: number): boolean {
    const size = this.#elementSizeBytes
    const offset = indexInPiece(index, this.#firstShift) * size
    return this.#mappings[pieceOf(index, this.#firstShift)].isResident(offset, size)
  }

  close(): void {
    for (const mapping of this.#mappings) mapping.unmap()
    this.words.length = 0
    this.doubles.length = 0
    this.file.close()
  }

  #reserveBytes(sizeBytes: number): void {
    this.file.reserve(sizeBytes)
    this.#reservedCount = Math.floor(sizeBytes / this.#elementSizeBytes)
  }

  /** The file is as it is, and behind its end a mapping has no memory: touched, it ends the process. */
  #requireReserved(count: number): void {
    this.#reservedCount = this.reservedSoFar()
    if (count <= this.#reservedCount) return
    throw new StoreError('STORE_FULL', `${this.file.path} cannot grow: it may not be written`, {
      details: { file: this.file.path },
    })
  }

  #firstElement(piece: number): number {
    return piece === 0 ? 0 : 2 ** (this.#firstShift + piece - 1)
  }

  #mapPiece(piece: number): void {
    const first = this.#firstElement(piece)
    const count = piece === 0 ? 2 ** this.#firstShift : first
    const mapping = this.file.map(
      first * this.#elementSizeBytes,
      count * this.#elementSizeBytes,
      this.#access,
      this.#space,
    )
    this.#mappings.push(mapping)
    const { buffer, byteOffset, sizeBytes } = mapping
    this.words.push(new Int32Array(buffer, byteOffset, sizeBytes / 4))
    this.doubles.push(new Float64Array(buffer, byteOffset, sizeBytes / 8))
  }
}

/**
 * Which piece element `index` lies in. Without a branch: code that V8 compiled while there was one piece only
 * is otherwise thrown away when the second comes. Hot path: called for every lookup.
 */
export function pieceOf(index: number, firstShift: number): number {
  return 31 - Math.clz32(((index >>> firstShift) << 1) | 1)
}

/** The place of element `index` within its piece. */
export function indexInPiece(index: number, firstShift: number): number {
  return index - (((1 << pieceOf(index, firstShift)) >>> 1) << firstShift)
}
