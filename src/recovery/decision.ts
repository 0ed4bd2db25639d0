/**
 * What opening a store does, as tables: for every combination of what can be found there is exactly one
 * row of each, and the code asks them. docs/durability.md shows them; test/recovery/decision.test.ts goes
 * through all combinations.
 *
 * A fact is looked at only where a row that is still possible depends on it, in the order of the facts:
 * many cost something, and some cannot be looked at after others.
 */
import { assert } from '../base/assert.js'

export interface Facts {
  /** `none`: and no segment either. `missing`: but there are segments. */
  readonly manifest: 'none' | 'missing' | 'damaged' | 'whole'
  /** Whether somebody who is alive has the store open. */
  readonly others: 'nobody' | 'alive'
  /** `foreign`: cut short, not signed, or of another store or epoch. `this-boot`: mount and files, too. */
  readonly control: 'missing' | 'foreign' | 'other-boot' | 'this-boot'
  /** The poison word of the control file. */
  readonly poison: 'clear' | 'set'
  /** Whether every segment file is the one that was signed, and as long. */
  readonly segments: 'same' | 'changed'
  /** How this one reaches files. */
  readonly files: 'mapped' | 'unmapped'
  /** The mark of a proper end. */
  readonly session: 'closed' | 'open'
  /** A change that the state announces: it may not have been made in full. */
  readonly pending: 'none' | 'announced'
  /** Whether memory from `durable` on verifies, and its digest is the one that was kept. */
  readonly tail: 'verifies' | 'fails'
  /** `older`: the newest cannot be used. `unusable`: none of those there are can. */
  readonly checkpoint: 'none' | 'newest' | 'older' | 'unusable'
  /** The segments that the manifest names, from where reading begins. */
  readonly sealed: 'whole' | 'damaged'
  /** Whether the log can be believed as far as anything says that a sync had come. */
  readonly synced: 'reached' | 'missing'
  /** Records that verify behind the last marker that counts. */
  readonly behind: 'nothing' | 'records'
  /** What an old control file says of the log's end: its digest agrees with the log, or not. */
  readonly claim: 'none' | 'proved' | 'refuted'
  /** Whether records of the last segments may have been updated in place. */
  readonly updates: 'in-place' | 'never'
  /** `read`: the machine was started since, so what the page cache has came from the medium. */
  readonly cache: 'read' | 'in-doubt'
  /** An update in place that an old control file announces: whether the log lacks it. */
  readonly update: 'none' | 'made' | 'unmade'
}

export type FactName = keyof Facts

export const factValues: { readonly [K in FactName]: readonly Facts[K][] } = {
  manifest: ['none', 'missing', 'damaged', 'whole'],
  others: ['nobody', 'alive'],
  control: ['missing', 'foreign', 'other-boot', 'this-boot'],
  poison: ['clear', 'set'],
  segments: ['same', 'changed'],
  files: ['mapped', 'unmapped'],
  session: ['closed', 'open'],
  pending: ['none', 'announced'],
  tail: ['verifies', 'fails'],
  checkpoint: ['none', 'newest', 'older', 'unusable'],
  sealed: ['whole', 'damaged'],
  synced: ['reached', 'missing'],
  behind: ['nothing', 'records'],
  claim: ['none', 'proved', 'refuted'],
  updates: ['in-place', 'never'],
  cache: ['read', 'in-doubt'],
  update: ['none', 'made', 'unmade'],
}

export interface Row<Action extends string = string> {
  readonly label: string
  /** The facts that it takes; any where a fact is not named. */
  readonly when: { readonly [K in FactName]?: Facts[K] | readonly Facts[K][] }
  readonly action: Action
  readonly why: string
  /** Of the hazards that the design had to survive. */
  readonly hazards?: readonly string[]
}

/** Is there a store, and may it be looked into? */
export const manifestRows: readonly Row<'begin' | 'open' | 'refuse'>[] = [
  {
    label: 'new-store',
    when: { manifest: 'none' },
    action: 'begin',
    why: 'it was being made when its maker died, or is being made now: it holds nothing yet',
  },
  {
    label: 'manifest-missing',
    when: { manifest: 'missing' },
    action: 'refuse',
    why: 'nothing tells which of the segments count',
  },
  {
    label: 'manifest-damaged',
    when: { manifest: 'damaged' },
    action: 'refuse',
    why: 'it is replaced by a rename, so no crash leaves half of it',
  },
  {
    label: 'manifest-whole',
    when: { manifest: 'whole' },
    action: 'open',
    why: 'see the next table',
  },
]

/** Is memory as the last instruction left it? */
export const openingRows: readonly Row<'attach' | 'go-on' | 'finish' | 'replay' | 'refuse'>[] = [
  {
    label: 'open-elsewhere',
    when: { others: 'alive', files: 'mapped' },
    action: 'attach',
    why: 'nothing is to be recovered; whoever died meanwhile is repaired for by the next to write',
  },
  {
    label: 'open-elsewhere-mapped',
    when: { others: 'alive', files: 'unmapped' },
    action: 'refuse',
    why: 'STORE_LOCKED: one without a mapping does not see what others write',
  },
  {
    label: 'no-control-file',
    when: { others: 'nobody', control: 'missing' },
    action: 'replay',
    why: 'nobody has opened it since it was restored, or backed up, or its manifest was written',
  },
  {
    label: 'foreign-control-file',
    when: { others: 'nobody', control: 'foreign' },
    action: 'replay',
    why: 'it is of an earlier epoch, another store, or no whole file: it says nothing of this log',
    hazards: ['C3'],
  },
  {
    label: 'other-boot',
    when: { others: 'nobody', control: 'other-boot' },
    action: 'replay',
    why: 'another boot, mount or copy of the files: pages that were not synced may be lost or torn',
    hazards: ['C4'],
  },
  {
    label: 'poisoned',
    when: { others: 'nobody', control: 'this-boot', poison: 'set' },
    action: 'replay',
    why: 'a flush failed: the kernel may call pages clean that it never wrote',
    hazards: ['C4'],
  },
  {
    label: 'segments-changed',
    when: { others: 'nobody', control: 'this-boot', poison: 'clear', segments: 'changed' },
    action: 'replay',
    why: 'a segment file was put in the place of the one that the index was made over, or is gone',
    hazards: ['C4'],
  },
  {
    label: 'unmapped-after-close',
    when: {
      ...{ others: 'nobody', control: 'this-boot', poison: 'clear', segments: 'same' },
      ...{ files: 'unmapped', session: 'closed' },
    },
    action: 'replay',
    why: 'without a mapping the index is no shared memory: it is built anew',
  },
  {
    label: 'unmapped-after-kill',
    when: {
      ...{ others: 'nobody', control: 'this-boot', poison: 'clear', segments: 'same' },
      ...{ files: 'unmapped', session: 'open' },
    },
    action: 'refuse',
    why: 'STORE_IN_USE: what a killed mapped session began is finished mapped',
  },
  {
    label: 'closed',
    when: {
      ...{ others: 'nobody', control: 'this-boot', poison: 'clear', segments: 'same' },
      ...{ files: 'mapped', session: 'closed' },
    },
    action: 'go-on',
    why: 'it was closed properly on this boot',
  },
  {
    label: 'killed',
    when: {
      ...{ others: 'nobody', control: 'this-boot', poison: 'clear', segments: 'same' },
      ...{ files: 'mapped', session: 'open', pending: 'none', tail: 'verifies' },
    },
    action: 'finish',
    why: 'memory survives processes: it is as the last instruction left it',
  },
  {
    label: 'killed-within-a-change',
    when: {
      ...{ others: 'nobody', control: 'this-boot', poison: 'clear', segments: 'same' },
      ...{ files: 'mapped', session: 'open', pending: 'announced', tail: 'verifies' },
    },
    action: 'finish',
    why: 'what is announced is made once more; every change is the same when made twice',
  },
  {
    label: 'killed-and-torn',
    when: {
      ...{ others: 'nobody', control: 'this-boot', poison: 'clear', segments: 'same' },
      ...{ files: 'mapped', session: 'open', tail: 'fails' },
    },
    action: 'replay',
    why: 'memory is not what was written after all: a cache was lost on this boot, or a page is bad',
    hazards: ['C4'],
  },
]

/** Where does reading begin? */
export const startRows: readonly Row<'beginning' | 'checkpoint'>[] = [
  {
    label: 'whole-log',
    when: { checkpoint: 'none' },
    action: 'beginning',
    why: 'there is no checkpoint',
  },
  {
    label: 'newest-checkpoint',
    when: { checkpoint: 'newest' },
    action: 'checkpoint',
    why: 'what lies below it was synced before it was written',
  },
  {
    label: 'older-checkpoint',
    when: { checkpoint: 'older' },
    action: 'checkpoint',
    why: 'newer ones are damaged or not of this log: they are passed over, and said',
  },
  {
    label: 'no-usable-checkpoint',
    when: { checkpoint: 'unusable' },
    action: 'beginning',
    why: 'all of them are passed over, and said; the log is the truth',
  },
]

/** How far is the log believed? */
export const endRows: readonly Row<'marker' | 'claim' | 'verified' | 'cut' | 'refuse'>[] = [
  {
    label: 'sealed-damage',
    when: { sealed: 'damaged' },
    action: 'refuse',
    why: 'segments that the manifest names were synced and never change: STORE_CORRUPT',
  },
  {
    label: 'synced-records-missing',
    when: { sealed: 'whole', synced: 'missing' },
    action: 'refuse',
    why: 'a marker, the manifest, a checkpoint or the old control file names more than can be believed as synced: STORE_CORRUPT',
    hazards: ['C2'],
  },
  {
    label: 'last-marker',
    when: { sealed: 'whole', synced: 'reached', behind: 'nothing' },
    action: 'marker',
    why: 'the digest of the last marker is that of all records before it',
    hazards: ['C1', 'C2'],
  },
  {
    label: 'old-control-file',
    when: { sealed: 'whole', synced: 'reached', behind: 'records', claim: 'proved' },
    action: 'claim',
    why: 'its digest is that of the records up to the tail that it names: nothing of them is missing',
    hazards: ['C1', 'C4'],
  },
  {
    label: 'appended-only',
    when: {
      ...{ sealed: 'whole', synced: 'reached', behind: 'records' },
      ...{ claim: ['none', 'refuted'], updates: 'never' },
    },
    action: 'verified',
    why: 'where nothing is updated in place, records that verify in a row are what was written',
  },
  {
    label: 'cut-at-marker',
    when: {
      ...{ sealed: 'whole', synced: 'reached', behind: 'records' },
      ...{ claim: ['none', 'refuted'], updates: 'in-place' },
    },
    action: 'cut',
    why: 'an update in place may be lost although every record verifies: what no marker covers is dropped, and dead for good in the new epoch',
    hazards: ['C1', 'C2', 'C3'],
  },
]

/** What is done with what is kept and no sync is known to have covered, before a manifest names it? */
export const settleRows: readonly Row<'sync' | 'copy' | 'update-and-sync' | 'update-and-copy'>[] = [
  {
    label: 'synced',
    when: { poison: 'clear', cache: 'read', update: ['none', 'made'] },
    action: 'sync',
    why: 'pages may have arrived without a flush',
  },
  {
    label: 'copied-in-doubt',
    when: { poison: 'clear', cache: 'in-doubt', update: ['none', 'made'] },
    action: 'copy',
    why: 'a flush may have failed on this boot, and nothing is left that would say so',
    hazards: ['C4'],
  },
  {
    label: 'copied',
    when: { poison: 'set', update: ['none', 'made'] },
    action: 'copy',
    why: 'after a failed flush a clean page proves nothing: it is written to a new file',
    hazards: ['C4'],
  },
  {
    label: 'updated-and-synced',
    when: { poison: 'clear', cache: 'read', update: 'unmade' },
    action: 'update-and-sync',
    why: 'it was acknowledged, and the redo area has it whole',
  },
  {
    label: 'updated-and-copied-in-doubt',
    when: { poison: 'clear', cache: 'in-doubt', update: 'unmade' },
    action: 'update-and-copy',
    why: 'both',
    hazards: ['C4'],
  },
  {
    label: 'updated-and-copied',
    when: { poison: 'set', update: 'unmade' },
    action: 'update-and-copy',
    why: 'both',
    hazards: ['C4'],
  },
]

export const tables = { manifestRows, openingRows, startRows, endRows, settleRows } as const

/** How each fact is found. Looking may cost, and may take what was looked at into use. */
export type Look = { readonly [K in FactName]?: () => Facts[K] }

/** The one row that takes what is found. */
export function decide<Action extends string>(
  rows: readonly Row<Action>[],
  look: Look,
): Row<Action> {
  let left = rows
  for (const name of Object.keys(factValues) as FactName[]) {
    if (left.every(({ when }) => when[name] === undefined)) continue
    const found = look[name]?.()
    assert(found !== undefined, `the fact ${name} can be looked at`)
    left = left.filter(({ when }) => takes(when[name], found))
  }
  assert(left.length === 1, `one row takes what was found, not ${left.length}`)
  return left[0]
}

export function takes(wanted: string | readonly string[] | undefined, found: string): boolean {
  return (
    wanted === undefined || wanted === found || (Array.isArray(wanted) && wanted.includes(found))
  )
}
