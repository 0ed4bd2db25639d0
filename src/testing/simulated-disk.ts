/**
 * A disk in memory that knows what would be left of it: which sectors of 512 bytes, and which names,
 * a sync has covered, and in how many ways each other one may be found after a crash.
 *
 * What processes see is the page cache: every change at once. {@link SimulatedDisk.crash} gives the disk
 * as another boot finds it: of everything that no sync covered the caller picks what arrived, sector by
 * sector and name by name, in any combination. A sync of a file covers its sectors and its size as they
 * were when it began; a sync of a directory covers the names made, changed and removed in it by then.
 * A rename is atomic, and a sector is old or new; nothing else is assumed.
 */
import { dirname } from 'node:path'
import { StoreError } from '../base/errors.js'
import { shown } from '../base/shown.js'
import type { Platform } from '../platform/platform.js'
import { BufferPool } from './buffer-pool.js'
import { type DiskCall, type Fault, Faults, systemError } from './faults.js'
import { type PickSector, SimulatedFile, sectorSizeBytes, takeVersionId } from './simulated-file.js'
import { createSimulatedPlatform } from './simulated-platform.js'

/** Something that may be found in several ways after a crash; way 0 is how the last sync left it. */
export interface Uncertainty {
  readonly kind: 'sector' | 'size' | 'name'
  /** The path under which the file is, or was, known. */
  readonly path: string
  /** Which file, however it is called; 0 for a name. */
  readonly inode: number
  /** Of a sector: its number in the file. Of a name: which of the changes that no sync covered. */
  readonly sector: number
  /** Ways in which it may be found: 2 for old or new, more where it changed more than once. */
  readonly count: number
  /** When each way came to be, in numbers that only grow: 0 for way 0. */
  readonly moments: readonly number[]
}

/** Says in which way something is found: a number below `count`. */
export type Pick = (uncertainty: Uncertainty) => number

/** A change that is about to happen on the disk: a moment at which it is worth to crash. */
export interface DiskChange {
  readonly call: DiskCall
  readonly path: string
}

/** A change of names that no sync covers. */
interface NameChange {
  readonly id: number
  readonly from: string | undefined
  readonly to: string | undefined
  readonly file: SimulatedFile | undefined
}

export interface DiskOptions {
  /** Whether files can be mapped into memory. Default 'mmap'. */
  readonly mapping?: 'mmap' | 'file'
  /** Bytes that all files together may have. Default: any number. */
  readonly capacityBytes?: number
}

const sharedPool = new BufferPool()
let bootCount = 0

export class SimulatedDisk {
  /** @internal What the store is opened on. */
  readonly platform: Platform
  readonly mapping: 'mmap' | 'file'
  /** Of the machine's boot: memory is believed only on the one that wrote it. */
  bootId: string = `simulated-boot-${++bootCount}`
  /** Of the mount: another one is a reason not to believe memory. */
  mountId = 'simulated'
  /** Failures on demand. May be handed on to the disk of the next boot. */
  faults: Faults = new Faults()
  /** Bytes that all files together may have. */
  capacityBytes: number
  /** True while asynchronous syncs are kept from ending: see {@link releaseSyncs}. */
  holdsSyncs = false
  /** Called before each change of the disk; a sync changes it when it ends. */
  onChange: ((change: DiskChange) => void) | undefined
  /** @internal True where a store was open to read: it writes to memory of its own. */
  hasReaders = false
  /** Whether a page that a failed sync calls clean was written. Default: it was not. */
  isWrittenByFailedSync: () => boolean = () => false
  #names = new Map<string, SimulatedFile>()
  #durableNames = new Map<string, SimulatedFile>()
  #nameChanges: NameChange[] = []
  readonly #durableNameIds = new Map<string, number>()
  readonly #directories = new Set<string>(['/'])
  readonly #locks = new Map<string, { holders: number; isExclusive: boolean }>()
  readonly #files = new Set<SimulatedFile>()
  #held: (() => void)[] = []
  #atEnd: (() => void)[] = []
  #nextInode = 1
  #isGone = false
  #nowMs = Date.UTC(2030, 0, 1)

  constructor(options: DiskOptions = {}) {
    checkDiskOptions(options)
    const { mapping = 'mmap', capacityBytes = Number.POSITIVE_INFINITY } = options
    this.mapping = mapping
    this.capacityBytes = capacityBytes
    this.platform = createSimulatedPlatform(this)
  }

  /** Milliseconds since 1970 by the clock of this disk's machine: it moves when it is looked at. */
  nowMs(): number {
    this.#nowMs += 0.25
    return Math.floor(this.#nowMs)
  }

  /**
   * Looks at all memory: what it holds now may be on the medium after a crash. It is looked at before every
   * sync and crash anyway; between two looks only the last of several changes counts.
   */
  observe(): void {
    for (const file of this.#files) file.observe()
  }

  /** Everything that may be found in several ways if the machine crashed now. */
  uncertainties(): Uncertainty[] {
    const found: Uncertainty[] = []
    for (const [index, change] of this.#nameChanges.entries()) {
      found.push(asUncertainty(change, index))
    }
    for (const [file, path] of this.#reachable()) {
      const { inode } = file
      for (const [sector, moments] of file.unsyncedSectors()) {
        found.push({ kind: 'sector', path, inode, sector, count: moments.length, moments })
      }
      const moments = file.sizeMoments()
      const count = moments.length
      if (count > 1) found.push({ kind: 'size', path, inode, sector: 0, count, moments })
    }
    return found
  }

  /**
   * The disk as the next boot finds it. This one goes on: a crash at every moment of one run can be
   * looked at.
   */
  crash(pick: Pick): SimulatedDisk {
    if (typeof pick !== 'function') {
      throw new TypeError(
        `pick is ${shown(pick)}; accepted: a function that says in which way, from 0 to count - 1, a thing is found`,
      )
    }
    const { capacityBytes, mapping } = this
    const next = new SimulatedDisk({ mapping, capacityBytes })
    const images = new Map<SimulatedFile, SimulatedFile>()
    for (const [path, file] of this.#namesPicked(pick)) {
      let image = images.get(file)
      if (image === undefined) {
        file.observe()
        const content = file.image(...picksOf(file, path, pick))
        image = new SimulatedFile(file.inode, sharedPool, content)
        images.set(file, image)
      }
      next.#names.set(path, image)
      next.#durableNames.set(path, image)
      next.#files.add(image)
    }
    for (const directory of this.#directories) next.#directories.add(directory)
    next.#nextInode = this.#nextInode
    next.#nowMs = this.#nowMs
    return next
  }

  /** The disk as the processes left it that were killed this moment: no byte of the page cache is lost. */
  kill(): SimulatedDisk {
    const next = this.crash(({ count }) => count - 1)
    next.bootId = this.bootId
    next.mountId = this.mountId
    return next
  }

  /** Equal for picks that give the same disk; of one disk and its moments only. */
  crashKey(pick: Pick): string {
    const parts: string[] = []
    for (const [path, file] of this.#namesPicked(pick)) {
      file.observe()
      parts.push(`${path}=${file.inode},${file.imageKey(...picksOf(file, path, pick))}`)
    }
    return parts.sort().join('|')
  }

  /** What a kill of all processes leaves: the page cache as it is, and no locks. */
  killProcesses(): void {
    for (const action of this.#atEnd) action()
    this.#atEnd = []
    this.#locks.clear()
    this.#held = []
  }

  /** Gives the memory of all files back. Whatever was open on the disk must not be used again. */
  dispose(): void {
    this.killProcesses()
    this.#isGone = true
    for (const file of this.#files) file.release(!this.hasReaders)
    this.#files.clear()
  }

  /** Ends the syncs that {@link holdsSyncs} keeps. */
  releaseSyncs(): void {
    const held = this.#held
    this.#held = []
    for (const end of held) end()
  }

  /** The paths of all files. */
  paths(): string[] {
    return [...this.#names.keys()].sort()
  }

  /** The bytes of a file as processes see them. */
  contentOf(path: string): Uint8Array {
    const file = this.#find(path)
    const bytes = new Uint8Array(file.sizeBytes)
    file.read(bytes, 0)
    return bytes
  }

  /** Changes bytes of a file, on the medium and in memory, without a word to anybody. */
  damage(path: string, position: number, bytes: Uint8Array): void {
    this.#find(path).damage(bytes, position)
  }

  /** What a write that went astray leaves: the bytes of one sector in the place of another. */
  misdirect(from: Sector, to: Sector): void {
    this.damage(to.path, to.sector * sectorSizeBytes, this.#sectorBytes(from))
  }

  /** Two sectors, of one file or of two, change places. */
  swap(a: Sector, b: Sector): void {
    const bytes = this.#sectorBytes(a)
    this.misdirect(b, a)
    this.damage(b.path, b.sector * sectorSizeBytes, bytes)
  }

  /** @internal Called when the processes on this disk end. */
  atEnd(action: () => void): void {
    this.#atEnd.push(action)
  }

  // From here on: what the platform asks.

  /** @internal */
  find(path: string): SimulatedFile | undefined {
    this.#requireThere()
    return this.#names.get(path)
  }

  /** @internal */
  list(directory: string): string[] {
    this.meet('list', directory)
    const prefix = `${directory}/`
    return [...this.#names.keys()]
      .filter((path) => path.startsWith(prefix))
      .map((path) => path.slice(prefix.length))
  }

  /** @internal */
  isDirectory(path: string): boolean {
    return this.#directories.has(path)
  }

  /** @internal */
  createDirectory(path: string): void {
    this.#requireThere()
    this.#directories.add(path)
  }

  /** @internal */
  open(path: string, mode: 'read' | 'write' | 'create'): SimulatedFile {
    this.meet('open', path)
    const known = this.#names.get(path)
    if (known !== undefined) return known
    if (mode !== 'create') throw systemError('ENOENT', `no such file: ${path}`)
    this.meet('directory', path)
    this.#tell('directory', path)
    const file = new SimulatedFile(this.#nextInode++, sharedPool)
    this.#files.add(file)
    this.#changeName({ from: undefined, to: path, file })
    return file
  }

  /** @internal */
  rename(from: string, to: string): void {
    this.meet('directory', to)
    this.#tell('directory', to)
    this.#changeName({ from, to, file: this.#find(from) })
  }

  /** @internal */
  remove(path: string): void {
    this.meet('directory', path)
    this.#find(path)
    this.#tell('directory', path)
    this.#changeName({ from: path, to: undefined, file: undefined })
  }

  /** @internal */
  read(file: SimulatedFile, path: string, target: Uint8Array, position: number): number {
    this.meet('read', path)
    return file.read(target, position)
  }

  /** @internal */
  write(file: SimulatedFile, path: string, source: Uint8Array, position: number): void {
    this.#requireThere()
    const fault = this.faults.meet('write')
    this.#tell('write', path)
    const room = this.#roomBytes() + file.sizeBytes - position
    const arriving = Math.min(source.byteLength, room, fault?.arrivingBytes ?? Infinity)
    const isShort = arriving < source.byteLength
    if (fault === undefined || fault.arrivingBytes !== undefined) {
      if (arriving > 0) file.write(source.subarray(0, arriving), position)
    }
    if (fault !== undefined) throw asFull(fault.code ?? 'EIO', 'write', path)
    if (isShort) throw asFull('ENOSPC', 'write', path)
  }

  /** @internal */
  reserve(file: SimulatedFile, path: string, sizeBytes: number): void {
    this.#requireThere()
    if (file.sizeBytes >= sizeBytes) return
    const fault = this.faults.meet('reserve')
    this.#tell('reserve', path)
    if (fault !== undefined) throw asFull(fault.code ?? 'EIO', 'fallocate', path)
    if (sizeBytes - file.sizeBytes > this.#roomBytes()) throw asFull('ENOSPC', 'fallocate', path)
    file.grow(sizeBytes)
  }

  /** @internal */
  async sync(file: SimulatedFile, path: string): Promise<void> {
    this.#requireThere()
    const start = file.beginSync()
    const fault = this.faults.meet('sync')
    if (this.holdsSyncs) await new Promise<void>((end) => this.#held.push(end))
    else await Promise.resolve()
    this.#endSync(file, path, start, fault)
  }

  /** @internal */
  syncNow(file: SimulatedFile, path: string): void {
    this.#requireThere()
    this.#endSync(file, path, file.beginSync(), this.faults.meet('sync'))
  }

  /** @internal */
  syncDirectory(path: string): void {
    this.meet('syncDirectory', path)
    this.#tell('syncDirectory', path)
    this.#settleNames(path, this.#nameChanges)
  }

  /** @internal */
  async syncDirectoryAsync(path: string): Promise<void> {
    const changes = [...this.#nameChanges]
    if (this.holdsSyncs) await new Promise<void>((end) => this.#held.push(end))
    else await Promise.resolve()
    this.meet('syncDirectory', path)
    this.#tell('syncDirectory', path)
    this.#settleNames(path, changes)
  }

  /** @internal Counts a call, and throws where it is to fail. */
  meet(call: DiskCall, path: string): void {
    this.#requireThere()
    const fault = this.faults.meet(call)
    if (fault !== undefined) throw systemError(fault.code ?? 'EIO', `${call} ${path}`)
  }

  /** @internal */
  tryLock(path: string, mode: 'shared' | 'exclusive'): (() => void) | undefined {
    const held = this.#locks.get(path)
    if (held !== undefined && (held.isExclusive || mode === 'exclusive')) return undefined
    const lock = held ?? { holders: 0, isExclusive: mode === 'exclusive' }
    lock.holders++
    this.#locks.set(path, lock)
    return () => {
      lock.holders--
      if (lock.holders === 0 && this.#locks.get(path) === lock) this.#locks.delete(path)
    }
  }

  /** @internal */
  shareLock(path: string): void {
    const lock = this.#locks.get(path)
    if (lock !== undefined) lock.isExclusive = false
  }

  #endSync(
    file: SimulatedFile,
    path: string,
    start: ReturnType<SimulatedFile['beginSync']>,
    fault: Fault | undefined,
  ): void {
    if (this.#isGone) return
    this.#tell('sync', path)
    if (fault === undefined) {
      file.completeSync(start)
      return
    }
    file.failSync(start, this.isWrittenByFailedSync)
    throw systemError(fault.code ?? 'EIO', `fdatasync ${path}`)
  }

  #settleNames(directory: string, changes: readonly NameChange[]): void {
    const isIn = ({ from, to }: NameChange): boolean => dirname(to ?? from ?? '') === directory
    for (const change of changes) {
      if (!isIn(change) || !this.#nameChanges.includes(change)) continue
      apply(this.#durableNames, change)
      this.#durableNameIds.set(change.to ?? change.from ?? '', change.id)
    }
    this.#nameChanges = this.#nameChanges.filter(
      (change) => !(changes.includes(change) && isIn(change)),
    )
  }

  #changeName(change: Omit<NameChange, 'id'>): void {
    apply(this.#names, change)
    this.#nameChanges.push({ id: takeVersionId(), ...change })
  }

  #namesPicked(pick: Pick): Map<string, SimulatedFile> {
    const names = new Map(this.#durableNames)
    for (const [index, change] of this.#nameChanges.entries()) {
      if (pick(asUncertainty(change, index)) === 1) apply(names, change)
    }
    return names
  }

  /** Every file that may have a name after a crash, with the latest of its names. */
  #reachable(): Map<SimulatedFile, string> {
    const paths = new Map<SimulatedFile, string>()
    for (const [path, file] of this.#durableNames) paths.set(file, path)
    for (const { file, to } of this.#nameChanges) {
      if (file !== undefined && to !== undefined) paths.set(file, to)
    }
    return paths
  }

  #roomBytes(): number {
    if (this.capacityBytes === Number.POSITIVE_INFINITY) return this.capacityBytes
    let used = 0
    for (const file of new Set(this.#names.values())) used += file.sizeBytes
    return Math.max(0, this.capacityBytes - used)
  }

  #sectorBytes({ path, sector }: Sector): Uint8Array {
    const bytes = new Uint8Array(sectorSizeBytes)
    const start = sector * sectorSizeBytes
    this.#find(path).read(bytes, start)
    return bytes.slice(0, Math.min(sectorSizeBytes, this.#find(path).sizeBytes - start))
  }

  #tell(call: DiskCall, path: string): void {
    this.onChange?.({ call, path })
  }

  #find(path: string): SimulatedFile {
    const file = this.#names.get(path)
    if (file === undefined) throw systemError('ENOENT', `no such file: ${path}`)
    return file
  }

  #requireThere(): void {
    if (this.#isGone) throw new Error('the simulated disk was disposed of')
  }
}

export interface Sector {
  readonly path: string
  readonly sector: number
}

function asUncertainty({ from, id, to }: NameChange, index: number): Uncertainty {
  const moments = [0, id]
  return { kind: 'name', path: to ?? from ?? '', inode: 0, sector: index, count: 2, moments }
}

/** How the sectors of a file, and its size, are found. */
function picksOf(file: SimulatedFile, path: string, pick: Pick): [PickSector, number] {
  const { inode } = file
  const ofSector: PickSector = (sector, moments) =>
    pick({ kind: 'sector', path, inode, sector, count: moments.length, moments })
  const moments = file.sizeMoments()
  const count = moments.length
  const size = count === 1 ? 0 : pick({ kind: 'size', path, inode, sector: 0, count, moments })
  return [ofSector, size]
}

function apply(
  names: Map<string, SimulatedFile>,
  { from, to, file }: Omit<NameChange, 'id'>,
): void {
  if (from !== undefined) names.delete(from)
  if (to !== undefined && file !== undefined) names.set(to, file)
}

function asFull(code: string, what: string, path: string): Error {
  const error = systemError(code, `${what} ${path}`)
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return error
  return new StoreError('STORE_FULL', `no space left for ${path}`, {
    details: { file: path },
    cause: error,
  })
}

function checkDiskOptions(options: DiskOptions): void {
  if (typeof options !== 'object' || options === null) {
    throw new TypeError(`options must be an object, not ${shown(options)}`)
  }
  for (const name of Object.keys(options)) {
    if (name === 'mapping' || name === 'capacityBytes') continue
    throw new TypeError(`unknown option "${name}"; accepted: "mapping", "capacityBytes"`)
  }
  const { capacityBytes = 0, mapping = 'mmap' } = options
  if (mapping !== 'mmap' && mapping !== 'file') {
    throw new TypeError(`option "mapping" is ${shown(mapping)}; accepted: "mmap", "file"`)
  }
  if (typeof capacityBytes === 'number' && capacityBytes >= 0) return
  const message = `option "capacityBytes" is ${shown(capacityBytes)}; accepted: a number of bytes from 0`
  throw typeof capacityBytes === 'number' ? new RangeError(message) : new TypeError(message)
}
