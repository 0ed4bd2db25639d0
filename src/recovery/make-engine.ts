/** Putting an engine together from the parts that recovery found or made. */

import { Engine, type RecoveryReport } from '../engine/engine.js'
import * as layout from '../format/control-layout.js'
import type { Manifest } from '../format/manifest.js'
import type { Superblock } from '../format/superblock.js'
import { Log } from '../log/log.js'
import { roll } from '../log/roll.js'
import type { Lock, Platform } from '../platform/platform.js'
import { signVolatileParts, type VolatileParts } from './volatile-parts.js'

export interface OpenOptions {
  readonly readOnly: boolean
  readonly createIfMissing: boolean
  readonly errorIfExists: boolean
  /** Undefined: the default for a new store, whatever it has for an existing one. */
  readonly segmentSizeBytes: number | undefined
  readonly syncIntervalMs: number
  readonly mapping: 'auto' | 'mmap' | 'file'
}

/** What recovery starts from. */
export interface StoreFiles {
  readonly platform: Platform
  readonly directory: string
  readonly superblock: Superblock
  readonly manifest: Manifest
  readonly options: OpenOptions
  readonly lock: Lock | undefined
  readonly startedAtMs: number
}

export function makeEngine(
  files: StoreFiles,
  parts: VolatileParts,
  epoch: number,
  report: Omit<RecoveryReport, 'durationMs'>,
): Engine {
  const { directory, lock, options, platform, superblock } = files
  const { control, counts, index, slots } = parts
  const log = new Log(
    {
      platform,
      directory,
      storeId: superblock.storeId,
      shift: superblock.segmentShift,
      access: options.readOnly ? 'private' : 'shared',
      space: parts.space,
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
    hashSeedLow: superblock.hashSeedLow,
    hashSeedHigh: superblock.hashSeedHigh,
    epoch,
    isReadOnly: options.readOnly,
    syncIntervalMs: options.syncIntervalMs,
    lock,
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
  const { directory, platform, superblock } = files
  parts.control.setSessionOpen(true)
  signVolatileParts(parts, platform, { directory, storeId: superblock.storeId, epoch })
}
