/**
 * Files mapped into memory: what a store writes is in the page cache with the last instruction, and
 * survives the process.
 */
import type { LockHolder } from '../base/errors.js'
import { AddressSpace } from './address-space.js'
import type { Libc } from './libc.js'
import { fileHolders, takeLock, tryLock } from './lock.js'
import { type MmapMapping, mapStretch } from './mmap-mapping.js'
import { NodeFile, nodeDirectories } from './node-files.js'
import type { Lock, MapAccess, Mapping, Platform, PlatformFile } from './platform.js'
import { prepare } from './preparer.js'
import { ViewPages } from './view-pages.js'

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
    const stretch = { fd: this.fd, path: this.path, offset, sizeBytes }
    const mapping = mapStretch(this.#libc, stretch, access, space)
    this.#mappings.push(mapping)
    return mapping
  }

  mapForViews(offset: number, sizeBytes: number): ViewPages {
    return new ViewPages(this.#libc, { fd: this.fd, offset, sizeBytes })
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
    holders: fileHolders,
    kind: 'mmap',
    hasDirectory: true,
    isShared: true,
    isReachable: true,
    openFile: (path, mode): PlatformFile => new MmapFile(libc, path, mode),
    createAddressSpace: (rangeSizeBytes): AddressSpace => new AddressSpace(libc, rangeSizeBytes),
    lock: (path, mode, holder: LockHolder): Lock => takeLock(libc, path, mode, holder),
    tryLock: (path, mode) => tryLock(libc, path, mode),
  }
}
