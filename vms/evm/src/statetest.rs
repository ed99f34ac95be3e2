//! Ethereum's GeneralStateTests, run on this crate's executor and tries.
//!
//! A test's verdict is its state root and the hash of its logs, under the rules of its fork; a transaction
//! that must be refused has to be, and to leave the state as it was.

use crate::{
    machine::{Machine, Manner},
    meter::Meter,
    precompiles::Precompiles,
    state::State,
    world::{Empty, Hashed, Keys, World},
};
use drivebay_disk::{Fuel, Limits};
use revm::{
    context::{CfgEnv, result::ExecutionResult},
    primitives::{Address, B256, Log, U256, hardfork::SpecId, keccak256},
};
use revm_statetest_types::{SpecName, Test, TestSuite, TestUnit};

/// What came of one post-state of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Root and logs are as they should be.
    Passed,
    /// They are not, and what was seen.
    Failed(String),
    /// It was not run, and why.
    Skipped(&'static str),
}

/// One post-state of a test.
#[derive(Clone, Debug)]
pub struct CaseReport {
    /// Test, fork, and indexes of data, gas and value.
    pub name: String,
    /// What came of it.
    pub verdict: Verdict,
}

/// Not run: storage without code or nonce, which no transaction makes (EIP-7610). The engine does not look
/// at storage when it makes a contract.
const STORAGE_ALONE: &str =
    "the state has storage at an address without nonce and code, which no process can have";
const EIP_7610: [&str; 6] = [
    "create2collisionStorage",
    "create2collisionStorageParis",
    "InitCollision",
    "InitCollisionParis",
    "RevertInCreateInInit",
    "dynamicAccountOverwriteEmpty",
];

fn is_storage_alone(name: &str, unit: &TestUnit) -> bool {
    let stem = name.rsplit('/').next().unwrap_or(name);
    let listed = EIP_7610.iter().any(|known| stem.contains(known));
    let bare = unit.pre.values().any(|account| {
        account.nonce == 0 && account.code.is_empty() && !account.storage.is_empty()
    });
    listed && bare
}

/// A number over 2^256 stands for a transaction that cannot be written down.
const UNWRITABLE: &str = "0x:bigint ";

/// Runs all post-states of a file of tests. An error says why the file cannot be read.
pub fn run_file(json: &str) -> Result<Vec<CaseReport>, String> {
    if json.contains(UNWRITABLE) {
        let why = "it has a number over 2^256, so there is no transaction to be refused";
        return Ok(skipped_whole(why));
    }
    let suite: TestSuite = match serde_json::from_str(json) {
        Ok(suite) => suite,
        Err(error) => return other_tests(json).ok_or(error.to_string()),
    };
    let mut reports = Vec::new();
    for (name, unit) in &suite.0 {
        for (fork, tests) in &unit.post {
            for test in tests {
                let at = &test.indexes;
                let case = format!("{name} {fork:?} d{} g{} v{}", at.data, at.gas, at.value);
                let verdict = verdict(name, unit, fork, test);
                reports.push(CaseReport { name: case, verdict });
            }
        }
    }
    Ok(reports)
}

fn skipped_whole(why: &'static str) -> Vec<CaseReport> {
    vec![CaseReport { name: "the whole file".into(), verdict: Verdict::Skipped(why) }]
}

/// What is said of tests of another kind, which Ethereum keeps beside these.
fn other_tests(json: &str) -> Option<Vec<CaseReport>> {
    let json: serde_json::Value = serde_json::from_str(json).ok()?;
    let tests = json.as_object().filter(|tests| !tests.is_empty())?;
    let all_have = |key: &str| tests.values().all(|test| test.get(key).is_some());
    if all_have("blocks") {
        return Some(skipped_whole("it is of chains of blocks, and not of states"));
    }
    let is_code = all_have("exec");
    is_code
        .then(|| skipped_whole("it is of code without a transaction, from before there were forks"))
}

fn verdict(name: &str, unit: &TestUnit, fork: &SpecName, test: &Test) -> Verdict {
    match fork {
        SpecName::Constantinople | SpecName::ByzantiumToConstantinopleAt5 => {
            return Verdict::Skipped("the fork was withdrawn before it began (EIP-1283)");
        }
        SpecName::Unknown => return Verdict::Skipped("the fork is not known"),
        _ if is_storage_alone(name, unit) => return Verdict::Skipped(STORAGE_ALONE),
        _ => {}
    }
    match run(unit, fork.to_spec_id(), test) {
        Ok(()) => Verdict::Passed,
        Err(why) => Verdict::Failed(why),
    }
}

fn world(unit: &TestUnit) -> World {
    let mut world = World::default();
    for (address, account) in &unit.pre {
        world.set_account(*address, account.nonce, account.balance, &account.code);
        for (slot, value) in &account.storage {
            world.set_slot(*address, *slot, *value);
        }
    }
    world
}

fn logs_hash(logs: &[Log]) -> B256 {
    let mut out = Vec::new();
    alloy_rlp::encode_list::<Log, Log>(logs, &mut out);
    keccak256(out)
}

fn run(unit: &TestUnit, spec: SpecId, test: &Test) -> Result<(), String> {
    let mut cfg = CfgEnv::new_with_spec(spec);
    let chain = unit.env.current_chain_id.unwrap_or(U256::ONE);
    cfg.chain_id = chain.try_into().unwrap_or(1);
    cfg.max_blobs_per_tx = Some(if spec >= SpecId::PRAGUE { 9 } else { 6 });
    cfg.memory_limit = u64::MAX;
    let block = unit.block_env(&mut cfg);
    let mut world = world(unit);
    let mut tx = match test.tx_env(unit) {
        Ok(tx) => tx,
        Err(_) if test.expect_exception.is_some() => {
            reward(&mut world, block.beneficiary, spec);
            return end(test, &world, &[]);
        }
        Err(error) => return Err(format!("the transaction: {error}")),
    };
    let mut machine = Machine::new(spec, Precompiles::plain(spec));
    machine.db().load(&mut State { world, ..State::default() }.gathering());
    machine.ctx().cfg = cfg;
    machine.ctx().block = block;
    let meter = Meter::new(tx.gas_limit, 0, &UNLIMITED);
    let (logs, refused) = match machine.transact(Manner::Ethereum, &mut tx, meter) {
        Ok((result, changes)) => {
            machine.db().commit(&changes, Empty::under(spec));
            let logs = match result {
                ExecutionResult::Success { logs, .. } => logs,
                _ => Vec::new(),
            };
            (logs, None)
        }
        Err(failure) => (Vec::new(), Some(failure)),
    };
    match (&refused, &test.expect_exception) {
        (None, Some(expected)) => return Err(format!("it ran; expected {expected}")),
        (Some(failure), None) => return Err(format!("refused: {failure}")),
        _ => {}
    }
    let beneficiary = machine.ctx().block.beneficiary;
    let mut world = machine.db().tables().clone();
    if refused.is_some() {
        reward(&mut world, beneficiary, spec);
    }
    end(test, &world, &logs)
}

/// A block without its transaction still has a reward, which is nothing in these tests; and before EIP-161
/// nothing was enough to make an account. A transaction that runs pays its fee there, whatever it is.
fn reward(world: &mut World, to: Address, spec: SpecId) {
    let is_there = world.account(&Hashed.address(to)).is_some();
    if Empty::under(spec) == Empty::Stays && !is_there {
        world.set_account(to, 0, U256::ZERO, &[]);
    }
}

/// What bounds nothing: gas is all there is.
pub(crate) const UNLIMITED: Limits = Limits {
    fuel: Fuel(u64::MAX),
    gas: None,
    memory_bytes: u64::MAX,
    output_bytes: u32::MAX,
    depth: u32::MAX,
};

fn end(test: &Test, world: &World, logs: &[Log]) -> Result<(), String> {
    let (root, logs) = (world.root(), logs_hash(logs));
    if logs != test.logs {
        return Err(format!("logs hash {logs}; expected {}", test.logs));
    }
    if root != test.hash {
        return Err(format!("state root {root}; expected {}", test.hash));
    }
    Ok(())
}
