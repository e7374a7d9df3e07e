/** Of every part of Guestscan: they are released together. */
export const CENTRAL_VERSION = "0.1.0";
