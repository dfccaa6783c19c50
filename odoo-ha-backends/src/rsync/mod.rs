//! The `rsync` backend: Odoo's files, pulled from the leader by the program `rsync`.
//!
//! A copy runs `rsync` again and again ([`RsyncConfig::interval`]), one pass at a time, each with a deadline, and fetches `filestore/` and `sessions/` of
//! the leader's `data_dir` from an rsync daemon or over ssh. Files arrive under temporary names in a folder of the copy's own
//! ([`INCOMING`], below [`RsyncConfig::path`]) and are renamed when they are complete. A pass that fails is tried again, later each time up to 30 s.
//!
//! - **The filestore** is added to and never deleted from. What arrived there must have the content that its name says (the SHA-1); what does not, because
//!   Odoo was just writing it, is taken away again, what it replaced is put back, and the next pass fetches it. A file that is newer here is left alone.
//! - **Sessions** are taken when they are newer than what is here. Those that are gone at the leader stay, unless
//!   [`RsyncConfig::delete_sessions`] says otherwise.
//!
//! Symbolic links, devices and pipes are not copied. Owners, groups and rights are not taken from the leader: a root agent runs `rsync` as the owner of
//! [`RsyncConfig::path`], any other as itself; a file gets the leader's mode as far as the agent's umask lets it, and never a set-user-id bit.
//!
//! # An old pull overwrites nothing
//!
//! `lead` and `rest` return `Ok` only when no process of a pull is left. Each of them has a locked file as its standard input, and the lock says when the
//! last one has gone; one that an agent left behind when it was killed is found by the same lock, and killed. The highest term is kept in a file
//! beside it; an older one is `Fenced`.
//!
//! # What it never does
//!
//! Below [`RsyncConfig::path`] it goes through no symbolic link, neither one that was there nor one that Odoo's user puts in the place of a folder
//! meanwhile: `filestore`, `sessions` and each database's folder must be folders, and the agent, which may be root, renames and removes by descriptors only.
//! As root it does not run `rsync` as root among files of others, nor where others than root and the owner of `path` could put something else in the place of `path`.
//!
//! It never reads its own copy's files for the leader (the daemon or ssh does), never resolves a conflict, and shows the daemon's password to nobody but
//! `rsync`, in that program's environment.
//!
//! # What it cannot do
//!
//! - A file that came here less than [`RsyncConfig::interval`] before the leader died may be incomplete, if Odoo was writing it when it was
//!   copied and no pass came after it.
//! - Files are not flushed to the disk one by one: after a power failure of a copy, the next pass mends what lacks content.
//! - It does not know which files the database wants: `missing` counts what the last pass saw and could not take.
//!
//! # Where to go next
//!
//! [`RsyncConfig`] what can be set · `source.rs` where from · `filestore.rs` the role · `worker.rs` when a pass runs · `pass.rs` one pass ·
//! `arrivals.rs` what came is looked at · `folder.rs` where files arrive · `beneath.rs` no link is followed · `lock.rs` when a pull has gone · `error.rs` what exit codes mean.

mod arrivals;
mod beneath;
mod config;
mod error;
mod filestore;
mod folder;
mod lock;
mod pass;
mod source;
mod worker;

pub use self::config::RsyncConfig;
pub use self::filestore::RsyncFilestore;
pub use self::folder::INCOMING;
