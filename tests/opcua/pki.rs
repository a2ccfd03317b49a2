//! Whom the server trusts: certificates, chains, revocation lists (Part 4 §6.1.3).

use std::fs;
use std::path::Path;

use linewright::channel::pki::{Place, Store, TrustList, fingerprint};
use opcua::types::StatusCode;

const FILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/opcua/certificates");
/// 2030-01-01, when all but the short one are valid.
const NOW: i64 = 1_893_456_000;

fn file(name: &str) -> Vec<u8> {
    fs::read(Path::new(FILES).join(name)).unwrap()
}

/// A trust list with these files in its folders.
fn list(files: &[(&str, &str)], trust_all: bool) -> (tempfile::TempDir, TrustList) {
    let directory = tempfile::tempdir().unwrap();
    let list = TrustList::new(directory.path(), trust_all).unwrap();
    for (folder, name) in files {
        fs::write(directory.path().join(folder).join(name), file(name)).unwrap();
    }
    (directory, list)
}

fn judged(files: &[(&str, &str)], sent: &[u8], now: i64) -> StatusCode {
    let (_directory, list) = list(files, false);
    list.judge(sent, now).map_or_else(|why| why.status, |_| StatusCode::Good)
}

const AUTHORITY: [(&str, &str); 4] = [
    ("trusted", "root.der"),
    ("issuer", "between.der"),
    ("crl", "root.crl"),
    ("crl", "between.crl"),
];

#[test]
fn a_certificate_is_trusted_by_itself_or_not_at_all() {
    use StatusCode as S;
    let alone = file("alone.der");
    assert_eq!(judged(&[], &alone, NOW), S::BadCertificateUntrusted);
    assert_eq!(judged(&[("issuer", "alone.der")], &alone, NOW), S::BadCertificateUntrusted);
    assert_eq!(judged(&[("trusted", "alone.der")], &alone, NOW), S::Good);
    assert_eq!(
        judged(&[("trusted", "alone.der")], &file("short.der"), NOW),
        S::BadCertificateUntrusted
    );
}

#[test]
fn an_authority_is_trusted_with_all_that_it_has_not_revoked() {
    use StatusCode as S;
    let client = file("client.der");
    assert_eq!(judged(&AUTHORITY, &client, NOW), S::Good);
    assert_eq!(judged(&AUTHORITY, &file("revoked.der"), NOW), S::BadCertificateRevoked);
    // The authority in between may come with the client's own certificate.
    let sent = [client.clone(), file("between.der")].concat();
    let without = [AUTHORITY[0], AUTHORITY[2], AUTHORITY[3]];
    assert_eq!(judged(&without, &sent, NOW), S::Good);
    assert_eq!(judged(&without, &client, NOW), S::BadCertificateChainIncomplete);
}

#[test]
fn without_a_revocation_list_nothing_is_known() {
    use StatusCode as S;
    let client = file("client.der");
    let of_root = [AUTHORITY[0], AUTHORITY[1], AUTHORITY[2]];
    assert_eq!(judged(&of_root, &client, NOW), S::BadCertificateRevocationUnknown);
    let of_between = [AUTHORITY[0], AUTHORITY[1], AUTHORITY[3]];
    assert_eq!(judged(&of_between, &client, NOW), S::BadCertificateIssuerRevocationUnknown);
    // A list that has run out says nothing any more.
    let late = NOW + 3600 * 24 * 365 * 100;
    assert_eq!(judged(&AUTHORITY, &client, late), S::BadCertificateTimeInvalid);
}

#[test]
fn an_authority_that_only_completes_chains_makes_nobody_trusted() {
    let files = [
        ("issuer", "root.der"),
        ("issuer", "between.der"),
        ("crl", "root.crl"),
        ("crl", "between.crl"),
    ];
    assert_eq!(judged(&files, &file("client.der"), NOW), StatusCode::BadCertificateUntrusted);
}

#[test]
fn time_strength_and_use_are_looked_at() {
    use StatusCode as S;
    for (name, now, wanted) in [
        ("short.der", NOW, S::BadCertificateTimeInvalid),
        ("alone.der", 0, S::BadCertificateTimeInvalid),
        ("weak.der", NOW, S::BadCertificatePolicyCheckFailed),
        ("sha1.der", NOW, S::BadCertificateInvalid),
        ("mute.der", NOW, S::BadCertificateUseNotAllowed),
    ] {
        assert_eq!(judged(&[("trusted", name)], &file(name), now), wanted, "{name}");
    }
}

#[test]
fn a_client_cannot_issue_certificates() {
    let files = [("trusted", "client.der"), AUTHORITY[1], AUTHORITY[2], AUTHORITY[3]];
    let all = [&files[..], &[AUTHORITY[0]]].concat();
    let status = judged(&all, &file("impostor.der"), NOW);
    assert_eq!(status, StatusCode::BadCertificateIssuerUseNotAllowed);
}

#[test]
fn a_chain_that_is_a_circle_ends() {
    let files = [("issuer", "left.der"), ("issuer", "right.der")];
    let sent = [file("circle.der"), file("left.der"), file("right.der")].concat();
    for files in [&files[..], &[]] {
        let status = judged(files, &sent, NOW);
        assert_eq!(status, StatusCode::BadCertificateChainIncomplete);
    }
}

#[test]
fn what_is_no_certificate_is_said_so() {
    let mut broken = file("alone.der");
    broken.truncate(100);
    for bytes in [Vec::new(), b"hello".to_vec(), broken] {
        assert_eq!(judged(&[], &bytes, NOW), StatusCode::BadCertificateInvalid);
    }
    let mut forged = file("alone.der");
    let end = forged.len();
    forged[end - 1] ^= 1;
    let (_directory, list) = list(&[], true);
    let status = list.judge(&forged, NOW).unwrap_err().status;
    assert_eq!(status, StatusCode::BadCertificateInvalid, "even where everybody is trusted");
}

#[test]
fn what_was_refused_is_kept_for_a_person_who_may_trust_it() {
    let (directory, list) = list(&[], false);
    let alone = file("alone.der");
    list.judge(&alone, NOW).unwrap_err();
    let store = Store::new(directory.path());
    let id = fingerprint(&alone);
    assert_eq!(store.find(&id[..8]).unwrap().place, Place::Rejected);
    store.move_to(&id[..8], Place::Trusted).unwrap();
    // The running list looks at the files again within seconds.
    let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while list.judge(&alone, NOW).is_err() {
        assert!(std::time::Instant::now() < end, "the change is not seen");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    store.move_to(&id[..8], Place::Rejected).unwrap();
    while list.judge(&alone, NOW).is_ok() {
        assert!(std::time::Instant::now() < end, "the change is not seen");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn only_the_newest_refused_ones_are_kept() {
    let (directory, list) = list(&[], false);
    let alone = file("alone.der");
    for number in 0..50_u8 {
        let mut other = alone.clone();
        let end = other.len();
        other[end - 1] = number;
        list.judge(&other, NOW).unwrap_err();
    }
    let kept = fs::read_dir(directory.path().join("rejected")).unwrap().count();
    assert_eq!(kept, 20);
}
