/**
 * Memory of a segment that callers of the store get to keep (I11).
 *
 * A second mapping of the file, apart from the engine's own: it stays when the engine gives up the
 * segment, until no buffer over it can be reached any more. It is private: a caller who writes to a
 * view, against the contract, changes what views of that page show in this thread, and nothing of
 * the store.
 *
 * Buffers are of {@link chunkSizeBytes} and kept for the next view: a view is then one typed array.
 * `structuredClone` and `postMessage` copy the buffer under a view, so it is not a whole segment; and
 * each buffer counts as external memory to V8, which collects garbage the oftener the smaller they are
 * (measured on Node 20 for 1 GiB with a heap of 40 MB: 1,150 ms in all for buffers of 1 MiB, 380 for
 * 8 MiB, 250 for 64 MiB). A value that crosses from one to the next gets a buffer of its own.
 */
import { type Libc, mapNoReserve, mapPrivate, protectionRead, protectionWrite } from './libc.js'

const chunkShift = 23
const chunkSizeBytes = 2 ** chunkShift

/** What is to be unmapped when nothing reaches it. */
interface Pages {
  readonly libc: Libc
  readonly pointer: bigint
  readonly sizeBytes: number
  /** Buffers over it that were not collected yet. */
  bufferCount: number
  /** No more buffers will be made. */
  isReleased: boolean
  /** A buffer was emptied by a transfer, so another one, which nobody knows of, has its memory. */
  isTransferred: boolean
}

const collected = new FinalizationRegistry<Pages>((pages) => {
  pages.bufferCount--
  unmapUnreachable(pages)
})

export class ViewPages {
  readonly #pages: Pages
  readonly #chunks: (ArrayBuffer | undefined)[] = []
  /** Where {@link place} found the bytes. */
  buffer: ArrayBuffer = new ArrayBuffer(0)
  byteOffset = 0

  /** Maps a stretch of a file, whose descriptor may be closed afterwards. */
  constructor(
    libc: Libc,
    {
      fd,
      offset,
      sizeBytes,
    }: { readonly fd: number; readonly offset: number; readonly sizeBytes: number },
  ) {
    const protection = protectionRead | protectionWrite
    const pointer = libc.mmap(0n, sizeBytes, protection, mapPrivate | mapNoReserve, fd, offset)
    this.#pages = {
      libc,
      pointer,
      sizeBytes,
      bufferCount: 0,
      isReleased: false,
      isTransferred: false,
    }
  }

  /** Finds `sizeBytes`, at least one, from `offset` of the stretch: sets `buffer` and `byteOffset`. */
  place(offset: number, sizeBytes: number): void {
    const chunk = Math.floor(offset / chunkSizeBytes)
    const start = chunk * chunkSizeBytes
    if (offset + sizeBytes > start + chunkSizeBytes) {
      this.buffer = this.#makeBuffer(offset, sizeBytes)
      this.byteOffset = 0
      return
    }
    const known = this.#chunks[chunk]
    if (known !== undefined && known.byteLength !== 0) this.buffer = known
    else this.buffer = this.#makeChunk(chunk, start)
    this.byteOffset = offset - start
  }

  #makeChunk(chunk: number, start: number): ArrayBuffer {
    if (this.#chunks[chunk] !== undefined) this.#pages.isTransferred = true
    const size = Math.min(chunkSizeBytes, this.#pages.sizeBytes - start)
    const buffer = this.#makeBuffer(start, size)
    this.#chunks[chunk] = buffer
    return buffer
  }

  #makeBuffer(offset: number, sizeBytes: number): ArrayBuffer {
    const pages = this.#pages
    const buffer = pages.libc.view(pages.pointer + BigInt(offset), sizeBytes)
    // A transfer would empty every view of the buffer; Node refuses those of `postMessage` itself.
    if ('transfer' in buffer) {
      Object.defineProperties(buffer, { transfer: copying, transferToFixedLength: copying })
    }
    pages.bufferCount++
    collected.register(buffer, pages)
    return buffer
  }

  /** Makes no more views: those that were made stay as they are for as long as they can be reached. */
  release(): void {
    const pages = this.#pages
    pages.isTransferred ||= this.#chunks.some((buffer) => buffer?.byteLength === 0)
    this.#chunks.length = 0
    this.buffer = new ArrayBuffer(0)
    pages.isReleased = true
    unmapUnreachable(pages)
  }
}

/** In the place of `transfer`: gives a copy, and leaves the buffer as it is. */
const copying: PropertyDescriptor = {
  value: function transfer(this: ArrayBuffer, sizeBytes: number = this.byteLength): ArrayBuffer {
    const copy = new Uint8Array(sizeBytes)
    copy.set(new Uint8Array(this, 0, Math.min(sizeBytes, this.byteLength)))
    return copy.buffer
  },
}

function unmapUnreachable(pages: Pages): void {
  if (!pages.isReleased || pages.bufferCount > 0 || pages.isTransferred) return
  // Once: what is mapped there next is somebody else's.
  pages.isTransferred = true
  pages.libc.munmap(pages.pointer, pages.sizeBytes)
}
