//! Signed Ethereum transactions, as `eth_sendRawTransaction` takes them.

use alloy_consensus::{
    EthereumTxEnvelope, Transaction, TxEip4844, Typed2718, transaction::SignerRecoverable,
};
use alloy_eips::eip2718::Decodable2718;
use revm::{
    context::{TxEnv, either::Either},
    primitives::{Address, B256},
};

/// Longest transaction, in bytes.
const TX_MAX: usize = 1 << 20;
const BLOB: u8 = 3;

/// A transaction whose signer is known, and its hash.
pub(crate) struct Signed {
    pub(crate) tx: TxEnv,
    pub(crate) hash: B256,
}

/// A signed transaction of any type.
pub type Envelope = EthereumTxEnvelope<TxEip4844>;

/// Reads a transaction (EIP-2718).
pub(crate) fn envelope(bytes: &[u8]) -> Result<Envelope, String> {
    if bytes.len() > TX_MAX {
        return Err(format!("the transaction has {} bytes; the limit is {TX_MAX}", bytes.len()));
    }
    let mut rest = bytes;
    let tx = Envelope::decode_2718(&mut rest)
        .ok()
        .filter(|_| rest.is_empty())
        .ok_or("the data is no signed Ethereum transaction; expected its RLP, as bytes or as 0x and hexadecimal digits")?;
    if tx.ty() == BLOB {
        return Err("transactions with blobs are not taken: a process has no blobs".into());
    }
    Ok(tx)
}

/// Reads a transaction, and finds who signed it (EIP-2: the lower `s` alone).
pub(crate) fn read(bytes: &[u8]) -> Result<Signed, String> {
    let tx = envelope(bytes)?;
    let caller =
        tx.recover_signer().map_err(|_| "the signature of the transaction is not valid")?;
    Ok(Signed { tx: env(&tx, caller), hash: *tx.tx_hash() })
}

/// A transaction as revm takes it.
pub(crate) fn env(tx: &Envelope, caller: Address) -> TxEnv {
    TxEnv {
        tx_type: tx.ty(),
        caller,
        gas_limit: tx.gas_limit(),
        gas_price: tx.max_fee_per_gas(),
        kind: tx.kind(),
        value: tx.value(),
        data: tx.input().clone(),
        nonce: tx.nonce(),
        chain_id: tx.chain_id(),
        access_list: tx.access_list().cloned().unwrap_or_default(),
        gas_priority_fee: tx.max_priority_fee_per_gas(),
        blob_hashes: Vec::new(),
        max_fee_per_blob_gas: 0,
        authorization_list: tx
            .authorization_list()
            .unwrap_or_default()
            .iter()
            .cloned()
            .map(Either::Left)
            .collect(),
    }
}
