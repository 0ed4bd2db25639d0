// Lets what lies beside this folder import the packages installed in it.
export { ClassicLevel } from 'classic-level'
export { open as openLmdb } from 'lmdb'
