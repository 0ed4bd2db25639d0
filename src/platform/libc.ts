/**
 * The calls of the C library that Node does not offer, through koffi (prebuilt, optional). They map,
 * advise, reserve, lock and make files without a name; no key or value is ever read or written
 * through them.
 *
 * Not here: policy. `mmap` reports failure as all ones, not as null; that is turned into an error
 * here, the rest is the caller's.
 */
import { createRequire } from 'node:module'
import { constants as osConstants } from 'node:os'

type Pointer = bigint

export interface Libc {
  /** At `pointer`, or where the kernel likes for 0. */
  mmap(
    pointer: Pointer,
    sizeBytes: number,
    protection: number,
    flags: number,
    fd: number,
    offset: number,
  ): Pointer
  munmap(pointer: Pointer, sizeBytes: number): void
  /** A zero-copy ArrayBuffer over mapped memory. */
  view(pointer: Pointer, sizeBytes: number): ArrayBuffer
  msync(pointer: Pointer, sizeBytes: number): void
  /** Advice: its outcome changes nothing but speed. */
  advise(pointer: Pointer, sizeBytes: number, advice: number): void
  /** False where a page of this memory would have to be read from the medium. */
  isResident(pointer: Pointer, sizeBytes: number): boolean
  /** Bytes of the pages of this memory that are in memory, whoever brought them there. */
  residentBytes(pointer: Pointer, sizeBytes: number): number
  /** Advice: pages of a file that are clean, and that nobody has mapped, are not needed any more. */
  adviseUnneeded(fd: number, offset: number, sizeBytes: number): void
  /** 0, or the error number. */
  fallocate(fd: number, sizeBytes: number): number
  /** False where another holder has it. */
  tryFlock(fd: number, exclusive: boolean): boolean
  /** A file in memory, with no path: its descriptor, which is not Node's to close. Linux only. */
  createMemoryFile(label: string): number
  /** For descriptors that {@link createMemoryFile} made. */
  close(fd: number): void
}

export const protectionRead = 1
export const protectionWrite = 2
export const mapShared = 1
export const mapPrivate = 2
export const mapFixed = 0x10
export const mapAnonymous = process.platform === 'linux' ? 0x20 : 0x1000
export const mapNoReserve = process.platform === 'linux' ? 0x4000 : 0x40
/** Linux 5.14 and later; older kernels and other systems refuse it, which only costs speed. */
export const advicePopulateWrite = 23
/** No reading ahead: of what is touched one page is read. */
export const adviceRandom = 1
/** Of a shared mapping: its pages leave this address space, and stay what they are in the page cache. */
export const adviceDontNeed = 4

/** To `posix_fadvise`. */
const fileAdviceDontNeed = 4

const lockShared = 1
const lockExclusive = 2
const lockNonBlocking = 4
/** Processes that are started do not inherit the descriptor. */
const memoryFileCloseOnExec = 1
const mapFailed = 0xffffffffffffffffn

type KoffiFunction = (...args: unknown[]) => unknown

interface Koffi {
  load(path: string): { func(definition: string): KoffiFunction }
  view(pointer: unknown, sizeBytes: number): ArrayBuffer
  address(pointer: unknown): bigint
  errno(): number
}

const libraryNames: Readonly<Record<string, readonly string[]>> = {
  linux: ['libc.so.6', 'libc.musl-x86_64.so.1', 'libc.musl-aarch64.so.1'],
  darwin: ['libSystem.B.dylib'],
}

let loaded: Libc | undefined
let loadFailure: unknown

/** The C library, or undefined where there is no FFI (see {@link libcFailure}). Loaded once. */
export function loadLibc(): Libc | undefined {
  if (loaded === undefined && loadFailure === undefined) {
    try {
      loaded = bind(requireKoffi())
    } catch (error) {
      loadFailure = error
    }
  }
  return loaded
}

/** Why {@link loadLibc} gave nothing. */
export function libcFailure(): unknown {
  return loadFailure
}

/** An error with the `code` that Node would give it. */
export function systemError(call: string, errorNumber: number): Error {
  const entry = Object.entries(osConstants.errno).find(([, value]) => value === errorNumber)
  const code = entry?.[0] ?? `E${errorNumber}`
  return Object.assign(new Error(`${call} failed: ${code}`), { code })
}

function requireKoffi(): Koffi {
  if (process.versions.electron !== undefined) {
    throw new Error('Electron does not allow buffers over mapped memory')
  }
  return createRequire(import.meta.url)('koffi') as Koffi
}

function openLibrary(koffi: Koffi): ReturnType<Koffi['load']> {
  const failures: unknown[] = []
  for (const name of libraryNames[process.platform] ?? []) {
    try {
      return koffi.load(name)
    } catch (error) {
      failures.push(error)
    }
  }
  throw new AggregateError(failures, `no C library could be loaded on ${process.platform}`)
}

function bind(koffi: Koffi): Libc {
  const library = openLibrary(koffi)
  const mmap = library.func('void *mmap(void *, size_t, int, int, int, int64_t)')
  const munmap = library.func('int munmap(void *, size_t)')
  const msync = library.func('int msync(void *, size_t, int)')
  const madvise = library.func('int madvise(void *, size_t, int)')
  const flock = library.func('int flock(int, int)')
  const fallocate =
    process.platform === 'linux'
      ? library.func('int fallocate(int, int, int64_t, int64_t)')
      : undefined

  const memfdCreate =
    process.platform === 'linux'
      ? library.func('int memfd_create(const char *, unsigned int)')
      : undefined
  const close = library.func('int close(int)')
  const fadvise =
    process.platform === 'linux'
      ? library.func('int posix_fadvise(int, int64_t, int64_t, int)')
      : undefined
  const mincore = library.func('int mincore(void *, size_t, _Out_ uint8_t *)')
  const pageSizeBytes = library.func('int getpagesize()')() as number

  const fail = (call: string): never => {
    throw systemError(call, koffi.errno())
  }
  /** A byte for each page, whose lowest bit says that it is in memory; undefined where it cannot be told. */
  const residency = (pointer: Pointer, sizeBytes: number): Uint8Array | undefined => {
    const startBytes = Number(pointer % BigInt(pageSizeBytes))
    const pages = new Uint8Array(Math.ceil((startBytes + sizeBytes) / pageSizeBytes))
    const start = pointer - BigInt(startBytes)
    return mincore(start, startBytes + sizeBytes, pages) === 0 ? pages : undefined
  }
  return {
    mmap(at, sizeBytes, protection, flags, fd, offset) {
      const wanted = at === 0n ? null : at
      const pointer = mmap(wanted, sizeBytes, protection, flags, fd, offset)
      const address = pointer === null ? 0n : koffi.address(pointer)
      if (address === mapFailed || address === 0n) return fail('mmap')
      return address
    },
    munmap(pointer, sizeBytes) {
      if (munmap(pointer, sizeBytes) !== 0) fail('munmap')
    },
    view: (pointer, sizeBytes) => koffi.view(pointer, sizeBytes),
    msync(pointer, sizeBytes) {
      const syncNow = process.platform === 'darwin' ? 0x10 : 4
      if (msync(pointer, sizeBytes, syncNow) !== 0) fail('msync')
    },
    advise(pointer, sizeBytes, advice) {
      madvise(pointer, sizeBytes, advice)
    },
    isResident(pointer, sizeBytes) {
      // Where it cannot be told, whoever asks reads without having waited.
      return residency(pointer, sizeBytes)?.every((page) => (page & 1) === 1) ?? true
    },
    residentBytes(pointer, sizeBytes) {
      const pages = residency(pointer, sizeBytes)
      if (pages === undefined) return 0
      let count = 0
      for (const page of pages) count += page & 1
      return Math.min(sizeBytes, count * pageSizeBytes)
    },
    adviseUnneeded(fd, offset, sizeBytes) {
      fadvise?.(fd, offset, sizeBytes, fileAdviceDontNeed)
    },
    fallocate(fd, sizeBytes) {
      if (fallocate === undefined) return osConstants.errno.EOPNOTSUPP
      // Not `posix_fallocate`: where the file system cannot, that writes zeros into a file that others write to.
      return fallocate(fd, 0, 0, sizeBytes) === 0 ? 0 : koffi.errno()
    },
    tryFlock(fd, exclusive) {
      const operation = (exclusive ? lockExclusive : lockShared) | lockNonBlocking
      if (flock(fd, operation) === 0) return true
      const number = koffi.errno()
      if (number === osConstants.errno.EWOULDBLOCK || number === osConstants.errno.EAGAIN) {
        return false
      }
      return fail('flock')
    },
    createMemoryFile(label) {
      if (memfdCreate === undefined) {
        throw systemError('memfd_create', osConstants.errno.EOPNOTSUPP)
      }
      const fd = memfdCreate(label, memoryFileCloseOnExec) as number
      return fd === -1 ? fail('memfd_create') : fd
    },
    close(fd) {
      if (close(fd) !== 0) fail('close')
    },
  }
}
