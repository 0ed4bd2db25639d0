/**
 * The lock of a store: held by the operating system where it can be (`flock`), so that it dies
 * with its holder and a lock file left behind means nothing. The file's content names the holder
 * for messages only.
 *
 * Without FFI there is no `flock`. Then the claim is a second file, `<lock>.claim`, made atomically
 * with its content (a hard link), naming process, its start time, boot and thread: a claim whose
 * process is gone is taken over. Two cases stay for a human and are refused with `STORE_LOCKED`: a
 * claim made in another PID namespace, and one left by a thread that was terminated while its
 * process lives on. Both ways look at the claim, so that no two writers are ever in one store.
 */
import {
  closeSync,
  constants,
  existsSync,
  linkSync,
  openSync,
  readFileSync,
  readlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { type LockHolder, notWritableCodes, StoreError, systemErrorCode } from '../base/errors.js'
import type { Libc } from './libc.js'
import { nodeDirectories } from './node-files.js'
import type { FileLock, Lock, LockHolders } from './platform.js'

interface Claim extends LockHolder {
  readonly processStart: string
  readonly bootId: string
  readonly processNamespace: string
}

/**
 * The lock of a store that is not shared. A reader leaves no name, and without FFI it holds none:
 * it is refused where somebody has the store open for writing.
 */
export function takeLock(
  libc: Libc | undefined,
  path: string,
  mode: 'read' | 'write',
  holder: LockHolder,
): Lock {
  refuseLiveClaim(path)
  if (libc === undefined) {
    // Whoever has FFI holds the lock itself, which cannot be asked for here, and signs its file.
    const flockHolder = existsSync(path) ? readHolder(path) : undefined
    if (flockHolder !== undefined) throw lockedBy(path, flockHolder)
    return mode === 'write' ? claim(path, holder) : { release: () => undefined }
  }
  const lock = tryLock(libc, path, 'exclusive')
  if (lock === undefined) throw lockedBy(path, readHolder(path))
  if (mode === 'read') return lock
  signLock(path, holder)
  return {
    release: () => {
      // The directory may have been moved away.
      if (existsSync(path)) unsignLock(path)
      lock.release()
    },
  }
}

/** Writes who holds a lock into its file, for messages, and for those who have no FFI. */
function signLock(path: string, holder: LockHolder): void {
  writeFileSync(path, JSON.stringify(holder))
}

function unsignLock(path: string): void {
  truncateSync(path)
}

/**
 * `flock` on a file, through a descriptor of its own: Node closes it when the thread ends, the
 * kernel when the process does, and a spawned process does not inherit it. Closing drops the lock.
 * The file stays: unlinking it would let two lock two files.
 */
export function tryLock(
  libc: Libc | undefined,
  path: string,
  mode: 'shared' | 'exclusive',
): FileLock | undefined {
  if (libc === undefined) return { release: () => undefined, share: () => undefined }
  const fd = openLockFile(path)
  if (fd === undefined) return { release: () => undefined, share: () => undefined }
  return tryLockDescriptor(libc, fd, mode)
}

/** The same through a descriptor of Node's that serves nothing else; it is closed here. */
export function tryLockDescriptor(
  libc: Libc,
  fd: number,
  mode: 'shared' | 'exclusive',
): FileLock | undefined {
  let isLocked = false
  try {
    isLocked = libc.tryFlock(fd, mode === 'exclusive')
  } finally {
    if (!isLocked) closeSync(fd)
  }
  if (!isLocked) return undefined
  let isHeld = true
  return {
    release: () => {
      if (isHeld) closeSync(fd)
      isHeld = false
    },
    share: () => {
      libc.tryFlock(fd, false)
    },
  }
}

/** Undefined where there is none and none can be made: nobody can have written here either. */
function openLockFile(path: string): number | undefined {
  try {
    return openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600)
  } catch (error) {
    if (!notWritableCodes.includes(systemErrorCode(error) ?? '')) throw error
  }
  try {
    return openSync(path, constants.O_RDONLY)
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined
    throw error
  }
}

export function lockedBy(path: string, holder: LockHolder | undefined): StoreError {
  const who =
    holder === undefined
      ? 'by readers, or by somebody who left no name'
      : `by process ${holder.processId}, thread ${holder.threadId}, since ${holder.since}`
  return new StoreError('STORE_LOCKED', `the store is open already, ${who} (${path})`, {
    details: holder === undefined ? { file: path } : { file: path, holder },
  })
}

/**
 * Who wrote the lock file last, if that can be who holds the lock: readers hold it without a name,
 * and a writer that was killed leaves its own.
 */
function readHolder(path: string): LockHolder | undefined {
  const text = readFileSync(path, 'utf8')
  if (!text.endsWith('}')) return undefined
  const holder = JSON.parse(text) as LockHolder
  return isProcessAlive(holder.processId) ? holder : undefined
}

const claimPath = (path: string): string => `${path}.claim`

/** Undefined where there is none. One that cannot be read is somebody's all the same. */
function readClaim(path: string): Claim | undefined {
  let text: string
  try {
    text = readFileSync(claimPath(path), 'utf8')
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined
    throw error
  }
  try {
    return JSON.parse(text) as Claim
  } catch (error) {
    if (error instanceof SyntaxError) throw lockedBy(claimPath(path), undefined)
    throw error
  }
}

function refuseLiveClaim(path: string): void {
  const existing = readClaim(path)
  if (existing !== undefined && mayBeAlive(existing)) throw lockedBy(claimPath(path), existing)
}

function claim(path: string, holder: LockHolder): Lock {
  const mine: Claim = {
    ...holder,
    processStart: processStart(process.pid),
    bootId: nodeDirectories.bootId(),
    processNamespace: processNamespace(),
  }
  const temporary = `${claimPath(path)}.${process.pid}.${holder.threadId}`
  writeFileSync(temporary, JSON.stringify(mine), { mode: 0o600 })
  try {
    if (!tryLink(temporary, claimPath(path))) takeOver(path, temporary)
  } finally {
    unlinkSync(temporary)
  }
  return { release: () => unlinkSync(claimPath(path)) }
}

/**
 * Replaces a dead holder's claim. Two openers may both see it dead, so a second link decides who
 * replaces it; whoever is killed between these lines leaves that link for a human.
 */
function takeOver(path: string, temporary: string): void {
  const turn = `${claimPath(path)}.takeover`
  if (!tryLink(temporary, turn)) throw lockedBy(turn, readClaim(path))
  try {
    refuseLiveClaim(path)
    if (readClaim(path) !== undefined) unlinkSync(claimPath(path))
    if (!tryLink(temporary, claimPath(path))) throw lockedBy(claimPath(path), readClaim(path))
  } finally {
    unlinkSync(turn)
  }
}

function tryLink(from: string, to: string): boolean {
  try {
    linkSync(from, to)
    return true
  } catch (error) {
    if (systemErrorCode(error) === 'EEXIST') return false
    throw error
  }
}

function mayBeAlive(existing: Claim): boolean {
  const bootId = nodeDirectories.bootId()
  if (bootId !== '' && existing.bootId !== bootId) return false
  if (existing.processNamespace !== processNamespace()) return true
  if (!isProcessAlive(existing.processId)) return false
  // The number may have been given to another process since.
  return existing.processStart === processStart(existing.processId)
}

/** False only where there is certainly no such process. */
function isProcessAlive(processId: number): boolean {
  try {
    process.kill(processId, 0)
    return true
  } catch (error) {
    return systemErrorCode(error) !== 'ESRCH'
  }
}

/** The start time of a process in clock ticks since boot; '' where the system does not tell. */
function processStart(processId: number): string {
  if (process.platform !== 'linux') return ''
  try {
    const stat = readFileSync(`/proc/${processId}/stat`, 'latin1')
    // The name in parentheses may hold spaces; field 22 counts from after it.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? ''
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT' || systemErrorCode(error) === 'ESRCH') return 'gone'
    throw error
  }
}

function processNamespace(): string {
  return process.platform === 'linux' ? readlinkSync('/proc/self/ns/pid') : ''
}

/** Who holds a lock, as its file tells. */
export const fileHolders: LockHolders = {
  refuseClaim: refuseLiveClaim,
  sign: signLock,
  unsign: unsignLock,
  read: readHolder,
}

/** Where nobody outside this process can hold a lock, and its file is memory. */
export const noHolders: LockHolders = {
  refuseClaim: () => undefined,
  sign: () => undefined,
  unsign: () => undefined,
  read: () => undefined,
}
