/**
 * `:memory:` stores that threads can share: files without a path (`memfd_create`), mapped. Linux
 * with FFI and `/proc` only; elsewhere memory-platform.ts serves.
 *
 * Pages come into being when they are first written, as those of any other memory: nothing is
 * reserved, and a machine that has no more memory does what it does to any process.
 */
import { closeSync, ftruncateSync } from 'node:fs'
import { basename } from 'node:path'
import { AddressSpace } from './address-space.js'
import type { Libc } from './libc.js'
import { lockedBy, noHolders, tryLockDescriptor } from './lock.js'
import {
  createMemoryDirectory,
  joinMemoryDirectory,
  type MemoryDirectory,
  noSuchFile,
} from './memory-directory.js'
import { mapStretch } from './mmap-mapping.js'
import { readAt, writeAt } from './node-files.js'
import type {
  FileIdentity,
  FileLock,
  MapAccess,
  Mapping,
  MemoryHandle,
  Platform,
  PlatformFile,
} from './platform.js'
import { ViewPages } from './view-pages.js'

/** Holds no descriptor: it opens the file for each thing that is asked of it, all of them rare. */
class MemfdFile implements PlatformFile {
  readonly path: string
  readonly #libc: Libc
  readonly #directory: MemoryDirectory
  readonly #entry: number

  constructor(libc: Libc, path: string, directory: MemoryDirectory, entry: number) {
    this.#libc = libc
    this.path = path
    this.#directory = directory
    this.#entry = entry
  }

  identity(): FileIdentity {
    return { device: 0, inode: this.#directory.inode(this.#entry) }
  }

  sizeBytes(): number {
    return this.#directory.sizeBytes(this.#entry)
  }

  reservedBytes(): number {
    return this.sizeBytes()
  }

  read(target: Uint8Array, position: number): number {
    return this.#withDescriptor((fd) => readAt(fd, target, position))
  }

  async readAsync(target: Uint8Array, position: number): Promise<number> {
    return this.read(target, position)
  }

  write(source: Uint8Array, position: number): void {
    this.#withDescriptor((fd) => writeAt(fd, source, position))
    const end = position + source.byteLength
    if (end > this.sizeBytes()) this.#directory.setSizeBytes(this.#entry, end)
  }

  reserve(sizeBytes: number): void {
    if (this.sizeBytes() >= sizeBytes) return
    this.#withDescriptor((fd) => ftruncateSync(fd, sizeBytes))
    this.#directory.setSizeBytes(this.#entry, sizeBytes)
  }

  reserveAhead(): void {
    // There is nothing to reserve.
  }

  map(offset: number, sizeBytes: number, access: MapAccess, space?: AddressSpace): Mapping {
    const { path } = this
    return this.#withDescriptor((fd) =>
      mapStretch(this.#libc, { fd, path, offset, sizeBytes }, access, space),
    )
  }

  mapForViews(offset: number, sizeBytes: number): ViewPages {
    return this.#withDescriptor((fd) => new ViewPages(this.#libc, { fd, offset, sizeBytes }))
  }

  sync(): Promise<void> {
    return Promise.resolve()
  }

  syncNow(): void {
    // Nothing outlives the process.
  }

  close(): void {
    // There is nothing to give back.
  }

  #withDescriptor<T>(action: (fd: number) => T): T {
    const fd = this.#directory.open(this.#entry)
    try {
      return action(fd)
    } finally {
      closeSync(fd)
    }
  }
}

/** Throws where the system has no files in memory. */
export function createMemfdPlatform(libc: Libc): Platform {
  return platformOf(libc, createMemoryDirectory(libc))
}

/** The platform of a store that another thread made. Throws `STORE_NOT_FOUND`. */
export function joinMemfdPlatform(libc: Libc, handle: MemoryHandle): Platform {
  return platformOf(libc, joinMemoryDirectory(libc, handle))
}

function platformOf(libc: Libc, directory: MemoryDirectory): Platform {
  const find = (path: string): number => {
    const entry = directory.find(basename(path))
    if (entry === -1) throw noSuchFile(path)
    return entry
  }
  const tryLock = (path: string, mode: 'shared' | 'exclusive'): FileLock | undefined =>
    tryLockDescriptor(libc, directory.open(directory.findOrCreate(basename(path))), mode)

  return {
    kind: 'memory',
    hasDirectory: false,
    isShared: true,
    isReachable: true,
    createAddressSpace: (rangeSizeBytes) => new AddressSpace(libc, rangeSizeBytes),
    // What is found there was written by this process.
    bootId: () => directory.handle.identity,
    mountId: () => '',
    exists: (path) => directory.find(basename(path)) !== -1,
    isDirectory: () => true,
    isWritable: () => true,
    createDirectory: () => undefined,
    list: () => directory.names(),
    openFile(path, mode): PlatformFile {
      const entry = mode === 'create' ? directory.findOrCreate(basename(path)) : find(path)
      return new MemfdFile(libc, path, directory, entry)
    },
    rename: (from, to) => directory.rename(find(from), basename(to)),
    remove: (path) => directory.remove(find(path)),
    removeAsync: async (path) => directory.remove(find(path)),
    syncDirectory: () => undefined,
    syncDirectoryAsync: () => Promise.resolve(),
    lock(path) {
      const lock = tryLock(path, 'exclusive')
      if (lock === undefined) throw lockedBy(path, undefined)
      return lock
    },
    tryLock,
    holders: noHolders,
    memoryHandle: directory.handle,
    attach: () => directory.attach(),
    detach(isLast) {
      directory.detach()
      if (isLast) directory.end()
    },
    close: () => directory.close(),
    nowMs: () => Date.now(),
  }
}
