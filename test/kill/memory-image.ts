/**
 * A store as a killed process leaves it, made without a process: the files are copied while an
 * operation is under way, and the copies are signed as the files of this boot. What a kill leaves
 * is what is in the mapped memory, and that is what the copy has.
 */
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import * as layout from '../../src/format/control-layout.js'
import { segmentFileName } from '../../src/format/file-names.js'
import {
  kindDropped,
  kindPart,
  kindValue,
  slotDevice,
  slotEndBytes,
  slotInode,
  slotKind,
  slotNumber,
} from '../../src/log/slot-table.js'
import { copyStore, overwrite, readDoubles, writeDoubles } from '../support/directory.js'

const slotSizeDoubles = 16

/** Copies the store in `from` to `to`; the next opening of `to` takes it for a killed one. */
export function copyAsKilled(from: string, to: string): void {
  copyStore(from, to)
  sign(to)
}

/** The next opening takes the store for one of another boot. Returns what undoes this. */
export function moveToOtherBoot(directory: string): () => void {
  const path = join(directory, 'control')
  const control = readFileSync(path)
  const own = control.subarray(layout.bootIdOffset, layout.bootIdOffset + layout.identitySizeBytes)
  const other = Buffer.alloc(layout.identitySizeBytes)
  other.write('another boot')
  overwrite(path, layout.bootIdOffset, other)
  return () => overwrite(path, layout.bootIdOffset, own)
}

function sign(directory: string): void {
  const control = readDoubles(join(directory, 'control'))
  const own = statSync(join(directory, 'control'))
  control[layout.deviceDouble] = own.dev
  control[layout.inodeDouble] = own.ino
  const parts = ['buckets', 'overflow', 'slots', 'keyspaces', 'order', 'expiry']
  parts.forEach((name, index) => {
    const { dev, ino } = statSync(join(directory, name))
    control[layout.identitiesDouble + 2 * index] = dev
    control[layout.identitiesDouble + 2 * index + 1] = ino
  })
  writeDoubles(join(directory, 'control'), control)
  const slots = readDoubles(join(directory, 'slots'))
  const slotEnd = Math.max(
    control[layout.stateDouble + layout.slotEnd],
    control[layout.stateDouble + layout.stateSizeDoubles + layout.slotEnd],
  )
  let inode = { dev: 0, ino: 0 }
  for (let slot = 0; slot < slotEnd; slot++) {
    const fields = slots.subarray(slot * slotSizeDoubles)
    if (fields[slotNumber] === 0) continue
    if (fields[slotKind] !== kindPart) {
      const isValue =
        fields[slotKind] === kindValue ||
        (fields[slotKind] === kindDropped && fields[slotEndBytes] === 0)
      const kind = isValue ? 'value' : 'log'
      inode = statSync(join(directory, segmentFileName(kind, fields[slotNumber])), {
        throwIfNoEntry: false,
      }) ?? { dev: 0, ino: 0 }
    }
    fields[slotDevice] = inode.dev
    fields[slotInode] = inode.ino
  }
  writeDoubles(join(directory, 'slots'), slots)
}
