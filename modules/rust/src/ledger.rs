//! The program itself: plain safe Rust that knows nothing of pointers.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

const NO_QUANTITY: &str = "Quantity must be a whole number from 1 to 18446744073709551615";

#[derive(Default)]
pub(crate) struct Ledger {
    counter: u64,
    supply: u64,
    /// Messages sent so far; each is its own anchor.
    sent: u64,
    /// No entry is 0. Ordered, so that nothing ever hangs on a hash.
    balances: BTreeMap<String, u64>,
}

/// What is read of a message. Keys that are not named here are passed over.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Message<'a> {
    #[serde(borrow, default)]
    from: Cow<'a, str>,
    #[serde(borrow, default)]
    tags: Vec<Tag<'a>>,
}

#[derive(Deserialize)]
struct Env<'a> {
    #[serde(borrow, default, rename = "Process")]
    process: Process<'a>,
}

#[derive(Default, Deserialize)]
struct Process<'a> {
    #[serde(borrow, default, rename = "Owner")]
    owner: Cow<'a, str>,
}

#[derive(Deserialize, Serialize)]
struct Tag<'a> {
    name: Cow<'a, str>,
    value: Cow<'a, str>,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Reply<'a> {
    output: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    messages: Vec<Outgoing<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Outgoing<'a> {
    target: &'a str,
    anchor: String,
    tags: Vec<Tag<'a>>,
    data: &'static str,
}

#[derive(Serialize)]
struct Failure {
    #[serde(rename = "Error")]
    error: &'static str,
}

type Outcome<'a> = Result<Reply<'a>, &'static str>;

impl Message<'_> {
    /// The last tag of a name counts, as in aos.
    fn tag(&self, name: &str) -> &str {
        self.tags.iter().rev().find(|tag| tag.name == name).map_or("", |tag| &tag.value)
    }

    fn quantity(&self) -> Result<u64, &'static str> {
        let digits = self.tag("Quantity");
        // `parse` alone would also take a plus sign.
        let number = if digits.starts_with('+') { 0 } else { digits.parse().unwrap_or(0) };
        if number == 0 { Err(NO_QUANTITY) } else { Ok(number) }
    }
}

impl Ledger {
    /// One message in, one reply out, both as JSON.
    pub(crate) fn handle(&mut self, message: &[u8], env: &[u8]) -> Vec<u8> {
        let message = serde_json::from_slice::<Message>(message);
        let env = serde_json::from_slice::<Env>(env);
        let outcome = match (&message, &env) {
            (Ok(message), Ok(env)) => self.act(message, &env.process.owner),
            _ => Err("Malformed message"),
        };
        match outcome {
            Ok(reply) => serde_json::to_vec(&reply),
            Err(error) => serde_json::to_vec(&Failure { error }),
        }
        .unwrap_or_default()
    }

    fn act<'a>(&mut self, message: &'a Message<'a>, owner: &str) -> Outcome<'a> {
        match message.tag("Action") {
            "Inc" => {
                self.counter += 1;
                say(self.counter)
            }
            "Get" => say(self.counter),
            "Mint" => self.mint(message, owner),
            "Transfer" => self.transfer(message),
            "Balance" => match message.tag("Recipient") {
                "" => say(self.balance(&message.from)),
                of => say(self.balance(of)),
            },
            // Both leave a mark first, to show that the host takes it back.
            "Fail" => {
                self.counter += 1;
                Err("Failed as asked")
            }
            "Crash" => {
                self.counter += 1;
                panic!("crashed as asked")
            }
            _ => say("Nothing to do"),
        }
    }

    fn mint<'a>(&mut self, message: &Message, owner: &str) -> Outcome<'a> {
        if message.from.is_empty() || message.from != owner {
            return Err("Only the owner may mint");
        }
        let quantity = message.quantity()?;
        self.supply = self.supply.checked_add(quantity).ok_or("The supply would pass 64 bits")?;
        // No balance is above the supply, so this sum fits.
        self.set_balance(&message.from, self.balance(&message.from) + quantity);
        crate::abi::log(&format!("minted {quantity}"));
        say(self.balance(&message.from))
    }

    fn transfer<'a>(&mut self, message: &'a Message<'a>) -> Outcome<'a> {
        let (from, recipient) = (&*message.from, message.tag("Recipient"));
        if recipient.is_empty() {
            return Err("Recipient is missing");
        }
        let quantity = message.quantity()?;
        let left = self.balance(from).checked_sub(quantity).ok_or("Insufficient balance")?;
        self.set_balance(from, left);
        self.set_balance(recipient, self.balance(recipient) + quantity);
        let mut reply = say(self.balance(from))?;
        reply.messages = vec![
            self.notice(from, "Debit-Notice", ("Recipient", recipient), quantity),
            self.notice(recipient, "Credit-Notice", ("Sender", from), quantity),
        ];
        Ok(reply)
    }

    /// A notice of a transfer; `peer` is the other side of it. The unit that sends it adds the tags
    /// of the protocol; what is ours is an anchor that no two messages share.
    fn notice<'a>(
        &mut self,
        target: &'a str,
        action: &'a str,
        peer: (&'a str, &'a str),
        quantity: u64,
    ) -> Outgoing<'a> {
        self.sent += 1;
        let tag = |name: &'a str, value: Cow<'a, str>| Tag { name: name.into(), value };
        Outgoing {
            target,
            anchor: format!("{:032}", self.sent),
            tags: vec![
                tag("Action", action.into()),
                tag(peer.0, peer.1.into()),
                tag("Quantity", quantity.to_string().into()),
                tag("Reference", self.sent.to_string().into()),
            ],
            data: "",
        }
    }

    fn balance(&self, owner: &str) -> u64 {
        self.balances.get(owner).copied().unwrap_or(0)
    }

    fn set_balance(&mut self, owner: &str, amount: u64) {
        if amount == 0 {
            self.balances.remove(owner);
        } else {
            self.balances.insert(owner.to_owned(), amount);
        }
    }
}

fn say<'a>(output: impl ToString) -> Outcome<'a> {
    Ok(Reply { output: output.to_string(), ..Reply::default() })
}
