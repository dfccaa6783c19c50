//! Who gets in over the network: with the right password, by SCRAM, from the configured networks; and nobody sees the password.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use odoo_ha_backends::Secret;
use odoo_ha_core::database::{BootstrapOrder, StopMode};
use odoo_ha_core::roles::ReplicationManager;
use odoo_ha_core::term::Term;
use tokio_postgres::{Config, NoTls};

use crate::errors::misconfigured;
use crate::support::{LONG, Place, all_pids, bootstrap, rows, streaming, value};

const SECRET: &str = "correct horse 'battery'";

/// Connects from that address; the error's text if it is refused.
async fn connect(place: &Place, from: &str, user: &str, password: Option<&str>) -> Result<(), String> {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
    let stream = socket.connect(format!("127.0.0.1:{}", place.port("a")).parse().unwrap()).await.unwrap();
    let mut config = Config::new();
    config.user(user).dbname("postgres");
    if let Some(password) = password {
        config.password(password);
    }
    match config.connect_raw(stream, NoTls).await {
        Ok(_) => Ok(()),
        Err(error) => Err(error.as_db_error().map_or_else(|| error.to_string(), |said| said.message().to_owned())),
    }
}

#[tokio::test]
async fn over_the_network_there_is_scram_with_the_right_password_only() {
    let place = Place::new();
    let config = || place.config("a").password(Secret::new(SECRET)).networks(["127.0.0.1/32"]);
    let a = config().build().unwrap();
    bootstrap(&a).await;
    let client = place.client("a").await;
    assert!(
        value(&client, "select rolpassword from pg_authid where rolname = 'odoo_ha'")
            .await
            .starts_with("SCRAM-SHA-256$")
    );
    assert_eq!(value(&client, "show password_encryption").await, "scram-sha-256");
    for user in ["odoo_ha", "postgres"] {
        assert!(connect(&place, "127.0.0.1", user, None).await.is_err(), "{user} without a password");
        let refused = connect(&place, "127.0.0.1", user, Some("wrong")).await.unwrap_err();
        assert!(refused.contains("password authentication failed"), "{refused}");
    }
    connect(&place, "127.0.0.1", "odoo_ha", Some(SECRET)).await.unwrap();
    // Whoever knows what an old catalog stored cannot log in by it.
    let old = "do $$ begin execute format('create role old login password %L', 'md5' || md5('secretold')); end $$";
    client.batch_execute(old).await.unwrap();
    assert!(connect(&place, "127.0.0.1", "old", Some("secret")).await.is_err());

    // Data that somebody else had opened to the world are adopted.
    drop(client);
    a.stop(StopMode::Fast, LONG).await.unwrap();
    let file = place.data_dir("a").join("pg_hba.conf");
    let mut text = std::fs::read_to_string(&file).unwrap();
    text.push_str("host all all 127.0.0.0/8 trust\nhost all all 0.0.0.0/0 trust\nhostssl replication all all md5\n");
    std::fs::write(&file, text).unwrap();
    a.bootstrap(&BootstrapOrder { term: Term(2), adopt: true }, LONG).await.unwrap();
    let client = place.client("a").await;
    let network = rows(
        &client,
        "select line_number from pg_hba_file_rules where type like 'host%' and auth_method in ('trust', 'md5', 'password') \
         and address <> '127.0.0.0'",
    )
    .await;
    assert_eq!(network, Vec::<String>::new());
    assert_eq!(
        rows(&client, "select error from pg_hba_file_rules where error is not null").await,
        Vec::<String>::new()
    );
    let refused = connect(&place, "127.0.0.3", "odoo_ha", Some(SECRET)).await.unwrap_err();
    assert!(refused.contains("pg_hba.conf rejects"), "from outside of the networks: {refused}");
    connect(&place, "127.0.0.3", "postgres", None).await.unwrap();
    connect(&place, "127.0.0.1", "odoo_ha", Some(SECRET)).await.unwrap();
    misconfigured(config().parameter("password_encryption", "md5").build(), "password_encryption");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_process_shows_the_password_while_a_member_is_cloned() {
    let place = Arc::new(Place::new());
    let member = |name: &str| place.config(name).password(Secret::new(SECRET)).build().unwrap();
    let (a, b) = (member("a"), member("b"));
    let done = Arc::new(AtomicBool::new(false));
    let watching = {
        let (place, done) = (Arc::clone(&place), Arc::clone(&done));
        std::thread::spawn(move || {
            let mut seen = BTreeSet::new();
            while !done.load(Ordering::Relaxed) {
                for pid in all_pids() {
                    let Ok(cwd) = std::fs::read_link(format!("/proc/{pid}/cwd")) else { continue };
                    if !cwd.starts_with(place.path()) {
                        continue;
                    }
                    let read = |what| std::fs::read(format!("/proc/{pid}/{what}")).unwrap_or_default();
                    let shown = [read("cmdline"), read("environ")].concat();
                    let shown = String::from_utf8_lossy(&shown).into_owned();
                    assert!(!shown.contains("battery"), "{shown}");
                    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
                    seen.insert(name.trim().to_owned());
                }
            }
            seen
        })
    };
    let begun = bootstrap(&a).await;
    b.follow(&place.order(begun.system_id, "a", 1, 1), LONG).await.unwrap();
    streaming(&a, "b").await;
    done.store(true, Ordering::Relaxed);
    let seen = watching.join().unwrap();
    assert!(seen.contains("pg_basebackup") && seen.contains("postgres"), "{seen:?}");
    let mode = std::fs::metadata(place.socket_dir("b").join("pgpass")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
