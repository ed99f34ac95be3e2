// A counter and a token ledger. The same program in every language: see ../../README.md.

import { giveReply, log, takeInput } from "./drivebay";
import { ARRAY, OBJECT, Reader, quoted } from "./json";

// State: plain variables; the host keeps memory from call to call.
let counter: u64 = 0;
let supply: u64 = 0;
/** Messages sent so far; each is its own anchor. */
let sent: u64 = 0;
/** No entry is 0. */
const balances = new Map<string, u64>();

const NO_QUANTITY = "Quantity must be a whole number from 1 to 18446744073709551615";

/** What is read of a message. Of several tags of a name the last one counts, as in aos. */
class Message {
  from: string = "";
  action: string = "";
  recipient: string = "";
  quantity: string = "";
}

// ---- input ----

function readTag(json: Reader, message: Message): void {
  let name: string | null = null;
  let value: string | null = null;
  for (let more = json.open(OBJECT); more; more = json.more(OBJECT)) {
    const key = json.key();
    if (key == "name") name = json.string();
    else if (key == "value") value = json.string();
    else json.skip();
  }
  if (name === null || value === null) json.refuse();
  else if (name == "Action") message.action = value;
  else if (name == "Recipient") message.recipient = value;
  else if (name == "Quantity") message.quantity = value;
}

/** The message, or null if it is malformed. */
function readMessage(text: string): Message | null {
  const json = new Reader(text);
  const message = new Message();
  for (let more = json.open(OBJECT); more; more = json.more(OBJECT)) {
    const key = json.key();
    if (key == "From") message.from = json.string();
    else if (key == "Tags") {
      for (let tag = json.open(ARRAY); tag; tag = json.more(ARRAY)) readTag(json, message);
    } else json.skip();
  }
  return json.done() ? message : null;
}

/** The process's owner, or null if the env is malformed. */
function readOwner(text: string): string | null {
  const json = new Reader(text);
  let owner = "";
  for (let more = json.open(OBJECT); more; more = json.more(OBJECT)) {
    if (json.key() != "Process") {
      json.skip();
      continue;
    }
    for (let inner = json.open(OBJECT); inner; inner = json.more(OBJECT)) {
      if (json.key() == "Owner") owner = json.string();
      else json.skip();
    }
  }
  return json.done() ? owner : null;
}

/** A whole number from 1 to 2^64 - 1, or 0. */
function quantityOf(digits: string): u64 {
  let number: u64 = 0;
  for (let i = 0; i < digits.length; i++) {
    const digit = (digits.charCodeAt(i) - 0x30) as u64;
    if (digit > 9 || number > (u64.MAX_VALUE - digit) / 10) return 0;
    number = number * 10 + digit;
  }
  return number;
}

// ---- output ----

function say(output: string): string {
  return `{"Output":${quoted(output)}}`;
}

function fail(error: string): string {
  return `{"Error":${quoted(error)}}`;
}

function tag(name: string, value: string): string {
  return `{"name":${quoted(name)},"value":${quoted(value)}}`;
}

/** A notice of a transfer; `peer` is the tag of its other side. The unit that sends it adds the tags
 *  of the protocol; what is ours is an anchor that no two messages share. */
function notice(target: string, action: string, peer: string, quantity: u64): string {
  sent += 1;
  const anchor = sent.toString().padStart(32, "0");
  const tags = [tag("Action", action), peer, tag("Quantity", quantity.toString()), tag("Reference", sent.toString())];
  return `{"Target":${quoted(target)},"Anchor":"${anchor}","Tags":[${tags.join(",")}],"Data":""}`;
}

// ---- actions ----

function balanceOf(owner: string): u64 {
  return balances.has(owner) ? balances.get(owner) : 0;
}

function setBalance(owner: string, amount: u64): void {
  if (amount == 0) balances.delete(owner);
  else balances.set(owner, amount);
}

function mint(message: Message, owner: string): string {
  if (message.from == "" || message.from != owner) return fail("Only the owner may mint");
  const quantity = quantityOf(message.quantity);
  if (quantity == 0) return fail(NO_QUANTITY);
  if (supply > u64.MAX_VALUE - quantity) return fail("The supply would pass 64 bits");
  supply += quantity;
  // No balance is above the supply, so this sum fits.
  setBalance(message.from, balanceOf(message.from) + quantity);
  log("minted " + quantity.toString());
  return say(balanceOf(message.from).toString());
}

function transfer(message: Message): string {
  const recipient = message.recipient;
  if (recipient == "") return fail("Recipient is missing");
  const quantity = quantityOf(message.quantity);
  if (quantity == 0) return fail(NO_QUANTITY);
  const have = balanceOf(message.from);
  if (have < quantity) return fail("Insufficient balance");
  setBalance(message.from, have - quantity);
  setBalance(recipient, balanceOf(recipient) + quantity);
  const left = balanceOf(message.from).toString();
  const debit = notice(message.from, "Debit-Notice", tag("Recipient", recipient), quantity);
  const credit = notice(recipient, "Credit-Notice", tag("Sender", message.from), quantity);
  return `{"Output":${quoted(left)},"Messages":[${debit},${credit}]}`;
}

function act(message: Message, owner: string): string {
  const action = message.action;
  if (action == "Inc") {
    counter += 1;
    return say(counter.toString());
  }
  if (action == "Get") return say(counter.toString());
  if (action == "Mint") return mint(message, owner);
  if (action == "Transfer") return transfer(message);
  if (action == "Balance") {
    return say(balanceOf(message.recipient == "" ? message.from : message.recipient).toString());
  }
  // Both leave a mark first, to show that the host takes it back.
  if (action == "Fail") {
    counter += 1;
    return fail("Failed as asked");
  }
  if (action == "Crash") {
    counter += 1;
    // A trap, as in the other languages; a thrown error would be one that was raised.
    unreachable();
  }
  return say("Nothing to do");
}

// ---- the format ----

/** Room for an input. The runtime's heap is aligned to 16. */
export function alloc(len: usize): usize {
  return heap.alloc(len);
}

/** One message in, one reply out. */
export function handle(msg: usize, msgLen: usize, env: usize, envLen: usize): u64 {
  // The minimal runtime collects when told to. Here nothing is alive but what globals hold.
  __collect();
  const message = readMessage(takeInput(msg, msgLen));
  const owner = readOwner(takeInput(env, envLen));
  const text = message === null || owner === null ? fail("Malformed message") : act(message, owner);
  return giveReply(text);
}
