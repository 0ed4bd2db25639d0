/**
 * Memory for many mappings under one ArrayBuffer.
 *
 * V8 counts every ArrayBuffer over mapped memory as external memory, and starts a full collection
 * when enough of it is new: with a buffer for each segment of 64 MiB, that was 50 ms for each
 * segment (measured with a heap of 45 MB). So addresses are reserved a gigabyte at a time, with no
 * memory behind them, and segments are mapped into them.
 *
 * Lifetime: on Node 22 and later the buffer is detached when the last of its mappings ended, so
 * that no stale array can reach what is no longer mapped, and the addresses are given back. Node 20
 * cannot detach; there they are given back when the buffer has become unreachable, never before, or
 * when its thread exits: a thread's end does not collect what is unreachable. What they hold until then is
 * nobody's memory: files that stayed mapped would keep their blocks when they are removed.
 */
import { isMainThread } from 'node:worker_threads'
import {
  type Libc,
  mapAnonymous,
  mapFixed,
  mapNoReserve,
  mapPrivate,
  protectionRead,
  protectionWrite,
} from './libc.js'

interface Addresses {
  readonly libc: Libc
  readonly pointer: bigint
  readonly sizeBytes: number
}

const unreachable = new FinalizationRegistry<Addresses>((addresses) => {
  ended.delete(addresses)
  addresses.libc.munmap(addresses.pointer, addresses.sizeBytes)
})

/** What nothing is mapped into any more, and may still be reachable. */
const ended = new Set<Addresses>()

if (!isMainThread) {
  process.once('exit', () => {
    for (const addresses of ended) {
      unreachable.unregister(addresses)
      addresses.libc.munmap(addresses.pointer, addresses.sizeBytes)
    }
    ended.clear()
  })
}

/** Every page size in use divides it. */
const alignmentBytes = 65_536

export interface PlacedPages {
  readonly range: AddressRange
  readonly offset: number
  readonly sizeBytes: number
}

export class AddressRange {
  readonly buffer: ArrayBuffer
  readonly #addresses: Addresses
  #usedBytes = 0
  #mappingCount = 0
  #isFull = false
  #hasEnded = false

  constructor(libc: Libc, sizeBytes: number) {
    const flags = mapPrivate | mapAnonymous | mapNoReserve
    const pointer = libc.mmap(0n, sizeBytes, 0, flags, -1, 0)
    this.#addresses = { libc, pointer, sizeBytes }
    this.buffer = libc.view(pointer, sizeBytes)
    unreachable.register(this.buffer, this.#addresses, this.#addresses)
  }

  get freeBytes(): number {
    return this.#addresses.sizeBytes - this.#usedBytes
  }

  pointerAt(offset: number): bigint {
    return this.#addresses.pointer + BigInt(offset)
  }

  /** Maps a stretch of a file at the next free addresses; returns where they begin. */
  place(
    file: { readonly fd: number; readonly offset: number; readonly sizeBytes: number },
    access: { readonly protection: number; readonly flags: number },
  ): number {
    const { libc } = this.#addresses
    const start = this.#usedBytes
    libc.mmap(
      this.pointerAt(start),
      file.sizeBytes,
      access.protection,
      access.flags | mapFixed,
      file.fd,
      file.offset,
    )
    this.#usedBytes = start + Math.ceil(file.sizeBytes / alignmentBytes) * alignmentBytes
    this.#mappingCount++
    return start
  }

  /**
   * Puts nothing in the place of what was mapped there. For reading only: pages that the helper thread is
   * still to make resident would be taken for it otherwise.
   */
  blank(offset: number, sizeBytes: number): void {
    this.#putNothing(offset, sizeBytes, protectionRead)
  }

  #putNothing(offset: number, sizeBytes: number, protection: number): void {
    const flags = mapPrivate | mapAnonymous | mapNoReserve | mapFixed
    this.#addresses.libc.mmap(this.pointerAt(offset), sizeBytes, protection, flags, -1, 0)
  }

  /** No more mappings will be placed: the range ends with the last of them. */
  retire(): void {
    this.#isFull = true
    this.#endIfUnused()
  }

  /** One of the mappings ended. */
  release(): void {
    this.#mappingCount--
    this.#endIfUnused()
  }

  #endIfUnused(): void {
    if (!this.#isFull || this.#mappingCount > 0 || this.#hasEnded) return
    this.#hasEnded = true
    if (!canDetach(this.buffer)) {
      // A stale array takes a write and forgets it, as a detached one does.
      this.#putNothing(0, this.#addresses.sizeBytes, protectionRead | protectionWrite)
      ended.add(this.#addresses)
      return
    }
    this.buffer.transfer(0)
    unreachable.unregister(this.#addresses)
    const { libc, pointer, sizeBytes } = this.#addresses
    libc.munmap(pointer, sizeBytes)
  }
}

interface Detachable extends ArrayBuffer {
  transfer(sizeBytes: number): ArrayBuffer
}

function canDetach(buffer: ArrayBuffer): buffer is Detachable {
  return 'transfer' in buffer
}

/** The ranges of one store: a new one begins when the last is full. */
export class AddressSpace {
  readonly #libc: Libc
  readonly #rangeSizeBytes: number
  #range: AddressRange | undefined

  constructor(libc: Libc, rangeSizeBytes: number) {
    this.#libc = libc
    this.#rangeSizeBytes = rangeSizeBytes
  }

  rangeFor(sizeBytes: number): AddressRange {
    if (this.#range !== undefined && this.#range.freeBytes >= sizeBytes) return this.#range
    this.#range?.retire()
    const needed = Math.ceil(sizeBytes / alignmentBytes) * alignmentBytes
    this.#range = new AddressRange(this.#libc, Math.max(needed, this.#rangeSizeBytes))
    return this.#range
  }

  close(): void {
    this.#range?.retire()
    this.#range = undefined
  }
}
