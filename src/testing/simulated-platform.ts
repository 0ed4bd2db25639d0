/** A simulated disk as a store sees it: the platform of its machine. */
import { lockedBy, noHolders } from '../platform/lock.js'
import type {
  FileIdentity,
  FileLock,
  Lock,
  MapAccess,
  Mapping,
  Platform,
  PlatformFile,
} from '../platform/platform.js'
import type { SimulatedDisk } from './simulated-disk.js'
import type { SimulatedFile } from './simulated-file.js'

const device = 1

class OpenFile implements PlatformFile {
  readonly path: string
  readonly #disk: SimulatedDisk
  readonly #file: SimulatedFile

  constructor(disk: SimulatedDisk, path: string, file: SimulatedFile) {
    this.#disk = disk
    this.path = path
    this.#file = file
  }

  identity(): FileIdentity {
    return { device, inode: this.#file.inode }
  }

  sizeBytes(): number {
    return this.#file.sizeBytes
  }

  reservedBytes(): number {
    return this.#file.sizeBytes
  }

  read(target: Uint8Array, position: number): number {
    return this.#disk.read(this.#file, this.path, target, position)
  }

  async readAsync(target: Uint8Array, position: number): Promise<number> {
    return this.read(target, position)
  }

  write(source: Uint8Array, position: number): void {
    this.#disk.write(this.#file, this.path, source, position)
  }

  reserve(sizeBytes: number): void {
    this.#disk.reserve(this.#file, this.path, sizeBytes)
  }

  reserveAhead(sizeBytes: number): void {
    try {
      this.reserve(sizeBytes)
    } catch {
      // It shows when the file is wanted.
    }
  }

  map(offset: number, sizeBytes: number, access: MapAccess): Mapping {
    this.#disk.meet('map', this.path)
    if (this.#disk.mapping === 'file') return this.#load(offset, sizeBytes, access)
    const file = this.#file
    const isShared = access === 'shared'
    const bytes = isShared ? file.map(offset, sizeBytes) : file.copy(offset, sizeBytes)
    return new MappedBytes(bytes, undefined)
  }

  mapForViews(): undefined {
    // What lies in ordinary memory is copied for a view.
    return undefined
  }

  /** As the back end without mappings does it. */
  #load(offset: number, sizeBytes: number, access: MapAccess): Mapping {
    const bytes = new Uint8Array(sizeBytes)
    this.read(bytes, offset)
    return new MappedBytes(bytes, (start, size) => {
      if (access === 'shared') this.write(bytes.subarray(start, start + size), offset + start)
    })
  }

  sync(): Promise<void> {
    return this.#disk.sync(this.#file, this.path)
  }

  syncNow(): void {
    this.#disk.syncNow(this.#file, this.path)
  }

  close(): void {
    // The disk keeps the file.
  }
}

class MappedBytes implements Mapping {
  readonly buffer: ArrayBuffer
  readonly byteOffset: number
  readonly sizeBytes: number
  readonly needsWriteThrough: boolean
  readonly #write: ((offset: number, sizeBytes: number) => void) | undefined

  constructor(bytes: Uint8Array, write: ((offset: number, sizeBytes: number) => void) | undefined) {
    this.buffer = bytes.buffer as ArrayBuffer
    this.byteOffset = bytes.byteOffset
    this.sizeBytes = bytes.byteLength
    this.needsWriteThrough = write !== undefined
    this.#write = write
  }

  writeThrough(offset: number, sizeBytes: number): void {
    this.#write?.(offset, sizeBytes)
  }

  prefault(): void {
    // Memory is there.
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

  discard(): void {
    // As unmap.
  }

  unmap(): void {
    // The disk keeps the memory.
  }
}

export function createSimulatedPlatform(disk: SimulatedDisk): Platform {
  const tryLock = (path: string, mode: 'shared' | 'exclusive'): FileLock | undefined => {
    if (disk.find(path) === undefined) disk.open(path, 'create')
    const release = disk.tryLock(path, mode)
    return release === undefined ? undefined : { release, share: () => disk.shareLock(path) }
  }
  return {
    kind: disk.mapping,
    hasDirectory: false,
    isShared: disk.mapping === 'mmap',
    isReachable: false,
    bootId: () => disk.bootId,
    mountId: () => disk.mountId,
    exists: (path) => disk.isDirectory(path) || disk.find(path) !== undefined,
    isDirectory: (path) => disk.isDirectory(path),
    isWritable: () => true,
    createDirectory: (path) => disk.createDirectory(path),
    list: (directory) => disk.list(directory),
    openFile: (path, mode) => new OpenFile(disk, path, disk.open(path, mode)),
    createAddressSpace: () => undefined,
    rename: (from, to) => disk.rename(from, to),
    remove: (path) => disk.remove(path),
    removeAsync: async (path) => disk.remove(path),
    syncDirectory: (path) => disk.syncDirectory(path),
    syncDirectoryAsync: (path) => disk.syncDirectoryAsync(path),
    lock(path, mode): Lock {
      const lock = tryLock(path, mode === 'write' ? 'exclusive' : 'shared')
      if (lock === undefined) throw lockedBy(path, undefined)
      return lock
    },
    tryLock,
    holders: noHolders,
    memoryHandle: undefined,
    attach: () => undefined,
    detach: () => undefined,
    close: () => undefined,
    nowMs: () => disk.nowMs(),
  }
}
