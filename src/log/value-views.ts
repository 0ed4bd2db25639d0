/**
 * The memory of segments for views, by slot. Made when a segment's first view is asked for; a slot
 * that got another segment gets other memory.
 */
import { systemErrorCode } from '../base/errors.js'
import type { ViewPages } from '../platform/view-pages.js'
import type { Log } from './log.js'
import { slotNumber, slotSizeBytes } from './slot-table.js'

export class ValueViews {
  readonly #pages: (ViewPages | undefined)[] = []
  readonly #numbers: number[] = []
  /** Address below which nothing changes any more, as far as this one knows: it only rises. */
  frozenEnd = 0

  /**
   * The memory of the segment, or part of one, in `slot`. Undefined where there is none to be given
   * away: the files are not mapped, or somebody removed this one.
   */
  of(log: Log, slot: number): ViewPages | undefined {
    // Of the segment that this one has mapped, where a value was found. Another one may lie there by now.
    const number = log.starts[slot] / log.segmentWords
    if (this.#numbers[slot] === number) return this.#pages[slot]
    this.forget(slot)
    const isInPlace = (): boolean => log.slots.get(slot, slotNumber) === number
    if (!isInPlace()) return undefined
    const pages = open(log, slot)
    if (!isInPlace()) {
      pages?.release()
      return undefined
    }
    this.#numbers[slot] = number
    this.#pages[slot] = pages
    return pages
  }

  /** The segment in a slot is gone: its blocks are held by those who still have a view, if anybody has. */
  forget(slot: number): void {
    this.#pages[slot]?.release()
    delete this.#pages[slot]
    delete this.#numbers[slot]
  }

  close(): void {
    for (const pages of this.#pages) pages?.release()
    this.#pages.length = 0
    this.#numbers.length = 0
  }
}

/** A part of an oversized segment is mapped from its own beginning, with the parts behind it. */
function open(log: Log, slot: number): ViewPages | undefined {
  const first = log.firstSlotOf(slot)
  const start = (slot - first) * log.segmentSizeBytes
  let file: ReturnType<Log['platform']['openFile']>
  try {
    file = log.platform.openFile(log.pathOf(first), 'read')
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined
    throw error
  }
  try {
    return file.mapForViews(start, log.slots.get(first, slotSizeBytes) - start)
  } finally {
    file.close()
  }
}
