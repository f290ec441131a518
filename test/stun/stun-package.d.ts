/** What the differential tests use of the npm package `stun`, which has no types of its own. */
declare module "stun" {
  interface Address {
    readonly address: string;
    readonly port: number;
  }
  interface Message {
    readonly type: number;
    readonly transactionId: Buffer;
    addAddress(address: string, port: number): void;
    addXorAddress(address: string, port: number): void;
    addSoftware(text: string): void;
    addFingerprint(): void;
    getXorAddress(): Address | undefined;
    getAddress(): Address | undefined;
    getSoftware(): string | undefined;
  }
  const stun: {
    createMessage(type: number, transactionId: Uint8Array): Message;
    encode(message: Message): Buffer;
    decode(bytes: Buffer): Message;
    validateFingerprint(message: Message): boolean;
  };
  export default stun;
}
