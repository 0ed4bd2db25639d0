/** All that a recovery makes, for comparing one that began with a checkpoint with one that did not. */
import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { abandon } from '../../src/engine/close.js'
import type { Engine } from '../../src/engine/engine.js'
import { entriesPerBucket, entryWords, linkWordInBucket } from '../../src/format/bucket.js'
import * as layout from '../../src/format/control-layout.js'
import { parseCheckpointFileName } from '../../src/format/file-names.js'
import { wordOf } from '../../src/index/hash-index.js'
import {
  kindValue,
  slotDeadBytes,
  slotEndBytes,
  slotKind,
  slotNumber,
} from '../../src/log/slot-table.js'
import { open, type RecoveryReport } from '../../src/store/index.js'
import { copyStore, removeDirectory } from '../support/directory.js'
import { engineOf } from '../support/engine-of.js'

export interface Recovered {
  readonly report: RecoveryReport
  /** Address of each entry, with its hash, sorted. */
  readonly entries: readonly string[]
  readonly state: Readonly<Record<string, number>>
  readonly keyspaces: readonly (readonly number[])[]
  /** By number: where records end, and how many bytes of them are dead. */
  readonly segments: readonly (readonly number[])[]
}

const comparedFields = {
  tail: layout.tail,
  durable: layout.durable,
  begin: layout.begin,
  sequence: layout.sequence,
  version: layout.version,
  records: layout.records,
  keyBytes: layout.keyBytes,
  valueBytes: layout.valueBytes,
  liveBytes: layout.liveBytes,
  tombstones: layout.tombstones,
} as const

/** Every entry of the index with the bits of its hash and the address that it leads to. */
export function indexEntries(engine: Engine): string[] {
  const { control, index, log } = engine
  const found: string[] = []
  for (let home = 0; home < control.get(layout.bucketCount); home++) {
    let words = index.wordsOf(home)
    let start = wordOf(home)
    for (;;) {
      for (let entry = 0; entry < entriesPerBucket * entryWords; entry += entryWords) {
        const low = words[start + entry]
        const high = words[start + entry + 1]
        if (low === 0 && high === 0) continue
        const slot = ((low & 0xff) << (32 - log.shift)) | (high >>> log.shift)
        const address = log.slots.get(slot, slotNumber) * log.segmentWords + (high & log.offsetMask)
        const hash = ((low & ~0xff) | (home & 0xff)) >>> 0
        if (index.bucketOf(hash) !== home) throw new Error(`an entry of ${hash} is in ${home}`)
        found.push(`${hash} ${address}`)
      }
      const link = words[start + linkWordInBucket]
      if (link === 0) break
      words = index.overflowWordsOf(link)
      start = wordOf(link)
    }
  }
  return found.sort()
}

export function recoveredFrom(engine: Engine): Recovered {
  const { control, counts, lastRecovery, log } = engine
  const slots = Array.from({ length: control.get(layout.slotEnd) }, (_, slot) => slot)
  const keyspaceIds = Array.from({ length: control.get(layout.nextKeyspaceId) }, (_, id) => id)
  return {
    report: lastRecovery,
    entries: indexEntries(engine),
    state: Object.fromEntries(
      Object.entries(comparedFields).map(([name, field]) => [name, control.get(field)]),
    ),
    keyspaces: keyspaceIds
      .map((id) => [id, counts.get(id, 0), counts.get(id, 1), counts.get(id, 2)])
      .filter(([, records]) => records > 0),
    segments: slots
      .map((slot) => [
        log.slots.get(slot, slotNumber),
        log.slots.get(slot, slotEndBytes),
        // A value that nothing ever referred to counts as dead where that was seen, and not in replay.
        log.slots.get(slot, slotKind) === kindValue ? 0 : log.slots.get(slot, slotDeadBytes),
      ])
      .sort(([a], [b]) => a - b),
  }
}

/** What a reader on another boot makes of the directory: read-only, so everything stays as it is. */
export function recover(directory: string): Recovered {
  const store = open(directory, { readOnly: true, encoding: 'binary' })
  try {
    return recoveredFrom(engineOf(store))
  } finally {
    abandon(engineOf(store))
  }
}

/** The same without any checkpoint, in a copy. */
export function recoverWhole(directory: string, to: string): Recovered {
  copyStore(directory, to)
  for (const name of readdirSync(to)) {
    if (parseCheckpointFileName(name) !== undefined) rmSync(join(to, name))
  }
  try {
    return recover(to)
  } finally {
    removeDirectory(to)
  }
}
