/**
 * What takes long is played in part by `npm test` and as a whole by `npm run test:long`: more seeds of the same, planted bugs that take a while to convict,
 * scenarios on real sockets beyond one of each kind.
 */
export const isLong = process.env['RESIL_LONG'] === '1'
