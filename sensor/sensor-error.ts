/** bad_setting: it cannot start so; bad_file: the file of virtual machines is not what it should be. */
export type SensorErrorCode = "bad_setting" | "bad_file";

export class SensorError extends Error {
  override readonly name = "SensorError";
  readonly code: SensorErrorCode;
  constructor(code: SensorErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
