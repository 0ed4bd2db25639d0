/**
 * No files: the volatile parts (control, index) of a store in file mode, and `:memory:` stores where
 * there is nothing that threads could share (see memfd-platform.ts). A file is a set of buffers, one
 * for each mapped range, that live as long as the platform object.
 */
import { assert } from '../base/assert.js'
import { StoreError } from '../base/errors.js'
import { noHolders } from './lock.js'
import type { FileIdentity, FileLock, Lock, Mapping, Platform, PlatformFile } from './platform.js'

class MemoryFile implements PlatformFile {
  readonly path: string
  readonly inode: number
  readonly ranges = new Map<number, SharedArrayBuffer>()
  #sizeBytes = 0

  constructor(path: string, inode: number) {
    this.path = path
    this.inode = inode
  }

  identity(): FileIdentity {
    return { device: 0, inode: this.inode }
  }

  sizeBytes(): number {
    return this.#sizeBytes
  }

  reservedBytes(): number {
    return this.#sizeBytes
  }

  reserve(sizeBytes: number): void {
    this.#sizeBytes = Math.max(this.#sizeBytes, sizeBytes)
  }

  reserveAhead(): void {
    // Memory is reserved when it is mapped.
  }

  read(target: Uint8Array, position: number): number {
    const { bytes, start } = this.#rangeAt(position)
    const count = Math.max(0, Math.min(target.byteLength, bytes.byteLength - start))
    target.set(bytes.subarray(start, start + count))
    return count
  }

  readAsync(target: Uint8Array, position: number): Promise<number> {
    return Promise.resolve(this.read(target, position))
  }

  write(source: Uint8Array, position: number): void {
    const { bytes, start } = this.#rangeAt(position)
    bytes.set(source, start)
  }

  #rangeAt(position: number): { bytes: Uint8Array; start: number } {
    for (const [offset, buffer] of this.ranges) {
      if (position >= offset && position < offset + buffer.byteLength) {
        return { bytes: new Uint8Array(buffer), start: position - offset }
      }
    }
    return { bytes: new Uint8Array(0), start: 0 }
  }

  map(offset: number, sizeBytes: number): Mapping {
    let buffer = this.ranges.get(offset)
    if (buffer === undefined) {
      buffer = allocate(this.path, sizeBytes)
      this.ranges.set(offset, buffer)
    }
    assert(buffer.byteLength === sizeBytes, 'a range of memory is mapped in one size')
    return {
      buffer,
      byteOffset: 0,
      sizeBytes,
      needsWriteThrough: false,
      writeThrough: () => undefined,
      prefault: () => undefined,
      discard: () => undefined,
      isResident: () => true,
      residentBytes: (_, size) => size,
      expectRandomReads: () => undefined,
      adviseOut: () => undefined,
      addressAt: () => undefined,
      unmap: () => undefined,
    }
  }

  mapForViews(): undefined {
    // What lies in ordinary memory is copied for a view.
    return undefined
  }

  sync(): Promise<void> {
    return Promise.resolve()
  }

  syncNow(): void {
    // Nothing outlives the process.
  }

  close(): void {
    // The platform keeps the bytes: a file may be opened again.
  }
}

function allocate(path: string, sizeBytes: number): SharedArrayBuffer {
  try {
    return new SharedArrayBuffer(sizeBytes)
  } catch (error) {
    throw new StoreError('STORE_FULL', `no memory left for ${path}`, { cause: error })
  }
}

export function createMemoryPlatform(): Platform {
  const files = new Map<string, MemoryFile>()
  let nextInode = 1

  const find = (path: string): MemoryFile => {
    const file = files.get(path)
    if (file === undefined) {
      throw Object.assign(new Error(`no such file: ${path}`), { code: 'ENOENT' })
    }
    return file
  }

  const remove = (path: string): void => {
    find(path)
    files.delete(path)
  }

  return {
    kind: 'memory',
    hasDirectory: false,
    isShared: false,
    isReachable: false,
    createAddressSpace: () => undefined,
    bootId: () => '',
    mountId: () => '',
    exists: (path) => files.has(path),
    isDirectory: () => true,
    isWritable: () => true,
    createDirectory: () => undefined,
    list: (directory) =>
      [...files.keys()]
        .filter((path) => path.startsWith(`${directory}/`))
        .map((path) => path.slice(directory.length + 1)),
    openFile(path, mode): PlatformFile {
      if (mode !== 'create' || files.has(path)) return find(path)
      const file = new MemoryFile(path, nextInode++)
      files.set(path, file)
      return file
    },
    rename(from, to) {
      files.set(to, find(from))
      files.delete(from)
    },
    remove,
    removeAsync: async (path) => remove(path),
    syncDirectory: () => undefined,
    syncDirectoryAsync: () => Promise.resolve(),
    lock: (): Lock => ({ release: () => undefined }),
    tryLock: (): FileLock => ({ release: () => undefined, share: () => undefined }),
    holders: noHolders,
    memoryHandle: undefined,
    attach: () => undefined,
    detach: () => undefined,
    close: () => undefined,
    nowMs: () => Date.now(),
  }
}
