//! Where files are pulled from: a template with the leader's host in it.

use std::net::Ipv6Addr;

use odoo_ha_core::error::{Error, ErrorKind};

/// What the leader's host stands for in a template.
const PLACE: &str = "{host}";

/// Longest name of a host (RFC 1035).
const LONGEST_HOST: usize = 255;

/// Longest template.
const LONGEST: usize = 1024;

/// By which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// From a daemon, by rsync's own protocol.
    Daemon,
    /// By a program that is started on the other host.
    Ssh,
}

/// A template that is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    before: String,
    after: String,
    pub(super) way: Way,
}

impl Source {
    /// Reads `rsync://[USER@]{host}[:PORT]/MODULE/` or `[USER@]{host}:/FOLDER/`. Nothing in it is anything to a shell, and it is no option.
    pub(super) fn new(template: &str) -> Result<Self, Error> {
        let wrong = |why: &str| {
            Error::new(ErrorKind::Misconfigured, format!("rsync: source {template:?} {why}"))
                .hint("write rsync://{host}:873/MODULE/ for a daemon, or USER@{host}:/FOLDER/ for ssh; the slash at the end is part of it")
        };
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~/@:+=,{}".contains(c);
        if template.len() > LONGEST || !template.chars().all(is_plain) {
            // Not the template: nobody knows what stands there.
            return Err(Error::new(
                ErrorKind::Misconfigured,
                "rsync: source has a character that does not belong there",
            )
            .hint("letters, digits and -._~/@:+=, make a source, with {host} for the leader's host"));
        }
        let Some((before, after)) = template.split_once(PLACE) else { return Err(wrong("does not name {host}")) };
        if before.contains(['{', '}']) || after.contains(['{', '}']) {
            return Err(wrong("names more than one {host}"));
        }
        let (way, user) = match before.strip_prefix("rsync://") {
            Some(user) => (Way::Daemon, user),
            None => (Way::Ssh, before),
        };
        let name_of_user = match user.strip_suffix('@') {
            Some(name) if !name.is_empty() => name,
            None if user.is_empty() => "",
            Some(_) | None => return Err(wrong("has something else than USER@ before {host}")),
        };
        if name_of_user.contains(':') {
            // A password, perhaps: it is not shown.
            return Err(Error::new(ErrorKind::Misconfigured, "rsync: source has a colon in its user")
                .hint("a password does not belong there; name its place with password"));
        }
        if name_of_user.starts_with('-') || name_of_user.contains(['/', '@']) {
            return Err(wrong("has a user that is none"));
        }
        let folder = match way {
            Way::Daemon => match after.strip_prefix(':').and_then(|rest| rest.split_once('/')) {
                Some((port, folder)) if port.parse::<u16>().is_ok_and(|port| port != 0) => folder,
                Some(_) => return Err(wrong("has a port that is none")),
                None => after.strip_prefix('/').ok_or_else(|| wrong("has no module"))?,
            },
            Way::Ssh => after.strip_prefix(":/").ok_or_else(|| wrong("does not go on with :/ after {host}"))?,
        };
        // Over ssh, a restricted command may make a folder of its own the root.
        let is_root = way == Way::Ssh && folder.is_empty();
        if !(is_root || folder.ends_with('/')) || folder.starts_with(['/', '-']) {
            return Err(wrong("has no folder that ends with a slash"));
        }
        if folder.split('/').any(|part| part == "..") {
            return Err(wrong("leaves its folder"));
        }
        Ok(Self { before: before.to_owned(), after: after.to_owned(), way })
    }

    /// The source on this host.
    pub(super) fn on(&self, host: &str) -> Result<String, Error> {
        let is_address = host.contains(':') && host.parse::<Ipv6Addr>().is_ok();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        let is_name = !host.is_empty() && host.len() <= LONGEST_HOST && host.chars().all(is_plain);
        let is_name = is_name && !host.starts_with(['-', '.']);
        if !is_address && !is_name {
            let shown: String = host.chars().take(LONGEST_HOST).collect();
            return Err(Error::new(ErrorKind::Misconfigured, format!("rsync: the leader's host {shown:?} is no host"))
                .hint("postgres.host of each node must be a name or an address that the others can reach it by"));
        }
        Ok(match is_address {
            true => format!("{}[{host}]{}", self.before, self.after),
            false => format!("{}{host}{}", self.before, self.after),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_of_both_ways_are_read() {
        for (template, way, on) in [
            ("rsync://{host}:873/odoo/", Way::Daemon, "rsync://10.0.0.2:873/odoo/"),
            ("rsync://copy@{host}/odoo/data/", Way::Daemon, "rsync://copy@10.0.0.2/odoo/data/"),
            ("odoo@{host}:/var/lib/odoo/", Way::Ssh, "odoo@10.0.0.2:/var/lib/odoo/"),
            ("{host}:/data/", Way::Ssh, "10.0.0.2:/data/"),
            ("odoo@{host}:/", Way::Ssh, "odoo@10.0.0.2:/"),
        ] {
            let source = Source::new(template).expect(template);
            assert_eq!((source.way, source.on("10.0.0.2").expect("a host").as_str()), (way, on));
        }
        let source = Source::new("rsync://{host}:873/odoo/").expect("it is one");
        assert_eq!(source.on("fe80::1").expect("a host"), "rsync://[fe80::1]:873/odoo/");
    }

    #[test]
    fn what_is_no_source_is_refused_and_no_password_is_shown() {
        for template in [
            "",
            "rsync://10.0.0.2/odoo/",
            "rsync://{host}:873/odoo",
            "rsync://{host}:99999/odoo/",
            "rsync://{host}",
            "rsync://{host}//",
            "rsync://{host}/../x/",
            "rsync://a:hush@{host}/odoo/",
            "rsync://{host}/{host}/",
            "-e@{host}:/x/",
            "-e{host}:/x/",
            "odoo@{host}:data/",
            "odoo@{host}:/data",
            "odoo@{host}:/da ta/",
            "odoo@{host}:/$(hush)/",
            "odoo@{host}:/`hush`/",
            "/data/",
        ] {
            let error = Source::new(template).expect_err(template);
            assert_eq!(error.kind(), ErrorKind::Misconfigured);
            assert!(error.to_string().starts_with("rsync: source") && !error.to_string().contains("hush"), "{error}");
        }
    }

    #[test]
    fn a_hostile_host_is_refused() {
        let source = Source::new("odoo@{host}:/data/").expect("it is one");
        let long = "a".repeat(256);
        for host in [
            "",
            "-oProxyCommand=x",
            "--rsh=x",
            "a b",
            "a\nb",
            "a;b",
            "a/b",
            "a@b",
            "a:b",
            "/run/postgresql",
            "..",
            "$x",
            &long,
        ] {
            assert_eq!(source.on(host).expect_err(host).kind(), ErrorKind::Misconfigured);
        }
        for host in ["node-a", "10.0.0.1", "node_b.example.org", "::1"] {
            assert!(source.on(host).is_ok(), "{host}");
        }
    }
}
