/** Attaching to a store: one's entry in its table, and the state that others keep. */

import { join } from 'node:path'
import { type Engine, nothingReplayed } from '../engine/engine.js'
import { adopt } from '../engine/exclusive.js'
import * as layout from '../format/control-layout.js'
import { preparedFileName } from '../format/file-names.js'
import { segmentSizeOf } from '../format/superblock.js'
import { removeIfThere } from '../platform/remove-if-there.js'
import { makeEngine, type StoreFiles } from './make-engine.js'
import {
  closeVolatileParts,
  isSigned,
  openVolatileParts,
  requireSameLibrary,
  type VolatileParts,
  volatilePartsExist,
} from './volatile-parts.js'

/** Takes an entry in a table that nobody else uses, and the writer's word until opening is done. */
export function attachAlone(files: StoreFiles, parts: VolatileParts): void {
  const { attachments, control } = parts
  // What was prepared goes with all other leftovers.
  Atomics.store(control.words, layout.preparedByWord, 0)
  if (!files.platform.isShared) return
  attachments.take(files.options.readOnly, files.platform.nowMs())
  Atomics.store(control.words, layout.writerWord, attachments.token | layout.tokenBusy)
  // Whoever is in the table is dead, and so are its snapshots.
  attachments.clearDead()
  Atomics.store(control.words, layout.watchedWord, 0)
}

/**
 * The engine of one more that has the store open, or undefined where nobody who is alive has. What
 * the others do goes on meanwhile; nothing is recovered, and a writer that died with the word in its
 * hand is repaired for by the next one that writes.
 */
export function attachToLive(files: StoreFiles): Engine | undefined {
  const { access, directory, manifest, options, platform, superblock } = files
  if (!volatilePartsExist(platform, directory)) return undefined
  const mode = access === 'private' ? 'read' : 'write'
  const parts = openVolatileParts(platform, directory, segmentSizeOf(superblock), mode)
  try {
    if (parts.attachments.list().length === 0) {
      closeVolatileParts(parts)
      return undefined
    }
    requireSameLibrary(parts, directory)
    if (!isSigned(parts, superblock.storeId)) {
      throw new Error(`the control file of ${directory} is in use and belongs to another store`)
    }
    if (access === 'shared') {
      parts.attachments.take(options.readOnly, platform.nowMs())
      removeLeftover(files, parts)
      if (!options.readOnly) parts.control.setSessionOpen(true)
    }
    const engine = makeEngine(files, parts, manifest.epoch, {
      kind: 'attached',
      rows: ['open-elsewhere'],
      ...nothingReplayed,
    })
    adopt(engine)
    return engine
  } catch (error) {
    closeVolatileParts(parts)
    throw error
  }
}

/** The segment that the last owner of the entry was preparing when it died; who wants to take it finds it gone. */
function removeLeftover(
  { directory, platform }: StoreFiles,
  { attachments, control }: VolatileParts,
): void {
  const owner = 1 + attachments.own
  Atomics.compareExchange(control.words, layout.preparedByWord, owner, 0)
  removeIfThere(platform, join(directory, preparedFileName(attachments.own)))
}
