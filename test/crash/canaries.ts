/**
 * The invariants, each broken on purpose: lines of the compiled source and what they become. There is no
 * switch in the product: a process of its own loads the changed lines (canary-hooks.ts) and runs a
 * harness, which must notice.
 */

/** What a harness is to do, small enough to be quick and large enough to notice. */
export type Plan =
  | {
      readonly harness: 'states'
      readonly mapping: 'mmap' | 'file'
      /** Names of operations. */
      readonly sequences: readonly (readonly string[])[]
      readonly repeats: number
    }
  | { readonly harness: 'calls'; readonly mapping: 'mmap' | 'file'; readonly call: 'sync' }
  | { readonly harness: 'sectors'; readonly mapping: 'mmap' | 'file' }

export interface Edit {
  /** Of the compiled source, from its `src/`. */
  readonly file: string
  /** Stands there once. Not up to a constant of another module: the compiler puts its number there. */
  readonly from: string
  readonly to: string
}

export interface Canary {
  readonly invariant: string
  readonly what: string
  readonly edits: readonly Edit[]
  readonly plan: Plan
}

const states = (
  sequences: readonly (readonly string[])[],
  mapping: 'mmap' | 'file' = 'mmap',
  repeats: number = 4,
): Plan => ({ harness: 'states', mapping, sequences, repeats })

const scan = 'log/segment-scan.js'
const replay = 'recovery/recover-by-replay.js'

export const canaries: readonly Canary[] = [
  {
    invariant: 'I1',
    what: 'a record is believed whatever its checksum says',
    edits: [
      {
        file: scan,
        from: 'if (checksumRecord(words, start, size * 2, this.#seeds.at(offset, inBatch)) !== checksum) {',
        to: 'if (false) {',
      },
    ],
    plan: states([['replace'], ['put', 'put']]),
  },
  {
    invariant: 'I2',
    what: 'the epoch is not raised, and a file is written again behind what a crash had cut',
    edits: [
      {
        file: replay,
        from: 'epoch: files.manifest.epoch + 1,',
        to: 'epoch: files.manifest.epoch,',
      },
      {
        file: replay,
        from: "access === 'private' ? manifest.epoch : manifest.epoch + 1;",
        to: 'manifest.epoch;',
      },
      { file: replay, from: '    let free = 1;', to: '    return 1;\n    let free = 1;' },
      {
        file: replay,
        from: 'removeDead(files, log.found, used',
        to: 'void (files, log.found, used',
      },
    ],
    // Numbers of segments are given again only where one was lost: that of a value is the last of all.
    plan: states([
      ['put', 'power', 'large'],
      ['replace', 'power', 'large'],
      ['put', 'power', 'put'],
      ['batch', 'power', 'put'],
    ]),
  },
  {
    invariant: 'I4',
    what: 'records below the read-only boundary are updated in place',
    edits: [
      {
        file: 'engine/put.js',
        from: 'if (log.starts[lookup.slot] + lookup.offset < control.get(',
        to: 'if (0 > control.get(',
      },
    ],
    plan: states([['update', 'sync', 'update']]),
  },
  {
    invariant: 'I5',
    what: 'a marker counts whatever its digest says',
    edits: [
      {
        file: 'recovery/log-reader.js',
        from: 'const matches = digest === undefined',
        to: 'const matches = true || digest === undefined',
      },
    ],
    plan: states(
      [
        ['update', 'replace'],
        ['update', 'put'],
      ],
      'mmap',
      8,
    ),
  },
  {
    invariant: 'I5',
    what: 'where a session begins counts as synced before it is',
    edits: [
      {
        file: 'recovery/log-reader.js',
        from: 'return address % 2 ** shift === ',
        to: 'return -1 === ',
      },
    ],
    plan: states([['put', 'put'], ['large']]),
  },
  {
    invariant: 'I6',
    what: 'of a batch that is not whole the records that are there count',
    edits: [
      {
        file: scan,
        from: `            if (offset >= end || !this.#verifies(offset, true))
                return 'bad';`,
        to: `            if (offset >= end || !this.#verifies(offset, true))
                break;`,
      },
      {
        file: scan,
        from: `        if (offset !== end)
            return 'bad';`,
        to: '',
      },
      {
        file: scan,
        from: 'if (checksumWords(checksums, 0, count, 0) !== ',
        to: 'if (words[0] !== words[0] && words[0] !== ',
      },
    ],
    plan: states([['batch'], ['put', 'batch']], 'file'),
  },
  {
    invariant: 'I7',
    what: 'what a killed process announced is not made again',
    edits: [
      {
        file: 'engine/repair.js',
        from: '    applyPending(engine);',
        to: '    void applyPending;',
      },
    ],
    plan: states([['update'], ['put'], ['batch'], ['put', 'replace']], 'mmap', 6),
  },
  {
    invariant: 'I8',
    what: 'a tombstone is no newer than what it deletes',
    edits: [
      {
        file: 'recovery/replay.js',
        from: 'if (!isCopy && former >= sequence) {',
        to: 'if (!isPut || (!isCopy && former >= sequence)) {',
      },
    ],
    plan: states([['delete']], 'mmap', 3),
  },
  {
    invariant: 'I9',
    what: 'a sync leaves out the names of new segments',
    edits: [
      {
        file: 'engine/sync.js',
        from: 'const needsDirectory = slots.some(',
        to: 'const needsDirectory = false && slots.some(',
      },
    ],
    plan: states([['roll'], ['large']]),
  },
  {
    invariant: 'I9',
    what: 'a file that replaces another is renamed before it is synced',
    edits: [
      {
        file: 'platform/whole-file.js',
        from: '        file.syncNow();',
        to: '        void file.syncNow;',
      },
    ],
    plan: states([['put', 'reopen'], ['power']]),
  },
  {
    invariant: 'I9',
    what: 'a manifest names segments whose names are not on the medium',
    edits: [
      {
        file: replay,
        from: '        platform.syncDirectory(directory);',
        to: '        void platform.syncDirectory;',
      },
      {
        file: 'recovery/store-files.js',
        from: '    platform.syncDirectory(directory);',
        to: '    void platform.syncDirectory;',
      },
    ],
    plan: states(
      [
        ['roll', 'kill'],
        ['large', 'kill'],
      ],
      'file',
    ),
  },
  {
    invariant: 'I10',
    what: 'a failed sync is tried again',
    edits: [
      {
        file: 'engine/sync.js',
        from: '    engine.control.poison(String(error));',
        to: '    void engine.control.poison;',
      },
    ],
    plan: { harness: 'calls', mapping: 'mmap', call: 'sync' },
  },
  {
    invariant: 'I10',
    what: 'a recovery believes pages that an earlier sync could not write',
    edits: [
      {
        file: replay,
        from: "isCopied: action === 'copy' || action === 'update-and-copy'",
        to: 'isCopied: false',
      },
    ],
    plan: { harness: 'calls', mapping: 'file', call: 'sync' },
  },
  {
    invariant: 'I12',
    what: 'a manifest is written before the log is known to be whole',
    edits: [
      {
        file: replay,
        from: '    const end = readLog(files, { found, former, checkpoint });',
        to: `    writeManifest(platform, directory, { ...manifest, durable: 0 });
    const end = readLog(files, { found, former, checkpoint });`,
      },
    ],
    plan: { harness: 'sectors', mapping: 'mmap' },
  },
]
