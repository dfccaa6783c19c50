//! Who may connect, and how: the agent's part of `pg_hba.conf`, and what it does not leave in force of the rest.

use super::config::{PostgresConfig, is_loopback};

const BEGIN: &str = "# odoo-ha: begin (written before every start)";
const END: &str = "# odoo-ha: end";

/// Stands before a line that was taken out of force.
const REFUSED: &str = "# odoo-ha: not over the network: ";

/// Ways in over the network that need no password, or one that can be taken off the wire or out of a stolen catalog.
const WEAK: [&str; 3] = ["trust", "md5", "password"];

/// The file, and which of the lines that stood there were taken out of force.
pub(super) struct AccessFile {
    pub(super) text: String,
    pub(super) refused: Vec<String>,
}

impl AccessFile {
    /// From what stands there: first the agent over its socket, members and clients from the configured networks, and the replication role
    /// from nowhere else; then the rest, without weak ways in over the network.
    pub(super) fn make(text: &str, config: &PostgresConfig) -> Self {
        let role = &config.replication_user;
        let mut ours = format!("{BEGIN}\nlocal all \"{}\" trust\n", config.superuser);
        for network in &config.networks {
            let method = if config.password.is_none() && is_loopback(network) { "trust" } else { "scram-sha-256" };
            ours.push_str(&format!("host replication \"{role}\" {network} {method}\n"));
            ours.push_str(&format!("host all all {network} {method}\n"));
        }
        ours.push_str(&format!("host replication,all \"{role}\" all reject\n{END}\n"));
        let mut refused = Vec::new();
        let mut inside = false;
        // A line that ends in a backslash goes on in the next (PostgreSQL 14 and later).
        for line in text.replace("\\\n", " ").lines() {
            inside |= line == BEGIN;
            if !inside {
                if is_weak(line) {
                    ours.push_str(REFUSED);
                    refused.push(line.to_owned());
                }
                ours.push_str(line);
                ours.push('\n');
            }
            inside &= line != END;
        }
        Self { text: ours, refused }
    }
}

/// Whether a line lets somebody in from another machine by a weak method.
fn is_weak(line: &str) -> bool {
    let fields = fields(line);
    if fields.first().is_some_and(|word| word.starts_with("include")) {
        // Nobody has looked into that file (PostgreSQL 16 and later).
        return true;
    }
    let mut fields = fields.iter().map(String::as_str);
    let over_the_network = fields.next().is_some_and(|kind| kind.starts_with("host"));
    let Some(address) = fields.nth(2).filter(|_| over_the_network) else {
        return false;
    };
    let Some(mut method) = fields.next() else { return false };
    let mut network = address.to_owned();
    if method.parse::<std::net::IpAddr>().is_ok() {
        // An address and a mask: of a loopback address only the strictest is the machine itself, for sure.
        network = if method.starts_with("255.") { format!("{address}/8") } else { format!("{address}/0") };
        let Some(next) = fields.next() else { return false };
        method = next;
    }
    let is_local = address == "localhost" || address == "samehost" || is_loopback(&network);
    WEAK.contains(&method) && !is_local
}

/// The words of a line; what stands in double quotes is one.
fn fields(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut word = String::new();
    let (mut quoted, mut any) = (false, false);
    for letter in line.chars() {
        match letter {
            '"' => (quoted, any) = (!quoted, true),
            '#' if !quoted => break,
            // After a comma the list goes on.
            letter if letter.is_whitespace() && !quoted && word.ends_with(',') => {}
            letter if letter.is_whitespace() && !quoted => {
                if any {
                    found.push(std::mem::take(&mut word));
                }
                any = false;
            }
            letter => {
                word.push(letter);
                any = true;
            }
        }
    }
    if any {
        found.push(word);
    }
    found
}

#[cfg(test)]
mod tests {
    use odoo_ha_core::database::Endpoint;
    use odoo_ha_core::member::MemberId;

    use super::*;

    #[test]
    fn weak_ways_in_over_the_network_are_seen_in_every_form() {
        for line in [
            "host all all 0.0.0.0/0 trust",
            "hostssl\tall\tall\t10.0.0.0/8\tmd5",
            "hostnossl \"my db\" \"x\" all password",
            "host all all 10.0.0.0 255.0.0.0 trust",
            "host all all 127.0.0.1 0.0.0.0 trust",
            "host replication all ::/0 trust # for now",
            "host all all .example.org md5",
            "host all all samenet trust",
            "host db1, db2 all 0.0.0.0/0 trust",
            "host all a, b,c all md5",
            "include weak.conf",
            "include_dir conf.d",
        ] {
            assert!(is_weak(line), "{line}");
        }
        for line in [
            "",
            "# host all all 0.0.0.0/0 trust",
            "local all all trust",
            "host all all 127.0.0.1/32 trust",
            "host all all 127.0.0.1 255.255.255.255 md5",
            "host all all ::1/128 trust",
            "host all all localhost trust",
            "host all all 0.0.0.0/0 scram-sha-256",
            "host \"trust\" all 10.0.0.0/8 cert",
            "host all all 10.0.0.0/8 reject",
            "host a, b all 10.0.0.0/8 scram-sha-256",
        ] {
            assert!(!is_weak(line), "{line}");
        }
    }

    #[test]
    fn written_again_it_is_the_same() {
        let member = MemberId::new("a").expect("a valid name");
        let config = PostgresConfig::new(member, "/d", Endpoint { host: "h".into(), port: 1 });
        let once = AccessFile::make("local all all peer\nhost all all 0.0.0.0/0 trust\n", &config);
        assert_eq!(once.refused, ["host all all 0.0.0.0/0 trust"]);
        assert!(
            once.text.ends_with("local all all peer\n# odoo-ha: not over the network: host all all 0.0.0.0/0 trust\n")
        );
        let continued = AccessFile::make("host all all 0.0.0.0/0 \\\n trust\n", &config);
        assert_eq!(continued.refused, ["host all all 0.0.0.0/0   trust"]);
        let again = AccessFile::make(&once.text, &config);
        assert_eq!((again.text, again.refused), (once.text, Vec::new()));
    }
}
