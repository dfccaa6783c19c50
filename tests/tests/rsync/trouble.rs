//! What goes wrong, and how it is told.

use std::time::{Duration, Instant};

use odoo_ha_backends::Secret;
use odoo_ha_core::database::Endpoint;
use odoo_ha_core::error::ErrorKind;
use odoo_ha_core::member::MemberId;
use odoo_ha_core::roles::FilestoreSync;
use odoo_ha_core::term::Term;

use super::support::{ABC, ABD, PATIENCE, complete, follow, pair, status};

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_dies_is_told_and_its_return_is_noticed() {
    let (leader, copy) = pair("", &[]).await;
    leader.write(ABC, "abc");
    let files = copy.filestore();
    follow(&files, 1, &leader).await;
    copy.has(ABC, "abc").await;
    let daemon = leader.daemon.as_ref().unwrap();
    daemon.kill();
    status(&files, "it is told", |seen| seen.is_err_and(|why| why.contains("exit code 10"))).await;
    leader.write(ABD, "abd");
    daemon.restart();
    leader.answers().await;
    copy.has(ABD, "abd").await;
    status(&files, "it is well again", |seen| seen == Ok(0)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_is_frozen_holds_nobody_up() {
    let (leader, copy) = pair("", &[]).await;
    leader.write(ABC, "abc");
    let files = copy.config().timeout(Duration::from_secs(1)).build().unwrap();
    leader.daemon.as_ref().unwrap().freeze();
    let began = Instant::now();
    follow(&files, 1, &leader).await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    status(&files, "its silence is told", |seen| seen.is_err_and(|why| why.contains("exit code"))).await;
    leader.daemon.as_ref().unwrap().thaw();
    copy.has(ABC, "abc").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_told_without_being_shown() {
    let secrets = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secrets.path(), "copy:open sesame\n").unwrap();
    let module = format!("auth users = copy\nsecrets file = {}\nstrict modes = no", secrets.path().display());
    let (leader, copy) = pair(&module, &[]).await;
    leader.write(ABC, "abc");
    let place = copy.path().join("password");
    std::fs::write(&place, "hush, hush\n").unwrap();
    let mut config = copy.config().password(Secret::from_file(&place));
    config.source = format!("rsync://copy@{{host}}:{}/odoo/", copy.port);
    let files = config.build().unwrap();
    assert!(!format!("{files:?}").contains("hush"));
    follow(&files, 1, &leader).await;
    let mut said = String::new();
    let refused = |seen: Result<u64, String>| {
        said = seen.err().unwrap_or_default();
        said.contains("does not let this node in") && said.contains("auth failed")
    };
    status(&files, "the refusal is told", refused).await;
    assert!(said.contains("secrets file") && !said.contains("hush") && !said.contains("sesame"), "{said}");
    assert_eq!(copy.read(ABC), None);
    // The file is read before each pass.
    std::fs::write(&place, "open sesame\n").unwrap();
    copy.has(ABC, "abc").await;
    // Without a password nobody is asked for one.
    let mut config = copy.config();
    config.source = format!("rsync://copy@{{host}}:{}/odoo/", copy.port);
    drop(files);
    let files = config.build().unwrap();
    follow(&files, 1, &leader).await;
    status(&files, "the refusal is told", |seen| seen.is_err_and(|why| why.contains("auth failed"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_host_is_refused_and_nothing_is_started() {
    let (leader, copy) = pair("", &[]).await;
    leader.write(ABC, "abc");
    let files = copy.filestore();
    follow(&files, 1, &leader).await;
    complete(&files).await;
    let member = MemberId::new("x").unwrap();
    for host in ["-oProxyCommand=touch", "--rsh=touch", "a b", "a\nb", "/run/postgresql", "a/../b", ""] {
        let endpoint = Endpoint { host: host.into(), port: 1 };
        let refused = files.follow(Term(1), &member, Some(&endpoint), PATIENCE).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Misconfigured, "{host:?}");
        assert_eq!(copy.pulls(), Vec::<u32>::new(), "{host:?}: somebody else is followed");
    }
    let nowhere = files.follow(Term(1), &member, None, PATIENCE).await.unwrap_err();
    assert_eq!(nowhere.kind(), ErrorKind::NotReady);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_must_mend_is_told_by_its_name() {
    let (leader, copy) = pair("", &[]).await;
    leader.write(ABC, "abc");
    let mut no_module = copy.config();
    no_module.source = format!("rsync://{{host}}:{}/nothing/", copy.port);
    let mut no_folder = copy.config();
    no_folder.path = copy.path().join("nowhere");
    let cases = [
        (no_module, "Unknown module"),
        (no_folder, "path must be Odoo's data_dir"),
        (copy.config().rsync("/nowhere/rsync"), "/nowhere/rsync cannot be started"),
    ];
    for (config, says) in cases {
        let files = config.build().unwrap();
        follow(&files, 1, &leader).await;
        status(&files, says, |seen| seen.is_err_and(|why| why.contains(says))).await;
    }
    let files = copy.filestore();
    follow(&files, 1, &leader).await;
    copy.has(ABC, "abc").await;
}
