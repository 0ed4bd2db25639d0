import { readFileSync } from 'node:fs'

/**
 * @param {string} manifest path of a package.json, from this directory
 * @returns {string}
 */
export function packageVersion(manifest) {
  return JSON.parse(readFileSync(new URL(manifest, import.meta.url), 'utf8')).version
}
