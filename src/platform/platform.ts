/**
 * The operating system behind one narrow interface: files with positioned I/O, real blocks reserved
 * for them, mappings, syncs, a lock, the boot. It moves bytes and does not know what they mean.
 *
 * Back ends: `mmap` (files mapped into memory), `file` (the same files, mapped bytes are ordinary
 * buffers and every change is written before it counts), `memory` (files without a path, mapped, or
 * no files at all).
 */
import type { LockHolder } from '../base/errors.js'
import type { ViewPages } from './view-pages.js'

export type PlatformKind = 'mmap' | 'file' | 'memory'

/** What tells one file from every other on this machine, also after it was copied back. */
export interface FileIdentity {
  readonly device: number
  readonly inode: number
}

/** How a mapping may be used. `private`: changes stay in this process and never reach the file. */
export type MapAccess = 'shared' | 'private'

/** Memory set aside for many mappings. Opaque: made and used by the back end alone. */
export interface MappingSpace {
  close(): void
}

/** Bytes of a file as memory. `buffer` must not reach a caller of the store: it can be detached. */
export interface Mapping {
  /** The bytes are `sizeBytes` from `byteOffset` of this; what lies around them is not theirs. */
  readonly buffer: ArrayBuffer | SharedArrayBuffer
  readonly byteOffset: number
  readonly sizeBytes: number
  /** True where the bytes of `buffer` reach the file only through {@link writeThrough}. */
  readonly needsWriteThrough: boolean
  /** Writes a changed range of the buffer to the file; does nothing where memory is the file. */
  writeThrough(offset: number, sizeBytes: number): void
  /** Makes the pages of a range resident and writable ahead of use, off the calling thread. */
  prefault(offset: number, sizeBytes: number): void
  /**
   * Ends the mapping of a file that is gone, and gives its blocks back at once: whoever has an array over
   * it reads zeros, if anything.
   */
  discard(): void
  /** False where a range would have to be read from the medium, as far as it can be told. */
  isResident(offset: number, sizeBytes: number): boolean
  /** Bytes of a range that are in memory, whoever brought them there, as far as it can be told. */
  residentBytes(offset: number, sizeBytes: number): number
  /** From now on a page that is touched and not in memory is read alone. */
  expectRandomReads(): void
  /**
   * Takes a range out of the address space of this thread, so that the system may take its memory back.
   * The bytes stay what they are, and who touches them has them again. Of shared mappings only.
   */
  adviseOut(offset: number, sizeBytes: number): void
  /** The address of a byte in this process; undefined where the bytes are no file's memory. */
  addressAt(offset: number): bigint | undefined
  /** Ends the mapping. Once no other is in the same space its buffer reads as empty, or as zeros. */
  unmap(): void
}

export interface PlatformFile {
  readonly path: string
  identity(): FileIdentity
  sizeBytes(): number
  /** Bytes that have real blocks behind them. */
  reservedBytes(): number
  /** Reads up to the size of `target`; fewer bytes only where the file ends. */
  read(target: Uint8Array, position: number): number
  /** As {@link read}, off the calling thread. */
  readAsync(target: Uint8Array, position: number): Promise<number>
  /** Writes all of `source` or throws. */
  write(source: Uint8Array, position: number): void
  /** Grows the file to `sizeBytes` with real blocks. Throws `STORE_FULL` where there are none. */
  reserve(sizeBytes: number): void
  /** The same off the calling thread, as a head start: a failure shows at the next `reserve`. */
  reserveAhead(sizeBytes: number): void
  /** Maps `sizeBytes` from `offset`; may reach beyond the end, which must not be touched. */
  map(offset: number, sizeBytes: number, access: MapAccess, space?: MappingSpace): Mapping
  /**
   * Memory over `sizeBytes` from `offset` that callers of the store may keep; undefined where files are
   * not mapped.
   */
  mapForViews(offset: number, sizeBytes: number): ViewPages | undefined
  /** Resolves when all written bytes have reached the medium. */
  sync(): Promise<void>
  syncNow(): void
  close(): void
}

export interface Lock {
  release(): void
}

/** The names of those who hold locks: for messages, and for those who can take none. */
export interface LockHolders {
  /** Throws `STORE_LOCKED` where somebody who has no lock claimed the store by a file. */
  refuseClaim(path: string): void
  sign(path: string, holder: LockHolder): void
  unsign(path: string): void
  /** Undefined where it is not known. */
  read(path: string): LockHolder | undefined
}

/** What leads other threads of the process to files that have no path. Plain data. */
export interface MemoryHandle {
  readonly processId: number
  /** Of the directory of the files. */
  readonly descriptor: number
  /** What the directory says of itself: a descriptor may be another file's by the time it is used. */
  readonly identity: string
}

/** A lock that the operating system frees when its holder is gone, however that came about. */
export interface FileLock extends Lock {
  /** Goes on holding it together with others. */
  share(): void
}

export interface Platform {
  readonly kind: PlatformKind
  /** False where the files of a store lie in no directory: what is kept aside is then kept in memory. */
  readonly hasDirectory: boolean
  /** Identifies the running kernel, or '' where it cannot be told: then no boot equals another. */
  bootId(): string
  /** Identifies the mount that `directory` lies on, or '' where it cannot be told. */
  mountId(directory: string): string
  exists(path: string): boolean
  isDirectory(path: string): boolean
  /** True where this process may make and change files in a directory. */
  isWritable(directory: string): boolean
  /** Makes a directory, and those above it; their names outlast a crash. */
  createDirectory(path: string): void
  list(directory: string): string[]
  /** Opens a file; `create` makes it when missing and truncates nothing. */
  openFile(path: string, mode: 'read' | 'write' | 'create'): PlatformFile
  /** Room for mappings that are made one by one, where that saves anything. */
  createAddressSpace(rangeSizeBytes: number): MappingSpace | undefined
  rename(from: string, to: string): void
  remove(path: string): void
  /** The same off the calling thread: giving back the blocks of a large file takes milliseconds. */
  removeAsync(path: string): Promise<void>
  syncDirectory(path: string): void
  syncDirectoryAsync(path: string): Promise<void>
  /** True where other threads and processes can have the same files mapped at the same time. */
  readonly isShared: boolean
  /** True where they reach them by the path of the store, or by {@link memoryHandle}. */
  readonly isReachable: boolean
  /** Takes the lock on a store for this one alone, or throws `STORE_LOCKED` naming who has it. */
  lock(path: string, mode: 'read' | 'write', holder: LockHolder): Lock
  /** Takes the lock on a file, made where it is missing; undefined where somebody else has it. */
  tryLock(path: string, mode: 'shared' | 'exclusive'): FileLock | undefined
  readonly holders: LockHolders
  /** Undefined where files have a path, or nobody else can reach them. */
  readonly memoryHandle: MemoryHandle | undefined
  /** This one has the store open. Said under the lifecycle lock, as is {@link detach}. */
  attach(): void
  /** `isLast`: nobody has the store open any more. Files without a path end with that. */
  detach(isLast: boolean): void
  /** Gives back what serves all files together; called when all of them are closed. */
  close(): void
  nowMs(): number
}
