/** Putting an engine together from the parts that recovery found or made. */

import { Engine, type RecoveryReport, type Renewal, type Session } from '../engine/engine.js'
import * as layout from '../format/control-layout.js'
import type { Manifest } from '../format/manifest.js'
import type { Superblock } from '../format/superblock.js'
import { Log } from '../log/log.js'
import { roll } from '../log/roll.js'
import type { MapAccess, Platform } from '../platform/platform.js'
import { signVolatileParts, type VolatileParts } from './volatile-parts.js'

export interface OpenOptions {
  readonly readOnly: boolean
  readonly createIfMissing: boolean
  readonly errorIfExists: boolean
  /** Undefined: the default for a new store, whatever it has for an existing one. */
  readonly segmentSizeBytes: number | undefined
  readonly syncIntervalMs: number
  readonly lockTimeoutMs: number
  readonly mapping: 'auto' | 'mmap' | 'file'
  readonly verifiesReads: boolean
  readonly autoCheckpoint: boolean
  /** Undefined for no budget. */
  readonly memoryBudgetBytes: number | undefined
  /** Undefined: for ever once commands were applied, not at all before. */
  readonly rememberDeletesMs: number | undefined
}

/** What recovery starts from. */
export interface StoreFiles {
  readonly platform: Platform
  readonly directory: string
  readonly superblock: Superblock
  readonly manifest: Manifest
  readonly options: OpenOptions
  /** `private`: whatever is changed in memory stays there, and the files stay as they are. */
  readonly access: MapAccess
  readonly renewal: Renewal | undefined
  /** Called when the store was found whole, before the first change; see `countOpening`. */
  readonly announceChange: (isRebuild: boolean) => void
  readonly startedAtMs: number
}

const noSession: Session = { end: (whenLast) => whenLast() }

export function makeEngine(
  files: StoreFiles,
  parts: VolatileParts,
  epoch: number,
  report: Omit<RecoveryReport, 'durationMs'>,
): Engine {
  const { access, directory, options, platform, superblock } = files
  const { attachments, control, counts, expiries, index, order, slots } = parts
  const log = new Log(
    {
      platform,
      directory,
      storeId: superblock.storeId,
      shift: superblock.segmentShift,
      access,
      space: parts.space,
      attachment: attachments.own,
    },
    control,
    slots,
  )
  return new Engine({
    space: parts.space,
    platform,
    directory,
    control,
    log,
    index,
    counts,
    order,
    expiries,
    hashSeedLow: superblock.hashSeedLow,
    hashSeedHigh: superblock.hashSeedHigh,
    epoch,
    isReadOnly: options.readOnly,
    renewal: files.renewal,
    syncIntervalMs: options.syncIntervalMs,
    verifiesReads: options.verifiesReads,
    autoCheckpoint: options.autoCheckpoint,
    memoryBudgetBytes: options.memoryBudgetBytes,
    lockTimeoutMs: options.lockTimeoutMs,
    session: noSession,
    attachments,
    lastRecovery: { ...report, durationMs: performance.now() - files.startedAtMs },
  })
}

/** Begins the log of a new epoch in a segment of its own. */
export function startLog(engine: Engine): void {
  const { control, index, log } = engine
  index.adoptBucketCount()
  roll(log, 0, engine.epoch)
  control.begin()
  const tail = control.get(layout.tail)
  if (control.get(layout.begin) === 0) control.set(layout.begin, tail)
  control.set(layout.readOnly, tail)
  control.set(layout.durable, tail)
  control.set(layout.lastMarker, 0)
  control.set(layout.digestLow, 0)
  control.set(layout.digestHigh, 0)
  control.commit()
}

/** Says that this boot's memory is the store, and that somebody writes in it. */
export function startSession(files: StoreFiles, parts: VolatileParts, epoch: number): void {
  const { directory, options, platform, superblock } = files
  if (!options.readOnly) parts.control.setSessionOpen(true)
  signVolatileParts(parts, platform, { directory, storeId: superblock.storeId, epoch })
}
