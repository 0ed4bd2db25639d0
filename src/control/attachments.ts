/**
 * Who has the store open: an entry in the control file and a locked file of its own for each thread.
 *
 * The entry says who it was; only the lock says whether it lives: the operating system frees it
 * when a process is killed or a worker terminated, at whatever instruction. So no entry that was
 * left behind ever needs a human.
 *
 * Invariants: entries are taken and given back under the lifecycle lock. An entry whose owner died
 * with the writer's word in its hand is not taken again before somebody has repaired what it left:
 * its lock is how the others know that it is dead.
 */
import { join } from 'node:path'
import { threadId } from 'node:worker_threads'
import { StoreError } from '../base/errors.js'
import * as layout from '../format/control-layout.js'
import { attachmentFileName, controlFileName } from '../format/file-names.js'
import type { FileLock, Platform } from '../platform/platform.js'
import type { Control } from './control.js'

/** One thread that has the store open. */
export interface Attachment {
  readonly processId: number
  readonly threadId: number
  /** When it opened the store, milliseconds since 1970. */
  readonly sinceMs: number
  readonly isReadOnly: boolean
  /** Major version of its Node. */
  readonly nodeVersion: number
}

export class Attachments {
  readonly #control: Control
  readonly #platform: Platform
  readonly #directory: string
  #lock: FileLock | undefined
  /** The entry of this one, 0 for none. */
  own = 0
  /** What this one writes under, without the busy bit. One that is alone needs no entry for it. */
  token: number = 1 << layout.tokenAttachmentShift

  constructor(control: Control, platform: Platform, directory: string) {
    this.#control = control
    this.#platform = platform
    this.#directory = directory
  }

  /** Takes an entry, and with it {@link token}. */
  take(isReadOnly: boolean, nowMs: number): void {
    const { words, doubles } = this.#control
    for (let entry = 1; entry < layout.attachmentCountMax; entry++) {
      if (this.#isOfWriter(entry)) continue
      this.#lock = this.#platform.tryLock(this.#path(entry), 'exclusive')
      if (this.#lock === undefined) continue
      const word = wordOf(entry)
      const generation = (words[word + layout.attachmentGenerationWord] + 1) | 0
      const double = word / 2
      doubles[double + layout.attachmentProcessDouble] = process.pid
      doubles[double + layout.attachmentThreadDouble] = threadId
      doubles[double + layout.attachmentSinceDouble] = nowMs
      doubles[double + layout.attachmentPinDouble] = 0
      words[word + layout.attachmentHoldsWord] = 0
      doubles[double + layout.attachmentWatchedDouble] = 0
      words[word + layout.attachmentReadOnlyWord] = isReadOnly ? 1 : 0
      words[word + layout.attachmentNodeWord] = nodeVersion
      words[word + layout.attachmentGenerationWord] = generation
      Atomics.store(words, word + layout.attachmentTakenWord, 1)
      if (Atomics.load(words, layout.attachmentEndWord) <= entry) {
        Atomics.store(words, layout.attachmentEndWord, entry + 1)
      }
      this.own = entry
      this.token =
        (generation << layout.tokenGenerationShift) | (entry << layout.tokenAttachmentShift)
      return
    }
    const most = layout.attachmentCountMax - 1
    throw new StoreError('STORE_LOCKED', `the store is open in ${most} threads, the most it can`)
  }

  /** Gives the entry back. */
  give(): void {
    if (this.own === 0) return
    this.clear(this.own)
    this.own = 0
    this.#lock?.release()
    this.#lock = undefined
  }

  /** The lowest sequence that a snapshot of this one shows; Infinity for none. */
  setPin(sequence: number): void {
    this.#control.doubles[wordOf(this.own) / 2 + layout.attachmentPinDouble] =
      sequence === Number.POSITIVE_INFINITY ? 0 : sequence + 1
  }

  /** The lowest sequence that anybody's snapshot shows; Infinity where there is none. */
  lowestPin(): number {
    return this.#lowest(layout.attachmentPinDouble)
  }

  /** The lowest sequence that a watcher of this one has come to; Infinity for none. */
  setWatched(sequence: number): void {
    this.#control.doubles[wordOf(this.own) / 2 + layout.attachmentWatchedDouble] =
      sequence === Number.POSITIVE_INFINITY ? 0 : sequence + 1
  }

  /** The lowest sequence that anybody's watcher has come to; Infinity where there is none. */
  lowestWatched(): number {
    return this.#lowest(layout.attachmentWatchedDouble)
  }

  /** Of a field that has 1 + a sequence, or 0. */
  #lowest(field: number): number {
    const { words, doubles } = this.#control
    let lowest = Number.POSITIVE_INFINITY
    // One that is alone has no entry, and keeps it in the first one.
    const end = Math.max(1, words[layout.attachmentEndWord])
    for (let entry = 0; entry < end; entry++) {
      const sequence = doubles[wordOf(entry) / 2 + field]
      if (sequence !== 0 && sequence - 1 < lowest) lowest = sequence - 1
    }
    return lowest
  }

  /** One more walk of this one along the log begins, or one ends: see engine/hold.ts. */
  changeHolds(by: 1 | -1): void {
    Atomics.add(this.#control.words, wordOf(this.own) + layout.attachmentHoldsWord, by)
  }

  /** True where somebody walks along the log. */
  isLogHeld(): boolean {
    const { words } = this.#control
    const end = Math.max(1, words[layout.attachmentEndWord])
    for (let entry = 0; entry < end; entry++) {
      if (Atomics.load(words, wordOf(entry) + layout.attachmentHoldsWord) !== 0) return true
    }
    return false
  }

  /** True where the one that writes, or wrote, under a token is still there. */
  isTokenLive(token: number): boolean {
    if (token === this.token) return true
    const entry = entryOf(token)
    const { words } = this.#control
    const generation = words[wordOf(entry) + layout.attachmentGenerationWord]
    const current =
      (generation << layout.tokenGenerationShift) | (entry << layout.tokenAttachmentShift)
    return current === token && this.#isLive(entry)
  }

  /** Frees the entries of those that are gone, and with them what their snapshots held back. */
  clearDead(): void {
    const { words } = this.#control
    const end = Atomics.load(words, layout.attachmentEndWord)
    for (let entry = 1; entry < end; entry++) {
      if (entry === this.own || this.#isOfWriter(entry)) continue
      if (Atomics.load(words, wordOf(entry) + layout.attachmentTakenWord) === 0) continue
      const lock = this.#platform.tryLock(this.#path(entry), 'exclusive')
      if (lock === undefined) continue
      this.clear(entry)
      lock.release()
    }
  }

  /** Marks the entry of one that is gone as free. */
  clear(entry: number): void {
    const { words, doubles } = this.#control
    doubles[wordOf(entry) / 2 + layout.attachmentPinDouble] = 0
    doubles[wordOf(entry) / 2 + layout.attachmentWatchedDouble] = 0
    Atomics.store(words, wordOf(entry) + layout.attachmentHoldsWord, 0)
    Atomics.store(words, wordOf(entry) + layout.attachmentTakenWord, 0)
  }

  /** False where the directory was moved away, or replaced, while the store was open. */
  isInPlace(): boolean {
    const path = join(this.#directory, controlFileName)
    if (!this.#platform.exists(path)) return false
    const file = this.#platform.openFile(path, 'read')
    try {
      return file.identity().inode === this.#control.file.identity().inode
    } finally {
      file.close()
    }
  }

  /** All that live, this one included. */
  list(): Attachment[] {
    const found: Attachment[] = []
    if (!this.#platform.isShared) return found
    const end = Atomics.load(this.#control.words, layout.attachmentEndWord)
    for (let entry = 1; entry < end; entry++) {
      if (entry === this.own || this.#isLive(entry)) found.push(this.facts(entry))
    }
    return found
  }

  /** The lock of the one that writes under `token`, if it is dead: held while one repairs for it. */
  takeFromDead(token: number): FileLock | undefined {
    return this.#platform.tryLock(this.#path(entryOf(token)), 'exclusive')
  }

  facts(entry: number): Attachment {
    const { words, doubles } = this.#control
    const word = wordOf(entry)
    return {
      processId: doubles[word / 2 + layout.attachmentProcessDouble],
      threadId: doubles[word / 2 + layout.attachmentThreadDouble],
      sinceMs: doubles[word / 2 + layout.attachmentSinceDouble],
      isReadOnly: words[word + layout.attachmentReadOnlyWord] === 1,
      nodeVersion: words[word + layout.attachmentNodeWord],
    }
  }

  /** True where the entry is that of the one that writes, dead or alive. */
  #isOfWriter(entry: number): boolean {
    const writer = Atomics.load(this.#control.words, layout.writerWord)
    return (writer & layout.tokenBusy) !== 0 && entryOf(writer) === entry
  }

  #isLive(entry: number): boolean {
    const { words } = this.#control
    if (Atomics.load(words, wordOf(entry) + layout.attachmentTakenWord) === 0) return false
    // Shared: two that ask at once must not take each other for the owner.
    const lock = this.#platform.tryLock(this.#path(entry), 'shared')
    lock?.release()
    return lock === undefined
  }

  #path(entry: number): string {
    return join(this.#directory, attachmentFileName(entry))
  }
}

const nodeVersion = Number(process.versions.node.split('.')[0])

export function entryOf(token: number): number {
  return (token >>> layout.tokenAttachmentShift) & layout.tokenAttachmentMask
}

function wordOf(entry: number): number {
  return (layout.attachmentsOffset + entry * layout.attachmentSizeBytes) / 4
}
