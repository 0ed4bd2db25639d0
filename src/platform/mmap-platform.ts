/**
 * Files mapped into memory: what a store writes is in the page cache with the last instruction, and
 * survives the process.
 *
 * Lifetime of a mapping: on Node 22 and later `unmap` detaches the buffer, so that no stale array
 * can reach unmapped pages, and unmaps at once. Node 20 cannot detach; there the pages are unmapped
 * when the buffer has become unreachable, and never before.
 */
import type { LockHolder } from '../base/errors.js'
import { StoreError } from '../base/errors.js'
import {
  advicePopulateWrite,
  type Libc,
  mapPrivate,
  mapShared,
  protectionRead,
  protectionWrite,
} from './libc.js'
import { takeLock } from './lock.js'
import { NodeFile, nodeDirectories } from './node-files.js'
import type { Lock, MapAccess, Mapping, Platform, PlatformFile } from './platform.js'

interface MappedPages {
  readonly libc: Libc
  readonly pointer: bigint
  readonly sizeBytes: number
}

const unreachable = new FinalizationRegistry<MappedPages>(({ libc, pointer, sizeBytes }) => {
  libc.munmap(pointer, sizeBytes)
})

class MmapMapping implements Mapping {
  readonly needsWriteThrough = false
  readonly buffer: ArrayBuffer
  readonly #pages: MappedPages

  constructor(pages: MappedPages) {
    this.#pages = pages
    this.buffer = pages.libc.view(pages.pointer, pages.sizeBytes)
    unreachable.register(this.buffer, pages, this)
  }

  writeThrough(): void {
    // The mapping is the file's page cache.
  }

  prefault(offset: number, sizeBytes: number): void {
    const { libc, pointer } = this.#pages
    libc.adviseInBackground(pointer + BigInt(offset), sizeBytes, advicePopulateWrite)
  }

  flush(): void {
    if (this.buffer.byteLength === 0) return
    this.#pages.libc.msync(this.#pages.pointer, this.#pages.sizeBytes)
  }

  unmap(): void {
    const { libc, pointer, sizeBytes } = this.#pages
    const { buffer } = this
    if (!('transfer' in buffer) || buffer.byteLength === 0) return
    ;(buffer as ArrayBuffer & { transfer(sizeBytes: number): ArrayBuffer }).transfer(0)
    unreachable.unregister(this)
    libc.munmap(pointer, sizeBytes)
  }
}

class MmapFile extends NodeFile implements PlatformFile {
  readonly #libc: Libc
  readonly #mappings: MmapMapping[] = []

  constructor(libc: Libc, path: string, mode: 'read' | 'write' | 'create') {
    super(libc, path, mode)
    this.#libc = libc
  }

  map(offset: number, sizeBytes: number, access: MapAccess): Mapping {
    const libc = this.#libc
    const flags = access === 'shared' ? mapShared : mapPrivate
    const protection = protectionRead | protectionWrite
    let pointer: bigint
    try {
      pointer = libc.mmap(sizeBytes, protection, flags, this.fd, offset)
    } catch (error) {
      throw new StoreError('STORE_FULL', `cannot map ${this.path} into memory`, {
        details: { file: this.path },
        cause: error,
      })
    }
    const mapping = new MmapMapping({ libc, pointer, sizeBytes })
    this.#mappings.push(mapping)
    return mapping
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
    openFile: (path, mode): PlatformFile => new MmapFile(libc, path, mode),
    lock: (path, mode, holder: LockHolder): Lock => takeLock(libc, path, mode, holder),
  }
}
