//! A process as Ethereum's tools know it, for whoever serves them: accounts of an image, messages as
//! transactions. Nothing here runs code.

use crate::{
    abi::Abi,
    account::{AFTER, Account},
    address::{address_of, ethereum},
    formats::{GAS_DEFAULT, GAS_MAX},
    message::{self, Signing},
    signed,
    state::{ACCOUNTS, CODES},
    world::{Hashed, Keys},
};
use alloy_consensus::Transaction;
use drivebay_disk::{Image, Message, Process, Tag};
use revm::primitives::{Address, B256, Bytes, U256};

pub use crate::{
    formats::{COINBASE, OUTBOX},
    message::chain_id,
    signed::Envelope,
    state::block_hash,
    world::World,
};

/// A message as the transaction that it asks for.
#[derive(Clone, Debug)]
pub struct Transacted {
    /// Who it is from.
    pub from: Address,
    /// Whom it calls; `None` if it makes a contract.
    pub to: Option<Address>,
    /// What it carries.
    pub value: U256,
    /// What it says.
    pub input: Bytes,
    /// The signed transaction, if the message is one's bearer.
    pub signed: Option<Envelope>,
}

/// An account, its storage's root, and what proves them (EIP-1186).
#[derive(Clone, Debug)]
pub struct Proof {
    /// Its nonce.
    pub nonce: u64,
    /// Its balance.
    pub balance: U256,
    /// The hash of its code.
    pub code_hash: B256,
    /// The root of its storage.
    pub storage_root: B256,
    /// The RLP of the nodes from the state root down to it.
    pub nodes: Vec<Vec<u8>>,
    /// Slots of its storage: their values, and the nodes from the storage's root down to them.
    pub slots: Vec<(U256, U256, Vec<Vec<u8>>)>,
}

/// The accounts of an image; `None` if it is of no process of this machine.
pub fn world(image: &Image) -> Option<World> {
    let accounts = image.table(&ACCOUNTS).filter(|table| table.nests() == Some(AFTER))?;
    Some(World { accounts: accounts.clone(), codes: image.table(&CODES)?.clone() })
}

/// An account of a world and some slots of its storage, with proofs.
pub fn prove(world: &World, address: Address, slots: &[U256]) -> Proof {
    let key = Hashed.address(address);
    let Account { nonce, balance, code_hash } = world.account(&key).unwrap_or_default();
    let storage = world.storage(&key);
    let slots = slots.iter().map(|slot| {
        let at = Hashed.slot(*slot);
        (*slot, world.slot(&key, &at), storage.proof(&at))
    });
    Proof {
        nonce,
        balance,
        code_hash,
        storage_root: B256::from(storage.root().0),
        nodes: world.accounts.proof(&key),
        slots: slots.collect(),
    }
}

/// Where the module's contract stands in its process.
pub fn home(process: &Process) -> Address {
    address_of(&process.id)
}

/// The gas of a message, as far as the process says it: a module's tag is not looked at.
pub fn gas_limit(process: &Process) -> u64 {
    let tag = Tag::last(&process.tags, "Compute-Limit");
    tag.and_then(|text| text.trim().parse().ok()).unwrap_or(GAS_DEFAULT).min(GAS_MAX)
}

/// Reads a signed transaction (EIP-2718) and says whose it is. The text says what is wrong with one.
pub fn signed_transaction(bytes: &[u8]) -> Result<(Envelope, Address), String> {
    let envelope = signed::envelope(bytes)?;
    let from = signed::read(bytes)?.tx.caller;
    Ok((envelope, from))
}

/// The transaction that a message asks for. Arguments that need the module's ABI are left as they were sent.
pub fn transacted(process: &Process, message: &Message) -> Transacted {
    if let Signing::Ethereum(bytes) = message::signing(message)
        && let Ok((envelope, from)) = signed_transaction(&bytes)
    {
        return Transacted {
            from,
            to: envelope.to(),
            value: envelope.value(),
            input: envelope.input().clone(),
            signed: Some(envelope),
        };
    }
    let creates = message.id == process.id || Tag::last(&message.tags, "To") == Some("create");
    let to = Tag::last(&message.tags, "To").and_then(ethereum).unwrap_or_else(|| home(process));
    let action = Tag::last(&message.tags, "Action");
    let input = message::input(message, &Abi::default(), action);
    Transacted {
        from: address_of(message::sender(process, message)),
        to: (!creates).then_some(to),
        value: message::tag_number(&message.tags, "Value").unwrap_or_default(),
        input: input.map(|(input, _)| input).unwrap_or_default(),
        signed: None,
    }
}
