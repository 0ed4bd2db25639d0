/**
 * Keeps what is in memory of the log near a budget, by advice to the system: nothing that is right depends
 * on it.
 *
 * A hand goes round the log, a stretch at a time, the oldest first (the clock algorithm). Stretches that it
 * passes leave the address space of this thread; at the next look their pages leave the page cache, but for
 * those that somebody has touched in between, here or in another thread or process, because the system
 * drops no page that is mapped. So what is read again and again stays, and of several that have the store
 * open, each with a budget of its own or none, nobody takes from another what that one is using.
 *
 * When: some times a second, and at each segment that this one begins, so that it also works while the event
 * loop stands still. A look costs this thread a few numbers for each stretch, and up to a millisecond where
 * it advises; pages are counted and dropped by the helper thread (platform/preparer.ts), in this order, and
 * the next look begins with what it counted.
 *
 * Above `durable` nothing is advised out: the system would begin to write it.
 */
import * as layout from '../format/control-layout.js'
import { kindValue, slotKind, slotNumber, slotUnsynced } from '../log/slot-table.js'
import {
  type FileStretch,
  prepare,
  tableEntrySize,
  tableHeadSize,
  tableIsCounted,
  tableLength,
} from '../platform/preparer.js'
import type { Engine } from './engine.js'
import { type LogStretch, mapToLook, usedStretches } from './residency.js'

const lookIntervalMs = 100
/** Looks that are left out where the budget is kept. */
const restLooks = 10
/** The log is looked at in so many stretches, or in stretches of this size where it has fewer. */
const stretchCountMax = 2 ** 10
const stretchSizeBytesMin = 2 ** 22
/** Per look: it bounds what a look takes of the event loop. */
const advisedBytesMax = 2 ** 27
/** Per look, of segments that this one has not touched yet. */
const mappedCountMax = 8

export class MemoryBudget {
  readonly #engine: Engine
  readonly #budgetBytes: number
  #timer: NodeJS.Timeout | undefined
  #restingLooks = 0
  /** The address from which the hand goes on. */
  #hand = 0
  /** Out of this address space, and not dropped yet. */
  #advised: readonly FileStretch[] = []
  /** What is being counted, in order of addresses; the helper thread has the table until it says so. */
  #stretches: readonly LogStretch[] = []
  #table: Float64Array | undefined

  constructor(engine: Engine, budgetBytes: number | undefined) {
    this.#engine = engine
    this.#budgetBytes = budgetBytes ?? Number.POSITIVE_INFINITY
    engine.log.isReadAtRandom = this.#isKept
  }

  /** Only of what is mapped and shared: a private page may be the only one that has what it has. */
  get #isKept(): boolean {
    const { log, platform } = this.#engine
    const isMapped = platform.kind === 'mmap' && log.access === 'shared'
    return this.#budgetBytes !== Number.POSITIVE_INFINITY && isMapped
  }

  start(): void {
    if (!this.#isKept) return
    this.#timer = setInterval(() => {
      if (!this.#engine.isClosed && this.#restingLooks-- <= 0) this.#look()
    }, lookIntervalMs)
    this.#timer.unref()
    this.#engine.log.rollListeners.push(() => this.#look())
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  #look(): void {
    if (this.#advised.length > 0) {
      this.#drop()
      this.#count()
    } else if (this.#table === undefined) {
      this.#count()
    } else if (this.#table[tableIsCounted] === 1) {
      this.#keep(this.#table)
    }
  }

  #keep(table: Float64Array): void {
    const state = this.#engine.control.readState()
    let residentBytes = (state[layout.tail] - state[layout.durable]) * 8
    this.#stretches.forEach((_, index) => {
      residentBytes += table[tableHeadSize + index * tableEntrySize + 2]
    })
    const excessBytes = residentBytes - this.#budgetBytes
    if (excessBytes > 0) this.#adviseOut(table, Math.min(excessBytes, advisedBytesMax))
    this.#restingLooks = this.#advised.length > 0 ? 0 : restLooks
    // Far above it there is no time to see what is in use.
    if (this.#advised.length > 0 && excessBytes <= this.#budgetBytes / 2) return
    this.#drop()
    this.#count()
  }

  #adviseOut(table: Float64Array, wantedBytes: number): void {
    const { log } = this.#engine
    const stretches = this.#stretches
    const advised: FileStretch[] = []
    const isBehindHand = ({ slot, offset }: LogStretch): boolean =>
      this.#addressOf(slot, offset) >= this.#hand
    const first = Math.max(0, stretches.findIndex(isBehindHand))
    let advisedBytes = 0
    for (let step = 0; step < stretches.length && advisedBytes < wantedBytes; step++) {
      const index = (first + step) % stretches.length
      const { slot, offset, sizeBytes } = stretches[index]
      const residentBytes = table[tableHeadSize + index * tableEntrySize + 2]
      this.#hand = this.#addressOf(slot, offset) + 1
      // Dropped since it was counted; of another segment in its place it is advice as good as any.
      if (residentBytes === 0 || !log.isInUse(slot)) continue
      log.mappingOf(slot)?.adviseOut(offset, sizeBytes)
      advised.push({ path: log.pathOf(slot), position: offset, sizeBytes })
      advisedBytes += residentBytes
    }
    this.#advised = advised
  }

  #addressOf(slot: number, offset: number): number {
    const { log } = this.#engine
    return log.slots.get(slot, slotNumber) * log.segmentWords + offset / 8
  }

  #drop(): void {
    if (this.#advised.length > 0) prepare({ kind: 'drop', stretches: this.#advised })
    this.#advised = []
  }

  #count(): void {
    const { log } = this.#engine
    const stretches = this.#mappedStretches()
    const neededSize = tableHeadSize + stretches.length * tableEntrySize
    if (this.#table === undefined || this.#table.length < neededSize) {
      this.#table = new Float64Array(new SharedArrayBuffer(2 * neededSize * 8))
    }
    const table = this.#table
    table[tableLength] = stretches.length
    table[tableIsCounted] = 0
    stretches.forEach(({ slot, offset, sizeBytes }, index) => {
      const entry = tableHeadSize + index * tableEntrySize
      table[entry] = Number(log.mappingOf(slot)?.addressAt(offset))
      table[entry + 1] = sizeBytes
      table[entry + 2] = 0
    })
    this.#stretches = stretches
    prepare({ kind: 'count', table })
  }

  /** In order of addresses. */
  #mappedStretches(): LogStretch[] {
    const { control, log } = this.#engine
    log.refreshSlots()
    const state = control.readState()
    const segments = usedStretches(log, state[layout.slotEnd], state[layout.durable])
    segments.sort((a, b) => this.#addressOf(a.slot, 0) - this.#addressOf(b.slot, 0))
    const usedBytes = segments.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
    const stretchSizeBytes =
      stretchSizeBytesMin * Math.ceil(usedBytes / stretchCountMax / stretchSizeBytesMin)
    const stretches: LogStretch[] = []
    let mapsLeft = mappedCountMax
    for (const { slot, sizeBytes } of segments) {
      // Of what others read the pages are in memory, too.
      if (log.mappingOf(slot) === undefined && mapsLeft-- > 0) mapToLook(log, slot)
      const mapping = log.mappingOf(slot)
      const isUnsynced =
        log.slots.get(slot, slotKind) === kindValue && log.slots.get(slot, slotUnsynced) !== 0
      if (mapping === undefined || isUnsynced || sizeBytes > mapping.sizeBytes) continue
      for (let offset = 0; offset < sizeBytes; offset += stretchSizeBytes) {
        stretches.push({ slot, offset, sizeBytes: Math.min(stretchSizeBytes, sizeBytes - offset) })
      }
    }
    return stretches
  }
}
