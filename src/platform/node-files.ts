/**
 * Positioned I/O on real files through `node:fs`, shared by the `mmap` and `file` back ends.
 * Opening, recovery and verification read through here and not through a mapping, so that a bad
 * medium or a file cut short is a typed error instead of a signal.
 */
import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  fdatasync,
  fdatasyncSync,
  fstatSync,
  fsync,
  fsyncSync,
  mkdirSync,
  openSync,
  read,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  statSync,
  unlink,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { constants as osConstants } from 'node:os'
import { dirname, resolve } from 'node:path'
import { notWritableCodes, StoreError, systemErrorCode } from '../base/errors.js'
import { type Libc, systemError } from './libc.js'
import type { FileIdentity } from './platform.js'

const openFlags = {
  read: constants.O_RDONLY,
  write: constants.O_RDWR,
  create: constants.O_RDWR | constants.O_CREAT,
} as const

/** Only the owner may read a store: it may hold secrets. */
const fileMode = 0o600
const directoryMode = 0o700
const zeroChunkSizeBytes = 1 << 20

export class NodeFile {
  readonly path: string
  readonly fd: number
  readonly #libc: Libc | undefined
  #closed = false

  constructor(libc: Libc | undefined, path: string, mode: 'read' | 'write' | 'create') {
    this.#libc = libc
    this.path = path
    this.fd = openSync(path, openFlags[mode] | (constants.O_NOFOLLOW ?? 0), fileMode)
  }

  identity(): FileIdentity {
    const { dev, ino } = fstatSync(this.fd)
    return { device: dev, inode: ino }
  }

  sizeBytes(): number {
    return fstatSync(this.fd).size
  }

  reservedBytes(): number {
    const { size, blocks } = fstatSync(this.fd)
    return Math.min(size, blocks * 512)
  }

  read(target: Uint8Array, position: number): number {
    return readAt(this.fd, target, position)
  }

  async readAsync(target: Uint8Array, position: number): Promise<number> {
    let done = 0
    while (done < target.byteLength) {
      const count = await readSome(this.fd, target.subarray(done), position + done)
      if (count === 0) break
      done += count
    }
    return done
  }

  write(source: Uint8Array, position: number): void {
    try {
      writeAt(this.fd, source, position)
    } catch (error) {
      throw asStoreFull(error, this.path)
    }
  }

  reserve(sizeBytes: number): void {
    if (this.reservedBytes() >= sizeBytes) return
    const { EOPNOTSUPP, EINVAL } = osConstants.errno
    const failure = this.#libc?.fallocate(this.fd, sizeBytes) ?? EOPNOTSUPP
    if (failure === 0) return
    if (failure !== EOPNOTSUPP && failure !== EINVAL) {
      throw asStoreFull(systemError('fallocate', failure), this.path)
    }
    this.#writeZeros(this.sizeBytes(), sizeBytes)
  }

  /** The way where the file system cannot reserve blocks. */
  #writeZeros(from: number, to: number): void {
    const zeros = new Uint8Array(Math.min(zeroChunkSizeBytes, Math.max(0, to - from)))
    for (let position = from; position < to; position += zeros.byteLength) {
      this.write(zeros.subarray(0, Math.min(zeros.byteLength, to - position)), position)
    }
  }

  sync(): Promise<void> {
    // A growing file's size is data's metadata: fdatasync flushes it where reading needs it.
    return new Promise((done, failed) => {
      fdatasync(this.fd, (error) => (error ? failed(error) : done()))
    })
  }

  syncNow(): void {
    fdatasyncSync(this.fd)
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    closeSync(this.fd)
  }
}

const readSome = (fd: number, target: Uint8Array, position: number): Promise<number> =>
  new Promise((done, failed) => {
    read(fd, target, 0, target.byteLength, position, (error, count) => {
      if (error) failed(error)
      else done(count)
    })
  })

/** Reads up to the size of `target`; fewer bytes only where the file ends. */
export function readAt(fd: number, target: Uint8Array, position: number): number {
  let done = 0
  while (done < target.byteLength) {
    const count = readSync(fd, target, done, target.byteLength - done, position + done)
    if (count === 0) break
    done += count
  }
  return done
}

/** Writes all of `source`. */
export function writeAt(fd: number, source: Uint8Array, position: number): void {
  for (let done = 0; done < source.byteLength; ) {
    done += writeSync(fd, source, done, source.byteLength - done, position + done)
  }
}

/**
 * Makes a directory, and those above it. Not the recursive call of `mkdirSync`: in Node 20 it never
 * returns where one above exists and takes no entries, as in /proc.
 */
function makeDirectory(path: string): void {
  if (existsSync(path)) return
  const parent = dirname(path)
  if (parent !== path) makeDirectory(parent)
  try {
    mkdirSync(path, { mode: directoryMode })
  } catch (error) {
    // Made by somebody else meanwhile.
    if (!existsSync(path)) throw error
  }
  nameDurably(parent)
}

/** Without its name in the one above, a directory is lost with all that was synced in it. */
function nameDurably(parent: string): void {
  try {
    nodeDirectories.syncDirectory(parent)
  } catch (error) {
    // One may make a directory where one may not read.
    if (!notWritableCodes.includes(systemErrorCode(error) ?? '')) throw error
  }
}

/** The part of `Platform` that is the same wherever there are real files. */
export const nodeDirectories = {
  bootId(): string {
    return process.platform === 'linux'
      ? readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
      : ''
  },

  mountId(directory: string): string {
    if (process.platform !== 'linux') return ''
    const path = `${resolve(directory)}/`
    let best = { id: '', mountPoint: '' }
    for (const line of readFileSync('/proc/self/mountinfo', 'utf8').split('\n')) {
      const [id, , , , mountPoint] = line.split(' ')
      if (id === undefined || mountPoint === undefined) continue
      const prefix = mountPoint.endsWith('/') ? mountPoint : `${mountPoint}/`
      // Of two mounts on one point the later one is seen.
      if (path.startsWith(prefix) && mountPoint.length >= best.mountPoint.length) {
        best = { id, mountPoint }
      }
    }
    return best.id
  },

  exists: (path: string): boolean => existsSync(path),

  isDirectory: (path: string): boolean => statSync(path).isDirectory(),

  isWritable(directory: string): boolean {
    try {
      accessSync(directory, constants.W_OK)
      return true
    } catch (error) {
      if (notWritableCodes.includes(systemErrorCode(error) ?? '')) return false
      throw error
    }
  },

  createDirectory: makeDirectory,

  list: (directory: string): string[] => readdirSync(directory),

  rename: (from: string, to: string): void => renameSync(from, to),

  remove: (path: string): void => unlinkSync(path),

  removeAsync(path: string): Promise<void> {
    return new Promise((done, failed) => {
      unlink(path, (error) => (error ? failed(error) : done()))
    })
  },

  syncDirectory(path: string): void {
    if (process.platform === 'win32') return
    const fd = openSync(path, constants.O_RDONLY)
    try {
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
  },

  syncDirectoryAsync(path: string): Promise<void> {
    if (process.platform === 'win32') return Promise.resolve()
    return new Promise((done, failed) => {
      const fd = openSync(path, constants.O_RDONLY)
      fsync(fd, (error) => {
        closeSync(fd)
        if (error) failed(error)
        else done()
      })
    })
  },

  memoryHandle: undefined,

  attach: (): void => undefined,

  detach: (): void => undefined,

  close: (): void => undefined,

  nowMs: (): number => Date.now(),
}

/** `STORE_FULL` for errors that mean "no space", anything else unchanged. */
export function asStoreFull(error: unknown, path: string): unknown {
  const code = systemErrorCode(error)
  if (code !== 'ENOSPC' && code !== 'EDQUOT' && code !== 'EFBIG') return error
  return new StoreError('STORE_FULL', `no space left for ${path}`, {
    details: { file: path },
    cause: error,
  })
}
