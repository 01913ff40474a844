/**
 * The version of both programs, the same as in package.json (a test compares them).
 *
 * @module
 */

export const VERSION = "0.1.0";
