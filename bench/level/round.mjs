// One round of one database, in a process of its own. Answers its parent with one message and ends.
import { runRound } from './rows.mjs'

const { engineName, directory, recordCount } = JSON.parse(process.argv[2])
process.send(await runRound(engineName, directory, recordCount))
