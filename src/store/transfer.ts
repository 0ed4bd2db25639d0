/** rename, copy and move: a value, with its expiry, to another key, keyspace or store. */
import { BatchDraft } from '../engine/batch-draft.js'
import { remove } from '../engine/delete.js'
import type { Engine } from '../engine/engine.js'
import { getRecord, type RecordFacts } from '../engine/get-entry.js'
import { absent, anyVersion, put, sizeOfValue } from '../engine/put.js'
import { type KeyPlace, rename } from '../engine/rename.js'
import { syncNow } from '../engine/sync.js'
import * as layout from '../format/control-layout.js'
import { noExpiry } from '../log/expiry-table.js'
import { decodeValueOf, encodeValue, type StoreKey, setKey } from './encoding.js'
import type { Keyspace } from './keyspace.js'
import { checkTransferOptions, type TransferOptions } from './options.js'

type AnyKeyspace = Keyspace<unknown, StoreKey>

/** Where a value is, or goes. */
export interface TransferPlace {
  readonly keyspace: AnyKeyspace
  readonly key: StoreKey
}

/** False where there is nothing, or the target is there and must not be. */
export function transfer(
  from: TransferPlace,
  to: TransferPlace,
  removes: boolean,
  options: TransferOptions,
): boolean {
  checkTransferOptions(options)
  const source = engineOf(from.keyspace)
  const target = engineOf(to.keyspace)
  if (removes) source.requireWritable()
  target.requireWritable()
  const ifAbsent = options.ifAbsent === true
  return isSameStore(source, target)
    ? transferWithin(from, to, removes, ifAbsent)
    : transferBetween(from, to, removes, ifAbsent)
}

/** As one batch, whoever reads or dies meanwhile. */
function transferWithin(
  from: TransferPlace,
  to: TransferPlace,
  removes: boolean,
  ifAbsent: boolean,
): boolean {
  const engine = engineOf(to.keyspace)
  for (;;) {
    const record = read(from)
    if (record === undefined) return false
    const value = convert(from, to, record)
    const draft = new BatchDraft()
    const generation = engine.control.words[layout.keyspaceGenerationWord]
    const done = rename(
      engine,
      generation,
      {
        from: placeOf(from, draft),
        version: record.version,
        to: placeOf(to, draft),
        value,
        valueSizeBytes: sizeOfValue(value),
        expiresAtMs: record.expiresAtMs ?? noExpiry,
        removes,
        ifAbsent,
      },
      draft,
    )
    if (done !== undefined) return done
  }
}

/**
 * It is in the other store, and, where it is to go from this one, has survived a sync there, before it is
 * removed here: a crash of the machine leaves it in one of them at least. What was changed here meanwhile is
 * copied again.
 */
function transferBetween(
  from: TransferPlace,
  to: TransferPlace,
  removes: boolean,
  ifAbsent: boolean,
): boolean {
  const source = engineOf(from.keyspace)
  const target = engineOf(to.keyspace)
  let condition = ifAbsent ? absent : anyVersion
  for (;;) {
    const record = read(from)
    if (record === undefined) return false
    if (!putThere(to, convert(from, to, record), condition, record.expiresAtMs ?? noExpiry)) {
      return false
    }
    if (!removes) return true
    syncNow(target)
    const { version } = record
    for (;;) {
      const id = from.keyspace.idToWrite()
      setKey(source.key, from.keyspace.codecs.keyEncoding, from.key)
      const isRemoved = remove(source, id, from.keyspace.generation, version)
      if (isRemoved === true) return true
      if (isRemoved === false) break
    }
    // Removed by another one meanwhile, it was there, and is: as if that had come later.
    if (read(from) === undefined) return true
    if (ifAbsent) condition = read(to)?.version ?? absent
  }
}

function putThere(
  { key, keyspace }: TransferPlace,
  value: Uint8Array | string,
  condition: number,
  expiresAtMs: number,
): boolean {
  const engine = engineOf(keyspace)
  for (;;) {
    const id = keyspace.takeKeyToWrite(key)
    const done = put(engine, id, keyspace.generation, value, condition, expiresAtMs)
    if (done !== undefined) return done
  }
}

function read({ key, keyspace }: TransferPlace): RecordFacts | undefined {
  const { engine, keyEncoding, keyspaceId } = keyspace.rangeSource()
  setKey(engine.key, keyEncoding, key)
  return getRecord(engine, keyspaceId)
}

/** The same bytes where both are of one encoding. */
function convert(
  from: TransferPlace,
  to: TransferPlace,
  { value }: RecordFacts,
): Uint8Array | string {
  const { encoding } = from.keyspace.codecs
  const other = to.keyspace.codecs.encoding
  if (encoding === other) return value
  return encodeValue(other, decodeValueOf(encoding, from.key, value))
}

function placeOf({ key, keyspace }: TransferPlace, draft: BatchDraft): KeyPlace {
  const { key: atHand } = engineOf(keyspace)
  const keyspaceId = keyspace.idToWrite()
  setKey(atHand, keyspace.codecs.keyEncoding, key)
  return { keyspaceId, keyStart: draft.addKey(atHand), keySizeBytes: atHand.sizeBytes }
}

/** May look at the registry, which takes the key at hand. */
function engineOf(keyspace: AnyKeyspace): Engine {
  return keyspace.rangeSource().engine
}

/** Also where it was opened twice. A copied directory has files of its own. */
function isSameStore(a: Engine, b: Engine): boolean {
  if (a === b) return true
  if (!a.log.storeId.every((byte, index) => byte === b.log.storeId[index])) return false
  const [one, other] = [a.control.file.identity(), b.control.file.identity()]
  return one.device === other.device && one.inode === other.inode
}
