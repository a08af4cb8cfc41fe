/** Faults inside an application: the library by itself. Loading it loads nothing else and changes nothing. */
export * from './library.ts'
export { connectChaos } from './connect.ts'
