//! What is signed is read back, for all wallets and all drafts; wallets and bundles likewise.

use super::{draft, ethereum_wallet, rsa_wallet, wallets};
use crate::item::{
    Bundle, DataItem, Draft, Id, ItemError, KeyKind, NESTING_MAX, Tag, Wallet, assemble,
    create_wallet, load_wallet, read_nested, write_bundle,
};
use proptest::prelude::*;
use rsa::{BoxedUint, pss::SigningKey, signature::RandomizedSigner, signature::SignatureEncoding};

fn any_draft() -> impl Strategy<Value = Draft> {
    let tag = ("[^\\x00]{1,12}", ".{0,40}").prop_map(|(name, value)| Tag { name, value });
    let id = || proptest::option::of(any::<[u8; 32]>());
    let data = proptest::collection::vec(any::<u8>(), 0..300);
    let tags = proptest::collection::vec(tag, 0..12);
    (id(), id(), tags, data).prop_map(|(target, anchor, tags, data)| Draft {
        target: target.map(Id),
        anchor,
        tags,
        data: data.into(),
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_signed_is_read_back(draft in any_draft()) {
        for wallet in [ethereum_wallet(), Wallet::generate(KeyKind::Ed25519).unwrap()] {
            let item = wallet.sign(&draft).unwrap();
            prop_assert_eq!(item.verify(), Ok(()));
            let again = DataItem::parse(item.bytes().clone()).unwrap();
            let read = Draft {
                target: again.target(),
                anchor: again.anchor().copied(),
                tags: again.tags().to_vec(),
                data: again.data_bytes(),
            };
            prop_assert_eq!(&read, &draft);
            prop_assert_eq!(again.owner(), wallet.owner());
            prop_assert_eq!(again.id(), item.id());
        }
    }
}

#[test]
fn all_wallets_sign_and_come_back_from_text() {
    for wallet in wallets() {
        let item = wallet.sign(&draft()).unwrap();
        assert_eq!(item.verify(), Ok(()), "{wallet:?}");
        let again = Wallet::parse(&wallet.to_jwk()).unwrap();
        assert_eq!(again.address(), wallet.address());
        let other = again.sign(&draft()).unwrap();
        assert_eq!(other.verify(), Ok(()));
        assert_eq!(other.deep_hash(), item.deep_hash());
    }
}

#[test]
fn an_item_in_pieces_is_put_together_if_its_signature_says_so() {
    for wallet in wallets() {
        let item = wallet.sign(&draft()).unwrap();
        let whole = assemble(&draft(), item.owner(), item.signature()).unwrap();
        assert_eq!(whole, item);
        let other = Draft { data: "2 + 2".into(), ..draft() };
        assert!(assemble(&other, item.owner(), item.signature()).is_err());
        assert!(assemble(&draft(), &item.owner()[1..], item.signature()).is_err());
    }
}

#[test]
fn any_salt_length_of_an_rsa_signature_is_taken() {
    let wallet = rsa_wallet();
    let jwk: serde_json::Value = serde_json::from_str(&wallet.to_jwk()).unwrap();
    let number = |name: &str| {
        let bytes = crate::item::from_b64url(jwk[name].as_str().unwrap()).unwrap();
        BoxedUint::from_be_slice_vartime(&bytes)
    };
    let primes = vec![number("p"), number("q")];
    let key = rsa::PrivateKey::from_components(number("n"), 65_537_u64.into(), number("d"), primes);
    let key = key.unwrap();
    let item = wallet.sign(&draft()).unwrap();
    for salt in [0, 1, 32, 64, 478] {
        let signer = SigningKey::<rsa::sha2::Sha256>::new_with_salt_len(key.clone(), salt);
        let mut rng = rsa::rand_core::UnwrapErr(super::super::rsa_key::System);
        let signature = signer.sign_with_rng(&mut rng, &item.deep_hash()).to_vec();
        let mut bytes = item.bytes().to_vec();
        bytes[2..514].copy_from_slice(&signature);
        assert_eq!(DataItem::parse(bytes).unwrap().verify(), Ok(()), "salt of {salt} bytes");
    }
}

#[test]
fn a_second_signature_cannot_be_made_of_a_first() {
    let item = ethereum_wallet().sign(&draft()).unwrap();
    let bent = |change: &dyn Fn(&mut [u8])| {
        let mut bytes = item.bytes().to_vec();
        change(&mut bytes[2..67]);
        DataItem::parse(bytes).unwrap().verify().unwrap_err().to_string()
    };
    assert!(bent(&|signature| signature[64] -= 27).contains("27 or 28"));
    assert!(bent(&|signature| signature[64] ^= 55 ^ 28 ^ 27).contains("27 or 28"));
    let upper = bent(&|signature| {
        let low = k256::ecdsa::Signature::from_slice(&signature[..64]).unwrap();
        let (r, s) = low.split_scalars();
        let high = k256::ecdsa::Signature::from_scalars(r.to_bytes(), (-*s).to_bytes()).unwrap();
        signature[..64].copy_from_slice(&high.to_bytes());
        signature[64] = 55 - signature[64];
    });
    assert!(upper.contains("upper half"), "{upper}");
}

#[test]
fn equal_content_is_seen_whoever_signs_it() {
    let [rsa, ethereum, _] = wallets();
    let one = rsa.sign(&draft()).unwrap();
    let mut turned = draft();
    turned.tags.reverse();
    turned.tags.push(Tag::new("Pushed-For", "x"));
    assert_eq!(one.content_hash(), ethereum.sign(&turned).unwrap().content_hash());
    turned.tags.push(Tag::new("Reference", "1"));
    assert_ne!(one.content_hash(), ethereum.sign(&turned).unwrap().content_hash());
}

#[test]
fn tags_that_no_reader_takes_are_not_signed() {
    let long = Draft::new(None, vec![Tag::new("x", "y".repeat(4096))], "");
    let error = ethereum_wallet().sign(&long).unwrap_err().to_string();
    assert!(error.contains("at most 4096"), "{error}");
    let unnamed = Draft::new(None, vec![Tag::new("", "y")], "");
    assert!(ethereum_wallet().sign(&unnamed).is_err());
}

#[test]
fn an_item_without_tags_has_no_tag_section() {
    let wallet = Wallet::from_ethereum_key(&[1; 32]).unwrap();
    let item = wallet.sign(&Draft::new(None, Vec::new(), "x")).unwrap();
    // Type, signature, owner, two flags, two lengths, and one byte of data.
    assert_eq!(item.bytes().len(), 2 + 65 + 65 + 2 + 16 + 1);
    item.verify().unwrap();
}

#[test]
fn an_ethereum_key_in_hexadecimal_is_a_wallet() {
    // The first account of every Ethereum development node.
    let key = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
    let wallet = Wallet::parse(key).unwrap();
    assert_eq!(wallet.ao_address(), "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
    let zero = Wallet::parse(&"0".repeat(64)).unwrap_err().to_string();
    assert!(zero.contains("secp256k1"), "{zero}");
}

#[test]
fn texts_that_are_no_wallet_are_told_why() {
    for (text, said) in [
        ("", "neither"),
        ("[]", "JSON object"),
        ("{}", "kty"),
        (r#"{"kty":"RSA","e":"AQAB"}"#, "field n"),
        (r#"{"kty":"RSA","e":"AQAB","n":"AQAB"}"#, "24 bits"),
        (r#"{"kty":"EC","crv":"secp256k1","d":"AQAB"}"#, "3 bytes"),
        (r#"{"kty":"EC","crv":"P-256","d":"AQAB"}"#, "secp256k1"),
    ] {
        let error = Wallet::parse(text).unwrap_err().to_string();
        assert!(error.contains(said), "{text}: {error}");
    }
}

#[test]
fn a_wallet_file_is_made_once_and_only_its_owner_reads_it() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("wallets/mu.json");
    let made = create_wallet(&path, KeyKind::Ethereum).unwrap();
    assert_eq!(load_wallet(&path).unwrap().address(), made.address());
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let error = create_wallet(&path, KeyKind::Ethereum).unwrap_err().to_string();
    assert!(error.contains("mu.json") && error.contains("exists"), "{error}");
    assert_eq!(load_wallet(&path).unwrap().address(), made.address());
    assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    std::fs::write(&path, "x").unwrap();
    assert!(load_wallet(&path).unwrap_err().to_string().contains("neither"));
}

fn carrier(items: &[DataItem]) -> DataItem {
    let tags = vec![Tag::new("Bundle-Format", "binary"), Tag::new("Bundle-Version", "2.0.0")];
    ethereum_wallet().sign(&Draft::new(None, tags, write_bundle(items))).unwrap()
}

#[test]
fn bundles_nest_so_far_and_no_further() {
    let leaf = ethereum_wallet().sign(&draft()).unwrap();
    let inner = carrier(std::slice::from_ref(&leaf));
    let outer = carrier(&[inner.clone(), leaf.clone()]);
    let found: Vec<(Id, Id)> = read_nested(&outer)
        .unwrap()
        .into_iter()
        .map(|(holder, item)| (holder, item.id()))
        .collect();
    let outer = outer.id();
    assert_eq!(found, [(outer, inner.id()), (outer, leaf.id()), (inner.id(), leaf.id())]);
    let mut deep = leaf;
    for _ in 0..NESTING_MAX {
        deep = carrier(&[deep]);
    }
    assert_eq!(read_nested(&deep).unwrap().len(), NESTING_MAX);
    let deeper = read_nested(&carrier(&[deep]));
    assert!(matches!(deeper, Err(ItemError::BadBundle(_))), "{deeper:?}");
    assert!(Bundle::parse(write_bundle(&[])).unwrap().items().is_empty());
}
