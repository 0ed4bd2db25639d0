/** A stretch of a file in memory, within an address range. */
import { StoreError } from '../base/errors.js'
import { AddressRange, type AddressSpace } from './address-space.js'
import {
  adviceDontNeed,
  adviceRandom,
  type Libc,
  mapPrivate,
  mapShared,
  protectionRead,
  protectionWrite,
} from './libc.js'
import type { MapAccess, Mapping } from './platform.js'
import { prepare } from './preparer.js'

/** Advice begins on a page; every page size in use divides it. */
const pageSizeBytes = 65_536

export class MmapMapping implements Mapping {
  readonly needsWriteThrough = false
  readonly byteOffset: number
  readonly sizeBytes: number
  readonly #libc: Libc
  readonly #range: AddressRange
  #isMapped = true

  constructor(libc: Libc, range: AddressRange, byteOffset: number, sizeBytes: number) {
    this.#libc = libc
    this.#range = range
    this.byteOffset = byteOffset
    this.sizeBytes = sizeBytes
  }

  get buffer(): ArrayBuffer {
    return this.#range.buffer
  }

  writeThrough(): void {
    // The mapping is the file's page cache.
  }

  prefault(offset: number, sizeBytes: number): void {
    const start = Math.floor(offset / pageSizeBytes) * pageSizeBytes
    prepare({
      kind: 'populate',
      pointer: this.#range.pointerAt(this.byteOffset + start),
      sizeBytes: sizeBytes + offset - start,
    })
  }

  isResident(offset: number, sizeBytes: number): boolean {
    return this.#libc.isResident(this.#range.pointerAt(this.byteOffset + offset), sizeBytes)
  }

  residentBytes(offset: number, sizeBytes: number): number {
    return this.#libc.residentBytes(this.addressAt(offset), sizeBytes)
  }

  expectRandomReads(): void {
    this.#libc.advise(this.addressAt(0), this.sizeBytes, adviceRandom)
  }

  /** Once it is not mapped any more, these may be the addresses of memory that is nowhere else. */
  adviseOut(offset: number, sizeBytes: number): void {
    if (this.#isMapped) this.#libc.advise(this.addressAt(offset), sizeBytes, adviceDontNeed)
  }

  addressAt(offset: number): bigint {
    return this.#range.pointerAt(this.byteOffset + offset)
  }

  flush(): void {
    if (this.#isMapped) this.#libc.msync(this.#range.pointerAt(this.byteOffset), this.sizeBytes)
  }

  discard(): void {
    if (!this.#isMapped) return
    this.#range.blank(this.byteOffset, this.sizeBytes)
    this.unmap()
  }

  unmap(): void {
    if (!this.#isMapped) return
    this.#isMapped = false
    this.#range.release()
  }
}

/** What is to be mapped. */
export interface MappedStretch {
  readonly fd: number
  readonly path: string
  readonly offset: number
  readonly sizeBytes: number
}

/** The mapping keeps what it needs of the file: the descriptor may be closed. */
export function mapStretch(
  libc: Libc,
  { fd, path, offset, sizeBytes }: MappedStretch,
  access: MapAccess,
  space: AddressSpace | undefined,
): MmapMapping {
  try {
    const range = space?.rangeFor(sizeBytes) ?? new AddressRange(libc, sizeBytes)
    const start = range.place(
      { fd, offset, sizeBytes },
      {
        protection: protectionRead | protectionWrite,
        flags: access === 'shared' ? mapShared : mapPrivate,
      },
    )
    if (space === undefined) range.retire()
    return new MmapMapping(libc, range, start, sizeBytes)
  } catch (error) {
    throw new StoreError('STORE_FULL', `cannot map ${path} into memory`, {
      details: { file: path },
      cause: error,
    })
  }
}
