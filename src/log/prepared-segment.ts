/**
 * The next segment of the log, got ready while the tail segment fills: its blocks reserved, mapped, its first pages
 * made resident, under the name `prepared-` and the number of an attachment.
 *
 * One of all that have the store open prepares it, whoever comes first; a word of the control file says who. So a
 * store that many write to has the blocks of one segment that is not in use, not of as many as write. Whoever fills
 * the tail segment takes it, also another one, once it has all its blocks: nothing is written to it any more then
 * by whoever prepared it.
 *
 * - Only whoever changes the word from an owner to 0 may rename or remove that owner's file. But where it is given
 *   up it is changed with the writer's word in hand.
 * - An owner that finds another number there has nothing any more, and gives up what it holds at its next look.
 * - Killed between the word and the rename, the file is one that nobody owns: its former owner removes it at its next
 *   look, or the next opening does.
 */
import { systemErrorCode } from '../base/errors.js'
import * as layout from '../format/control-layout.js'
import { preparedFileName } from '../format/file-names.js'
import type { Mapping, PlatformFile } from '../platform/platform.js'
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
  const prepared = log.prepared ?? begin(log)
  try {
    prepared.file.reserve(log.segmentSizeBytes)
  } catch (error) {
    // What it got is more than a manifest takes, without which nothing is given back.
    dropPrepared(log)
    throw error
  }
}

/** Gives it the name of a segment. Undefined where there is none: it has to be made then. */
export function takePrepared(
  log: Log,
  path: string,
): { file: PlatformFile; mapping: Mapping } | undefined {
  giveUpLost(log)
  const owner = ownerOf(log)
  const { prepared } = log
  if (prepared !== undefined) {
    // Reserving again costs little where it is done, and says so where it failed.
    prepared.file.reserve(log.segmentSizeBytes)
    const mapping = prepared.mapping ?? log.map(prepared.file, log.segmentSizeBytes)
    prepared.mapping = mapping
    if (!take(log, owner, path)) return undefined
    log.prepared = undefined
    return { file: prepared.file, mapping }
  }
  const file = openOfAnother(log)
  if (file === undefined) return undefined
  let mapping: Mapping | undefined
  try {
    if (isComplete(log, file)) {
      mapping = log.map(file, log.segmentSizeBytes)
      if (take(log, owner, path)) return { file, mapping }
    }
  } catch (error) {
    mapping?.unmap()
    file.close()
    throw error
  }
  mapping?.unmap()
  file.close()
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

/**
 * As {@link dropPrepared}, whosever it is: its blocks are given back when its owner looks, with the next write that
 * needs room.
 */
export function dropAnyPrepared(log: Log): void {
  const owner = ownerOf(log)
  if (log.prepared !== undefined) dropPrepared(log)
  else if (owner !== nobody && release(log, owner)) remove(log, owner)
}

/** What this attachment has lost is another's segment by now, or was to be, by one that died. */
function giveUpLost(log: Log): void {
  if (log.prepared === undefined || ownerOf(log) === log.attachment) return
  forget(log)
  remove(log, log.attachment)
}

function begin(log: Log): PreparedSegment {
  const former = ownerOf(log)
  const file = log.platform.openFile(pathOf(log, log.attachment), 'create')
  const prepared = { file, mapping: undefined }
  log.prepared = prepared
  Atomics.store(log.control.words, layout.preparedByWord, 1 + log.attachment)
  // It was incomplete, and its owner has died, or finds out.
  if (former !== nobody && former !== log.attachment) remove(log, former)
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
  log.prepared?.mapping?.discard()
  log.prepared?.file.close()
  log.prepared = undefined
}

function remove(log: Log, owner: number): void {
  const path = pathOf(log, owner)
  if (log.platform.exists(path)) log.platform.remove(path)
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
