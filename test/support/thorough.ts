/** True in the long runs (`npm run soak`): what is sampled otherwise is done in full. */
export const isThorough: boolean = process.env.VARVE_THOROUGH !== undefined
