/**
 * A file of a simulated disk: what processes see of it (the page cache), what is certainly on the
 * medium, and everything that may be there instead.
 *
 * Invariants: a sector of 512 bytes that has no versions is on the medium as it was last seen, or a
 * sync failed on it. One that has versions is on the medium as its last sync left it, or as any of
 * them: the system writes pages back when it likes. What a mapping changed is noticed by `observe`:
 * whatever happened to one sector in between is one version.
 *
 * Content comes in arrays that several disks share: it is copied before it is changed.
 */
import type { BufferPool } from './buffer-pool.js'

export const sectorSizeBytes = 512

/** What a sector may hold; the number tells it from every other version on any disk. */
interface Version {
  /** Later ones have higher numbers. */
  readonly id: number
  readonly bytes: Uint8Array
}

interface SizeVersion {
  readonly id: number
  readonly sizeBytes: number
}

/** A stretch of the page cache. Once it is mapped it never moves. */
interface Extent {
  readonly offset: number
  readonly bytes: Uint8Array
  isMapped: boolean
}

/** How much of what was seen a sync that began then will have written. */
export interface SyncStart {
  readonly sectors: ReadonlyMap<number, number>
  readonly sizes: number
}

/** Which version of a sector is on the medium, of those that were seen at `moments`. */
export type PickSector = (sector: number, moments: readonly number[]) => number

let lastVersionId = 0

/** Numbers for everything that came to be on any disk, in order. */
export function takeVersionId(): number {
  return ++lastVersionId
}

export class SimulatedFile {
  readonly inode: number
  readonly #pool: BufferPool
  #sizeBytes: number
  #extents: Extent[] = []
  #copies: { readonly bytes: Uint8Array; readonly usedBytes: number }[] = []
  /** What an image began with; never changed. */
  readonly #origin: Uint8Array
  /** Of the first `#sizeBytes` bytes, as last looked at. */
  #seen: Uint8Array
  #isSeenOwn = false
  #medium: Uint8Array
  #isMediumOwn = false
  #mediumSizeBytes: number
  readonly #mediumIds = new Map<number, number>()
  #mediumSizeId = 0
  /** Newer than the medium, oldest first. */
  readonly #versions = new Map<number, Version[]>()
  #sizes: SizeVersion[] = []

  constructor(inode: number, pool: BufferPool, content: Uint8Array = new Uint8Array(0)) {
    this.inode = inode
    this.#pool = pool
    this.#origin = content
    this.#seen = content
    this.#medium = content
    this.#sizeBytes = content.byteLength
    this.#mediumSizeBytes = content.byteLength
  }

  get sizeBytes(): number {
    return this.#sizeBytes
  }

  /** Grows the file; what is new reads as zeros. */
  grow(sizeBytes: number): void {
    if (sizeBytes <= this.#sizeBytes) return
    this.#sizeBytes = sizeBytes
    this.#sizes.push({ id: takeVersionId(), sizeBytes })
  }

  read(target: Uint8Array, position: number): number {
    const count = Math.max(0, Math.min(target.byteLength, this.#sizeBytes - position))
    this.#copyTo(target, position, count)
    return count
  }

  write(source: Uint8Array, position: number): void {
    const end = position + source.byteLength
    this.grow(end)
    for (let at = position; at < end; ) {
      const extent = this.#extentAt(at, end - at)
      const start = at - extent.offset
      const count = Math.min(end - at, extent.bytes.byteLength - start)
      extent.bytes.set(source.subarray(at - position, at - position + count), start)
      at += count
    }
  }

  /** Memory that is the file. What lies behind its end must not be touched. */
  map(offset: number, sizeBytes: number): Uint8Array {
    let extent = this.#extents.find(
      (known) => known.offset === offset && known.bytes.byteLength >= sizeBytes,
    )
    extent ??= this.#addExtent(offset, sizeBytes)
    extent.isMapped = true
    return extent.bytes.subarray(0, sizeBytes)
  }

  /** Memory of its own with the same bytes. */
  copy(offset: number, sizeBytes: number): Uint8Array {
    const bytes = this.#pool.take(sizeBytes)
    const count = Math.max(0, Math.min(sizeBytes, this.#sizeBytes - offset))
    this.#copyTo(bytes, offset, count)
    this.#copies.push({ bytes, usedBytes: count })
    return bytes
  }

  /** Notices what was changed since the last look. */
  observe(): void {
    if (this.#extents.length === 0) return
    if (this.#seen.byteLength < this.#sizeBytes) this.#growSeen()
    for (const { offset, bytes } of this.#extents) {
      const end = Math.min(offset + bytes.byteLength, this.#sizeBytes)
      if (end <= offset) continue
      const live = bytes.subarray(0, end - offset)
      if (Buffer.compare(live, this.#seen.subarray(offset, end)) === 0) continue
      this.#observeSectors(offset, live)
    }
  }

  /** A sync will bring everything that was seen by now to the medium. */
  beginSync(): SyncStart {
    this.observe()
    const sectors = new Map<number, number>()
    for (const [sector, versions] of this.#versions) sectors.set(sector, versions.length)
    return { sectors, sizes: this.#sizes.length }
  }

  completeSync({ sectors, sizes }: SyncStart): void {
    for (const [sector, count] of sectors) this.#settle(sector, count, true)
    this.#settleSize(sizes)
  }

  /** The system calls the pages clean; each was written, or not. */
  failSync({ sectors, sizes }: SyncStart, isWritten: () => boolean): void {
    for (const [sector, count] of sectors) this.#settle(sector, count, isWritten())
    if (isWritten()) this.#settleSize(sizes)
  }

  /** The sectors that may be on the medium in more than one way, and when each way was seen. */
  unsyncedSectors(): Map<number, number[]> {
    this.observe()
    const moments = new Map<number, number[]>()
    for (const [sector, versions] of this.#versions) moments.set(sector, momentsOf(versions))
    return moments
  }

  /** The ways in which its size may be on the medium: when each was seen. */
  sizeMoments(): number[] {
    return momentsOf(this.#sizes)
  }

  /** What is on the medium if `pick` says which version of each sector is: 0 for what was synced. */
  image(pick: PickSector, size: number): Uint8Array {
    const sizeBytes = size === 0 ? this.#mediumSizeBytes : this.#sizes[size - 1].sizeBytes
    let bytes: Uint8Array | undefined
    for (const [sector, versions] of this.#versions) {
      const picked = pick(sector, momentsOf(versions))
      const start = sector * sectorSizeBytes
      if (picked === 0 || start >= sizeBytes) continue
      bytes ??= resized(this.#medium, sizeBytes)
      const version = versions[picked - 1].bytes
      bytes.set(version.subarray(0, Math.min(version.byteLength, sizeBytes - start)), start)
    }
    if (bytes !== undefined) return bytes
    if (size !== 0) return resized(this.#medium, sizeBytes)
    if (this.#medium.byteLength !== sizeBytes) this.#medium = resized(this.#medium, sizeBytes)
    this.#isMediumOwn = false
    return this.#medium
  }

  /** Tells two images of the file apart: the versions that they consist of. */
  imageKey(pick: PickSector, size: number): string {
    const ids = new Map(this.#mediumIds)
    for (const [sector, versions] of this.#versions) {
      const picked = pick(sector, momentsOf(versions))
      if (picked > 0) ids.set(sector, versions[picked - 1].id)
    }
    const sizeId = size === 0 ? this.#mediumSizeId : this.#sizes[size - 1].id
    return `${sizeId}:${[...ids].sort(([a], [b]) => a - b).join(';')}`
  }

  /** Changes bytes on the medium and in memory, as nobody does who is asked to. */
  damage(bytes: Uint8Array, position: number): void {
    this.write(bytes, position)
    this.completeSync(this.beginSync())
  }

  /** Gives memory back; the file is not used again. `isCopyKept`: copies were only read. */
  release(isCopyKept: boolean): void {
    for (const { bytes, offset } of this.#extents) {
      this.#pool.give(bytes, Math.max(0, Math.min(bytes.byteLength, this.#sizeBytes - offset)))
    }
    for (const { bytes, usedBytes } of this.#copies) {
      if (isCopyKept) this.#pool.give(bytes, usedBytes)
    }
    this.#extents = []
    this.#copies = []
  }

  #copyTo(target: Uint8Array, position: number, count: number): void {
    const end = position + count
    const origin = this.#origin.subarray(
      position,
      Math.max(position, Math.min(end, this.#origin.byteLength)),
    )
    target.set(origin)
    target.fill(0, origin.byteLength, count)
    for (const { offset, bytes } of this.#extents) {
      const from = Math.max(position, offset)
      const to = Math.min(end, offset + bytes.byteLength)
      if (from < to) target.set(bytes.subarray(from - offset, to - offset), from - position)
    }
  }

  /** The extent that holds the byte at `position`; where there is none, one for what is written. */
  #extentAt(position: number, sizeBytes: number): Extent {
    const known = this.#extents.find(
      ({ offset, bytes }) => position >= offset && position < offset + bytes.byteLength,
    )
    if (known !== undefined) return known
    const before = this.#extents.filter(({ offset }) => offset < position).at(-1)
    const start = before === undefined ? 0 : before.offset + before.bytes.byteLength
    const after = this.#extents.find(({ offset }) => offset > position)
    const end = Math.max(position + sizeBytes, this.#sizeBytes)
    return this.#addExtent(start, Math.min(end, after?.offset ?? end) - start)
  }

  #addExtent(offset: number, sizeBytes: number): Extent {
    const bytes = this.#pool.take(sizeBytes)
    this.#copyTo(bytes, offset, Math.max(0, Math.min(sizeBytes, this.#sizeBytes - offset)))
    const isCovered = (other: Extent): boolean =>
      other.offset >= offset && other.offset + other.bytes.byteLength <= offset + sizeBytes
    const overlaps = (other: Extent): boolean =>
      other.offset < offset + sizeBytes && other.offset + other.bytes.byteLength > offset
    const wrong = this.#extents.find(
      (other) => overlaps(other) && (other.isMapped || !isCovered(other)),
    )
    if (wrong !== undefined) throw new Error('a stretch of a simulated file is mapped in two sizes')
    const extent = { offset, bytes, isMapped: false }
    this.#extents = [...this.#extents.filter((other) => !overlaps(other)), extent]
    this.#extents.sort((a, b) => a.offset - b.offset)
    return extent
  }

  #growSeen(): void {
    this.#seen = resized(this.#seen, this.#sizeBytes)
    this.#isSeenOwn = true
  }

  #observeSectors(offset: number, live: Uint8Array): void {
    if (!this.#isSeenOwn) this.#growSeen()
    // Extents begin on pages.
    for (let start = 0; start < live.byteLength; start += sectorSizeBytes) {
      const now = live.subarray(start, start + sectorSizeBytes)
      const at = offset + start
      if (Buffer.compare(now, this.#seen.subarray(at, at + now.byteLength)) === 0) continue
      this.#seen.set(now, at)
      const sector = at / sectorSizeBytes
      const versions = this.#versions.get(sector)
      const version = { id: takeVersionId(), bytes: now.slice() }
      if (versions === undefined) this.#versions.set(sector, [version])
      else versions.push(version)
    }
  }

  #settle(sector: number, count: number, isWritten: boolean): void {
    const versions = this.#versions.get(sector)
    if (versions === undefined) return
    const written = versions.splice(0, count).at(-1)
    if (versions.length === 0) this.#versions.delete(sector)
    if (written === undefined || !isWritten) return
    const end = sector * sectorSizeBytes + written.bytes.byteLength
    if (!this.#isMediumOwn || this.#medium.byteLength < end) {
      this.#medium = resized(this.#medium, Math.max(end, this.#medium.byteLength))
      this.#isMediumOwn = true
    }
    this.#medium.set(written.bytes, sector * sectorSizeBytes)
    this.#mediumIds.set(sector, written.id)
  }

  #settleSize(count: number): void {
    const written = this.#sizes.splice(0, count).at(-1)
    if (written === undefined) return
    this.#mediumSizeBytes = written.sizeBytes
    this.#mediumSizeId = written.id
  }
}

/** Way 0 is from before all others. */
function momentsOf(versions: readonly { readonly id: number }[]): number[] {
  return [0, ...versions.map(({ id }) => id)]
}

function resized(bytes: Uint8Array, sizeBytes: number): Uint8Array {
  const copy = new Uint8Array(sizeBytes)
  copy.set(bytes.subarray(0, sizeBytes))
  return copy
}
