//! State tests whose answers are those of Ethereum's executable specification: `conformance/evm`.

use crate::stage::trial;
use drivebay_evm::statetest::{Verdict, run_file};
use libtest_mimic::Trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("oracle: random programs end as the specification says", cases),
        trial("oracle: a wrong root or log is found", wrong),
    ]
}

fn files() -> Vec<String> {
    let folder = crate::roles::root().join("conformance/evm/cases");
    let mut paths: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

fn cases() {
    let mut passed = 0;
    for file in files() {
        for report in run_file(&file).unwrap() {
            assert_eq!(report.verdict, Verdict::Passed, "{}", report.name);
            passed += 1;
        }
    }
    assert!(passed >= 200, "only {passed} cases are there");
}

fn wrong() {
    let file = &files()[0];
    for field in ["\"hash\":\"0x", "\"logs\":\"0x", "\"gasPrice\":\"0x"] {
        let at = file.find(field).unwrap() + field.len();
        let mut bent = file.clone();
        let digit = if &bent[at..=at] == "7" { "8" } else { "7" };
        bent.replace_range(at..=at, digit);
        let reports = run_file(&bent).unwrap();
        let failed = reports.iter().filter(|report| matches!(report.verdict, Verdict::Failed(_)));
        assert!(failed.count() > 0, "{field} was bent, and nobody saw it");
    }
    for (kind, said) in [("blocks", "chains of blocks"), ("exec", "code without a transaction")] {
        let other = format!(r#"{{"one": {{"{kind}": []}}, "two": {{"{kind}": {{}}}}}}"#);
        let reports = run_file(&other).unwrap();
        assert!(matches!(reports[0].verdict, Verdict::Skipped(why) if why.contains(said)));
        assert!(
            run_file(&other.replacen(kind, "else", 1)).is_err(),
            "not all of it is of that kind"
        );
    }
    assert!(run_file("{}").unwrap().is_empty());
    assert!(run_file("[").is_err());
}
