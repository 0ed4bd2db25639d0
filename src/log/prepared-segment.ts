/**
 * The next segment of the log, got ready while the tail segment fills: its blocks reserved, mapped, its first pages
 * made resident, under the name `prepared-` and the number of an attachment.
 *
 * One of all that have the store open prepares it, whoever comes first; a word of the control file says who. So a
 * store that many write to has the blocks of one segment that is not in use, not of as many as write. Whoever fills
 * the tail segment takes it, also another one.
 *
 * - The file is renamed only by who changed the word from its owner to 0, with the writer's word in hand. A close,
 *   and an opening that gets the number of one that died, change it without: who wants the file may find it gone.
 * - An owner that finds another number there has nothing any more, and gives up what it holds at its next look: the
 *   file may be a segment in use by then. Nothing writes to a file that is prepared, but who reserves its blocks with
 *   the writer's word in hand.
 * - Killed between the word and the rename, the file is one that nobody owns: its former owner removes it at its next
 *   look, or the next opening does.
 */
import { systemErrorCode } from '../base/errors.js'
import * as layout from '../format/control-layout.js'
import { preparedFileName } from '../format/file-names.js'
import type { Mapping, PlatformFile } from '../platform/platform.js'
import { removeIfThere } from '../platform/remove-if-there.js'
import type { Log } from './log.js'

export interface PreparedSegment {
  readonly file: PlatformFile
  mapping: Mapping | undefined
}

/** A segment this full gets a successor: stores that hold little never take a second one's blocks. */
const prepareFromPart = 0.25
/** Made resident before it is used. */
const prefaultSizeBytes = 2 ** 22
/** As an owner. */
const nobody = -1

/** True where some attachment has one, or has begun to. */
export function isPreparing(log: Log): boolean {
  return ownerOf(log) !== nobody
}

/** With the writer's word in hand, as the others here but those that give it up. */
export function prepareNext(log: Log): void {
  giveUpLost(log)
  if (log.platform.kind !== 'mmap') return
  if (log.tailOffset < log.segmentWords * prepareFromPart) return
  const { prepared } = log
  if (prepared === undefined) {
    if (!isPreparedByAnother(log)) begin(log).file.reserveAhead(log.segmentSizeBytes)
  } else if (prepared.mapping === undefined && isComplete(log, prepared.file)) {
    prepared.mapping = log.map(prepared.file, log.segmentSizeBytes)
    prepared.mapping.prefault(0, Math.min(prefaultSizeBytes, log.segmentSizeBytes))
  }
}

/** True where the next segment has its blocks. */
export function isNextSecure(log: Log): boolean {
  if (log.platform.kind === 'memory') return true
  giveUpLost(log)
  if (log.prepared !== undefined) return isComplete(log, log.prepared.file)
  const file = openOfAnother(log)
  if (file === undefined) return false
  try {
    return isComplete(log, file)
  } finally {
    file.close()
  }
}

/** Throws `STORE_FULL` where there are no blocks for a next segment. */
export function secureNext(log: Log): void {
  if (isNextSecure(log)) return
  const another = log.prepared === undefined ? openOfAnother(log) : undefined
  const file = log.prepared?.file ?? another ?? begin(log).file
  try {
    file.reserve(log.segmentSizeBytes)
  } catch (error) {
    // What it got is more than a manifest takes, without which nothing is given back.
    dropAnyPrepared(log)
    throw error
  } finally {
    another?.close()
  }
}

/** Gives it the name of a segment. Undefined where there is none: it has to be made then. Throws `STORE_FULL`. */
export function takePrepared(
  log: Log,
  path: string,
): { file: PlatformFile; mapping: Mapping } | undefined {
  giveUpLost(log)
  const owner = ownerOf(log)
  const own = log.prepared
  const file = own?.file ?? openOfAnother(log)
  if (file === undefined) return undefined
  let mapping = own?.mapping
  try {
    // Reserving again costs little where it is done, and says so where it failed.
    file.reserve(log.segmentSizeBytes)
    mapping ??= log.map(file, log.segmentSizeBytes)
    if (own !== undefined) own.mapping = mapping
    if (take(log, owner, path)) {
      log.prepared = undefined
      return { file, mapping }
    }
  } catch (error) {
    if (own === undefined) giveUp(file, mapping)
    throw error
  }
  giveUp(file, mapping)
  log.prepared = undefined
  return undefined
}

/** Gives up the one of this attachment, and its blocks with it. */
export function dropPrepared(log: Log): void {
  if (log.prepared === undefined) return
  const isOwn = release(log, log.attachment)
  forget(log)
  // Else another one takes it, and maybe at this moment.
  if (isOwn) remove(log, log.attachment)
}

/** As {@link dropPrepared}, whosever it is: the blocks of another's are given back when its owner next reads or writes. */
export function dropAnyPrepared(log: Log): void {
  dropPrepared(log)
  const owner = ownerOf(log)
  if (owner === nobody || !release(log, owner)) return
  remove(log, owner)
  Atomics.add(log.control.words, layout.slotGenerationWord, 1)
}

/**
 * Lets go of what this attachment has lost, whoever has the writer's word: it would keep the blocks of a segment that
 * others drop.
 */
export function forgetLost(log: Log): void {
  if (hasLost(log)) forget(log)
}

/** As {@link forgetLost}; where its taker died before the rename, the file is still there. */
function giveUpLost(log: Log): void {
  if (!hasLost(log)) return
  forget(log)
  remove(log, log.attachment)
}

function hasLost(log: Log): boolean {
  return log.prepared !== undefined && ownerOf(log) !== log.attachment
}

/** Where there is none of another's. */
function begin(log: Log): PreparedSegment {
  const file = log.platform.openFile(pathOf(log, log.attachment), 'create')
  const prepared = { file, mapping: undefined }
  log.prepared = prepared
  Atomics.store(log.control.words, layout.preparedByWord, 1 + log.attachment)
  return prepared
}

/** False where it is gone: its owner closes the store, or was dead and its number has another owner. */
function take(log: Log, owner: number, path: string): boolean {
  if (!release(log, owner)) return false
  try {
    log.platform.rename(pathOf(log, owner), path)
    return true
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw error
    return false
  }
}

function release({ control }: Log, owner: number): boolean {
  const word = 1 + owner
  return Atomics.compareExchange(control.words, layout.preparedByWord, word, 0) === word
}

function forget(log: Log): void {
  if (log.prepared !== undefined) giveUp(log.prepared.file, log.prepared.mapping)
  log.prepared = undefined
}

function giveUp(file: PlatformFile, mapping: Mapping | undefined): void {
  mapping?.discard()
  file.close()
}

/** Others may remove it at the same time. */
function remove(log: Log, owner: number): void {
  removeIfThere(log.platform, pathOf(log, owner))
}

function isPreparedByAnother(log: Log): boolean {
  const owner = ownerOf(log)
  return owner !== nobody && owner !== log.attachment && log.platform.exists(pathOf(log, owner))
}

function openOfAnother(log: Log): PlatformFile | undefined {
  if (!isPreparedByAnother(log)) return undefined
  try {
    return log.platform.openFile(pathOf(log, ownerOf(log)), 'write')
  } catch (error) {
    // Its owner closes the store.
    if (systemErrorCode(error) !== 'ENOENT') throw error
    return undefined
  }
}

function isComplete({ segmentSizeBytes }: Log, file: PlatformFile): boolean {
  return file.reservedBytes() >= segmentSizeBytes
}

function ownerOf({ control }: Log): number {
  return Atomics.load(control.words, layout.preparedByWord) - 1
}

function pathOf(log: Log, owner: number): string {
  return log.path(preparedFileName(owner))
}
