/** Moves a value from one store to another, and kills itself at the n-th step of that: see move.test.ts. */
import { writeSync } from 'node:fs'
import { join } from 'node:path'
import { open } from '../../src/store/index.js'
import { options } from './move-stores.js'
import { killAtStep } from './steps.js'

const [directory, step] = process.argv.slice(2)
const one = open<string>(join(directory, 'one'), options)
const two = open<string>(join(directory, 'two'), options)
killAtStep(Number(step))
one.move('a', two)
writeSync(1, 'moved')
process.kill(process.pid, 'SIGKILL')
