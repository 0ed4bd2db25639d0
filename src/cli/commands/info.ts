/** varve info: what a store is. */
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Command } from 'commander'
import { superblockFileName } from '../../format/file-names.js'
import { decodeSuperblock } from '../../format/superblock.js'
import { formatVersion } from '../../format/version.js'
import { jsonOption, pathDescription } from '../options.js'
import { printJson, printLines } from '../output.js'
import { counted, formatBytes, formatCount } from '../quantities.js'
import { recoveryInWords } from '../recovery.js'
import { type AnyStore, existingKeyspace, openForReading } from '../store-access.js'
import { factLines } from '../table.js'
import { textAsLine } from '../text.js'

export function addInfo(program: Command): void {
  program
    .command('info')
    .description('print what a store is: identity, format, encodings, keyspaces, size')
    .argument('<path>', pathDescription)
    .addOption(jsonOption('one object'))
    .action(printInfo)
}

async function printInfo(path: string, options: { readonly json?: true }): Promise<void> {
  await using store = openForReading(path)
  const info = storeInfo(store)
  await (options.json === true ? printJson(info) : printLines(infoLines(info)))
}

type StoreInfo = ReturnType<typeof storeInfo>

function storeInfo(store: AnyStore) {
  const directory = resolve(store.path)
  const file = join(directory, superblockFileName)
  const { createdAtMs, storeId } = decodeSuperblock(readFileSync(file), file, true)
  const { fileBytes, keyBytes, lastRecovery, records, segmentSizeBytes, valueBytes } = store.stats()
  return {
    directory,
    formatVersion,
    storeId: Buffer.from(storeId).toString('hex'),
    createdAtMs,
    segmentSizeBytes,
    keyspaces: [undefined, ...store.keyspaces()].map((name) => keyspaceInfo(store, name)),
    records,
    keyBytes,
    valueBytes,
    fileBytes,
    lastRecovery,
  }
}

function keyspaceInfo(store: AnyStore, name: string | undefined) {
  const keyspace = existingKeyspace(store, name)
  return { name: keyspace.name, ...keyspace.encodings, records: keyspace.count() }
}

function infoLines(info: StoreInfo): string[] {
  const { keyBytes, valueBytes } = info
  return factLines([
    ['directory', info.directory],
    ['format version', String(info.formatVersion)],
    ['store id', info.storeId],
    ['created', new Date(info.createdAtMs).toISOString()],
    ['segment size', formatBytes(info.segmentSizeBytes)],
    ...info.keyspaces.map(keyspaceFact),
    ['records', formatCount(info.records)],
    ['keys and values', `${formatBytes(keyBytes)} and ${formatBytes(valueBytes)}`],
    ['files', formatBytes(info.fileBytes)],
    ['last recovery', recoveryInWords(info.lastRecovery)],
  ])
}

function keyspaceFact(keyspace: StoreInfo['keyspaces'][number]): [string, string] {
  const { encoding, keyEncoding, name, records } = keyspace
  const label = name === '' ? 'default keyspace' : `keyspace ${textAsLine(name)}`
  return [label, `${counted(records, 'record')}, ${encoding} values, ${keyEncoding} keys`]
}
