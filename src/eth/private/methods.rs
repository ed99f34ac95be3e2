//! The methods that only private chains have, as anvil and hardhat name them.

use super::{
    super::{
        call::parsed,
        error::RpcError,
        params::{Params, data, number, quantity},
        process::Process,
    },
    Means, Private,
    chain::Chain,
    keys, sign,
};
use crate::cu::{
    At, evm,
    lab::{Overrides, Signed, Wish},
};
use alloy_consensus::Transaction;
use alloy_primitives::{Address, B256, Bytes, U256};
use serde_json::{Value, json};

/// Blocks that are made at once.
const BLOCKS_MAX: u64 = 100_000;
/// Blocks between two looks at whether somebody still waits.
const BLOCKS_A_LOOK: u64 = 256;
/// Accounts that may send without a signature, by name.
const LENT_MAX: usize = 1024;

/// All of them.
pub(in super::super) const METHODS: &[&str] = &[
    "anvil_autoImpersonateAccount",
    "anvil_dropTransaction",
    "anvil_getAutomine",
    "anvil_impersonateAccount",
    "anvil_increaseTime",
    "anvil_mine",
    "anvil_removeBlockTimestampInterval",
    "anvil_reset",
    "anvil_revert",
    "anvil_setAutomine",
    "anvil_setBalance",
    "anvil_setBlockGasLimit",
    "anvil_setBlockTimestampInterval",
    "anvil_setCode",
    "anvil_setCoinbase",
    "anvil_setNextBlockBaseFeePerGas",
    "anvil_setNextBlockTimestamp",
    "anvil_setNonce",
    "anvil_setStorageAt",
    "anvil_setTime",
    "anvil_snapshot",
    "anvil_stopImpersonatingAccount",
    "eth_sendTransaction",
    "eth_sendUnsignedTransaction",
    "eth_sign",
    "eth_signTransaction",
    "eth_signTypedData_v4",
    "evm_increaseTime",
    "evm_mine",
    "evm_revert",
    "evm_setAutomine",
    "evm_setBlockGasLimit",
    "evm_setNextBlockTimestamp",
    "evm_setTime",
    "evm_snapshot",
    "hardhat_dropTransaction",
    "hardhat_getAutomine",
    "hardhat_impersonateAccount",
    "hardhat_mine",
    "hardhat_reset",
    "hardhat_setBalance",
    "hardhat_setCode",
    "hardhat_setCoinbase",
    "hardhat_setNextBlockBaseFeePerGas",
    "hardhat_setNonce",
    "hardhat_setPrevRandao",
    "hardhat_setStorageAt",
    "hardhat_stopImpersonatingAccount",
    "personal_sign",
];

/// `eth_accounts`: who can send without anybody's key.
pub(in super::super) fn accounts(process: &Process) -> Value {
    match process.private {
        Some(_) => keys::accounts().map(|address| json!(address)).collect(),
        None => json!([]),
    }
}

/// The answer of one of them, or of `eth_sendRawTransaction`.
pub(in super::super) async fn answer(
    process: &Process,
    method: &str,
    params: &Params,
) -> Result<Value, RpcError> {
    let Some(private) = &process.private else {
        let text = format!("the method {method} is one of private chains: /eth/{}/dev", process.id);
        return Err(RpcError::new(-32601, text));
    };
    match method.split_once('_').map_or(method, |(_, name)| name) {
        "sendTransaction" => send(process, private, params, false).await,
        "sendUnsignedTransaction" => send(process, private, params, true).await,
        "sendRawTransaction" => send_raw(process, private, params).await,
        "sign" | "signTypedData_v4" => sign::words(method, params),
        "signTransaction" => sign::transaction(process, private, params).await,
        "mine" => mine(process, private, (method, params)).await,
        "reset" => reset(process, private, params).await,
        "revert" => {
            let id = number_at(params, 0)?;
            let mut chain = private.lock().await;
            let went = chain.revert(id);
            process.eth.filters.go_back(&private.key, chain.newest());
            Ok(went.into())
        }
        name => {
            let now = process.eth.face.clock.now_ms() / 1000;
            private.lock().await.set(name, params, now)
        }
    }
}

/// The transaction that somebody wishes for.
pub(super) fn wish(params: &Params) -> Result<Wish, RpcError> {
    let what = "parameter 0 should be a transaction";
    parsed(params.get(0), what)?.ok_or_else(|| RpcError::invalid(what))
}

/// `eth_sendTransaction` and `eth_sendUnsignedTransaction`.
async fn send(
    process: &Process,
    private: &Private,
    params: &Params,
    is_lent: bool,
) -> Result<Value, RpcError> {
    let wish = wish(params)?;
    let sent = private.work(process, move |chain, means| {
        let signed = chain.fill(wish, means, is_lent)?;
        chain.submit(signed, means)
    });
    sent.await.map(data)
}

/// `eth_sendRawTransaction`.
async fn send_raw(
    process: &Process,
    private: &Private,
    params: &Params,
) -> Result<Value, RpcError> {
    let bytes = params.bytes(0)?;
    let (envelope, from) = evm::signed_transaction(&bytes).map_err(RpcError::server)?;
    if envelope.chain_id().is_none() {
        let text = "only replay-protected (EIP-155) transactions are taken";
        return Err(RpcError::server(text));
    }
    let signed = Signed { envelope, from, is_borrowed: false };
    private.work(process, |chain, means| chain.submit(signed, means)).await.map(data)
}

/// `evm_mine`, with a time or how many; `anvil_mine` and `hardhat_mine`, with how many and how far apart.
async fn mine(
    process: &Process,
    private: &Private,
    (method, params): (&str, &Params),
) -> Result<Value, RpcError> {
    let first = params.get(0);
    let (mut count, mut apart, mut time) = (1, None, None);
    if method == "evm_mine" {
        let said = |key: &str| first.and_then(|value| value.get(key)).filter(|it| !it.is_null());
        let options = [first.filter(|value| !value.is_object()), said("timestamp"), said("blocks")];
        let [alone, named, blocks] = options;
        time = alone.or(named).map(seconds).transpose()?;
        count = blocks.map_or(Ok(1), seconds)?;
    } else {
        count = first.map_or(Ok(count), seconds)?;
        apart = params.get(1).map(seconds).transpose()?;
    }
    if count > BLOCKS_MAX {
        return Err(RpcError::invalid(format!("at most {BLOCKS_MAX} blocks are made at once")));
    }
    private.work(process, move |chain, means| make(chain, means, (count, apart, time))).await?;
    Ok(if method == "evm_mine" { "0x0".into() } else { Value::Null })
}

fn make(
    chain: &mut Chain,
    means: &Means,
    (count, apart, time): (u64, Option<u64>, Option<u64>),
) -> Result<(), RpcError> {
    if let Some(time) = time {
        chain.choose_time(time)?;
    }
    for made in 0..count {
        if made % BLOCKS_A_LOOK == 0 && means.is_stopped() {
            let text = format!("{made} of {count} blocks were made in the time that there is");
            return Err(RpcError::server(text));
        }
        if let Some(apart) = apart {
            chain.time.increase(apart);
        }
        chain.mine(means)?;
    }
    Ok(())
}

/// `anvil_reset` and `hardhat_reset`: the chain begins anew where its process is now, or was once.
async fn reset(process: &Process, private: &Private, params: &Params) -> Result<Value, RpcError> {
    process.eth.face.admission.allow_dry_run(process.caller)?;
    let forking = params.get(0).and_then(|options| options.get("forking"));
    let block = forking.and_then(|forking| forking.get("blockNumber")).filter(|at| !at.is_null());
    let at = match block {
        Some(block) => process.scheduled_at(seconds(block)?).await?,
        None => At::Latest,
    };
    let anew = Chain::fork(process, &private.key, at).await?;
    let mut chain = private.lock().await;
    // Its blocks have hashes that no block of it had before.
    let made = chain.made;
    *chain = Chain { made, ..anew };
    process.eth.filters.go_back(&private.key, chain.newest());
    Ok(Value::Null)
}

impl Chain {
    /// The methods that change one thing at once.
    fn set(&mut self, name: &str, params: &Params, now: u64) -> Result<Value, RpcError> {
        match name {
            "snapshot" => return Ok(self.snapshot().map_or(Value::Null, quantity)),
            "setBalance" | "setNonce" | "setCode" | "setStorageAt" => {
                return self.set_account(name, params);
            }
            "impersonateAccount" | "stopImpersonatingAccount" => {
                self.lend(params.address(0)?, name == "impersonateAccount")?;
            }
            "autoImpersonateAccount" => self.lent.all = flag(params)?,
            "setAutomine" => self.rules.mines_itself = flag(params)?,
            "getAutomine" => return Ok(self.rules.mines_itself.into()),
            "dropTransaction" => {
                let hash = params.hash(0)?;
                return Ok(if self.pool.remove(hash) { json!(hash) } else { Value::Null });
            }
            "increaseTime" => return Ok(self.time.increase(number_at(params, 0)?).into()),
            "setTime" => return Ok(self.time.set(now, number_at(params, 0)?).into()),
            "setNextBlockTimestamp" => self.choose_time(number_at(params, 0)?)?,
            "setBlockTimestampInterval" => self.time.step(Some(number_at(params, 0)?)),
            "removeBlockTimestampInterval" => {
                self.time.step(None);
                return Ok(true.into());
            }
            "setBlockGasLimit" => {
                self.rules.gas_limit = number_at(params, 0)?;
                return Ok(true.into());
            }
            "setCoinbase" => self.rules.coinbase = params.address(0)?,
            "setNextBlockBaseFeePerGas" => self.next.base_fee = number_at(params, 0)?,
            "setPrevRandao" => self.next.random = Some(B256::from(params.number(0)?)),
            _ => return Err(RpcError::new(-32601, format!("the method {name} does not exist"))),
        }
        Ok(Value::Null)
    }

    fn set_account(&mut self, name: &str, params: &Params) -> Result<Value, RpcError> {
        let address = params.address(0)?;
        let mut overrides = Overrides::default();
        let (said, mut bytes) = (overrides.entry(address).or_default(), 0);
        match name {
            "setBalance" => said.balance = Some(params.number(1)?),
            "setNonce" => said.nonce = Some(number_at(params, 1)?),
            "setCode" => {
                let code: Bytes = params.bytes(1)?;
                bytes = code.len();
                said.code = Some(code);
            }
            _ => {
                let word = |number: U256| B256::from(number);
                let slot = (word(params.number(1)?), word(params.number(2)?));
                said.state_diff = Some([slot].into_iter().collect());
            }
        }
        self.change(&overrides, bytes)?;
        Ok(if name == "setStorageAt" { true.into() } else { Value::Null })
    }

    fn lend(&mut self, address: Address, may: bool) -> Result<(), RpcError> {
        let lent = &mut self.lent.some;
        if !may {
            lent.remove(&address);
        } else if lent.len() < LENT_MAX {
            lent.insert(address);
        } else {
            let text = format!(
                "{LENT_MAX} accounts are impersonated already; anvil_autoImpersonateAccount is for all"
            );
            return Err(RpcError::server(text));
        }
        Ok(())
    }

    fn choose_time(&mut self, time: u64) -> Result<(), RpcError> {
        let last = self.head()?.block.timestamp;
        if time < last {
            let text = format!("{time} is lower than the previous block's timestamp, {last}");
            return Err(RpcError::invalid(text));
        }
        self.time.choose(time);
        Ok(())
    }
}

fn flag(params: &Params) -> Result<bool, RpcError> {
    let flag = params.get(0).and_then(Value::as_bool);
    flag.ok_or_else(|| RpcError::invalid("parameter 0 should be true or false"))
}

fn number_at(params: &Params, at: usize) -> Result<u64, RpcError> {
    let number = params.number(at)?;
    number.try_into().map_err(|_| RpcError::invalid(format!("parameter {at} is too great")))
}

/// A number that stands within a parameter.
fn seconds(value: &Value) -> Result<u64, RpcError> {
    let number = number(value).and_then(|number| u64::try_from(number).ok());
    number.ok_or_else(|| RpcError::invalid(format!("{value} should be a number, below 2^64")))
}
