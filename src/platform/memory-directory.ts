/**
 * The directory of files that have no path: names, and the descriptors that keep them alive. It is
 * memory of the process, mapped by every thread that has the store open.
 *
 * A descriptor here is what a link is elsewhere: opening a file means opening `/proc/self/fd/` and
 * its number, which gives Node a descriptor of its own to close, also when a thread is terminated.
 * Removing a name closes the one here; whoever has the file open or mapped keeps it.
 *
 * Invariants: an entry counts from the store of its descriptor, which is the last of it to be
 * written; it has two names and a word that tells which one counts. So every change is one store, and
 * a thread that is terminated leaves the directory as it was before or after. Entries are made under
 * a lock of the directory's own. A number may be another file's by the time it is opened: the inode
 * tells.
 *
 * offset | size | field
 * ------ | ---- | -----
 *      0 |    4 | magic
 *      4 |    4 | entryEnd: entries ever used
 *      8 |    4 | attached: how many have the store open
 *     12 |    4 | isEnded: 1 when nobody has it open any more
 *     16 |   16 | identity: random
 *    128 |  128 | entry 0:
 *        |      |   0: descriptor + 1, 0 for none · 4: which name counts ·
 *        |      |   8: inode f64 · 16: sizeBytes f64 · 32: name 0 · 80: name 1, zero-padded
 */
import { randomBytes } from 'node:crypto'
import { closeSync, constants, fstatSync, ftruncateSync, openSync, readlinkSync } from 'node:fs'
import { StoreError, systemErrorCode } from '../base/errors.js'
import { pause } from '../base/pause.js'
import type { Libc } from './libc.js'
import { type MmapMapping, mapStretch } from './mmap-mapping.js'
import { readAt, writeAt } from './node-files.js'
import type { MemoryHandle } from './platform.js'

const magic = 0x5652_4d44
const entryEndWord = 1
const attachedWord = 2
const endedWord = 3
const identityOffset = 16
const identitySizeBytes = 16
const headerSizeBytes = 128
const entrySizeBytes = 128
/** More than descriptors that a process may usually have. */
const entryCountMax = 2 ** 15
const sizeBytes = headerSizeBytes + entryCountMax * entrySizeBytes

// Of an entry, as words, doubles and bytes from its start.
const descriptorWord = 0
const nameWord = 1
const inodeDouble = 1
const sizeDouble = 2
const namesOffset = 32
const nameSizeBytes = 48

const pauseMs = 0.1

const label = 'varve'

export class MemoryDirectory {
  readonly handle: MemoryHandle
  readonly #libc: Libc
  readonly #mapping: MmapMapping
  readonly #words: Int32Array
  readonly #doubles: Float64Array
  readonly #bytes: Buffer

  /** @param fd open for as long as this takes */
  constructor(libc: Libc, fd: number, handle: MemoryHandle) {
    this.#libc = libc
    this.handle = handle
    const stretch = { fd, path: label, offset: 0, sizeBytes }
    this.#mapping = mapStretch(libc, stretch, 'shared', undefined)
    const { buffer, byteOffset } = this.#mapping
    this.#words = new Int32Array(buffer, byteOffset, sizeBytes / 4)
    this.#doubles = new Float64Array(buffer, byteOffset, sizeBytes / 8)
    this.#bytes = Buffer.from(buffer, byteOffset, sizeBytes)
  }

  /** The entry of a name, or -1. */
  find(name: string): number {
    const wanted = paddedName(name)
    const end = Atomics.load(this.#words, entryEndWord)
    for (let entry = 0; entry < end; entry++) {
      if (this.#descriptor(entry) >= 0 && this.#nameBytes(entry).equals(wanted)) return entry
    }
    return -1
  }

  names(): string[] {
    const found: string[] = []
    const end = Atomics.load(this.#words, entryEndWord)
    for (let entry = 0; entry < end; entry++) {
      if (this.#descriptor(entry) >= 0) found.push(this.#nameOf(entry))
    }
    return found
  }

  /** The entry of a name, for which an empty file is made where there is none. */
  findOrCreate(name: string): number {
    const entry = this.find(name)
    return entry === -1 ? this.#alone(() => this.#create(name)) : entry
  }

  /** Opens the file of an entry; the descriptor is Node's. Throws where it is gone. */
  open(entry: number): number {
    const fd = openDescriptor(this.#descriptor(entry))
    if (fd !== undefined && fstatSync(fd).ino === this.inode(entry)) return fd
    if (fd !== undefined) closeSync(fd)
    throw Atomics.load(this.#words, endedWord) === 0 ? noSuchFile(this.#nameOf(entry)) : isGone()
  }

  rename(entry: number, name: string): void {
    // Names are replaced only while the store is made, or by who has it alone.
    const former = this.find(name)
    if (former !== -1) this.remove(former)
    const word = startOf(entry) / 4 + nameWord
    const next = 1 - this.#words[word]
    this.#setName(entry, next, name)
    Atomics.store(this.#words, word, next)
  }

  remove(entry: number): void {
    const fd = Atomics.exchange(this.#words, startOf(entry) / 4 + descriptorWord, 0) - 1
    if (fd >= 0) this.#libc.close(fd)
  }

  inode(entry: number): number {
    return this.#doubles[startOf(entry) / 8 + inodeDouble]
  }

  sizeBytes(entry: number): number {
    return this.#doubles[startOf(entry) / 8 + sizeDouble]
  }

  /** After the file was made longer. */
  setSizeBytes(entry: number, sizeBytes: number): void {
    this.#doubles[startOf(entry) / 8 + sizeDouble] = sizeBytes
  }

  attach(): void {
    Atomics.add(this.#words, attachedWord, 1)
  }

  detach(): void {
    Atomics.sub(this.#words, attachedWord, 1)
  }

  /** Removes all files, and itself: nobody has the store open, and nobody will. */
  end(): void {
    this.#alone(() => this.#removeAll())
    this.#libc.close(this.handle.descriptor)
  }

  #removeAll(): void {
    Atomics.store(this.#words, endedWord, 1)
    // Terminated threads leave their mappings to the process, and these would keep the memory.
    const hasLeftMappings = Atomics.load(this.#words, attachedWord) !== 0
    const end = Atomics.load(this.#words, entryEndWord)
    for (let entry = 0; entry < end; entry++) {
      if (this.#descriptor(entry) < 0) continue
      if (hasLeftMappings) this.#empty(entry)
      this.remove(entry)
    }
  }

  /** Gives up this thread's view of it. */
  close(): void {
    this.#mapping.unmap()
  }

  /** Gives the pages back. The file keeps its size: what is still mapped reads as zeros. */
  #empty(entry: number): void {
    const fd = this.#descriptor(entry)
    const { size } = fstatSync(fd)
    ftruncateSync(fd, 0)
    ftruncateSync(fd, size)
  }

  /** Runs `action` while no other thread makes a file. The lock falls with its thread. */
  #alone<T>(action: () => T): T {
    const fd = openDescriptor(this.handle.descriptor)
    if (fd === undefined) throw isGone()
    try {
      while (!this.#libc.tryFlock(fd, true)) pause(pauseMs)
      return action()
    } finally {
      closeSync(fd)
    }
  }

  #create(name: string): number {
    // Who waited for the lock of a store that ended must not begin another one in its place.
    if (Atomics.load(this.#words, endedWord) !== 0) throw isGone()
    const existing = this.find(name)
    if (existing !== -1) return existing
    const entry = this.#freeEntry(name)
    const start = startOf(entry)
    const fd = this.#makeFile(name)
    this.#doubles[start / 8 + inodeDouble] = fstatSync(fd).ino
    this.#doubles[start / 8 + sizeDouble] = 0
    this.#setName(entry, 0, name)
    Atomics.store(this.#words, start / 4 + nameWord, 0)
    Atomics.store(this.#words, start / 4 + descriptorWord, fd + 1)
    if (entry >= this.#words[entryEndWord]) Atomics.store(this.#words, entryEndWord, entry + 1)
    return entry
  }

  #freeEntry(name: string): number {
    for (let entry = 0; entry < entryCountMax; entry++) {
      if (this.#descriptor(entry) < 0) return entry
    }
    throw new StoreError('STORE_FULL', `a store in memory has ${entryCountMax} files at most`, {
      details: { file: name },
    })
  }

  #makeFile(name: string): number {
    try {
      return this.#libc.createMemoryFile(label)
    } catch (error) {
      // Descriptors, not memory, are what a process runs out of here.
      throw new StoreError('STORE_FULL', `no descriptor left for ${name}`, {
        details: { file: name },
        cause: error,
      })
    }
  }

  /** Below 0 for none. */
  #descriptor(entry: number): number {
    return Atomics.load(this.#words, startOf(entry) / 4 + descriptorWord) - 1
  }

  #nameBytes(entry: number): Buffer {
    const start = startOf(entry)
    const which = Atomics.load(this.#words, start / 4 + nameWord)
    const offset = start + namesOffset + which * nameSizeBytes
    return this.#bytes.subarray(offset, offset + nameSizeBytes)
  }

  #nameOf(entry: number): string {
    const name = this.#nameBytes(entry)
    const end = name.indexOf(0)
    return name.toString('latin1', 0, end === -1 ? nameSizeBytes : end)
  }

  #setName(entry: number, which: number, name: string): void {
    paddedName(name).copy(this.#bytes, startOf(entry) + namesOffset + which * nameSizeBytes)
  }
}

/** A directory without files. Throws where the system has no files in memory. */
export function createMemoryDirectory(libc: Libc): MemoryDirectory {
  const descriptor = libc.createMemoryFile(label)
  try {
    ftruncateSync(descriptor, sizeBytes)
    const identity = randomBytes(identitySizeBytes)
    const header = Buffer.alloc(headerSizeBytes)
    header.writeInt32LE(magic, 0)
    identity.copy(header, identityOffset)
    writeAt(descriptor, header, 0)
    const handle = { processId: process.pid, descriptor, identity: identity.toString('hex') }
    return joinMemoryDirectory(libc, handle)
  } catch (error) {
    libc.close(descriptor)
    throw error
  }
}

/** The directory of a handle. Throws `STORE_NOT_FOUND` where it is gone, or of another process. */
export function joinMemoryDirectory(libc: Libc, handle: MemoryHandle): MemoryDirectory {
  if (handle.processId !== process.pid) {
    throw new StoreError(
      'STORE_NOT_FOUND',
      `the handle is of a store in the memory of process ${handle.processId}, and this is process ${process.pid}; only threads of one process can share such a store`,
    )
  }
  const fd = openDescriptor(handle.descriptor)
  if (fd === undefined) throw isGone()
  try {
    const header = Buffer.alloc(headerSizeBytes)
    readAt(fd, header, 0)
    const identity = header.toString('hex', identityOffset, identityOffset + identitySizeBytes)
    const isSame = header.readInt32LE(0) === magic && identity === handle.identity
    if (!isSame || header.readInt32LE(endedWord * 4) !== 0) throw isGone()
    return new MemoryDirectory(libc, fd, handle)
  } finally {
    closeSync(fd)
  }
}

/** A descriptor of Node's for a file in memory, or undefined where the number is not one of ours. */
function openDescriptor(descriptor: number): number | undefined {
  const path = `/proc/self/fd/${descriptor}`
  try {
    // Looked at first: opening something else could have effects.
    if (!readlinkSync(path).startsWith(`/memfd:${label}`)) return undefined
    return openSync(path, constants.O_RDWR)
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined
    throw error
  }
}

function isGone(): StoreError {
  return new StoreError(
    'STORE_NOT_FOUND',
    'the store in memory of this handle is gone: all that had it open have closed it',
  )
}

export function noSuchFile(name: string): Error {
  return Object.assign(new Error(`no such file: ${name}`), { code: 'ENOENT' })
}

function startOf(entry: number): number {
  return headerSizeBytes + entry * entrySizeBytes
}

function paddedName(name: string): Buffer {
  const bytes = Buffer.alloc(nameSizeBytes)
  bytes.write(name, 'latin1')
  return bytes
}
