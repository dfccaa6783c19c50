//! Commands of the operator's own that fill a data directory: a restore from backups in place of `initdb` or `pg_basebackup`.

use std::path::Path;
use std::time::Duration;

use odoo_ha_core::database::FollowOrder;
use odoo_ha_core::error::{Error, ErrorKind};

use super::error::misconfigured;
use super::{PostgresReplication, error, files, instance};

/// Bound of one run; the order's own timeout ends it earlier.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(7 * 24 * 3600);

/// What stands in braces in an argument, and the variable of the environment that holds the same. The last four are the upstream's and ours with it:
/// a bootstrap has none.
const PLACES: [(&str, &str); 6] = [
    ("data_dir", "ODOO_HA_DATA_DIR"),
    ("member", "ODOO_HA_MEMBER"),
    ("host", "ODOO_HA_UPSTREAM_HOST"),
    ("port", "ODOO_HA_UPSTREAM_PORT"),
    ("user", "ODOO_HA_REPLICATION_USER"),
    ("passfile", "PGPASSFILE"),
];

/// How many of them a bootstrap has.
const WITHOUT_UPSTREAM: usize = 2;

/// A program and its arguments; no shell reads them.
#[derive(Clone, Debug)]
pub(super) struct ExternalCommand {
    words: Vec<String>,
}

impl ExternalCommand {
    pub(super) fn new(words: Vec<String>) -> Self {
        Self { words }
    }

    /// Whether it can be run, as far as that shows without running it.
    pub(super) fn check(&self, key: &str, has_upstream: bool) -> Result<(), Error> {
        let Some(program) = self.words.first() else {
            return Err(misconfigured(format!("{key} names no program"))
                .hint("write it as a list: the program's path, then its arguments"));
        };
        if !Path::new(program).is_absolute() {
            return Err(misconfigured(format!("{key}: {program:?} is not an absolute path"))
                .hint("write the program's path from / on; no shell reads the command"));
        }
        let known = if has_upstream { PLACES.len() } else { WITHOUT_UPSTREAM };
        let names: Vec<&str> = PLACES.iter().take(known).map(|(name, _)| *name).collect();
        let foreign = |word: &String| places(word).find(|name| !names.contains(name)).map(ToOwned::to_owned);
        if let Some(name) = self.words.iter().find_map(foreign) {
            return Err(misconfigured(format!("{key}: there is nothing to put in the place of {{{name}}}"))
                .hint(format!("known are {{{}}}", names.join("}, {"))));
        }
        let fills = self.words.iter().any(|word| places(word).any(|name| name == "data_dir"));
        if self.words.iter().any(|word| word.contains('\0')) || (self.words.len() > 1 && !fills) {
            return Err(misconfigured(format!("{key} does not say {{data_dir}}")).hint(
                "the command fills that directory, which is not the one of [postgres] data_dir until it has succeeded",
            ));
        }
        Ok(())
    }

    fn program(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }
}

/// The names in braces; other braces are just letters.
fn places(word: &str) -> impl Iterator<Item = &str> {
    word.split('{')
        .skip(1)
        .filter_map(|rest| rest.split_once('}'))
        .map(|(name, _)| name)
        .filter(|name| !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
}

impl PostgresReplication {
    /// Runs the command, which is to leave a data directory at `target`, an empty directory.
    pub(super) async fn fill_by(
        &self,
        command: &ExternalCommand,
        target: &Path,
        order: Option<&FollowOrder>,
    ) -> Result<(), Error> {
        let program = command.program();
        self.phase("waiting for the operator's own command to make a copy");
        let (dir, owner) = (target.to_owned(), self.owner);
        self.change(move || {
            files::remove_tree(&dir)?;
            files::make_private_dir(&dir, owner)
        })
        .await?;
        let endpoint = order.map(|order| order.upstream.endpoint.clone());
        let values = [
            target.to_string_lossy().into_owned(),
            self.config.member.to_string(),
            endpoint.as_ref().map(|endpoint| endpoint.host.clone()).unwrap_or_default(),
            endpoint.as_ref().map(|endpoint| endpoint.port.to_string()).unwrap_or_default(),
            self.config.replication_user.clone(),
            self.beside.password_file().to_string_lossy().into_owned(),
        ];
        let known = if order.is_some() { PLACES.len() } else { WITHOUT_UPSTREAM };
        let mut process = self.programs.command(program);
        let mut arguments: Vec<String> = command.words.iter().skip(1).cloned().collect();
        for ((name, variable), value) in PLACES.iter().zip(&values).take(known) {
            process.env(variable, value);
            for argument in &mut arguments {
                *argument = argument.replace(&format!("{{{name}}}"), value);
            }
        }
        // A stop finds what it has left running.
        process.env(instance::MARK, self.programs.work_dir());
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let output = self.programs.run_command(process, program, &arguments, COMMAND_TIMEOUT).await?;
        if !output.success {
            let words = format!("{}\n{}", output.stderr, output.stdout);
            let kind = error::kind_of_words(&words);
            return Err(Error::new(kind, format!("{program} failed: {}", error::telling_line(&words)))
                .hint("run it by hand as PostgreSQL's user; what it said last stands here"));
        }
        if !target.join("PG_VERSION").exists() || !target.join("global/pg_control").exists() {
            return Err(Error::new(
                ErrorKind::Misconfigured,
                format!("{program} ended well, but left no data directory"),
            )
            .hint("it must fill {data_dir} itself, not a directory in it"));
        }
        tracing::info!(member = %self.config.member, program, "a copy was made");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(words: &[&str], has_upstream: bool) -> Result<(), String> {
        let command = ExternalCommand::new(words.iter().map(|word| (*word).to_owned()).collect());
        command.check("clone_command", has_upstream).map_err(|error| error.to_string())
    }

    #[test]
    fn what_cannot_be_run_is_refused() {
        assert_eq!(check(&["/bin/restore", "--to={data_dir}", "{host}:{port}", "{\"a\": {}}"], true), Ok(()));
        assert_eq!(check(&["/bin/restore"], false), Ok(()), "it reads the environment");
        for (words, has_upstream, says) in [
            (&[][..], true, "names no program"),
            (&["restore", "{data_dir}"], true, "not an absolute path"),
            (&["/bin/restore", "{data_dir}", "{hots}"], true, "{hots}"),
            (&["/bin/restore", "{data_dir}", "{host}"], false, "{host}"),
            (&["/bin/restore", "/var/lib"], true, "{data_dir}"),
        ] {
            let said = check(words, has_upstream).expect_err("it cannot work");
            assert!(said.contains(says), "{said}");
        }
    }
}
