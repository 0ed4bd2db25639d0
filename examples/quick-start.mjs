// The API in one look. Run it with: node examples/quick-start.mjs [directory]
import { open } from 'varve'

const store = open(process.argv[2] ?? 'quick-start-store')

store.put('greeting', { text: 'hello', to: ['world'] })
console.log(store.get('greeting').text, store.has('nobody'), store.count())

// Write only over what was read: somebody else's change in between is not lost.
const { value, version } = store.getEntry('greeting')
console.log(store.put('greeting', { ...value, text: 'goodbye' }, { ifVersion: version }))

// Keyspaces have keys and encodings of their own; a write of several operations is all or nothing.
const users = store.keyspace('users', { encoding: 'json' })
store.write([
  { type: 'put', keyspace: 'users', key: 'ada', value: { born: 1815 } },
  { type: 'delete', key: 'greeting' },
])
console.log(users.get('ada').born, store.get('greeting'))

await store.sync() // from here on it also survives a loss of power
await store.close()
