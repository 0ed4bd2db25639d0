/**
 * Files mapped into memory: what a store writes is in the page cache with the last instruction, and
 * survives the process.
 */
import { type LockHolder, StoreError } from '../base/errors.js'
import { AddressRange, AddressSpace } from './address-space.js'
import { type Libc, mapPrivate, mapShared, protectionRead, protectionWrite } from './libc.js'
import { takeLock, tryLock } from './lock.js'
import { NodeFile, nodeDirectories } from './node-files.js'
import type { Lock, MapAccess, Mapping, Platform, PlatformFile } from './platform.js'
import { prepare } from './preparer.js'

/** Advice begins on a page; every page size in use divides it. */
const pageSizeBytes = 65_536

class MmapMapping implements Mapping {
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

  flush(): void {
    if (this.#isMapped) this.#libc.msync(this.#range.pointerAt(this.byteOffset), this.sizeBytes)
  }

  unmap(): void {
    if (!this.#isMapped) return
    this.#isMapped = false
    this.#range.release()
  }
}

class MmapFile extends NodeFile implements PlatformFile {
  readonly #libc: Libc
  readonly #mappings: MmapMapping[] = []

  constructor(libc: Libc, path: string, mode: 'read' | 'write' | 'create') {
    super(libc, path, mode)
    this.#libc = libc
  }

  reserveAhead(sizeBytes: number): void {
    prepare({ kind: 'reserve', path: this.path, sizeBytes })
  }

  map(offset: number, sizeBytes: number, access: MapAccess, space?: AddressSpace): Mapping {
    const libc = this.#libc
    try {
      const range = space?.rangeFor(sizeBytes) ?? new AddressRange(libc, sizeBytes)
      const start = range.place(
        { fd: this.fd, offset, sizeBytes },
        {
          protection: protectionRead | protectionWrite,
          flags: access === 'shared' ? mapShared : mapPrivate,
        },
      )
      if (space === undefined) range.retire()
      const mapping = new MmapMapping(libc, range, start, sizeBytes)
      this.#mappings.push(mapping)
      return mapping
    } catch (error) {
      throw new StoreError('STORE_FULL', `cannot map ${this.path} into memory`, {
        details: { file: this.path },
        cause: error,
      })
    }
  }

  override sync(): Promise<void> {
    this.#flushMappings()
    return super.sync()
  }

  override syncNow(): void {
    this.#flushMappings()
    super.syncNow()
  }

  /** On Linux a sync of the file takes its mapped pages along; elsewhere that is not promised. */
  #flushMappings(): void {
    if (process.platform === 'linux') return
    for (const mapping of this.#mappings) mapping.flush()
  }
}

export function createMmapPlatform(libc: Libc): Platform {
  return {
    ...nodeDirectories,
    kind: 'mmap',
    isShared: true,
    openFile: (path, mode): PlatformFile => new MmapFile(libc, path, mode),
    createAddressSpace: (rangeSizeBytes): AddressSpace => new AddressSpace(libc, rangeSizeBytes),
    lock: (path, mode, holder: LockHolder): Lock => takeLock(libc, path, mode, holder),
    tryLock: (path, mode) => tryLock(libc, path, mode),
  }
}
