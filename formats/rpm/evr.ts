/** Epoch, version and release of one build. Epoch 0 and no epoch are the same to rpm. */
export interface Evr {
  readonly epoch: number;
  readonly version: string;
  readonly release: string;
}
