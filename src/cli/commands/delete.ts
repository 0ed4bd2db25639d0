/** varve delete: removes one key. */
import { type Command, Option } from 'commander'
import { Failure } from '../failure.js'
import { keyNotation, parseKey } from '../key.js'
import { keyspaceOption, parseCount, pathDescription } from '../options.js'
import { existingKeyspace, openForWriting } from '../store-access.js'
import { quoted } from '../text.js'

interface DeleteOptions {
  readonly keyspace?: string
  readonly ifVersion?: number
}

export function addDelete(program: Command): void {
  program
    .command('delete')
    .description('remove a key')
    .argument('<path>', pathDescription)
    .argument('<key>', keyNotation)
    .addOption(keyspaceOption())
    .addOption(
      new Option('--if-version <version>', 'remove only this version').argParser(parseCount),
    )
    .addHelpText('after', '\nExit code 1 where nothing was removed.')
    .action(remove)
}

async function remove(path: string, keyText: string, options: DeleteOptions): Promise<void> {
  await using store = openForWriting(path)
  const keyspace = existingKeyspace(store, options.keyspace)
  const key = parseKey(keyText, keyspace.encodings.keyEncoding)
  const { ifVersion } = options
  if (keyspace.delete(key, ifVersion === undefined ? {} : { ifVersion })) return
  const version = keyspace.getEntry(key)?.version
  const found = version === undefined ? 'is missing' : `has version ${version}`
  throw new Failure(`nothing was removed: key ${quoted(keyText)} ${found}`)
}
