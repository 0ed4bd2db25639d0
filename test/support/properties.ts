/** fast-check with the seed of the run; it names the seed where a property fails. */
import fc from 'fast-check'
import { seed } from './seed.js'

fc.configureGlobal({ ...fc.readConfigureGlobal(), seed })

export { fc }
