/**
 * Files without mappings: the bytes of a segment are an ordinary buffer, read when first needed,
 * and every change is written to the file before it counts. For Electron, for systems without FFI,
 * and for file systems where a mapping is no file (network, copy-on-write).
 */
import type { LockHolder } from '../base/errors.js'
import { loadLibc } from './libc.js'
import { fileHolders, takeLock, tryLock } from './lock.js'
import { NodeFile, nodeDirectories } from './node-files.js'
import type { Lock, MapAccess, Mapping, Platform, PlatformFile } from './platform.js'

class LoadedBytes implements Mapping {
  readonly needsWriteThrough = true
  readonly buffer: ArrayBuffer
  readonly byteOffset = 0
  readonly sizeBytes: number
  readonly #file: NodeFile
  readonly #position: number
  readonly #access: MapAccess

  constructor(file: NodeFile, position: number, sizeBytes: number, access: MapAccess) {
    this.#file = file
    this.#position = position
    this.#access = access
    this.sizeBytes = sizeBytes
    this.buffer = new ArrayBuffer(sizeBytes)
    file.read(new Uint8Array(this.buffer), position)
  }

  writeThrough(offset: number, sizeBytes: number): void {
    if (this.#access === 'private') return
    this.#file.write(new Uint8Array(this.buffer, offset, sizeBytes), this.#position + offset)
  }

  prefault(): void {
    // The bytes are in memory already.
  }

  discard(): void {
    // As unmap.
  }

  isResident(): boolean {
    return true
  }

  residentBytes(_offset: number, sizeBytes: number): number {
    return sizeBytes
  }

  expectRandomReads(): void {
    // No page is ever read.
  }

  adviseOut(): void {
    // The bytes are nowhere else.
  }

  addressAt(): undefined {
    return undefined
  }

  unmap(): void {
    // The buffer is ordinary memory, freed when unreachable.
  }
}

class LoadedFile extends NodeFile implements PlatformFile {
  reserveAhead(): void {
    // Segments are reserved when they are needed.
  }

  map(offset: number, sizeBytes: number, access: MapAccess): Mapping {
    return new LoadedBytes(this, offset, sizeBytes, access)
  }

  mapForViews(): undefined {
    // What lies in ordinary memory is copied for a view.
    return undefined
  }
}

export function createFilePlatform(): Platform {
  return {
    ...nodeDirectories,
    holders: fileHolders,
    kind: 'file',
    hasDirectory: true,
    isShared: false,
    isReachable: false,
    createAddressSpace: () => undefined,
    openFile: (path, mode): PlatformFile => new LoadedFile(loadLibc(), path, mode),
    lock: (path, mode, holder: LockHolder): Lock => takeLock(loadLibc(), path, mode, holder),
    tryLock: (path, mode) => tryLock(loadLibc(), path, mode),
  }
}
