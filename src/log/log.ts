/**
 * The log: segments mapped into memory, by slot.
 *
 * Invariants:
 * - What `words`, `doubles` and `bytes` hold for a slot is the same memory, or nothing: segments
 *   are mapped when they are first touched.
 * - `tailSlot` and `tailOffset` repeat the tail of the control state for the one that writes, who
 *   adopts them where another wrote before; everything else that counts lies in mapped memory.
 * - A segment file that may have unsynced bytes stays open, so that a sync sees its errors.
 * - Slots are used again. What is held here for a slot is that of the segment in it as of
 *   `slotGeneration`; where the control file has another generation, {@link Log.forgetDropped} comes before
 *   anything is read through a slot. An entry of the index that leads to a slot's new segment was
 *   written after the generation was raised, so it is enough to compare after the version of its bucket
 *   was read.
 *
 * Not here: making segments (roll.ts), records (append.ts), reading them in order (scan.ts).
 */
import { join } from 'node:path'
import { assert } from '../base/assert.js'
import { StoreError, systemErrorCode } from '../base/errors.js'
import type { Control } from '../control/control.js'
import * as layout from '../format/control-layout.js'
import { segmentFileName } from '../format/file-names.js'
import { segmentSeed } from '../format/segment-header.js'
import type {
  MapAccess,
  Mapping,
  MappingSpace,
  Platform,
  PlatformFile,
} from '../platform/platform.js'
import { forgetLost, type PreparedSegment } from './prepared-segment.js'
import type { SlotTable } from './slot-table.js'
import {
  kindPart,
  slotEpoch,
  slotKind,
  slotNumber,
  slotSizeBytes,
  slotUnsynced,
} from './slot-table.js'

export interface LogOptions {
  readonly platform: Platform
  readonly directory: string
  readonly storeId: Uint8Array
  readonly shift: number
  readonly access: MapAccess
  readonly space: MappingSpace | undefined
  /** Who prepares segments: see prepared-segment.ts. */
  readonly attachment: number
}

export class Log {
  readonly platform: Platform
  readonly directory: string
  readonly storeId: Uint8Array
  readonly access: MapAccess
  readonly control: Control
  readonly slots: SlotTable
  /** log2 of the 8-byte words in a segment. */
  readonly shift: number
  /** 8-byte words in a segment of ordinary size. */
  readonly segmentWords: number
  readonly offsetMask: number
  /** Keeps an index of 32-bit words within a segment of ordinary size. */
  readonly wordMask: number
  readonly segmentSizeBytes: number

  // By slot; empty until the segment is mapped.
  readonly words: Int32Array[] = []
  readonly doubles: Float64Array[] = []
  readonly bytes: Buffer[] = []
  /** The buffers under them, and where in these they begin. */
  readonly buffers: (ArrayBuffer | SharedArrayBuffer)[] = []
  readonly bases: number[] = []
  readonly seeds: number[] = []
  /** Addresses at which they begin. */
  readonly starts: number[] = []
  readonly #mappings: (Mapping | undefined)[] = []
  readonly #space: MappingSpace | undefined
  readonly attachment: number
  /** Open files of segments that may have unsynced bytes, by segment number. */
  readonly openFiles: Map<number, PlatformFile> = new Map()
  /** Flushes of them that are under way: none is closed meanwhile. */
  flushCount = 0
  readonly #slotByNumber: Map<number, number> = new Map()
  /** Memory is short: of what is touched and not resident one page is read, and not its neighbours. */
  isReadAtRandom = false
  /** Told when this one has begun a new segment, with the writer's word in hand. */
  readonly rollListeners: (() => void)[] = []
  /** Told each time that room is made, every 2 MiB at most, with the writer's word in hand; not of what is essential. */
  readonly roomListeners: (() => void)[] = []
  /** Told of a slot whose segment was dropped. */
  onForget: ((slot: number) => void) | undefined
  /** As of which the mapped slots are those of the slot table. */
  slotGeneration: number

  /** Where the next record goes, repeated from the control state. */
  tailSlot = 0
  tailOffset = 0
  /** End of the space of the tail segment, in 8-byte words from the start of its slot. */
  tailLimit = 0
  /** Where the tail must not pass without a look at the room and at the next segment. */
  nextCheck = 0
  /** The next segment, where this one prepares it. */
  prepared: PreparedSegment | undefined

  constructor(options: LogOptions, control: Control, slots: SlotTable) {
    this.platform = options.platform
    this.directory = options.directory
    this.storeId = options.storeId
    this.access = options.access
    this.control = control
    this.slots = slots
    this.shift = options.shift
    // By shifting: the result of `**` is a double to V8, here and wherever it is used.
    this.segmentWords = 1 << options.shift
    this.offsetMask = this.segmentWords - 1
    this.wordMask = this.segmentWords * 2 - 1
    this.segmentSizeBytes = this.segmentWords * 8
    this.#space = options.space
    this.attachment = options.attachment
    this.slotGeneration = Atomics.load(control.words, layout.slotGenerationWord)
  }

  path(name: string): string {
    return join(this.directory, name)
  }

  /** Takes over the tail from the control state, mapped. */
  adoptTail(): void {
    this.refreshSlots()
    const tailSlot = this.control.get(layout.tailSlot) | 0
    const first = this.firstSlotOf(tailSlot)
    if (tailSlot !== this.tailSlot) this.#releaseDurableFiles()
    if (this.words[first] === undefined) this.mapSlot(first)
    const limitOfSegment = this.slots.get(first, slotSizeBytes) / 8
    const offset = this.control.get(layout.tail) - this.starts[first]
    // In an oversized segment, the part that the tail lies in.
    const lastPart = this.partCount(first) - 1
    const part = Math.min(lastPart, Math.floor(offset / this.segmentWords))
    this.tailSlot = first + part
    this.tailOffset = (offset - part * this.segmentWords) | 0
    this.tailLimit = (limitOfSegment - part * this.segmentWords) | 0
    // Where the one before stopped looking, this one may go on to.
    const limit = this.control.doubles[layout.writeLimitDouble]
    this.nextCheck = lastPart === 0 && limit <= this.tailLimit ? limit | 0 : 0
  }

  /** Lets go of files that others synced for the last time. */
  #releaseDurableFiles(): void {
    const durable = this.control.get(layout.durable)
    if (this.flushCount > 0) return
    for (const number of this.openFiles.keys()) {
      const slot = this.slotOf(number)
      const isDropped = slot === -1
      const end = isDropped ? 0 : (number + this.partCount(slot)) * this.segmentWords
      if (end <= durable && (isDropped || this.slots.get(slot, slotUnsynced) === 0)) {
        this.releaseFile(number)
      }
    }
  }

  /** The address of a record in a mapped segment, from its slot and its offset in 8-byte words. */
  address(slot: number, offset: number): number {
    return this.starts[slot] + offset
  }

  /** Where the record at an address lies; its segment is mapped. */
  locate(address: number): { slot: number; offset: number } {
    const place = this.find(address)
    assert(place !== undefined, `the segment of address ${address} is in a slot`)
    return place
  }

  /** As {@link locate}; undefined where the segment was dropped. */
  find(address: number): { slot: number; offset: number } | undefined {
    const number = Math.floor(address / this.segmentWords)
    const slot = this.slotOf(number)
    if (slot === -1) return undefined
    if (this.words[slot] === undefined) this.mapSlot(slot)
    return { slot, offset: address - number * this.segmentWords }
  }

  /** Lets go of what lay in slots that others freed. */
  refreshSlots(): void {
    if (Atomics.load(this.control.words, layout.slotGenerationWord) !== this.slotGeneration) {
      this.forgetDropped()
    }
  }

  /** {@link refreshSlots} for who has seen another generation. */
  forgetDropped(): void {
    const generation = Atomics.load(this.control.words, layout.slotGenerationWord)
    for (let slot = 0; slot < this.words.length; slot++) {
      if (this.words[slot] === undefined) continue
      const number = this.slots.get(slot, slotNumber)
      if (this.starts[slot] !== number * this.segmentWords) this.#forget(slot)
    }
    this.slotGeneration = generation
    forgetLost(this)
    if (this.flushCount > 0) return
    for (const number of this.openFiles.keys()) {
      if (this.slotOf(number) === -1) this.releaseFile(number)
    }
  }

  /** The file of a dropped segment keeps its blocks for as long as it is mapped. */
  #forget(slot: number): void {
    for (const list of [this.words, this.doubles, this.bytes, this.buffers]) delete list[slot]
    this.#mappings[slot]?.discard()
    this.#mappings[slot] = undefined
    this.onForget?.(slot)
  }

  /** The slot of a segment that exists, or -1. */
  slotOf(segmentNumber: number): number {
    this.refreshSlots()
    const known = this.#slotByNumber.get(segmentNumber)
    if (known !== undefined && this.slots.get(known, slotNumber) === segmentNumber) return known
    const slotEnd = this.control.get(layout.slotEnd)
    this.#slotByNumber.clear()
    for (let slot = 0; slot < slotEnd; slot++) {
      this.#slotByNumber.set(this.slots.get(slot, slotNumber), slot)
    }
    return this.#slotByNumber.get(segmentNumber) ?? -1
  }

  /** True where there is a segment in the slot, as far as the slot table goes. */
  isInUse(slot: number): boolean {
    return slot < this.slots.region.reservedSoFar() && this.slots.get(slot, slotNumber) > 0
  }

  /** Maps the segment of a slot. Throws `STORE_CORRUPT` where its file is gone; what the system says else. */
  mapSlot(slot: number): void {
    const first = this.firstSlotOf(slot)
    const number = this.slots.get(first, slotNumber)
    assert(number > 0, `slot ${slot} is in use`)
    const kind = this.slots.fileKindOf(first)
    const path = this.path(segmentFileName(kind, number))
    let file: PlatformFile
    try {
      file = this.platform.openFile(path, this.access === 'shared' ? 'write' : 'read')
    } catch (error) {
      if (systemErrorCode(error) !== 'ENOENT') throw error
      throw new StoreError('STORE_CORRUPT', `segment file ${path} cannot be opened`, {
        details: { file: path, address: 0, what: 'the segment is missing' },
        cause: error,
      })
    }
    this.attach(first, file, this.map(file, this.slots.get(first, slotSizeBytes)))
    // The mapping keeps what it needs; only files with unsynced bytes stay open.
    file.close()
  }

  /** Maps a whole segment file. */
  map(file: PlatformFile, sizeBytes: number): Mapping {
    return file.map(0, sizeBytes, this.access, this.#space)
  }

  /** The slot in which the segment that covers `slot` begins. */
  firstSlotOf(slot: number): number {
    let first = slot
    while (this.slots.get(first, slotKind) === kindPart) first--
    return first
  }

  /** Makes the bytes of a segment reachable through its slot, and its parts through theirs. */
  attach(slot: number, file: PlatformFile, mapping: Mapping): void {
    const { buffer, byteOffset, sizeBytes } = mapping
    assert(sizeBytes > 0, `${file.path} is mapped`)
    const number = this.slots.get(slot, slotNumber)
    const epoch = this.slots.get(slot, slotEpoch)
    this.#mappings[slot]?.discard()
    this.#mappings[slot] = mapping
    if (this.isReadAtRandom) mapping.expectRandomReads()
    for (let part = 0; part === 0 || this.slots.get(slot + part, slotKind) === kindPart; part++) {
      const start = part * this.segmentSizeBytes
      if (start >= sizeBytes) break
      const base = byteOffset + start
      const restBytes = sizeBytes - start
      this.words[slot + part] = new Int32Array(buffer, base, restBytes / 4)
      this.doubles[slot + part] = new Float64Array(buffer, base, restBytes / 8)
      this.bytes[slot + part] = Buffer.from(buffer as ArrayBuffer, base, restBytes)
      this.buffers[slot + part] = buffer
      this.bases[slot + part] = base
      this.starts[slot + part] = (number + part) * this.segmentWords
      this.seeds[slot + part] = segmentSeed(this.storeId, epoch, number + part)
    }
  }

  /** Makes pages behind `offset` resident in the background; what lies beyond the end is left out. */
  prefault(slot: number, offset: number, sizeDoubles: number): void {
    const first = this.firstSlotOf(slot)
    const start = (slot - first) * this.segmentSizeBytes + offset * 8
    const size = Math.min(sizeDoubles * 8, this.slots.get(first, slotSizeBytes) - start)
    if (size > 0) this.#mappings[first]?.prefault(start, size)
  }

  /** False where reading a stretch, in bytes of a mapped slot, may have to wait for the medium. */
  isResident(slot: number, offset: number, sizeBytes: number): boolean {
    const first = this.firstSlotOf(slot)
    const start = (slot - first) * this.segmentSizeBytes + offset
    const size = Math.min(sizeBytes, this.slots.get(first, slotSizeBytes) - start)
    return size <= 0 || (this.#mappings[first]?.isResident(start, size) ?? true)
  }

  /** The mapping of a segment, by its first slot; undefined where this one has not touched it yet. */
  mappingOf(slot: number): Mapping | undefined {
    return this.#mappings[slot]
  }

  /** The name of the file of the segment that begins in a slot. */
  pathOf(slot: number): string {
    const kind = this.slots.fileKindOf(slot)
    return this.path(segmentFileName(kind, this.slots.get(slot, slotNumber)))
  }

  /** Brings changed bytes of a segment to its file, where memory is not the file. */
  writeThrough(slot: number, offset: number, sizeDoubles: number): void {
    const first = this.firstSlotOf(slot)
    const start = (slot - first) * this.segmentSizeBytes + offset * 8
    this.#mappings[first]?.writeThrough(start, sizeDoubles * 8)
  }

  /** The open file of a segment, for a sync. */
  fileOf(slot: number): PlatformFile {
    const first = this.firstSlotOf(slot)
    const number = this.slots.get(first, slotNumber)
    let file = this.openFiles.get(number)
    if (file === undefined) {
      const kind = this.slots.fileKindOf(first)
      file = this.platform.openFile(this.path(segmentFileName(kind, number)), 'write')
      this.openFiles.set(number, file)
    }
    return file
  }

  /** Closes the file of a segment that will not change any more. */
  releaseFile(segmentNumber: number): void {
    // Without a mapping of the file, later reads still come from memory.
    this.openFiles.get(segmentNumber)?.close()
    this.openFiles.delete(segmentNumber)
  }

  /** How many slots the log segment in `slot` takes. */
  partCount(slot: number): number {
    return Math.max(1, Math.ceil(this.slots.get(slot, slotSizeBytes) / this.segmentSizeBytes))
  }

  /** True where bytes reach the file only through {@link writeThrough}. */
  get isAppendOnly(): boolean {
    return this.platform.kind === 'file'
  }

  close(): void {
    // Of two logs in one range of addresses the other one may stay: segments that it drops are to be gone.
    for (const mapping of this.#mappings) mapping?.discard()
    for (const file of this.openFiles.values()) file.close()
    this.openFiles.clear()
    for (const list of [this.words, this.doubles, this.bytes, this.buffers, this.#mappings]) {
      list.length = 0
    }
  }
}
