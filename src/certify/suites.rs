//! Suites of others, from folders that `conformance/suites/fetch` fills, and from those of this repository.

use super::{
    Tier,
    jobs::{Job, Options, Step},
    lua_suite::{LuaDifferences, lua_files, run_lua_file},
    report::Found,
};
use crate::{
    cu::{
        Readers,
        statetest::{CaseReport, Verdict, run_file},
    },
    disk::DiskReader,
};
use std::{
    collections::BTreeMap,
    fs, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

/// Random programs with the answers of Ethereum's executable specification, in this repository.
const EELS: &str = "conformance/evm/cases";
/// Of Ethereum's published tests, the folders of the fast tier.
const FAST_STATE_TESTS: &[&str] = &[
    "stExample",
    "stArgsZeroOneBalance",
    "stSLoadTest",
    "stSelfBalance",
    "stChainId",
    "stRefundTest",
    "stTransitionTest",
    "Shanghai",
    "stTransactionTest",
];
/// Of the state tests, what cannot be a state of a process, is of no fork of today, or overflows.
const STATE_SKIPS_MAX: usize = 44;
/// Suites that run outside of this program, and leave their counts: by file, the machine, the suite, and what
/// runs it.
const ELSEWHERE: &[(&str, &str, &str, &str)] = &[
    ("wasm-spec", "wasm", "WebAssembly spec tests", "conformance/suites/run wasm"),
    ("finite-wasm", "wasm", "finite-wasm's tests", "conformance/suites/run wasm"),
    ("ans-104", "all", "ANS-104 with npm arbundles", "conformance/suites/run ans-104"),
    ("eels", "evm", "EELS, programs made anew", "conformance/suites/run evm"),
    ("anvil", "evm", "anvil, random programs", "conformance/suites/run evm"),
];

/// Why a suite is left out as a whole.
const NO_APIS: &str = "its answers are about a chain of given blocks, which no process can be given; the same \
     methods are held by ethers, viem, cast and web3 (tests/clients)";

/// One job for each suite.
pub(super) fn jobs(readers: &Readers, options: &Options) -> Vec<Job> {
    let mut jobs = Vec::new();
    if readers.certifiable().any(|(_, proof)| proof.is_some_and(|proof| proof.name == "evm")) {
        jobs.push(Job::new("evm", "EELS, random programs", state_tests(Path::new(EELS), &[])));
        let folder = options.suites.join("ethereum-tests");
        let fast: &[&str] = if options.tier == Tier::Fast { FAST_STATE_TESTS } else { &[] };
        jobs.push(Job::new("evm", "Ethereum state tests", state_tests(&folder, fast)));
        let apis = vec![Step::skipped("execution-apis", NO_APIS)];
        jobs.push(Job::new("evm", "execution-apis", apis));
    }
    if let Some(reader) = readers.get(&Readers::lua()) {
        jobs.push(Job::new("lua", "official tests", lua(reader, &options.suites.join("lua"))));
    }
    let elsewhere = ELSEWHERE.iter().map(|(file, subject, suite, by)| {
        let path = options.suites.join(format!("{file}.result.txt"));
        Job::new(subject, suite, counted(suite, &path, by, built()))
    });
    jobs.extend(elsewhere);
    jobs
}

fn missing(name: &str, folder: &Path) -> Vec<Step> {
    let why = format!("{} is not there; conformance/suites/fetch brings it", folder.display());
    vec![Step::skipped(name, why)]
}

/// A step for each folder that has files of state tests, the names of those in `only` or all of them.
fn state_tests(folder: &Path, only: &[&str]) -> Vec<Step> {
    let files = state_test_files(folder).unwrap_or_default();
    if files.is_empty() {
        return missing("state tests", folder);
    }
    let mut folders: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for file in files {
        let below = file.strip_prefix(folder).unwrap_or(&file);
        let name = below.iter().next().filter(|_| below.iter().count() > 1);
        let name = name.map_or("all".into(), |name| name.to_string_lossy().into_owned());
        if only.is_empty() || only.contains(&name.as_str()) {
            folders.entry(name).or_default().push(file);
        }
    }
    let step =
        |(name, files): (String, Vec<PathBuf>)| Step::new(name, move || state_folder(&files));
    folders.into_iter().map(step).collect()
}

/// The files of tests at or below a path, by path. An error names the folder that cannot be listed.
pub fn state_test_files(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    walk(path, &mut found)?;
    found.sort();
    Ok(found)
}

fn walk(path: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    if !path.is_dir() {
        found.extend(path.extension().filter(|kind| *kind == "json").map(|_| path.to_owned()));
        return Ok(());
    }
    let unlisted = |error: io::Error| {
        io::Error::new(error.kind(), format!("cannot list {}: {error}", path.display()))
    };
    for entry in path.read_dir().map_err(unlisted)? {
        walk(&entry.map_err(unlisted)?.path(), found)?;
    }
    Ok(())
}

/// Runs a file of tests. An error says that it is none, or that the executor panicked.
pub fn run_state_tests(text: &str) -> Result<Vec<CaseReport>, String> {
    match catch_unwind(AssertUnwindSafe(|| run_file(text))) {
        Ok(Ok(reports)) => Ok(reports),
        Ok(Err(why)) => Err(format!("it is no file of state tests: {why}")),
        Err(_) => Err("the executor panicked".into()),
    }
}

fn state_folder(files: &[PathBuf]) -> Found {
    let (mut passed, mut skipped) = (0, BTreeMap::<&str, usize>::new());
    for file in files {
        let text = match fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) => return Found::failed(format!("{}: {error}", file.display())),
        };
        let reports = match run_state_tests(&text) {
            Ok(reports) => reports,
            Err(why) => return Found::failed(format!("{}: {why}", file.display())),
        };
        for report in reports {
            match report.verdict {
                Verdict::Passed => passed += 1,
                Verdict::Failed(why) => {
                    return Found::failed(format!("{}: {}: {why}", file.display(), report.name));
                }
                Verdict::Skipped(why) => *skipped.entry(why).or_default() += 1,
            }
        }
    }
    let left_out: usize = skipped.values().sum();
    if left_out > STATE_SKIPS_MAX {
        return Found::failed(format!("{left_out} cases are left out: {skipped:?}"));
    }
    let reasons: Vec<_> = skipped.iter().map(|(why, count)| format!("{count} {why}")).collect();
    let note = match reasons.is_empty() {
        true => format!("{passed} cases"),
        false => format!("{passed} cases; left out: {}", reasons.join(", ")),
    };
    match passed {
        0 => Found::skipped(note),
        _ => Found { cases: Some(passed), ..Found::passed().with_note(note) },
    }
}

fn lua(reader: &Arc<dyn DiskReader>, folder: &Path) -> Vec<Step> {
    let files = match lua_files(folder) {
        Ok(files) if !files.is_empty() => files,
        _ => return missing("official tests", folder),
    };
    let named = match LuaDifferences::official() {
        Ok(named) => Arc::new(named),
        Err(why) => return vec![Step::new("differences", move || Found::failed(why))],
    };
    let step = |path: PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (reader, named) = (reader.clone(), named.clone());
        Step::new(name.clone(), move || match fs::read(&path) {
            Ok(bytes) => run_lua_file(&*reader, (&name, &bytes), &named),
            Err(error) => Found::failed(format!("{}: {error}", path.display())),
        })
    };
    files.into_iter().map(step).collect()
}

/// When this program was built, as far as its file says.
fn built() -> Option<SystemTime> {
    std::env::current_exe().ok()?.metadata().ok()?.modified().ok()
}

/// A step for each line of a file of counts: `ok NAME`, `FAIL NAME: why`, `skip NAME: why`. Counts that are
/// older than the program say nothing of it.
fn counted(suite: &str, path: &Path, by: &str, built: Option<SystemTime>) -> Vec<Step> {
    let skip = |why: String| vec![Step::skipped(suite, why)];
    let Ok(text) = fs::read_to_string(path) else {
        return skip(format!("it runs outside of this program, and has left no counts: {by}"));
    };
    let written = path.metadata().and_then(|about| about.modified()).ok();
    if written < built {
        return skip(format!("its counts are older than this program: {by}"));
    }
    let steps: Vec<_> = text.lines().filter_map(line).collect();
    if steps.is_empty() { skip(format!("{} counts nothing: {by}", path.display())) } else { steps }
}

fn line(line: &str) -> Option<Step> {
    let (verdict, rest) = line.split_once(' ')?;
    let (name, why) = rest.split_once(": ").unwrap_or((rest, ""));
    let (name, why) = (name.trim().to_owned(), why.to_owned());
    match verdict {
        "ok" if why.is_empty() => Some(Step::new(name, Found::passed)),
        "ok" => Some(Step::new(name, move || {
            let cases = why.split_once(" directives").map_or("", |(before, _)| before);
            let cases = cases.rsplit(' ').next().and_then(|number| number.parse().ok());
            Found { cases, ..Found::passed().with_note(why) }
        })),
        "FAIL" => Some(Step::new(name, || Found::failed(why))),
        "skip" => Some(Step::skipped(name, why)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::certify::Outcome;

    fn outcomes(steps: Vec<Step>) -> Vec<Outcome> {
        steps.into_iter().map(|step| step.run().found.outcome).collect()
    }

    #[test]
    fn counts_are_read_and_old_ones_are_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.result.txt");
        let is_skip = |outcomes: &[Outcome]| matches!(outcomes, [Outcome::Skipped(_)]);
        assert!(is_skip(&outcomes(counted("x", &path, "run it", None))));
        fs::write(&path, "ok a\nok b: 12 directives\nFAIL c: why\nskip d: off\n# a comment\n")
            .unwrap();
        let expected = [
            Outcome::Passed,
            Outcome::Passed,
            Outcome::Failed("why".into()),
            Outcome::Skipped("off".into()),
        ];
        assert_eq!(outcomes(counted("x", &path, "run it", None)), expected);
        let later = SystemTime::now() + std::time::Duration::from_secs(60);
        assert!(is_skip(&outcomes(counted("x", &path, "run it", Some(later)))));
    }

    #[test]
    fn state_tests_are_run_by_folder_and_what_is_none_fails() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(outcomes(state_tests(dir.path(), &[]))[..], [Outcome::Skipped(_)]));
        fs::create_dir(dir.path().join("a")).unwrap();
        fs::write(dir.path().join("a/x.json"), "{").unwrap();
        assert!(matches!(outcomes(state_tests(dir.path(), &[]))[..], [Outcome::Failed(_)]));
        assert!(outcomes(state_tests(dir.path(), &["b"])).is_empty());
    }
}
