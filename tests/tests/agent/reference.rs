//! `docs/reference/configuration.md` and the configuration have the same keys.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use odoo_ha_core::event::Severity;
use odoo_ha_core::member::{ClusterId, MemberId};
use odoo_ha_examples::agent::{
    AddressSection, AgentConfig, ApiSection, Beginning, ClusterSection, CommandSection, ConsulSection, DcsSection,
    EtcdSection, FilestoreSection, GuardSection, HttpProbeSection, LinuxSection, LinuxWatchdogSection, ListenerSection,
    NotifySection, PeersSection, PolicySection, PostgresProbeSection, PostgresSection, ProbeSection, RsyncSection,
    SecretPlace, ServiceSection, SlackSection, SqliteSection, SystemdSection, TcpProbeSection, TimingSection,
    WatchdogSection, WebhookSection,
};
use serde_json::Value;

/// Every key of every section; the compiler sees that none is left out.
fn everything() -> Vec<AgentConfig> {
    let place = || Some(SecretPlace::Env("WORD".into()));
    let text = || Some(String::from("text"));
    let path = || Some("/a/file".into());
    let time = || Some(Duration::from_secs(1));
    let stores = [
        DcsSection::Sqlite(SqliteSection { file: "/a/file".into() }),
        DcsSection::Etcd(EtcdSection {
            endpoints: Vec::new(),
            domain: text(),
            name_server: Some(([127, 0, 0, 1], 53).into()),
            prefix: String::new(),
            user: text(),
            password: place(),
            ca_file: path(),
            cert_file: path(),
            key_file: path(),
            server_name: text(),
        }),
        DcsSection::Consul(ConsulSection {
            endpoints: Vec::new(),
            prefix: String::new(),
            datacenter: text(),
            namespace: text(),
            token: place(),
            ca_file: path(),
            cert_file: path(),
            key_file: path(),
        }),
    ];
    let addresses = [
        AddressSection::Listener(ListenerSection {
            listen: ([127, 0, 0, 1], 1).into(),
            target: text(),
            fence_file: path(),
            connect_timeout: Duration::ZERO,
        }),
        AddressSection::Linux(LinuxSection {
            address: String::new(),
            interface: String::new(),
            announcements: 1,
            announce_interval: Duration::ZERO,
            probe_wait: Duration::ZERO,
            fence_file: path(),
        }),
    ];
    let config = |dcs, address| AgentConfig {
        cluster: ClusterSection {
            name: ClusterId::new("shop").unwrap(),
            member: MemberId::new("a").unwrap(),
            founders: Vec::new(),
            bootstrap: Beginning::Create,
            state_dir: "/a/dir".into(),
            nofailover: false,
            nosync: false,
            failover_priority: 0,
            replicate_from: MemberId::new("b").ok(),
        },
        dcs,
        postgres: PostgresSection {
            data_dir: "/a/dir".into(),
            host: "a".into(),
            port: 5432,
            listen: text(),
            bin_dir: path(),
            socket_dir: path(),
            superuser: String::new(),
            replication_user: String::new(),
            password: place(),
            run_as: text(),
            networks: Vec::new(),
            wal_keep_mb: 1,
            recovery_min_apply_delay: Some(Duration::ZERO),
            bootstrap_command: Some(Vec::new()),
            clone_command: Some(Vec::new()),
            clone_fallback: false,
            parameters: Default::default(),
        },
        address: Some(address),
        services: vec![ServiceSection {
            systemd: Some(SystemdSection { unit: String::new(), systemctl: "/a/file".into() }),
            command: Some(CommandSection {
                name: String::new(),
                start: Vec::new(),
                stop: Vec::new(),
                status: Vec::new(),
                kill: Some(Vec::new()),
            }),
        }],
        filestore: Some(FilestoreSection::Rsync(RsyncSection {
            path: "/a/dir".into(),
            source: String::new(),
            password: place(),
            interval: Duration::ZERO,
            timeout: Duration::ZERO,
            pass_timeout: Duration::ZERO,
            delete_sessions: false,
            rsync: "/a/file".into(),
            ssh: Vec::new(),
        })),
        guard: GuardSection {
            enabled: true,
            runtime_dir: path(),
            acts_before: Duration::ZERO,
            drop_address: Some(Vec::new()),
            stop_services: Some(Vec::new()),
        },
        watchdog: Some(WatchdogSection::Linux(LinuxWatchdogSection {
            device: "/a/file".into(),
            sysfs_dir: path(),
            timeout: time(),
            wdctl: "/a/file".into(),
            acts_before: Duration::ZERO,
        })),
        peers: Some(PeersSection {
            listen: ([127, 0, 0, 1], 1).into(),
            url: text(),
            secret: SecretPlace::Env("WORD".into()),
            accept: Vec::new(),
        }),
        probes: vec![ProbeSection {
            postgres: Some(PostgresProbeSection {
                host: String::new(),
                port: 1,
                user: text(),
                database: text(),
                password: place(),
            }),
            tcp: Some(TcpProbeSection { host: String::new(), port: 1 }),
            http: Some(HttpProbeSection { url: String::new(), host: text(), statuses: Some(Vec::new()) }),
            interval: Duration::ZERO,
            timeout: Duration::ZERO,
            rise: 1,
            fall: 1,
            weight: 1,
        }],
        notify: vec![NotifySection {
            webhook: Some(WebhookSection { url: SecretPlace::Env("WORD".into()), secret: place(), ca_file: path() }),
            slack: Some(SlackSection { url: SecretPlace::Env("WORD".into()), ca_file: path() }),
            least: Severity::Info,
        }],
        api: Some(ApiSection { listen: ([127, 0, 0, 1], 1).into(), token: place() }),
        timing: TimingSection {
            ttl: Duration::ZERO,
            renew_interval: time(),
            suspicion: time(),
            standby_timeout: time(),
            stop_budget: time(),
            clock_margin: time(),
            observe_interval: time(),
            promote_timeout: time(),
            switchover_timeout: time(),
            clone_timeout: time(),
        },
        policy: PolicySection { quorum: std::num::NonZeroU32::new(1), ..PolicySection::default() },
    };
    let [one, other, last] = stores;
    let [listener, linux] = addresses;
    vec![config(one, linux.clone()), config(other, listener), config(last, linux)]
}

/// `section.key`, or `section.kind.key`; what is a section itself is none, but for the kinds of a probe.
fn keys_of(config: &AgentConfig) -> BTreeSet<String> {
    let Value::Object(sections) = serde_json::to_value(config).unwrap() else { panic!("it is a table") };
    let mut keys = BTreeSet::new();
    for (section, value) in sections {
        let value = if let Value::Array(mut list) = value { list.remove(0) } else { value };
        let Value::Object(entries) = value else { panic!("{section} is a table") };
        for (key, value) in entries {
            let is_kind = matches!(
                section.as_str(),
                "dcs" | "address" | "filestore" | "watchdog" | "services" | "notify" | "probes"
            );
            match value {
                Value::Object(inner) if is_kind => {
                    keys.extend(inner.keys().map(|inner| format!("{section}.{key}.{inner}")));
                    if matches!(section.as_str(), "services" | "notify" | "probes") {
                        keys.insert(format!("{section}.{key}"));
                    }
                }
                _ => _ = keys.insert(format!("{section}.{key}")),
            }
        }
    }
    keys
}

/// The keys of the tables, below the section of their heading.
fn documented() -> BTreeSet<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/configuration.md");
    let text = std::fs::read_to_string(file).unwrap();
    let (mut section, mut place, mut keys) = (String::new(), String::new(), BTreeSet::new());
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            let names: Vec<&str> = heading
                .split('`')
                .filter_map(|part| part.strip_prefix('['))
                .map(|part| part.trim_matches(['[', ']']))
                .collect();
            section = names[0].split('.').next().unwrap().to_owned();
            place = if names.len() == 1 { names[0].to_owned() } else { section.clone() };
        } else if let Some(kind) = line.strip_prefix("| key of `").and_then(|rest| rest.split('`').next()) {
            place = format!("{section}.{kind}");
        } else if let Some(key) = line.strip_prefix("| `").and_then(|rest| rest.split('`').next()) {
            assert!(keys.insert(format!("{place}.{key}")), "{place}.{key} stands there twice");
        }
    }
    keys
}

#[test]
fn every_key_is_documented_and_nothing_else_is() {
    let keys: BTreeSet<String> = everything().iter().flat_map(keys_of).collect();
    let documented = documented();
    let missing: Vec<_> = keys.difference(&documented).collect();
    let gone: Vec<_> = documented.difference(&keys).collect();
    assert!(missing.is_empty() && gone.is_empty(), "not documented: {missing:?}; documented in vain: {gone:?}");
}
