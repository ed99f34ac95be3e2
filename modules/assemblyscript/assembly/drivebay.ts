// The format `wasm32-drivebay-1` in AssemblyScript.

@external("drivebay", "log")
declare function hostLog(text: usize, len: usize): void;

/** Says one line to the author. Not part of any result. */
export function log(line: string): void {
  const bytes = String.UTF8.encode(line);
  hostLog(changetype<usize>(bytes), bytes.byteLength);
}

/** Takes an input out of the buffer that `alloc` gave for it. */
export function takeInput(at: usize, len: usize): string {
  const text = String.UTF8.decodeUnsafe(at, len);
  heap.free(at);
  return text;
}

// The last reply: the host reads it after `handle` has returned, and a global keeps it from collection.
let reply = new ArrayBuffer(0);

/** What `handle` returns: where the reply is and how long it is. */
export function giveReply(text: string): u64 {
  reply = String.UTF8.encode(text);
  return ((changetype<usize>(reply) as u64) << 32) | (reply.byteLength as u64);
}
